"""Subjects as they were: their events, folded again with the code as it is, up to a position or a time."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from listener import acts, concerning, errors
from listener.acts import InForce
from listener.concerning import Subject
from listener.desk import downloads, status
from listener.desk.pages import Line
from listener.desk.reading import Reading
from listener.interpreter import Interpreter
from listener.log import event
from listener.log.event import Event
from listener.views import PROJECTIONS
from listener.worker.fold import Fold
from projections import artifacts, packages, timeline
from projections.facts import Key

_PACKAGES, _TIMELINE, _ARTIFACTS = (PROJECTIONS.index(module) for module in (packages, timeline, artifacts))
_AT_ONCE: Final = 500


class Moment(NamedTuple):
    """What to go by: the log up to a position, and of that what had happened by a time of the provider's clock."""

    position: int
    occurred_at: int | None = None


class Past:
    """Some subjects while they are folded in memory. The only room of the desk that knows how to fold."""

    def __init__(self, in_force: InForce | None) -> None:
        self._interpreter = Interpreter(in_force)
        self._fold = Fold()

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


def folded(at: Reading, subjects: Sequence[Subject], moment: Moment) -> Past:
    """Some subjects as they stood at that moment."""
    past, events = begun(at, subjects, moment)
    while page := list(islice(events, _AT_ONCE)):
        past.take(page)
    return past


def begun(at: Reading, subjects: Sequence[Subject], moment: Moment) -> tuple[Past, Iterator[Event]]:
    """Before the first of their events, and what is to be folded, in order."""
    found = concerning.positions(at.views, subjects, moment.position)
    events = concerning.events(at.log, found)
    if moment.occurred_at is not None:
        events = (each for each in events if _is_declaration(each) or happened(each, moment.occurred_at))
    return Past(concerning.before(at.log, found)), events


def _is_declaration(found: Event) -> bool:
    return found.path == acts.IN_FORCE_PATH and found.kind == event.DECISION


def happened(found: Event, occurred_at: int) -> bool:
    """Whether what it says had happened by then. What carries no time of the provider is known since we heard of it."""
    try:
        said = Interpreter().facts(found)
    except errors.Fault:
        return found.recorded_at <= occurred_at
    return any((fact.recorded_at if fact.clock is None else fact.clock) <= occurred_at for fact in said)
