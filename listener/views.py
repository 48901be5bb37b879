"""One generation of the views: an opinion about the log, in a file of its own that can be thrown away."""

import contextlib
import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from sqlalchemy import (
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
    tuple_,
)
from sqlalchemy.schema import CreateIndex, CreateTable

from listener import errors
from listener.log.database import marks, sqlite_engine
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
    Column("after", Integer, primary_key=True),
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
)
parked = Table(
    "parked",
    _metadata,
    Column("source", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
)
heartbeat = Table(
    "heartbeat",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Integer, nullable=False),
)
# Subjects with a fault: whatever comes after it waits.
STOPPED: Final = select(parked.c.source, parked.c.subject).union(
    select(faults.c.source, faults.c.subject).where(faults.c.subject.is_not(None))
)
_TABLES: Final = (_checkpoint, segments, faults, parked, heartbeat, *(known.TABLE for known in PROJECTIONS))

# What is lost in a power cut is folded again; the log it is folded from is never at risk here.
_PRAGMAS: Final = {"journal_mode": "wal", "synchronous": 1, "journal_size_limit": 64 * 1024 * 1024}

FIRST: Final = "first"  # why a generation was made: the first one …
PARTED: Final = "parted"  # … the log is not the one that the last generation was folded from …
RESHAPED: Final = "reshaped"  # … the tables have another shape now …
DAMAGED: Final = "damaged"  # … the last generation could not be read any more …
REPLAYED: Final = "replayed"  # … or somebody asked for it
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
        if not self.path.exists():
            raise errors.ViewsError(f"{self.path} is not there yet; the worker makes it: run 'signlog serve'")
        with self._engine.begin() as connection:
            yield connection

    def _tell_damage(self, context: ExceptionContext) -> None:
        error = context.original_exception
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (_CORRUPT, _NOT_A_DATABASE):
            raise errors.ViewsError(f"{self.path} is damaged ({error}); the worker folds it anew") from error

    def create(self, log_id: bytes, origin: str) -> None:
        """Make the tables of an empty generation, unless they are there."""
        with self.writing() as connection:
            if connection.dialect.has_table(connection, _checkpoint.name):
                return
            for table in _TABLES:
                table.create(connection)
            connection.execute(_checkpoint.insert().values((1, log_id, 0, b"", shape(), origin)))

    def discard(self) -> None:
        """Remove the file, and what SQLite keeps beside it."""
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()


def checkpoint(connection: Connection) -> Checkpoint:
    """Where the generation stands."""
    return Checkpoint(*connection.execute(select(_checkpoint)).one()[1:])


def made_of(connection: Connection) -> str | None:
    """The shape that the generation was made with; to be read even if all the rest is different now."""
    return connection.scalar(select(_checkpoint.c.shape))


def move(connection: Connection, position: int, leaf: bytes) -> None:
    """Move the checkpoint, in the transaction of the rows it accounts for; never backwards."""
    moved = _checkpoint.update().where(_checkpoint.c.position < position).values(position=position, leaf=leaf)
    if connection.execute(moved).rowcount != 1:
        raise errors.ViewsError(f"the checkpoint would not move forward to {position}")


def load(connection: Connection, projection: Projection, keys: Sequence[Key]) -> dict[Key, Any]:
    """The states of these keys, as far as there are any. Raises ViewsError for one that cannot be read."""
    table = projection.TABLE
    columns = list(table.primary_key.columns)
    found: dict[Key, Any] = {}
    for start in range(0, len(keys), 200):
        page = keys[start : start + 200]
        for row in connection.execute(select(table).where(tuple_(*columns).in_(page))):
            found[tuple(row[: len(columns)])] = _loaded(projection, row)
    return found


def _loaded(projection: Projection, row: Sequence[Any]) -> Any:
    try:
        return projection.load(row)
    except msgspec.MsgspecError as error:  # other code wrote it, or the disk
        raise errors.ViewsError(f"a row of {projection.TABLE.name} cannot be read: {error}") from error


def save(connection: Connection, projection: Projection, states: Mapping[Key, Any]) -> None:
    """Write these states over what was there."""
    rows = [projection.row(key, state) for key, state in states.items()]
    if rows:
        row = marks(connection, len(rows[0]))
        connection.exec_driver_sql(f"INSERT INTO {projection.TABLE.name} VALUES {row} {_over(projection.TABLE)}", rows)


@functools.cache
def _over(table: Table) -> str:
    """What to do about a row of the same key, in the words that SQLite and PostgreSQL share."""
    key = ", ".join(column.name for column in table.primary_key)
    others = ", ".join(f"{column.name} = excluded.{column.name}" for column in table.c if not column.primary_key)
    return f"ON CONFLICT ({key}) DO UPDATE SET {others}"


def beat(connection: Connection, at: int) -> None:
    """Say that the worker lives, whether there is anything to fold or not."""
    if connection.execute(heartbeat.update().values(at=at)).rowcount == 0:
        connection.execute(heartbeat.insert().values(id=1, at=at))
