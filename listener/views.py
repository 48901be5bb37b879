"""One generation of the views: an opinion about the log, in a file of its own that can be thrown away."""

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ExceptionContext,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    event,
    select,
)
from sqlalchemy.schema import CreateIndex, CreateTable

from listener import errors
from listener.log.sqlite import sqlite_engine
from projections import artifacts, packages, timeline
from projections.facts import Fact, Key


class Projection(Protocol):
    """A module of `projections/`: a table, and a pure fold that fills it."""

    TABLE: Table
    ONCE: bool  # no later fact touches a row that is there

    def keys(self, fact: Fact) -> Sequence[Key]:
        """Every row that the fact touches."""

    def initial(self, key: Key, /) -> Any:
        """The state before the first fact."""

    def apply(self, state: Any, key: Key, fact: Fact) -> Any:
        """The state after one more fact."""

    def row(self, key: Key, state: Any) -> tuple[Any, ...]:
        """The state as a row."""

    def load(self, row: Sequence[Any]) -> Any:
        """The state that a row was made of."""


PROJECTIONS: Final[tuple[Projection, ...]] = (packages, timeline, artifacts)

_metadata = MetaData()

_checkpoint = Table(
    "checkpoint",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("log_id", LargeBinary, nullable=False),
    Column("position", Integer, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("shape", Text, nullable=False),
    Column("origin", Text, nullable=False),
)
segments = Table(
    "segments",
    _metadata,
    Column("number", Integer, primary_key=True),
    Column("after", Integer, nullable=False),
    Column("fingerprint", Text, nullable=False),
)
faults = Table(
    "faults",
    _metadata,
    Column("position", Integer, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("subject", Text, primary_key=True, nullable=True),  # null: nobody can tell of whom the event speaks
    Column("error", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("tried_with", Text, nullable=False),  # the fingerprint of the code
)
parked = Table(
    "parked",
    _metadata,
    Column("source", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
)
# What was about to be taken in, if the worker died of it.
trying = Table(
    "trying",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("after", Integer, nullable=False),
    Column("until", Integer, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("interpreted", Boolean, nullable=False),
    Column("tried_with", Text, nullable=False),
)
heartbeat = Table(
    "heartbeat",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Integer, nullable=False),
)
NEWEST_CODE: Final = select(segments.c.fingerprint).order_by(segments.c.number.desc()).limit(1)
# Subjects with a fault: whatever comes after it waits.
STOPPED: Final = select(parked.c.source, parked.c.subject).union(
    select(faults.c.source, faults.c.subject).where(faults.c.subject.is_not(None))
)
_TABLES: Final = (_checkpoint, segments, faults, parked, trying, heartbeat, *(known.TABLE for known in PROJECTIONS))

# What is lost in a power cut is folded again; the log it is folded from is never at risk here.
_PRAGMAS: Final = {"journal_mode": "wal", "synchronous": 1, "journal_size_limit": 64 * 1024 * 1024}

# Nobody looks at a generation while it is built, and half of one is of no use.
_BUILDING: Final = {"journal_mode": "off", "synchronous": 0, "locking_mode": "exclusive", "cache_size": -16_384}

FIRST: Final = "first"  # why a generation was made: the first one …
PARTED: Final = "parted"  # … the log is not the one that the last generation was folded from …
RESHAPED: Final = "reshaped"  # … the tables have another shape now …
DAMAGED: Final = "damaged"  # … the last generation could not be read any more …
LOST: Final = "lost"  # … or was not there …
REPLAYED: Final = "replayed"  # … or somebody asked for it
UNPLANNED: Final = (PARTED, RESHAPED, DAMAGED, LOST)
_CORRUPT, _NOT_A_DATABASE = 11, 26  # https://sqlite.org/rescode.html


class Checkpoint(NamedTuple):
    """How far a generation has folded, of which log, and the proof: the leaf there (empty before the first event)."""

    log_id: bytes
    position: int
    leaf: bytes
    shape: str
    origin: str


def shape() -> str:
    """A digest of what the tables look like: code with another one cannot go on in this generation."""
    texts = [str(CreateTable(table)) for table in _TABLES]
    texts += [
        str(CreateIndex(index)) for table in _TABLES for index in sorted(table.indexes, key=lambda i: str(i.name))
    ]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


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
            if not connection.dialect.has_table(connection, _checkpoint.name):
                _create(connection, log_id, origin)

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
                    _create(connection, log_id, origin)
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


def _create(connection: Connection, log_id: bytes, origin: str) -> None:
    for table in _TABLES:
        connection.execute(CreateTable(table))
        for index in table.indexes:
            index.create(connection)
    connection.execute(_checkpoint.insert().values((1, log_id, 0, b"", shape(), origin)))


def _make_durable(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def checkpoint(connection: Connection, of: Callable[[Table], Table] = lambda table: table) -> Checkpoint:
    """Where the generation stands, or with `beside` the one that lies beside."""
    return Checkpoint(*connection.execute(select(of(_checkpoint))).one()[1:])


def made_of(connection: Connection) -> str | None:
    """The shape that the generation was made with; to be read even if all the rest is different now."""
    return connection.scalar(select(_checkpoint.c.shape))


def move(connection: Connection, position: int, leaf: bytes) -> None:
    """Move the checkpoint, in the transaction of the rows it accounts for; never backwards."""
    moved = _checkpoint.update().where(_checkpoint.c.position < position).values(position=position, leaf=leaf)
    if connection.execute(moved).rowcount != 1:
        raise errors.ViewsError(f"the checkpoint would not move forward to {position}")


def folded_by(connection: Connection) -> set[str]:
    """The fingerprints of all code that folded a part of the generation."""
    return set(connection.scalars(select(segments.c.fingerprint)))


def beat(connection: Connection, at: int) -> None:
    """Say that the worker lives, whether there is anything to fold or not."""
    if connection.execute(heartbeat.update().values(at=at)).rowcount == 0:
        connection.execute(heartbeat.insert().values(id=1, at=at))
