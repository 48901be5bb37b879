"""Folding events into states, in memory: the same for the live views, a replay and a question about the past."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from listener import errors
from listener.acts import Subject
from listener.interpreter import Interpreter
from listener.log.event import Readable
from listener.projection import PROJECTIONS, Projection
from projections.facts import Beside, Fact, Key

States = dict[Key, Any]
Loader = Callable[[Projection, Sequence[Key]], Mapping[Key, Any]]
_Part = tuple[
    States, States, Callable[[Fact], Sequence[Key]], Callable[[Key], Any], Callable[[Any, Key, Fact, Beside], Any]
]  # of a fold: states, those that changed, and what a projection does


class Faulty(NamedTuple):
    """An event that could not be taken in, and of whom it spoke, if it said so."""

    position: int
    source: str
    subject: str | None
    error: str
    attempts: int = 1


def nothing(_projection: Projection, _keys: Sequence[Key]) -> Mapping[Key, Any]:
    """Load nothing: for a fold that begins at the first event, or holds all states that there are."""
    return {}


class Fold:
    """States of all projections over some events. Once a subject has a fault, its later facts wait behind it."""

    def __init__(self, load: Loader = nothing, parked: Iterable[Subject] = ()) -> None:
        self.load = load
        self.stopped = set(parked)
        self.states: list[States] = [{} for _ in PROJECTIONS]
        self.changed: list[States] = [{} for _ in PROJECTIONS]  # in the order of the log
        self.faults: list[Faulty] = []
        self.parked: list[tuple[str, str, int]] = []
        self._all = [
            (states, changed, known.keys, known.initial, known.apply)
            for known, states, changed in zip(PROJECTIONS, self.states, self.changed, strict=True)
        ]
        self._lasting = [part for known, part in zip(PROJECTIONS, self._all, strict=True) if not known.ONCE]

    def take(self, events: Sequence[Readable], interpreter: Interpreter, only: Subject | None = None) -> None:
        """Interpret the events and apply what they say, of everybody or `only` of one subject."""
        found = [fact for event in events for fact in self._interpret(event, interpreter)]
        self.take_facts(found, only)

    def take_facts(self, found: Sequence[Fact], only: Subject | None = None) -> None:
        """Apply what some events say, of everybody or `only` of one subject."""
        if only is not None:
            found = [fact for fact in found if (fact.source, fact.subject) == only]
        self._load_for(found)
        for fact in found:
            self._apply(fact, self._all)

    def take_lasting(self, found: Sequence[Fact]) -> list[bool]:
        """Apply what some events say, but for rows that are made ONCE: those the caller has. Which were taken in.

        For a fold that loads nothing.
        """
        return [self._apply(fact, self._lasting) for fact in found]

    def leave_out(self, event: Readable, of: Iterable[Subject], error: str, attempts: int = 1) -> None:
        """Take nothing of an event in: it is a fault of these subjects, or of nobody who could be named."""
        subjects = list(dict.fromkeys(of))
        for subject in subjects:
            if subject in self.stopped:
                self.parked.append((*subject, event.position))
            else:
                self.stopped.add(subject)
                self.faults.append(Faulty(event.position, *subject, error, attempts))
        if not subjects:
            self.faults.append(Faulty(event.position, event.source, None, error, attempts))

    def _interpret(self, event: Readable, interpreter: Interpreter) -> Sequence[Fact]:
        try:
            return interpreter.facts(event)
        except errors.Fault as fault:
            self.faults.append(Faulty(event.position, event.source, None, str(fault)))
            return ()

    def _load_for(self, found: Iterable[Fact]) -> None:
        """Load the states that some facts touch, as far as they are not here."""
        if self.load is nothing:
            return
        for projection, states in zip(PROJECTIONS, self.states, strict=True):
            if not projection.ONCE:
                keys = {key for fact in found for key in projection.keys(fact) if key not in states}
                states.update(self.load(projection, sorted(keys)))

    def _apply(self, fact: Fact, parts: Sequence[_Part]) -> bool:
        """Apply to every projection or to none, so that a fault leaves no half-taken fact behind; whether it was."""
        if self.stopped and (fact.source, fact.subject) in self.stopped:
            self.parked.append((fact.source, fact.subject, fact.position))
            return False
        moved = []
        try:
            for states, changed, keys, initial, apply in parts:
                for key in keys(fact):
                    moved.append((states, changed, key, apply(states.get(key) or initial(key), key, fact, states)))
        except Exception as error:  # a projection's bug stops this subject, and nobody else
            self.stopped.add((fact.source, fact.subject))
            self.faults.append(Faulty(fact.position, fact.source, fact.subject, f"{type(error).__name__}: {error}"))
            return False
        for states, changed, key, state in moved:
            states[key] = changed[key] = state
        return True
