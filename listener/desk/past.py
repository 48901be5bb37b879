"""Subjects as they were: their events, folded again with the code as it is, up to a position or a time."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import select, tuple_, union

from listener import acts, errors, views
from listener.acts import InForce
from listener.desk import downloads, status
from listener.desk.pages import Line
from listener.desk.reading import Reading
from listener.interpreter import Interpreter
from listener.log import event, reader
from listener.log.event import Event
from listener.views import PROJECTIONS, Projection
from listener.worker.fold import Fold
from projections import artifacts, packages, timeline
from projections.facts import Key

_PACKAGES, _TIMELINE, _ARTIFACTS = (PROJECTIONS.index(module) for module in (packages, timeline, artifacts))
_AT_ONCE: Final = 500

Subject = tuple[str, str]


class Moment(NamedTuple):
    """What to go by: the log up to a position, and of that what had happened by a time of the provider's clock."""

    position: int
    occurred_at: int | None = None


class Past:
    """Some subjects while they are folded in memory. The only room of the desk that knows how to fold."""

    def __init__(self, in_force: InForce | None) -> None:
        self._interpreter = Interpreter(in_force)
        self._fold = Fold(_nothing)

    def take(self, events: Sequence[Event]) -> None:
        """Fold the next ones."""
        self._fold.take(events, self._interpreter)

    def shown(self, source: str, subject: str) -> Line | None:
        """A subject as it stands now, with its documents; None while nothing is known of it."""
        state = self._fold.states[_PACKAGES].get((source, subject))
        known = [(str(key[2]), known) for key, known in self._of(_ARTIFACTS, source, subject)]
        known.sort(key=lambda pair: (pair[1].last_position, pair[0]))
        kept = [downloads.shown(name, known) for name, known in known]
        return None if state is None else status.shown(source, subject, state, kept)

    def told(self, source: str, subject: str, position: int) -> tuple[str, str] | None:
        """Name and text of what the event there says of a subject."""
        for (at, *of, _artifact), said in self._fold.states[_TIMELINE].items():
            if (at, *of) == (position, source, subject):
                return said.name, said.text
        return None

    def faults(self, source: str, subject: str) -> list[Line]:
        """Its events that could not be taken in: nothing behind the first of them was."""
        return [
            {"position": fault.position, "error": fault.error}
            for fault in self._fold.faults
            if (fault.source, fault.subject) == (source, subject)
        ]

    def _of(self, projection: int, source: str, subject: str) -> list[tuple[Key, Any]]:
        return [(key, state) for key, state in self._fold.states[projection].items() if key[:2] == (source, subject)]


def _nothing(_projection: Projection, _keys: Sequence[Key]) -> Mapping[Key, Any]:
    return {}


def folded(at: Reading, subjects: Sequence[Subject], moment: Moment) -> Past:
    """Some subjects as they stood at that moment."""
    past, events = begun(at, subjects, moment)
    while page := list(islice(events, _AT_ONCE)):
        past.take(page)
    return past


def begun(at: Reading, subjects: Sequence[Subject], moment: Moment) -> tuple[Past, Iterator[Event]]:
    """Before the first of their events, and what is to be folded, in order: what was declared to be in force, too."""
    positions = _positions(at, subjects, moment.position)
    first, last = (positions[0], positions[-1]) if positions else (0, 0)
    before = reader.acts(at.log, event.DECISION, acts.IN_FORCE_PATH, until=first, last=20)
    declared = reader.acts(at.log, event.DECISION, acts.IN_FORCE_PATH, until=last, after=first)[::-1]
    events = (found for found in _read(at, positions) if happened(found, moment.occurred_at))
    return Past(acts.newest_in_force(before)), heapq.merge(declared, events, key=attrgetter("position"))


def _positions(at: Reading, subjects: Sequence[Subject], until: int) -> list[int]:
    """Of all their events, as far as they were folded: what waits behind a fault speaks of a subject, too."""
    tables = (timeline.TABLE.c, views.parked.c, views.faults.c)
    each = [
        select(of.position).where(tuple_(of.source, of.subject).in_(subjects), of.position <= until) for of in tables
    ]
    return sorted(at.views.scalars(union(*each)))


def _read(at: Reading, positions: Sequence[int]) -> Iterator[Event]:
    for start in range(0, len(positions), _AT_ONCE):
        yield from reader.at(at.log, positions[start : start + _AT_ONCE])


def happened(found: Event, occurred_at: int | None) -> bool:
    """Whether what it says had happened by then. What carries no time of the provider is known since we heard of it."""
    if occurred_at is None:
        return True
    try:
        said = Interpreter().facts(found)
    except errors.Fault:
        return found.recorded_at <= occurred_at
    return any((fact.recorded_at if fact.clock is None else fact.clock) <= occurred_at for fact in said)
