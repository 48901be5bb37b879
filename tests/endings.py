"""How a document may end, and how each of a worker's did."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from projections import artifacts, facts
from tests.rig import Worker


class End(NamedTuple):
    """What becomes of a document, and what a person is told of it (a regular expression)."""

    state: str
    reason: str | None = None


STORED: Final = End(artifacts.STORED)
BEHIND: Final = End(artifacts.WANTED)  # another document has the reason


def given_up(reason: str) -> End:
    """After the last try."""
    return End(artifacts.ABANDONED, reason)


def waits(reason: str) -> End:
    """For a person: no clock makes it due."""
    return End(artifacts.FAILED, reason)


def assert_ended(worker: Worker, ends: Mapping[str, End]) -> None:
    """Each document ended as it must, was stored once at the most, and each try was told once."""
    stored, tries = worker.stored(), list(_tries(worker))
    assert len(stored) == len(set(stored)), f"stored twice: {stored}"
    assert len(tries) == len(set(tries)), f"told twice: {tries}"
    known = {name: state for (_, name), state in worker.artifacts().items()}
    assert set(known) == set(ends), f"{set(known)}"
    for name, state in known.items():
        end = ends[name]
        assert state.state == end.state, f"{name} is {state.state}, not {end.state}: {state.error}"
        assert state.next_at is None, f"{name} is due again at {state.next_at}"
        told = state.error or ""
        assert re.search(end.reason, told) if end.reason else not told, f"{name} says {told!r}, not {end.reason!r}"


def _tries(worker: Worker) -> Iterator[tuple[str, int, int]]:
    """Each outcome: of which document, in which row of tries, and which of them. What was given up may begin anew."""
    rows = Counter[str]()
    for act in worker.outcomes():
        name = act.name or ""
        yield name, rows[name], act.attempt
        rows[name] += act.action == facts.ABANDONED
