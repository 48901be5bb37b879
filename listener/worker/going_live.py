"""Showing another generation of the views, in one step, and holding the documents that nobody has approved."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, select

from listener import acts, bookkeeping, errors, rows
from listener.acts import Act, Artifact
from listener.log import reader
from listener.log.append import append
from listener.log.database import Database
from listener.log.event import Draft
from listener.views import Views
from listener.worker import generations
from projections import artifacts, facts
from projections.facts import Key

CatchUp = Callable[[Views], None]

_HELD_BECAUSE: Final = "only a replay wants it; 'signlog downloads release' lets it go"
_AT_ONCE: Final = 500  # artifacts that one decision lists
_KEY: Final = (artifacts.TABLE.c.source, artifacts.TABLE.c.subject, artifacts.TABLE.c.name)


def go_live(
    database: Database, new: Views, catch_up: CatchUp, wanted: Iterable[Artifact], went_live: Act, operator: str
) -> int:
    """Show `new` instead of `went_live.previous`; how many of the documents wanted are held.

    Nothing can be appended between the look at the head and the flip. The decisions stand behind everything that `new`
    has folded; a download must wait until they are folded too. Raises ReplayRefused if others were faster.
    """
    held = _Held(new, wanted, operator)
    while True:
        catch_up(new)
        with database.writing() as connection:
            if generations.live(connection) != went_live.previous:
                raise errors.ReplayRefused(
                    "another generation went live meanwhile; 'signlog replay --plan' shows what would happen now"
                )
            if not at_head(connection, new):
                continue
            held.look_again()
            append(connection, [*held.drafts, acts.decision(went_live, operator, acts.LIVE_PATH)])
            generations.flip(connection, new.generation)
            return len(held.open)


def at_head(log: Connection, generation: Views) -> bool:
    """Whether it has folded all of this log."""
    with generation.reading() as reading:
        checkpoint = bookkeeping.checkpoint(reading)
    return checkpoint.position == reader.head(log) and generations.bound(log, checkpoint)


class _Held:
    """Of the documents wanted, those that would be fetched now, and the decisions that hold them.

    They may be many: looked for before the append lock is held, so that the door waits only for those that moved since.
    """

    def __init__(self, generation: Views, wanted: Iterable[Artifact], operator: str) -> None:
        self._generation = generation
        self._wanted = frozenset(wanted)
        self._operator = operator
        with generation.reading() as connection:
            self._seen = bookkeeping.checkpoint(connection).position
            self._decide(_open(connection, self._wanted))

    def look_again(self) -> None:
        """What happened since may have settled some."""
        with self._generation.reading() as connection:
            since = connection.execute(select(*_KEY).where(artifacts.TABLE.c.last_position > self._seen))
            moved = self._wanted.intersection(Artifact(*key) for key in since)
            if moved:
                self._decide((self.open - moved) | _open(connection, moved))

    def _decide(self, found: set[Artifact]) -> None:
        self.open = found
        self.drafts = _holds(sorted(found), self._operator)


def _open(generation: Connection, wanted: Iterable[Artifact]) -> set[Artifact]:
    """Of those wanted, and not equal ones: they may be hundreds of thousands."""
    found, left = set[Artifact](), iter(wanted)
    while page := dict[Key, Artifact](
        ((one.source, one.subject, one.name), one) for one in itertools.islice(left, _AT_ONCE)
    ):
        states = rows.load(generation, artifacts, list(page))
        found.update(page[key] for key, state in states.items() if state.state in artifacts.OPEN)
    return found


def _holds(held: Sequence[Artifact], operator: str) -> list[Draft]:
    pages = [tuple(held[start : start + _AT_ONCE]) for start in range(0, len(held), _AT_ONCE)]
    drafts = [Act(facts.HELD, artifacts=page, reason=_HELD_BECAUSE) for page in pages]
    return [acts.decision(act, operator, acts.HELD_PATH) for act in drafts]
