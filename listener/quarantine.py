"""Callbacks that were refused, kept for a person to look at: bounded, prunable, and apart from the log."""

import contextlib
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    delete,
    func,
    inspect,
    select,
)

from listener.log.append import now
from listener.log.sqlite import sqlite_engine

MOST_BYTES: Final = 64 * 1024 * 1024  # for rows that look genuine, and as much again for all others
MOST_ROWS: Final = 20_000
_ROW_BYTES: Final = 512  # what a row costs beside its headers and body
_AT_ONCE: Final = 50  # rows in memory, each with a body as large as the door lets in
_SPARE: Final = 0.05  # made room for at once, so that a flood does not prune at every request

_PRAGMAS: Final = {
    "auto_vacuum": 1,  # a pruned file shrinks
    "journal_mode": "wal",
    "synchronous": 2,
    "secure_delete": 1,
    "journal_size_limit": 16 * 1024 * 1024,
}

TABLE: Final = Table(
    "quarantine",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("received_at", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("block", Text, nullable=False),
    Column("genuine", Boolean, nullable=False),
    Column("shown", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("whole", Boolean, nullable=False),
    Column("size", Integer, nullable=False),
    sqlite_autoincrement=True,  # a number that a person wrote down is never given to another row
)
_c: Final = TABLE.c


class Refused(NamedTuple):
    """A callback that was not stored. `shown` is an HMAC of its credential; `whole` whether the body is all there."""

    source: str
    status: int
    reason: str
    peer: str
    client: str
    genuine: bool
    shown: str
    path: str
    headers: str
    body: bytes
    whole: bool


class Kept(NamedTuple):
    """A row of the quarantine."""

    id: int
    received_at: int
    source: str
    status: int
    reason: str
    peer: str
    client: str
    block: str
    genuine: bool
    shown: str
    path: str
    headers: str
    body: bytes
    whole: bool
    size: int


class Quarantine:
    """`quarantine.db`. A flood must not push out what a key mix-up refused."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES, most_rows: int = MOST_ROWS) -> None:
        self._engine = sqlite_engine(folder / "quarantine.db", _PRAGMAS)
        self._most_bytes = most_bytes
        self._least_bytes = -(-most_bytes // most_rows)  # what a row weighs at least, so that one bound keeps both
        if not inspect(self._engine).has_table(TABLE.name):  # to read must not need room on the disk
            with self._writing() as connection:
                TABLE.create(connection, checkfirst=True)

    def keep(self, refused: Refused) -> int:
        """Store a row durably, making room among its like if there is none; its number."""
        texts = (refused.source, refused.path, refused.headers)
        size = max(len(refused.body) + sum(map(len, texts)) + _ROW_BYTES, self._least_bytes)
        fields = {**refused._asdict(), "received_at": now(), "block": block(refused.client), "size": size}
        with self._writing() as connection:
            self._make_room(connection, refused.genuine, size)
            number = connection.execute(TABLE.insert().values(fields)).inserted_primary_key
        return int(number[0]) if number else 0

    def rows(self, limit: int | None = None) -> list[Kept]:
        """What is kept, oldest first; the newest `limit` of it."""
        with self._engine.begin() as connection:
            found = connection.execute(select(TABLE).order_by(_c.id.desc()).limit(limit))
            return [Kept(*row) for row in found][::-1]

    def every(self) -> Iterator[Kept]:
        """All that is kept, oldest first; few in memory at a time."""
        last = 0
        while True:
            with self._engine.begin() as connection:
                page = select(TABLE).where(_c.id > last).order_by(_c.id).limit(_AT_ONCE)
                found = [Kept(*row) for row in connection.execute(page)]
            yield from found
            if not found:
                return
            last = found[-1].id

    def one(self, number: int) -> Kept | None:
        """The row of that number."""
        with self._engine.begin() as connection:
            row = connection.execute(select(TABLE).where(_c.id == number)).one_or_none()
            return None if row is None else Kept(*row)

    def count(self) -> tuple[int, int]:
        """How many are kept, and how many of them look genuine."""
        with self._engine.begin() as connection:
            rows, genuine = connection.execute(select(func.count(), func.count().filter(_c.genuine))).one()
            return rows, genuine

    def drop(self, number: int) -> bool:
        """Remove a row; whether it was there."""
        with self._writing() as connection:
            return connection.execute(delete(TABLE).where(_c.id == number)).rowcount == 1

    def compact(self) -> bool:
        """Write the file anew, without a trace of what was dropped; whether the write-ahead log is empty then.

        `secure_delete` is not enough: rows that SQLite moved from page to page leave copies in the gaps of pages.
        """
        with contextlib.closing(self._engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            busy, *_ = cursor.fetchall()[0]
        return not busy

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    def _make_room(self, connection: Connection, genuine: bool, size: int) -> None:
        """Rows that look genuine only make room for their like, and the others for theirs."""
        like = _c.genuine == genuine
        taken: int = connection.execute(select(func.coalesce(func.sum(_c.size), 0)).where(like)).scalar_one()
        if taken + size > self._most_bytes:
            excess = taken + size - int(self._most_bytes * (1 - _SPARE))
            connection.execute(delete(TABLE).where(_c.id.in_(_oldest_of_largest(like, excess))))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._engine.execution_options(writing=True).begin() as connection:
            yield connection


def _oldest_of_largest(like: ColumnElement[bool], excess: int) -> Select[int]:
    """The rows that go when the oldest of the largest group goes, again and again, until `excess` bytes are free.

    Each group is a stack with its newest row at the bottom: those that go are the ones that stand highest. One
    statement, because a flood from thousands of blocks took one by one held the file for 17 seconds.
    """
    height = func.sum(_c.size).over(partition_by=(_c.reason, _c.block), order_by=_c.id.desc())
    stacks = select(_c.id, _c.size, height.label("height")).where(like).subquery().c
    freed = func.sum(stacks.size).over(order_by=(stacks.height.desc(), stacks.id)) - stacks.size
    going = select(stacks.id, freed.label("freed")).subquery().c
    return select(going.id).where(going.freed < excess)


def block(client: str) -> str:
    """The neighbourhood of an address: whoever floods from one address has its neighbours too."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    prefix = 24 if address.version == 4 else 48
    return str(ipaddress.ip_network((address, prefix), strict=False))
