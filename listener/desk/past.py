"""Subjects as they were: their events, folded again with the code as it is, up to a position or a time."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple, Self
from urllib.parse import quote

from sqlalchemy import Connection

from listener import acts, errors, fingerprint
from listener.acts import Subject
from listener.desk import downloads, status
from listener.desk.pages import Line
from listener.desk.reading import Reading
from listener.interpreter import Interpreter
from listener.log import clock, event, reader
from listener.log.event import Event
from listener.projection import PROJECTIONS
from listener.worker.anew import Anew
from projections import artifacts, packages, timeline

_PACKAGES, _TIMELINE, _ARTIFACTS = (PROJECTIONS.index(module) for module in (packages, timeline, artifacts))


class Moment(NamedTuple):
    """What to go by: the log up to a position, and of that what had happened by a time of the provider's clock."""

    position: int
    occurred_at: int | None = None


class Past:
    """Some subjects while they are folded up to a moment. The only room of the desk that knows how to fold."""

    def __init__(self, at: Reading, subjects: Sequence[Subject], moment: Moment) -> None:
        self._anew = Anew(at.log, at.views, subjects, moment.position, fingerprint.fingerprint())
        self._occurred_at = moment.occurred_at
        self._expecting = _expecting_since(at.log, {source for source, _ in subjects}, moment)
        self._first_expected = reader.at(at.log, [*self._expecting.values()])
        self._reached = 0

    def whole(self) -> Self:
        """All of it folded."""
        for _ in self.turns():
            pass
        return self

    def turns(self) -> Iterator[Event]:
        """Fold event by event; each is given when it is folded.

        From the first of its source on that says what to expect, whatever else is in the source is unexpected.
        """
        for found in heapq.merge(self._anew.events(), self._first_expected, key=attrgetter("position")):
            if found.position == self._reached:  # it speaks of them, too
                continue
            if self._occurred_at is None or _is_declaration(found) or happened(found, self._occurred_at):
                self._reached = found.position
                self._anew.take(found)
                yield found

    def shown(self, source: str, subject: str) -> Line | None:
        """A subject as it stands now, with its documents; None while nothing is known of it."""
        state = self._anew.fold.states[_PACKAGES].get((source, subject))
        known = self._anew.fold.states[_ARTIFACTS].items()
        named = [(str(key[2]), artifact) for key, artifact in known if key[:2] == (source, subject)]
        named.sort(key=lambda pair: (pair[1].last_position, pair[0]))
        kept = [downloads.shown(name, artifact) for name, artifact in named]
        expecting = [of for of, since in self._expecting.items() if since <= self._reached]
        return None if state is None else status.shown(source, subject, state, kept, expecting)

    def history(self, source: str, subject: str) -> list[tuple[int, timeline.State]]:
        """What was told of a subject, with positions, in the order of the log."""
        facts = sorted(self._anew.fold.states[_TIMELINE].items())
        return [(int(key[0]), said) for key, said in facts if key[1:3] == (source, subject)]

    def told(self, source: str, subject: str, position: int) -> tuple[str, str] | None:
        """Name and text of what the event there says of a subject; if it says nothing of it, of another one."""
        there = [(key[1:3], said) for key, said in self._anew.fold.states[_TIMELINE].items() if key[0] == position]
        there.sort(key=lambda known: known[0] != (source, subject))
        return next(((said.name, said.text) for _, said in there), None)

    def faults(self, source: str, subject: str) -> list[Line]:
        """Its events that could not be taken in: nothing behind the first of them was."""
        return [
            {"position": fault.position, "error": fault.error}
            for fault in self._anew.fold.faults
            if (fault.source, fault.subject) == (source, subject)
        ]


def _expecting_since(log: Connection, sources: Iterable[str], moment: Moment) -> dict[str, int]:
    """From which position on it was known of a source what to expect in it; a source that is not in here expects none.

    Somebody said so then: that has no time of the provider.
    """
    until = moment.position
    if moment.occurred_at is not None:
        until = min(until, clock.reached(log, moment.occurred_at))
    filed = {source: acts.EXPECTED_PATH + quote(source, safe="") for source in sources}
    first = {source: reader.first_filed(log, event.DECISION, below, until) for source, below in filed.items()}
    return {source: position for source, position in first.items() if position is not None}


def _is_declaration(found: Event) -> bool:
    return found.path == acts.IN_FORCE_PATH and found.kind == event.DECISION


def happened(found: Event, occurred_at: int) -> bool:
    """Whether what it says had happened by then. What carries no time of the provider is known since we heard of it."""
    try:
        said = Interpreter().facts(found)
    except errors.Fault:
        return found.recorded_at <= occurred_at
    return any((fact.recorded_at if fact.clock is None else fact.clock) <= occurred_at for fact in said)
