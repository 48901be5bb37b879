"""The Merkle tree over the leaves of the log, in a file of its own that can be worked out again."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import structlog
from sqlalchemy import Column, Connection, ExceptionContext, Integer, LargeBinary, MetaData, Table, Text, event, select

from listener import errors
from listener.log import merkle, reader
from listener.log.database import Readable, marks
from listener.log.merkle import Frontier
from listener.log.sqlite import sqlite_engine

_log = structlog.get_logger()

LEAVES_AT_ONCE: Final = 1000

_metadata = MetaData()
# Nodes stand in the order in which they become complete: behind each leaf the subtrees that end with it. So the file
# only grows at its end, and where a node stands can be computed.
_nodes = Table(
    "nodes",
    _metadata,
    Column("ordinal", Integer, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    sqlite_strict=True,
)
_trouble = Table(
    "trouble",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("said", Text, nullable=False),
    sqlite_strict=True,
)

_NODE: Final = "SELECT hash FROM nodes WHERE ordinal = ?"
_NODES: Final = "SELECT hash FROM nodes WHERE ordinal > ? ORDER BY ordinal LIMIT ?"
# What is lost in a power cut is worked out again; the log is never at risk here.
_PRAGMAS: Final = {"journal_mode": "wal", "synchronous": 1, "journal_size_limit": 16 * 1024 * 1024}
_CORRUPT, _NOT_A_DATABASE = 11, 26  # https://sqlite.org/rescode.html


class Stored(NamedTuple):
    """The tree as it is during a read transaction: how many leaves it has, and its nodes."""

    size: int
    connection: Connection

    def node(self, level: int, index: int) -> bytes:
        """The root over the 2**level leaves from index * 2**level on, all of which the tree has."""
        ordinal = _nodes_of((index + 1 << level) - 1) + level + 1
        found: bytes | None = self.connection.exec_driver_sql(_NODE, (ordinal,)).scalar()
        if found is None:
            raise errors.TreeDamaged(f"the tree lacks its node {ordinal}")
        return found

    def root(self, size: int) -> bytes:
        """The root over the first `size` leaves."""
        return merkle.root(self.node, size)

    def inclusion(self, position: int, size: int) -> list[bytes]:
        """What proves that the event at a position is under the root over `size` leaves."""
        return merkle.inclusion(self.node, position - 1, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """What proves that the tree of `new` leaves begins with the tree of `old`."""
        return merkle.consistency(self.node, old, new)


class Tree:
    """`signlog-tree.db`. Whoever needs it up to date may let it grow: two at once do no harm."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "signlog-tree.db"
        self._engine = sqlite_engine(self.path, _PRAGMAS)
        event.listen(self._engine, "handle_error", self._tell_damage)

    def catch_up(self, database: Readable) -> int:
        """Take in all leaves that the log has now; how many it has then. Raises LogError where one is missing."""
        while self.grow(database):
            pass
        with self.reading() as stored:
            return stored.size

    def grow(self, database: Readable) -> bool:
        """Take in the next leaves of the log; whether there may be more. A tree of another log begins anew."""
        try:
            with self._writing() as connection:
                return self._grow(connection, database) == LEAVES_AT_ONCE
        except errors.TreeDamaged as error:
            _log.error("tree_damaged", error=str(error))
            self.discard()
            return True

    def _grow(self, connection: Connection, database: Readable) -> int:
        stored = _stored(connection)
        with database.reading() as log:
            if stored.size and reader.leaf(log, stored.size) != stored.node(0, stored.size - 1):
                _log.warning("tree_begins_anew", leaves=stored.size)
                connection.execute(_nodes.delete())
                stored = Stored(0, connection)
            leaves = reader.leaves(log, stored.size, LEAVES_AT_ONCE)
        frontier = Frontier(stored.size, merkle.peaks(stored.node, stored.size))
        made = [node for leaf in leaves for node in frontier.push(leaf)]
        if made:
            rows = list(enumerate(made, _nodes_of(stored.size) + 1))
            connection.exec_driver_sql(f"INSERT INTO nodes VALUES {marks(connection, 2)}", rows)
        return len(leaves)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Stored]:
        """The tree as it is now; without leaves, if nobody has made it yet. Raises TreeDamaged."""
        with self._engine.begin() as connection:
            yield _stored(connection)

    def hashes(self, after: int, most: int) -> list[bytes]:
        """The next nodes, at most so many, in the order in which they became complete."""
        with self.reading() as stored:
            if not stored.size:
                return []
            cursor = stored.connection.connection.cursor()  # the driver's: SQLAlchemy's rows cost as much again
            cursor.execute(_NODES, (after, most))
            return [row[0] for row in cursor.fetchall()]

    def tell(self, trouble: str | None) -> None:
        """Keep why no head is signed now, for whoever asks how signlog is; None once one was."""
        with self._writing() as connection:
            connection.execute(_trouble.delete())
            if trouble is not None:
                connection.execute(_trouble.insert().values((1, trouble)))

    def trouble(self) -> str | None:
        """Why no head was signed the last time that one was due, None if one was."""
        with self._engine.begin() as connection:
            if not connection.dialect.has_table(connection, _trouble.name):
                return None
            return connection.scalar(select(_trouble.c.said))

    def discard(self) -> None:
        """Remove the file, and what SQLite keeps beside it."""
        self._engine.dispose()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._engine.execution_options(writing=True).begin() as connection:
            if not connection.dialect.has_table(connection, _trouble.name):
                _metadata.create_all(connection)
            yield connection

    def _tell_damage(self, context: ExceptionContext) -> None:
        error = context.original_exception
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (_CORRUPT, _NOT_A_DATABASE):
            raise errors.TreeDamaged(f"{self.path} is damaged ({error}); the worker makes it anew") from error


def _stored(connection: Connection) -> Stored:
    if not connection.dialect.has_table(connection, _nodes.name):
        return Stored(0, connection)
    last = connection.exec_driver_sql("SELECT coalesce(max(ordinal), 0) FROM nodes").scalar_one()
    return Stored(_leaves_of(last), connection)


def _nodes_of(leaves: int) -> int:
    """How many nodes are complete once there are so many leaves."""
    return 2 * leaves - leaves.bit_count()


def _leaves_of(nodes: int) -> int:
    """How many leaves there are if so many nodes are complete."""
    for leaves in range(nodes // 2, nodes // 2 + 33):
        if _nodes_of(leaves) == nodes:
            return leaves
    raise errors.TreeDamaged(f"the tree ends amid a leaf, with node {nodes}")
