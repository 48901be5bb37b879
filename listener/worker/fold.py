"""Folding events into states, in memory: the same for the live views, a replay and a question about the past."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from listener import errors
from listener.interpreter import Interpreter
from listener.log.event import Event
from listener.views import PROJECTIONS, Projection
from projections.facts import Fact, Key

Subject = tuple[str, str]
States = dict[Key, Any]
Loader = Callable[[Projection, Sequence[Key]], Mapping[Key, Any]]


class Faulty(NamedTuple):
    """An event that could not be taken in, and of whom it spoke, if it said so."""

    position: int
    source: str
    subject: str | None
    error: str


class Fold:
    """States of all projections over some events. Once a subject has a fault, its later facts wait behind it."""

    def __init__(self, load: Loader, parked: Iterable[Subject] = ()) -> None:
        self._load = load
        self._stopped = set(parked)
        self.states: list[States] = [{} for _ in PROJECTIONS]
        self.changed: list[set[Key]] = [set() for _ in PROJECTIONS]
        self.faults: list[Faulty] = []
        self.parked: list[tuple[str, str, int]] = []

    def take(self, events: Sequence[Event], interpreter: Interpreter) -> None:
        """Interpret the events and apply what they say."""
        found = [fact for event in events for fact in self._interpret(event, interpreter)]
        for projection, states in zip(PROJECTIONS, self.states, strict=True):
            keys = {key for fact in found for key in projection.keys(fact)} - states.keys()
            states.update(self._load(projection, sorted(keys)))
        for fact in found:
            self._apply(fact)

    def _interpret(self, event: Event, interpreter: Interpreter) -> list[Fact]:
        try:
            return interpreter.facts(event)
        except errors.Fault as fault:
            self.faults.append(Faulty(event.position, event.source, None, str(fault)))
            return []

    def _apply(self, fact: Fact) -> None:
        """Apply to every projection or to none, so that a fault leaves no half-taken fact behind."""
        subject = (fact.source, fact.subject)
        if subject in self._stopped:
            self.parked.append((*subject, fact.position))
            return
        try:
            moved = [
                [
                    (key, projection.apply(states.get(key) or projection.initial(key), key, fact))
                    for key in projection.keys(fact)
                ]
                for projection, states in zip(PROJECTIONS, self.states, strict=True)
            ]
        except Exception as error:  # a projection's bug stops this subject, and nobody else
            self._stopped.add(subject)
            self.faults.append(Faulty(fact.position, *subject, f"{type(error).__name__}: {error}"))
            return
        for states, changed, pairs in zip(self.states, self.changed, moved, strict=True):
            states.update(pairs)
            changed.update(key for key, _ in pairs)
