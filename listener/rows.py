"""States as rows of a generation: read and written many at once."""

import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

from listener import errors
from listener.log.database import is_postgres, marks
from listener.projection import Projection
from projections.facts import Key

_Row = TypeVar("_Row")

_VALUES: Final = 999  # in a statement: before 3.32, SQLite takes no more, and who builds has that of the system
_AT_ONCE: Final = 100  # in one statement: fewer cost more for each, more are too many values for one


def load(connection: Connection, projection: Projection, keys: Sequence[Key]) -> dict[Key, Any]:
    """The states of these keys, as far as there are any. Raises ViewsError for one that cannot be read."""
    width = len(projection.TABLE.primary_key.columns)
    found: dict[Key, Any] = {}
    for page in _paged(keys):
        query = _lookup(projection.TABLE, _marks(connection, width, len(page)))
        for row in connection.exec_driver_sql(query, _flat(page)):
            found[tuple(row[:width])] = _loaded(projection, row)
    return found


def _loaded(projection: Projection, row: Sequence[Any]) -> Any:
    try:
        return projection.load(row)
    except msgspec.MsgspecError as error:  # other code wrote it, or the disk
        raise errors.ViewsError(f"a row of {projection.TABLE.name} cannot be read: {error}") from error


def save(connection: Connection, projection: Projection, states: Mapping[Key, Any]) -> None:
    """Write these states over what was there."""
    for page in _paged(list(states.items())):  # rows of all at once would be as large as all states again
        write(connection, projection.TABLE, [projection.row(key, state) for key, state in page])


def remove(connection: Connection, table: Table, keys: Sequence[Sequence[Any]]) -> None:
    """Remove the rows of these keys, as far as there are any."""
    names = ", ".join(column.name for column in table.primary_key)
    for page in _paged(keys):
        found = _marks(connection, len(page[0]), len(page))
        connection.exec_driver_sql(f"DELETE FROM {table.name} WHERE ({names}) IN (VALUES {found})", _flat(page))


def write(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Write these rows over what was there."""
    for page in _paged(rows):
        insert = _insert(table, _marks(connection, len(page[0]), len(page)))
        connection.exec_driver_sql(insert, _flat(page))


def add(connection: Connection, table: Table, values: Sequence[Any]) -> None:
    """Write rows of which there are none yet: all their values, one row behind the other."""
    width = len(table.columns)
    if is_postgres(connection):
        _copy(connection, table, zip(*[iter(values)] * width, strict=True))
        return
    step = min(_AT_ONCE, _VALUES // width) * width
    for start in range(0, len(values), step):
        page = tuple(values[start : start + step])
        found = _marks(connection, width, len(page) // width)
        connection.exec_driver_sql(f"INSERT INTO {table.name} VALUES {found}", page)


def _copy(connection: Connection, table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """A fifth of what it costs to insert them."""
    driver: Any = connection.connection.driver_connection
    failed: Any = connection.dialect.loaded_dbapi.Error
    statement = f"COPY {table.name} FROM STDIN"
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copying:
            for row in rows:
                copying.write_row(row)
    except failed as error:
        raise DBAPIError.instance(statement, None, error, failed, hide_parameters=True) from error


def _paged(rows: Sequence[_Row]) -> Iterable[Sequence[_Row]]:
    return (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))


def _flat(rows: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    return tuple(itertools.chain.from_iterable(rows))


def _marks(connection: Connection, width: int, rows: int) -> str:
    return ", ".join([marks(connection, width)] * rows)


@functools.cache
def _lookup(table: Table, keys: str) -> str:
    names = ", ".join(column.name for column in table.primary_key)
    return f"SELECT * FROM {table.name} WHERE ({names}) IN (VALUES {keys})"


@functools.cache
def _insert(table: Table, rows: str) -> str:
    """What to do about a row of the same key is said in the words that SQLite and PostgreSQL share."""
    key = ", ".join(column.name for column in table.primary_key)
    others = ", ".join(f"{column.name} = excluded.{column.name}" for column in table.c if not column.primary_key)
    return f"INSERT INTO {table.name} VALUES {rows} ON CONFLICT ({key}) DO UPDATE SET {others}"
