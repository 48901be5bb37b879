"""Part of a generation, in a file of its own: what one process makes, until it is put together with the others'."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Column, Connection, LargeBinary, MetaData, Table, select
from sqlalchemy.schema import CreateTable

from listener import bookkeeping, rows
from listener.log.database import is_postgres, stream
from listener.log.sqlite import sqlite_engine
from listener.projection import MADE_ONCE, PROJECTIONS
from listener.worker.piece import Row
from projections.columns import Number
from projections.facts import Key

# Nobody looks at it before it is whole, and half of one is of no use.
_PRAGMAS: Final = {"journal_mode": "off", "synchronous": 0, "locking_mode": "exclusive", "cache_size": -8_192}
_AT_ONCE: Final = 500

_TABLES: Final = (*(known.TABLE for known in PROJECTIONS), bookkeeping.faults, bookkeeping.parked)

# Where rows of MADE_ONCE are not what was made of their facts when those were read, in order. No row: there is none.
_corrections: Final = Table(
    "corrections",
    MetaData(),
    Column("number", Number, primary_key=True),
    Column("projection", Number, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("row", LargeBinary),
)
_encode = msgspec.msgpack.encode
_decode_key = msgspec.msgpack.Decoder(Key).decode
_decode_row = msgspec.msgpack.Decoder(Row).decode

Corrected = Mapping[Key, Row | None]


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Connection]:
    """Make one; it is whole when the block ends."""
    engine = sqlite_engine(path, _PRAGMAS)
    try:
        with engine.begin() as connection:
            for table in (*_TABLES, _corrections):
                connection.execute(CreateTable(table))
            yield connection
    finally:
        engine.dispose()


def correct(part: Connection, made_once: int, corrected: Corrected) -> None:
    """Note what becomes of some rows of one of MADE_ONCE, wherever they are."""
    found = [(made_once, _encode(key), None if row is None else _encode(row)) for key, row in corrected.items()]
    if found:
        part.execute(_corrections.insert(), [{"projection": of, "key": key, "row": row} for of, key, row in found])


def put_together(generation: Connection, paths: Sequence[Path]) -> None:
    """Fill the tables of a generation, which are empty, with all that these parts have."""
    with contextlib.ExitStack() as opened:
        parts = [opened.enter_context(_opened(generation, path, f"part{n}")) for n, path in enumerate(paths)]
        for table in _TABLES:
            for part in parts:
                _copy(part, table, generation)
        for part in parts:
            _correct(part, generation)


class _Opened(NamedTuple):
    """A part that can be read: through which connection, and what its tables are called there."""

    connection: Connection
    schema: str

    def table(self, known: Table) -> Table:
        return known.to_metadata(MetaData(), schema=self.schema)


@contextlib.contextmanager
def _opened(generation: Connection, path: Path, name: str) -> Iterator[_Opened]:
    """Within reach of the generation's own database, if that is a file, too."""
    if not is_postgres(generation):
        generation.exec_driver_sql(f"ATTACH DATABASE ? AS {name}", (str(path),))  # until the connection is closed
        yield _Opened(generation, name)
        return
    engine = sqlite_engine(path, {"query_only": 1})
    try:
        with engine.connect() as connection:
            yield _Opened(connection, "main")
    finally:
        engine.dispose()


def _copy(part: _Opened, table: Table, generation: Connection) -> None:
    if part.connection is generation:
        # In the order of their keys: so rows lie together that a comparison looks for one after the other.
        order = ", ".join(column.name for column in table.primary_key or table.c)
        generation.exec_driver_sql(
            f"INSERT INTO {table.name} SELECT * FROM {part.schema}.{table.name} ORDER BY {order}"
        )
        return
    rows.copy(generation, table, stream(part.connection, f"SELECT * FROM {table.name}", ()))


def _correct(part: _Opened, generation: Connection) -> None:
    table = part.table(_corrections)
    query = select(table.c.projection, table.c.key, table.c.row).order_by(table.c.number)
    for page in part.connection.execute(query.execution_options(yield_per=_AT_ONCE)).partitions():
        for (number, gone), found in itertools.groupby(page, lambda each: (each.projection, each.row is None)):
            corrected = MADE_ONCE[number].TABLE
            if gone:
                rows.remove(generation, corrected, [_decode_key(each.key) for each in found])
            else:
                rows.write(generation, corrected, [_decode_row(each.row) for each in found])
