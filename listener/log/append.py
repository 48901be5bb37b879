"""Adding events to the log: dense positions, in commit order, each sealed where it stands."""

import functools
import time
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from sqlalchemy import Connection

from listener import errors
from listener.log import schema
from listener.log.database import is_postgres, marks
from listener.log.event import Draft, Event, seal

_COLUMNS: Final = len(schema.events.c)
_ROWS_AT_ONCE: Final = 64
CHANNEL: Final = "signlog"  # on which PostgreSQL tells that something was appended
_HEAD: Final = (
    "SELECT (SELECT max(position) FROM events), (SELECT id FROM log ORDER BY first_position DESC LIMIT 1), "
    "(SELECT position FROM sealed)"
)
_HEAD_AND_TELL: Final = f"{_HEAD}, pg_notify('{CHANNEL}', '')"  # heard when it is committed, by whoever listens then
BULK_ROWS: Final = 100  # bulk work appends no more under one lock, so that the door never waits long


def now() -> int:
    """Our clock: microseconds UTC."""
    return time.time_ns() // 1_000


def append(connection: Connection, drafts: Sequence[Draft]) -> list[Event]:
    """Seal and insert `drafts` in order, in a transaction of `Database.writing`.

    The head is read inside the transaction: the worker and commands append too, and under the append lock nobody
    can have moved it since. Raises Sealed if the log goes on elsewhere.
    """
    head, log_id, sealed, *_ = connection.exec_driver_sql(_HEAD_AND_TELL if is_postgres(connection) else _HEAD).one()
    if sealed is not None:
        raise errors.Sealed(f"event {sealed} sealed this log, and says where it goes on; set database_url to that")
    recorded_at = now()
    events = [seal(draft, log_id, position, recorded_at) for position, draft in enumerate(drafts, (head or 0) + 1)]
    insert(connection, events)
    return events


def insert(connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
    """Insert events that are sealed, with their values in the order of the columns."""
    row = marks(connection, _COLUMNS)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        page = rows[start : start + _ROWS_AT_ONCE]
        connection.exec_driver_sql(_insert(row, len(page)), tuple(chain.from_iterable(page)))


@functools.cache
def _insert(row: str, rows: int) -> str:
    """One statement for several rows: executemany gives the interpreter lock away at each row, and must win it back."""
    return "INSERT INTO events VALUES " + ", ".join([row] * rows)
