"""What a generation of the views knows of itself: how far it has folded, with which code, what it could not take in."""

import hashlib
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    func,
    select,
)
from sqlalchemy.schema import CreateIndex, CreateTable

from listener import errors
from listener.projection import PROJECTIONS
from projections.columns import Number, Words

_metadata = MetaData()

_checkpoint = Table(
    "checkpoint",
    _metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("log_id", LargeBinary, nullable=False),
    Column("position", Number, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    Column("shape", Words, nullable=False),
    Column("origin", Words, nullable=False),
)
segments = Table(
    "segments",
    _metadata,
    Column("number", Number, primary_key=True, autoincrement=False),
    Column("after", Number, nullable=False),
    Column("fingerprint", Words, nullable=False),
)
faults = Table(
    "faults",
    _metadata,
    Column("position", Number, nullable=False),
    Column("source", Words, nullable=False),
    Column("subject", Words),  # null: nobody can tell of whom the event speaks
    Column("error", Words, nullable=False),
    Column("attempts", Number, nullable=False),
    Column("tried_with", Words, nullable=False),  # the fingerprint of the code
    UniqueConstraint("position", "source", "subject"),
)
parked = Table(
    "parked",
    _metadata,
    Column("source", Words, nullable=False),
    Column("subject", Words, nullable=False),
    Column("position", Number, nullable=False),
    PrimaryKeyConstraint("subject", "source", "position"),  # one may ask for a subject without its source
)
# What was about to be taken in, if the worker died of it.
trying = Table(
    "trying",
    _metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("after", Number, nullable=False),
    Column("until", Number, nullable=False),
    Column("deaths", Number, nullable=False),
    Column("interpreted", Boolean, nullable=False),
    Column("tried_with", Words, nullable=False),
)
heartbeat = Table(
    "heartbeat",
    _metadata,
    Column("id", Number, primary_key=True, autoincrement=False),
    Column("at", Number, nullable=False),
)
NEWEST_CODE: Final = select(segments.c.fingerprint).order_by(segments.c.number.desc()).limit(1)
# Subjects with a fault: whatever comes after it waits.
STOPPED: Final = select(parked.c.source, parked.c.subject).union(
    select(faults.c.source, faults.c.subject).where(faults.c.subject.is_not(None))
)
_TABLES: Final = (_checkpoint, segments, faults, parked, trying, heartbeat, *(known.TABLE for known in PROJECTIONS))

FIRST: Final = "first"  # why a generation was made: the first one …
PARTED: Final = "parted"  # … the log is not the one that the last generation was folded from …
RESHAPED: Final = "reshaped"  # … the tables have another shape now …
DAMAGED: Final = "damaged"  # … the last generation could not be read any more …
LOST: Final = "lost"  # … or was not there …
REPLAYED: Final = "replayed"  # … or somebody asked for it
UNPLANNED: Final = (PARTED, RESHAPED, DAMAGED, LOST)


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


def create(connection: Connection, log_id: bytes, origin: str) -> None:
    """Make the tables of an empty generation and their indexes, unless they are there."""
    if not connection.dialect.has_table(connection, _checkpoint.name):
        make_tables(connection, log_id, origin)
        make_indexes(connection)


def make_tables(connection: Connection, log_id: bytes, origin: str) -> None:
    """Make the tables of an empty generation, to be filled before they have indexes."""
    for table in _TABLES:
        connection.execute(CreateTable(table))
    connection.execute(_checkpoint.insert().values((1, log_id, 0, b"", shape(), origin)))


def make_indexes(connection: Connection, tables: Iterable[Table] = _TABLES) -> None:
    """Make the indexes of these tables, as far as they are not there."""
    for table in tables:
        for index in table.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))


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


def continue_with(connection: Connection, after: int, fingerprint: str) -> None:
    """Begin a segment: from here on this code folds."""
    number = select(func.coalesce(func.max(segments.c.number), 0) + 1).scalar_subquery()
    connection.execute(segments.insert().values(number=number, after=after, fingerprint=fingerprint))


def beat(connection: Connection, at: int) -> None:
    """Say that the worker lives, whether there is anything to fold or not."""
    if connection.execute(heartbeat.update().values(at=at)).rowcount == 0:
        connection.execute(heartbeat.insert().values(id=1, at=at))
