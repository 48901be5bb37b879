"""What folds: a pure function, and the table that it fills."""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from sqlalchemy import Table

from projections import artifacts, packages, timeline
from projections.facts import Beside, Fact, Key


class Projection(Protocol):
    """A module of `projections/`: a table, and a pure fold that fills it."""

    TABLE: Table
    ONCE: bool  # each fact is a row of its own, which no later fact touches

    def keys(self, fact: Fact) -> Sequence[Key]:
        """Every row that the fact touches."""

    def initial(self, key: Key, /) -> Any:
        """The state before the first fact."""

    def apply(self, state: Any, key: Key, fact: Fact, beside: Beside = ..., /) -> Any:
        """The state after one more fact. It may go by where the other rows that the fact touches stood before it.

        What else stands `beside` is not the same in every fold: it must not be asked for.
        """

    def row(self, key: Key, state: Any) -> tuple[Any, ...]:
        """The state as a row."""

    def load(self, row: Sequence[Any]) -> Any:
        """The state that a row was made of."""


PROJECTIONS: Final[tuple[Projection, ...]] = (packages, timeline, artifacts)
MADE_ONCE: Final = tuple(known for known in PROJECTIONS if known.ONCE)
