"""Reading the log: forwards in pages, backwards, single events; where it ends, and what was filed about something."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select, text

from listener import errors
from listener.log import schema
from listener.log.database import Readable
from listener.log.event import Content, Event

_events = schema.events
# Word for word the condition of the partial index: SQLite does not see that kind = 'outcome' implies it.
_ACTS = text("kind <> 'callback'")
_AT_ONCE: Final = 500
_PAGE_BYTES: Final = 2 * 1024 * 1024


class Tip(NamedTuple):
    """The newest event at some moment: its position and its leaf. Without a leaf nobody knows more than where."""

    position: int = 0
    leaf: bytes = b""


def tip(connection: Connection) -> Tip:
    """Where the log ends."""
    position = head(connection)
    return Tip(position, leaf(connection, position) or b"")


def goes_on(connection: Connection, tip: Tip) -> bool:
    """Whether this is what the log became that ended so; not, if it was cut before, though it may have grown since."""
    if not tip.leaf:
        return tip.position <= head(connection)
    return leaf(connection, tip.position) == tip.leaf


def head(connection: Connection) -> int:
    """The position of the newest event, 0 in an empty log."""
    found: int = connection.exec_driver_sql("SELECT coalesce(max(position), 0) FROM events").scalar_one()
    return found


def log_id(connection: Connection) -> bytes:
    """The id of the epoch that the next event will be in: 16 bytes."""
    found: bytes = connection.exec_driver_sql("SELECT id FROM log ORDER BY first_position DESC LIMIT 1").scalar_one()
    return found


def sealed(connection: Connection) -> int | None:
    """The position of the event that ended the log, if it goes on elsewhere."""
    found: int | None = connection.exec_driver_sql("SELECT position FROM sealed").scalar()
    return found


def leaf(connection: Connection, position: int) -> bytes | None:
    """The leaf of the event at a position, if there is one."""
    return connection.scalar(select(_events.c.leaf).where(_events.c.position == position))


def leaves(connection: Connection, after: int, limit: int) -> list[bytes]:
    """The leaves of the next events after a position. Raises LogError where an event is missing."""
    query = select(_events.c.position, _events.c.leaf).where(_events.c.position > after).order_by(_events.c.position)
    leaves = []
    for position, leaf in connection.execute(query.limit(limit)):
        leaves.append(leaf)
        if position != after + len(leaves):
            missing = after + len(leaves)
            raise errors.LogError(f"event {missing} is missing from the log; 'signlog verify' says what else is wrong")
    return leaves


def hashes(connection: Connection, after: int, limit: int) -> list[tuple[int, bytes]]:
    """Positions of the next events after one, and the hashes of what they say."""
    query = select(_events.c.position, _events.c.content).where(_events.c.position > after).order_by(_events.c.position)
    return [(position, content) for position, content in connection.execute(query.limit(limit))]


def read(
    connection: Connection, after: int = 0, limit: int = 500, until: int | None = None, *where: ColumnElement[bool]
) -> list[Event]:
    """The next events after a position, at most `limit`, and none behind `until`."""
    query = select(_events).where(_events.c.position > after, *where).order_by(_events.c.position).limit(limit)
    if until is not None:
        query = query.where(_events.c.position <= until)
    return [Event(*row) for row in connection.execute(query)]


def contents(connection: Connection, after: int, limit: int, until: int | None = None) -> list[Content]:
    """What is to be interpreted of the next events after a position, as `read` gives them whole.

    There may be fewer than `limit`, and more behind them: a page has no more than 2 MiB of bodies, or one event.
    """
    bounds = {"after": after, "until": _LAST if until is None else until, "most": limit}
    page, size = list[tuple[Any, ...]](), 0
    with connection.execute(_PAGE, bounds) as found:
        # As the driver gives them: to make a Row of each before would cost as much again.
        for row in cast(Iterable[tuple[Any, ...]], found.cursor):
            page.append(row)
            size += len(row[_BODY] or b"")
            if size >= _PAGE_BYTES:
                break
    return list(map(_content, page))


def contents_at(connection: Connection, positions: Sequence[int]) -> list[Content]:
    """What is to be interpreted of these events, in order; a few hundred at a time."""
    query = _CONTENTS.where(_events.c.position.in_(positions)).order_by(_events.c.position)
    return [Content(*row) for row in connection.execute(query)]


_BODY: Final = Content._fields.index("body")
_content = functools.partial(tuple.__new__, Content)  # as Content._make, and no function of Python's for each row
_CONTENTS = select(*(_events.c[name] for name in Content._fields))
_LAST: Final = 2**63 - 1  # no position is behind it
# Made once: a replay asks for hundreds of pages, and to make the statement takes longer than to find where it begins.
_PAGE = (
    _CONTENTS.where(_events.c.position > bindparam("after"), _events.c.position <= bindparam("until"))
    .order_by(_events.c.position)
    .limit(bindparam("most"))
)


def back(connection: Connection, before: int | None, limit: int, *where: ColumnElement[bool]) -> list[Event]:
    """The events before a position (None: the newest), newest first."""
    query = select(_events).where(*where).order_by(_events.c.position.desc()).limit(limit)
    if before is not None:
        query = query.where(_events.c.position < before)
    return [Event(*row) for row in connection.execute(query)]


def one(connection: Connection, position: int) -> Event | None:
    """The event at a position."""
    row = connection.execute(select(_events).where(_events.c.position == position)).one_or_none()
    return None if row is None else Event(*row)


def at(connection: Connection, positions: Sequence[int]) -> list[Event]:
    """The events at these positions, in order."""
    found, ordered = list[Event](), sorted(positions)
    for start in range(0, len(ordered), _AT_ONCE):
        page = _events.c.position.in_(ordered[start : start + _AT_ONCE])
        found += [Event(*row) for row in connection.execute(select(_events).where(page).order_by(_events.c.position))]
    return found


def every(database: Readable, after: int = 0, page: int = 500, *where: ColumnElement[bool]) -> Iterator[Event]:
    """All events after a position up to the head as it is now, a short transaction a page."""
    with database.reading() as connection:
        until = head(connection)
    while True:
        with database.reading() as connection:
            events = read(connection, after, page, until, *where)
        yield from events
        if len(events) < page:
            return
        after = events[-1].position


def acts(
    connection: Connection, kind: str, path: str, until: int | None = None, last: int = 1000, after: int = 0
) -> list[Event]:
    """The newest events of a kind that is not `callback` about `path` (an artifact, say), newest first."""
    query = select(_events).where(_ACTS, _events.c.kind == kind, _events.c.path == path)
    if after:
        query = query.where(_events.c.position > after)
    if until is not None:
        query = query.where(_events.c.position <= until)
    return [Event(*row) for row in connection.execute(query.order_by(_events.c.position.desc()).limit(last))]


def filed(connection: Connection, kind: str, below: str, until: int | None = None) -> list[tuple[int, str]]:
    """Positions and paths of all acts of a kind that are filed below a path, in order; from the index alone."""
    query = select(_events.c.position, _events.c.path).where(_ACTS, _events.c.kind == kind, *_below(below))
    if until is not None:
        query = query.where(_events.c.position <= until)
    return sorted((position, path) for position, path in connection.execute(query))


def is_filed(connection: Connection, kind: str, below: str, until: int) -> bool:
    """Whether any act of a kind, up to a position, is filed below a path and was not erased."""
    return connection.scalar(_filed(select(_events.c.position), kind, below, until).limit(1)) is not None


def first_filed(connection: Connection, kind: str, below: str, until: int) -> int | None:
    """The position of the first of them, if there is one."""
    found: int | None = connection.scalar(_filed(select(func.min(_events.c.position)), kind, below, until))
    return found


def _filed(query: Select[Any], kind: str, below: str, until: int) -> Select[Any]:
    stands = _events.c.position.not_in(select(schema.erasures.c.position))
    return query.where(_ACTS, _events.c.kind == kind, *_below(below), _events.c.position <= until, stands)


def _below(path: str) -> tuple[ColumnElement[bool], ...]:
    return _events.c.path > f"{path}/", _events.c.path < f"{path}0"  # "0" is the letter behind "/"


def next_act(connection: Connection, kind: str, path: str, after: int) -> int | None:
    """The position of the first event behind a position that `acts` would give."""
    found = select(func.min(_events.c.position)).where(_ACTS, _events.c.kind == kind, _events.c.path == path)
    position: int | None = connection.scalar(found.where(_events.c.position > after))
    return position
