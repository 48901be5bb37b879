"""One generation of the views: an opinion about the log, in a file of its own that can be thrown away."""

import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import (
    Connection,
    ExceptionContext,
    MetaData,
    Table,
    event,
)

from listener import bookkeeping, errors
from listener.log.sqlite import sqlite_engine

# What is lost in a power cut is folded again; the log it is folded from is never at risk here.
_PRAGMAS: Final = {"journal_mode": "wal", "synchronous": 1, "journal_size_limit": 64 * 1024 * 1024}

# Nobody looks at a generation while it is built, and half of one is of no use.
_BUILDING: Final = {"journal_mode": "off", "synchronous": 0, "locking_mode": "exclusive", "cache_size": -16_384}

_CORRUPT, _NOT_A_DATABASE = 11, 26  # https://sqlite.org/rescode.html


class Views:
    """A generation's file. Only the projector writes it."""

    def __init__(self, folder: Path, generation: int) -> None:
        self.generation = generation
        self.path = folder / f"signlog-views-{generation}.db"
        self.half = self.path.with_suffix(".half")  # while it is built
        self.damaged = self.path.with_suffix(".damaged")  # somebody could not read it: the worker will look into that
        self._engine = sqlite_engine(self.path, _PRAGMAS)
        event.listen(self._engine, "handle_error", self._tell_damage)
        self._writing = self._engine.execution_options(writing=True)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A write transaction: rows, faults and the checkpoint move together or not at all. Raises ViewsError."""
        with self._writing.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction. Raises ViewsError if there are no views yet, or if they are damaged."""
        self._assert_there()
        with self._engine.begin() as connection:
            yield connection

    def _assert_there(self) -> None:
        """SQLite would make an empty one."""
        if not self.path.exists():
            raise errors.ViewsError(f"{self.path} is not there yet; the worker makes it: run 'signlog serve'")

    def _tell_damage(self, context: ExceptionContext) -> None:
        error = context.original_exception
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in (_CORRUPT, _NOT_A_DATABASE)
        if damaged:
            with contextlib.suppress(OSError):
                self.damaged.touch()
        if damaged or str(error).startswith(("no such table", "no such column")):
            raise errors.ViewsError(f"{self.path} is damaged ({error}); the worker folds it anew") from error

    def assert_sound(self) -> None:
        """Raise ViewsError if somebody could not read it, and nobody can. Who has read it before need not notice."""
        if not self.damaged.exists():
            return
        self.damaged.unlink(missing_ok=True)
        self._engine.dispose()  # connections of before hold pages in memory
        with self.reading() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise errors.ViewsError(f"{self.path} is damaged ({found}); the worker folds it anew")

    def create(self, log_id: bytes, origin: str) -> None:
        """Make the tables of an empty generation, unless they are there."""
        with self.writing() as connection:
            bookkeeping.create(connection, log_id, origin)

    @contextlib.contextmanager
    def building(self, log_id: bytes, origin: str, other: "Views | None" = None) -> Iterator[Connection]:
        """Make the tables anew, and fill them in one transaction that cannot be undone: it has no journal.

        The indexes grow with the tables: sorted at the end, they would take memory for every event, and as long. The
        file is whole and durable when the block ends; before that it has another name. The tables of `other`, as it
        was at the first look, are `beside`.
        """
        self.discard()
        engine = sqlite_engine(self.half, _BUILDING if other is None else {**_BUILDING, "locking_mode": "normal"})
        try:
            with engine.connect() as connection:
                if other is not None:
                    _attach(connection, other)
                with connection.begin():
                    bookkeeping.create(connection, log_id, origin)
                    yield connection
        finally:
            engine.dispose()
        _make_durable(self.half)
        self.half.rename(self.path)
        _make_durable(self.path.parent)

    def settle(self) -> None:
        """While it is built: let the disk have what was written. All at once at the end would make the door wait."""
        _make_durable(self.half)

    @contextlib.contextmanager
    def beside(self, other: "Views") -> Iterator[Connection]:
        """A transaction that may write here, and reads `other` as it was at its first look: its tables are `beside`."""
        other._assert_there()
        with self._engine.connect() as connection:
            _attach(connection, other)
            try:
                with connection.begin():
                    yield connection
            finally:
                connection.connection.execute(f"DETACH DATABASE {BESIDE}").close()

    def discard(self) -> None:
        """Remove the file, what SQLite keeps beside it, and half of one."""
        self.half.unlink(missing_ok=True)
        self.damaged.unlink(missing_ok=True)
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()


BESIDE: Final = "beside"


@functools.cache
def beside(table: Table) -> Table:
    """The same table of the generation that lies beside."""
    return table.to_metadata(MetaData(), schema=BESIDE)


def _attach(connection: Connection, other: Views) -> None:
    """Before the transaction begins; with its locking mode, so that others go on reading and writing there."""
    connection.connection.execute(f"ATTACH DATABASE ? AS {BESIDE}", (str(other.path),)).close()


def _make_durable(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
