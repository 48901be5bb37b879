"""Every row of the log as it lies on disk, page by page, whatever is wrong with it."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select

from listener import errors
from listener.log import schema
from listener.log.database import Readable, lenient, stream

ROWS: Final = 500
BYTES: Final = 8 * 1024 * 1024  # of bodies and headers; a page ends behind the row that reaches them

_COLUMNS: Final = ", ".join(column.name for column in schema.events.c)
_HEADERS, _BODY = (list(schema.events.c).index(schema.events.c[name]) for name in ("headers", "body"))
_NEXT: Final = f"SELECT {_COLUMNS} FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"

Row = tuple[Any, ...]


class Page(NamedTuple):
    """Rows in the order of their positions, and which positions in this stretch the log names as erased, by whom."""

    rows: list[Row]
    erased: dict[int, int]


def pages(database: Readable, until: int, after: int = 0) -> Iterator[Page]:
    """The rows between two positions, a short transaction a page. Raises LogError where one cannot be read at all."""
    while after < until:
        try:
            with database.reading() as connection:
                page = _page(connection, _read(connection, after, until, ROWS), after, until)
        except errors.LogError:
            page = _page_of_what_can_be_read(database, after, until)
        yield page
        after = page.rows[-1][0] if page.rows else until


def _page(connection: Connection, rows: list[Row], after: int, until: int) -> Page:
    last = rows[-1][0] if rows else until
    erased = connection.execute(select(schema.erasures).where(schema.erasures.c.position.between(after + 1, last)))
    return Page(rows, {row.position: row.decided for row in erased})


def _read(connection: Connection, after: int, until: int, most: int) -> list[Row]:
    rows, size = list[Row](), 0
    try:
        for row in stream(connection, _NEXT, (after, until, most)):
            rows.append(row)
            size += len(row[_BODY] or b"") + len(row[_HEADERS] or "")
            if size >= BYTES:
                break
        return rows
    except connection.dialect.loaded_dbapi.DatabaseError as error:
        raise errors.LogError(f"the database cannot be read behind position {after}: {error}") from error


def _page_of_what_can_be_read(database: Readable, after: int, until: int) -> Page:
    """Row by row, up to the first that the database cannot give, in a transaction each: an error spoils its own."""
    rows = list[Row]()
    try:
        while len(rows) < ROWS and (found := _read_leniently(database, rows[-1][0] if rows else after, until)):
            rows += found
    except errors.LogError:
        if not rows:
            raise
    with database.reading() as connection:
        return _page(connection, rows, after, until)


def _read_leniently(database: Readable, after: int, until: int) -> list[Row]:
    """The next row; letters that are no UTF-8 become such that nothing hashes."""
    with database.reading() as connection, lenient(connection):
        return _read(connection, after, until, 1)
