"""The plainest fold there can be: one event after the other, in memory, each with the code that took it in."""

import contextlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from listener import errors
from listener.interpreter import Interpreter
from listener.log.event import Event
from listener.projection import PROJECTIONS
from projections.facts import Fact, Key
from tests.codes import wearing

Fault = tuple[int, str, str | None]
Try = tuple[int, str]  # behind so many events, with this code, a fault was tried again


class Straight:
    """What the views must be. `codes` names, of each event, the code that folded it; `tries` are in order."""

    def __init__(self, events: Sequence[Event], codes: Sequence[str], tries: Sequence[Try] = ()) -> None:
        self.states: list[dict[Key, Any]] = [{} for _ in PROJECTIONS]
        self.faults: dict[Fault, str] = {}
        self.parked: set[tuple[str, str, int]] = set()
        self._events = events
        self._tried_with: dict[Fault, str] = {}
        self._interpreter = Interpreter()
        again: dict[int, list[str]] = defaultdict(list)
        for at, code in tries:
            again[at].append(code)
        for at, event in enumerate(events[: len(codes)]):
            self._try_again(again[at])
            with wearing(codes[at]):
                self._take(event, codes[at], self._interpreter)
        self._try_again(again[len(codes)])

    def outdated(self, code: str) -> Fault | None:
        """The first fault that was last tried with other code."""
        found = [known for known in self.faults if self._tried_with[known] != code]
        return min(found, key=lambda fault: (fault[0], fault[1], fault[2] or ""), default=None)

    def _try_again(self, codes: Sequence[str]) -> None:
        for code in codes:
            with wearing(code):
                self._try_again_with(code)

    def _try_again_with(self, code: str) -> None:
        fault = self.outdated(code)
        assert fault is not None, "a fault was tried again, and there was none"
        del self.faults[fault]
        position, source, subject = fault
        waiting = sorted(entry for entry in self.parked if entry[:2] == (source, subject))
        self.parked.difference_update(waiting)
        for of in (position, *(entry[2] for entry in waiting)):
            self._take(self._events[of - 1], code, self._standing(of), subject)

    def _standing(self, position: int) -> Interpreter:
        """With what was in force there."""
        found = Interpreter()
        for event in self._events[: position - 1]:
            with contextlib.suppress(errors.Fault):
                found.facts(event)
        return found

    def _take(self, event: Event, code: str, interpreter: Interpreter, only: str | None = None) -> None:
        before = set(self.faults)
        try:
            for fact in interpreter.facts(event):
                if only in (None, fact.subject):
                    self._apply(fact)
        except errors.Fault as fault:
            self.faults[event.position, event.source, None] = str(fault)
        self._tried_with |= dict.fromkeys(self.faults.keys() - before, code)

    def _apply(self, fact: Fact) -> None:
        if (fact.source, fact.subject) in self._stopped():
            self.parked.add((fact.source, fact.subject, fact.position))
            return
        try:
            moved = []
            for number, known in enumerate(PROJECTIONS):
                before = {key: self.states[number].get(key, known.initial(key)) for key in known.keys(fact)}
                moved += [(number, key, known.apply(state, key, fact, before)) for key, state in before.items()]
        except Exception as error:  # whatever a handler raises
            self.faults[fact.position, fact.source, fact.subject] = f"{type(error).__name__}: {error}"
            return
        for number, key, state in moved:
            self.states[number][key] = state

    def _stopped(self) -> set[tuple[str, str | None]]:
        return {(source, subject) for _, source, subject in self.faults}

    @property
    def tables(self) -> list[list[str]]:
        """As `rig.tables` gives them, but for the checkpoint."""
        rows = [
            [known.row(key, state) for key, state in states.items()]
            for known, states in zip(PROJECTIONS, self.states, strict=True)
        ]
        faults = [(*fault, error) for fault, error in self.faults.items()]
        return [sorted(repr(tuple(row)) for row in table) for table in (*rows, self.parked, faults)]


def documents(straight: Straight) -> dict[tuple[str, str, str], Any]:
    """The states of all documents."""
    return {(str(key[0]), str(key[1]), str(key[2])): state for key, state in straight.states[-1].items()}
