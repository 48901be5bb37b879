"""What the log asks of its database, whichever engine it lies in."""

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Engine

_ROWS: Final = 50  # in memory at a time, of those that are streamed: each may be as long as the door lets in


class Readable(Protocol):
    """A log that can be read, wherever it lies."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A read transaction, which sees one moment. Keep it short: a long one makes the database grow."""

    def scratch(self) -> AbstractContextManager[Connection]:
        """A transaction on an empty database of the same kind, of which nothing is left at its end."""


class Database(Readable, Protocol):
    """A log that is appended to, in whatever database."""

    @property
    def name(self) -> str:
        """What to call it before people; no secret is in it."""

    @property
    def address(self) -> str:
        """How another process of ours finds it, with `reading.engine`; there may be a password in it."""

    @property
    def folder(self) -> Path | None:
        """Where its file lies; None if a server has it."""

    @property
    def engine(self) -> Engine:
        """Whose transactions read."""

    def writing(self) -> AbstractContextManager[Connection]:
        """A write transaction: under the append lock from its first statement on, durable when the block ends."""

    def probe(self) -> None:
        """A durable write that changes nothing: it raises what an append would raise now."""

    def interrupt(self, seconds: float) -> None:
        """Let what has waited for a server longer than this fail, in whatever thread it waits."""

    def wal_bytes(self) -> int:
        """How much of a write-ahead log waits for `checkpoint`."""

    def wal_written_at(self) -> int:
        """When anybody last wrote to it: nanoseconds, only to be compared."""

    def checkpoint(self) -> bool:
        """Move the write-ahead log where it belongs; whether all of it went."""

    def leave_no_trace(self) -> bool:
        """Remove what was overwritten; False while somebody who reads keeps it."""

    def assert_suitable(self) -> None:
        """Raise UnsuitableDatabase unless what is committed stays."""

    def alarms(self) -> list[str]:
        """What a person should mend, though it serves."""

    def notes(self) -> list[str]:
        """What a person should know, and nobody need mend."""

    def close(self) -> None:
        """Let go of every connection."""


def is_postgres(connection: Connection) -> bool:
    """Which of the two engines this is."""
    return connection.dialect.name == "postgresql"


def marks(connection: Connection, count: int) -> str:
    """Placeholders for one row of values, as this dialect's driver writes them: (?, ?, ?)."""
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    return f"({', '.join([mark] * count)})"


def stream(connection: Connection, query: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Rows as the driver gives them, few in memory at a time; `query` has "?" where the values stand.

    SQLAlchemy's rows would cost as much again. Raises what the driver raises.
    """
    driver: Any = connection.connection.driver_connection
    if is_postgres(connection):
        cursor, query = driver.cursor("stream"), query.replace("?", "%s")
        cursor.itersize = _ROWS
    else:
        cursor = driver.cursor()
    with contextlib.closing(cursor):
        cursor.execute(query, values)
        yield from cursor


@contextlib.contextmanager
def lenient(connection: Connection) -> Iterator[None]:
    """Meanwhile letters that are no UTF-8 become such that nothing hashes, not an error; PostgreSQL keeps none."""
    driver: Any = connection.connection.driver_connection
    if is_postgres(connection):
        yield
        return
    before, driver.text_factory = driver.text_factory, lambda raw: raw.decode(errors="surrogateescape")
    try:
        yield
    finally:
        driver.text_factory = before
