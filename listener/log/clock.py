"""From a time to a position: how far the log had come by our clock."""

from typing import Final

from sqlalchemy import Connection, func, select

from listener.log import reader, schema

_events = schema.events.c
_AROUND: Final = 1000  # events looked at for a clock that was set back


def reached(connection: Connection, at: int) -> int:
    """The position before the first event that was recorded after `at`, in microseconds UTC: what was known then.

    A binary search, because an index would cost the door. Where our clock was set back, a time came more than once: it
    is the first of these then, as long as fewer than 1000 events stand between one and the next; else one of them.
    """
    below, above = 0, reader.head(connection) + 1  # recorded at or before `at`, and after it
    while above - below > 1:
        middle = (below + above) // 2
        if _recorded_at(connection, middle) <= at:
            below = middle
        else:
            above = middle
    return _first(connection, above, at) - 1


def _first(connection: Connection, position: int, at: int) -> int:
    """The first event recorded after `at` that stands near others such, going back from this one."""
    while True:
        near = _events.position.between(position - _AROUND, position - 1)
        before = connection.scalar(select(func.min(_events.position)).where(near, _events.recorded_at > at))
        if before is None:
            return position
        position = before


def _recorded_at(connection: Connection, position: int) -> int:
    up_to = select(_events.recorded_at).where(_events.position <= position)
    return connection.scalar(up_to.order_by(_events.position.desc()).limit(1)) or 0
