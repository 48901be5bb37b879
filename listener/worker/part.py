"""Part of a generation: rows in a file of their own, until they are put in with the others."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from sqlalchemy import Connection, Table

from listener import bookkeeping, rows
from listener.projection import PROJECTIONS, Projection
from listener.settling import remove
from listener.worker.frames import frame, frames
from listener.worker.piece import Row
from projections.facts import Key

_AT_ONCE: Final = 100  # states whose rows are in memory: one may be of a hundred kilobytes
_TABLES: Final = (*(known.TABLE for known in PROJECTIONS), bookkeeping.faults, bookkeeping.parked)

Corrected = Mapping[Key, Row | None]


class _Added(msgspec.Struct, array_like=True, tag=True, gc=False):
    """All values of new rows of one of _TABLES, one row behind the other."""

    table: int
    values: list[Any]


class _Corrected(msgspec.Struct, array_like=True, tag=True, gc=False):
    """Rows of one of _TABLES that may be there, and the keys of others that are gone."""

    table: int
    rows: list[list[Any]]
    gone: list[list[Any]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Added | _Corrected).decode


class Part:
    """One that is made."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, table: Table, added: Sequence[Row]) -> None:
        """Rows whose keys no other part has."""
        if added:
            self._write(_Added(_TABLES.index(table), list(itertools.chain.from_iterable(added))))

    def save(self, projection: Projection, states: Sequence[tuple[Key, Any]]) -> None:
        """Add the rows of all these states."""
        for start in range(0, len(states), _AT_ONCE):
            page = states[start : start + _AT_ONCE]
            self.add(projection.TABLE, [projection.row(key, state) for key, state in page])

    def correct(self, table: Table, corrected: Corrected) -> None:
        """What becomes of rows that a part before this may have. No row: there is none."""
        if corrected:
            gone = [list(key) for key, row in corrected.items() if row is None]
            rows = [list(row) for row in corrected.values() if row is not None]
            self._write(_Corrected(_TABLES.index(table), rows, gone))

    def _write(self, found: _Added | _Corrected) -> None:
        self._file.write(frame(_encode(found)))


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Part]:
    """Make one; it is whole when the block ends."""
    with path.open("wb") as file:
        yield Part(file)


def put_in(generation: Connection, path: Path) -> None:
    """Give a generation, which has those before it, the rows of a part; then the part is removed."""
    with path.open("rb") as file:
        for found in map(_decode, frames(file)):
            table = _TABLES[found.table]
            if isinstance(found, _Added):
                rows.add(generation, table, found.values)
            else:
                rows.remove(generation, table, found.gone)
                rows.write(generation, table, found.rows)
    remove(path)
