"""A promise over whatever a log may hold, and whether code that breaks it is noticed."""

import contextlib
from collections.abc import Callable
from contextlib import closing
from typing import Any

import hypothesis
from hypothesis import strategies as st

from listener.worker import building, intake, piece
from tests.codes import Patch, worn
from tests.histories import History, histories
from tests.rig import Log, tables

Promise = Callable[[History, Any], bool]  # whether it is kept; a history, and how the rest is chosen

SIZES = st.integers(1, 9)
CASES = st.tuples(histories(), SIZES)
often = hypothesis.settings(max_examples=20, deadline=None)
many = hypothesis.settings(max_examples=100, deadline=None)


def broken(promise: Promise, *patches: Patch, cases: st.SearchStrategy[Any] = CASES) -> bool:
    """Whether some history shows that code with these patches does not keep it."""
    quick = hypothesis.settings(
        max_examples=200, database=None, derandomize=True, deadline=None, phases=[hypothesis.Phase.generate]
    )
    with worn(*patches):
        try:
            hypothesis.find(cases, lambda case: not promise(*case), settings=quick)
        except hypothesis.errors.NoSuchExample:
            return False
    return True


def shown(log: Log, generation: int = 1) -> list[list[str]]:
    """All that a generation says."""
    with closing(log.shelf.generation(generation)) as views:
        return tables(views)


def in_pieces_of(size: int) -> contextlib.AbstractContextManager[None]:
    """However much is taken at once, and however little is kept in memory."""
    return worn((intake, "BATCH", size), (piece, "EVENTS", size), (building, "EVENTS", size))
