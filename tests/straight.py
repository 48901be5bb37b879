"""The plainest fold there can be: one event after the other, in memory, each with the code that took it in."""

import itertools
from collections.abc import Sequence
from typing import Any

from listener import errors
from listener.interpreter import Interpreter
from listener.log.event import Event
from listener.views import PROJECTIONS
from projections.facts import Fact, Key
from tests.codes import wearing


class Straight:
    """What the views must be. `codes` names, of each event, the code that folded it."""

    def __init__(self, events: Sequence[Event], codes: Sequence[str]) -> None:
        self.states: list[dict[Key, Any]] = [{} for _ in PROJECTIONS]
        self.faults: dict[tuple[int, str, str | None], str] = {}
        self.parked: set[tuple[str, str, int]] = set()
        self._interpreter = Interpreter()
        for code, taken in itertools.groupby(zip(codes, events, strict=False), key=lambda pair: pair[0]):
            with wearing(code):
                for _, event in taken:
                    self._take(event)

    def _take(self, event: Event) -> None:
        try:
            facts = self._interpreter.facts(event)
        except errors.Fault as fault:
            self.faults[event.position, event.source, None] = str(fault)
            return
        for fact in facts:
            self._apply(fact)

    def _apply(self, fact: Fact) -> None:
        if (fact.source, fact.subject) in self._stopped():
            self.parked.add((fact.source, fact.subject, fact.position))
            return
        try:
            moved = [
                (number, key, known.apply(self.states[number].get(key, known.initial(key)), key, fact))
                for number, known in enumerate(PROJECTIONS)
                for key in known.keys(fact)
            ]
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
        faults = [(*fault, error, 1) for fault, error in self.faults.items()]
        return [sorted(map(_written, table)) for table in (*rows, faults, self.parked)]


def _written(row: Sequence[Any]) -> str:
    """As the database gives it: there is no truth in it, only ones."""
    return repr(tuple(int(value) if isinstance(value, bool) else value for value in row))


def documents(straight: Straight) -> dict[tuple[str, str, str], Any]:
    """The states of all documents."""
    return {(str(key[0]), str(key[1]), str(key[2])): state for key, state in straight.states[-1].items()}
