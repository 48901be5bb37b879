"""What the log's database keeps of signed heads, and of the epochs that they are signed in."""

import os
from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, select, tuple_

from listener.log import reader, schema
from listener.log.append import now
from listener.log.database import Readable

_heads = schema.heads


class Head(NamedTuple):
    """A signed head: the note, over the first `size` events, in the order in which they were signed."""

    number: int
    size: int
    signed_at: int
    note: str


class Epoch(NamedTuple):
    """A stretch of the log with an id of its own: the first one, and one from each accepted restore on."""

    first_position: int
    id: bytes


def newest(connection: Connection) -> Head | None:
    """The head that was signed last."""
    row = connection.execute(select(_heads).order_by(_heads.c.number.desc()).limit(1)).one_or_none()
    return None if row is None else Head(*row)


def add(connection: Connection, after: Head | None, size: int, note: str) -> Head | None:
    """Keep a head, in a transaction of `Database.writing`; None if another one came behind `after` first."""
    if newest(connection) != after:
        return None
    head = Head(1 if after is None else after.number + 1, size, now(), note)
    connection.execute(_heads.insert().values(head))
    return head


def by_size(database: Readable, last: int, page: int = 500) -> Iterator[Head]:
    """Heads up to the number `last`, from the smallest tree to the largest, a short transaction a page."""
    size, number = -1, 0
    while True:
        behind = tuple_(_heads.c.size, _heads.c.number) > tuple_(size, number)
        query = select(_heads).where(behind, _heads.c.number <= last).order_by(_heads.c.size, _heads.c.number)
        with database.reading() as connection:
            found = [Head(*row) for row in connection.execute(query.limit(page))]
        yield from found
        if len(found) < page:
            return
        size, number = found[-1].size, found[-1].number


def epochs(connection: Connection) -> list[Epoch]:
    """All of them, in order."""
    query = select(schema.log.c.first_position, schema.log.c.id).order_by(schema.log.c.first_position)
    return [Epoch(*row) for row in connection.execute(query)]


def begin_epoch(connection: Connection) -> None:
    """Let the next event be the first of an epoch with an id of its own: 16 random bytes."""
    row = {"first_position": reader.head(connection) + 1, "id": os.urandom(16), "created_at": now()}
    connection.execute(schema.log.insert().values(row))
