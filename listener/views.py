"""One generation of the views: an opinion about the log that can be thrown away, in a file or in a schema."""

import functools
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Protocol, Self

from sqlalchemy import Connection, MetaData, Table

BESIDE: Final = "beside"


class Views(Protocol):
    """A generation, wherever it lies. Only the projector writes it."""

    @property
    def generation(self) -> int:
        """Its number."""

    @property
    def name(self) -> str:
        """What to call it before people; no secret is in it."""

    def writing(self) -> AbstractContextManager[Connection]:
        """A write transaction: rows, faults and the checkpoint move together or not at all. Raises ViewsError."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A read transaction. Raises ViewsError if there are no views yet, or if they are damaged."""

    def beside(self, other: Self) -> AbstractContextManager[Connection]:
        """A transaction that may write here, and reads `other` as it was at its first look: its tables are `beside`."""

    def read_ahead(self) -> AbstractContextManager[None]:
        """A block in which all of it is read."""

    def create(self, log_id: bytes, origin: str) -> None:
        """Make the tables of an empty generation, unless they are there."""

    def workshop(self) -> AbstractContextManager[Path]:
        """An empty folder for what it is built from, of which there is half as much; from now on it is half made.

        What was there of it is discarded.
        """

    def building(self, log_id: bytes, origin: str, other: Self | None = None) -> AbstractContextManager[Connection]:
        """Make the tables anew, and fill them in one transaction; nobody sees anything of it before the block ends.

        The indexes are made at its end: sorted, they cost a fraction of what it takes to let them grow with the tables.
        The tables of `other`, as it was at the first look, are `beside`.
        """

    def exists(self) -> bool:
        """Whether it is there."""

    def is_half(self) -> bool:
        """Whether somebody began to build it, and did not end."""

    def assert_sound(self) -> None:
        """Raise ViewsError if somebody could not read it, and nobody can. Who has read it before need not notice."""

    def discard(self) -> None:
        """Remove it, and half of one."""

    def close(self) -> None:
        """Let go of it."""


@functools.cache
def beside(table: Table) -> Table:
    """The same table of the generation that lies beside."""
    return table.to_metadata(MetaData(), schema=BESIDE)
