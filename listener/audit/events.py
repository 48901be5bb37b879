"""Each event against its hashes, its place, the clock, and the decisions that may have blanked it."""

import functools
from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, select

from listener import acts
from listener.audit import findings
from listener.audit.findings import Findings
from listener.audit.scan import Page
from listener.log import event, reader, schema
from listener.log.database import Readable
from listener.log.event import Event, content_hash, entry_of, leaf_hash
from listener.log.heads import Epoch
from projections import facts

CLOCK_BACK: Final = 5_000_000  # microseconds


class Erasing(msgspec.Struct):
    """What a decision says, as far as an audit must know it: whether it erases, and which events."""

    action: str = ""
    positions: frozenset[int] = frozenset()


def nowhere(connection: Connection, until: int, found: Findings) -> None:
    """Whether the log names an event as erased that it does not have: the next to come there would be blank already."""
    named = schema.erasures.c.position
    for position in connection.scalars(select(named).where(~named.between(1, until)).order_by(named)):
        found.problem(findings.ERASURES, position, "the log names it as erased, and there is no such event")


class Events:
    """Takes pages in order, and gives their leaves."""

    def __init__(self, database: Readable, epochs: Sequence[Epoch], found: Findings) -> None:
        self._database = database
        self._epochs = list(epochs)
        self._log_id = b""
        self._found = found
        self._next = 1
        self._before = 0  # recorded_at of the last one
        self._named = functools.lru_cache(16)(self._positions)

    def take(self, page: Page) -> list[bytes]:
        """Check a page; the leaves that stand in its rows."""
        leaves = []
        for row in page.rows:
            one = Event._make(row)
            try:
                self._check(one, page.erased)
            except (TypeError, ValueError, AttributeError) as error:  # no table of ours holds such a value
                self._found.problem(findings.READING, one.position, f"holds what no event holds: {error}")
            leaves.append(one.leaf if isinstance(one.leaf, bytes) else b"")
        return leaves

    def _check(self, one: Event, erased: dict[int, int]) -> None:
        position = one.position
        if position != self._next:
            self._gap(position)
        self._next = position + 1
        while self._epochs and self._epochs[0].first_position <= position:
            self._log_id = self._epochs.pop(0).id
        if one.body is None or one.headers is None or one.salt is None:
            self._blank(one, erased)
        else:
            if content_hash(one.salt, one.headers, one.body) != one.content:
                self._found.problem(findings.CONTENT, position, "body, headers, salt or their hash were changed")
            if position in erased:
                self._found.problem(findings.ERASURES, position, "the log names it as erased, and it is not blank")
        if leaf_hash(entry_of(one, self._log_id)) != one.leaf:
            self._found.problem(findings.LEAF, position, "its columns, or the id of the log, do not hash to its leaf")
        if one.recorded_at < self._before - CLOCK_BACK:
            back = (self._before - one.recorded_at) / 1_000_000
            self._found.note(findings.CLOCK, position, f"our clock went back by {back:.0f} s")
        self._before = one.recorded_at

    def _gap(self, position: int) -> None:
        if position < self._next:
            self._found.problem(findings.POSITIONS, position, f"stands where {self._next} should")
        else:
            missing = f"{self._next}" if position == self._next + 1 else f"{self._next} to {position - 1}"
            self._found.problem(findings.POSITIONS, self._next, f"missing: {missing}")

    def _blank(self, one: Event, erased: dict[int, int]) -> None:
        decided = erased.get(one.position)
        if any(part is not None for part in (one.body, one.headers, one.salt)):
            self._found.problem(findings.BLANK, one.position, "a part of it is blank, and the rest is not")
        elif decided is None:
            self._found.problem(findings.BLANK, one.position, "it is blank, and nobody decided so")
        elif decided <= one.position or one.position not in self._named(decided):
            said = f"it is blank, and the decision that is said to name it, event {decided}, does not"
            self._found.problem(findings.BLANK, one.position, said)
        elif one.kind == event.DECISION and not acts.is_expectation(one):
            self._found.problem(findings.BLANK, one.position, "it is blank, and a decision: those are never erased")

    def _positions(self, decided: int) -> frozenset[int]:
        """Which events a decision erases; one to leave out an event, or to release a document, names some as well."""
        with self._database.reading() as connection:
            found = reader.one(connection, decided)
        if found is None or found.kind != event.DECISION:
            return frozenset()
        try:
            said = msgspec.json.decode(found.body or b"", type=Erasing)
        except (msgspec.MsgspecError, ValueError):
            return frozenset()
        return said.positions if said.action == facts.ERASED else frozenset()
