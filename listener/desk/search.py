"""Finding events: where no index knows, by a look at a bounded part of the log, which says where to go on."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, func, select, text

from listener import bookkeeping, errors, skipped
from listener.desk import events
from listener.desk.events import Filter
from listener.desk.pages import LOOK_AT, Line
from listener.desk.reading import Reading, reading
from listener.interpreter import Interpreter
from listener.log import event, reader, schema
from listener.log.database import Database
from listener.log.event import Event
from projections import timeline

_READ: Final = 500  # events that are read and interpreted for one page
_READ_BYTES: Final = 32 * 1024 * 1024  # of bodies in which a text is looked for
_BODIES: Final = 50  # in memory at a time
_BY_PEOPLE: Final = (event.IMPORT, event.DECISION)  # kinds of which there are few: the log's index names them all
_ACTS: Final = text("kind <> 'callback'")  # word for word the condition of that index
_events: Final = schema.events.c
_timeline: Final = timeline.TABLE.c
_faults: Final = bookkeeping.faults.c
_parked: Final = bookkeeping.parked.c


class Span(NamedTuple):
    """Positions from `first` to `last`, both included, and from which end on they are read."""

    first: int
    last: int
    newest_first: bool = False

    @property
    def near(self) -> "Span":
        """Those that one page looks at."""
        if self.newest_first:
            return self._replace(first=max(self.first, self.last - LOOK_AT + 1))
        return self._replace(last=min(self.last, self.first + LOOK_AT - 1))

    def behind(self, position: int) -> "Span | None":
        """What is read after a position; None if nothing is."""
        left = self._replace(last=position - 1) if self.newest_first else self._replace(first=position + 1)
        return left if left.first <= left.last else None

    def until(self, position: int) -> tuple["Span", bool]:
        """What is read before the border behind a position is crossed, and whether it lies on this side of it."""
        if self.newest_first and self.last > position:
            return self._replace(first=max(self.first, position + 1)), False
        if not self.newest_first and self.first <= position:
            return self._replace(last=min(self.last, position)), True
        return self, self.last <= position

    @property
    def end(self) -> int:
        """The position that is read last."""
        return self.first if self.newest_first else self.last


class Found(NamedTuple):
    """Positions that may be wanted, in the order of the span, and the last position of which that is known."""

    positions: list[int]
    reached: int


class Search:
    """Events that fit, of any part of the log."""

    def __init__(self, database: Database, wanted: Filter) -> None:
        self._database = database
        self._wanted = wanted

    def every(self, span: Span, at_once: int | None = None) -> Iterator[Line]:
        """All of them, in the order of the span; short transactions, a page of `at_once` lines each."""
        left: Span | None = span if span.first <= span.last else None
        while left is not None:
            lines, left = self.page(left, at_once or _READ)
            yield from lines

    def newest(self, span: Span, count: int) -> list[Line]:
        """The newest `count` of them, in the order of the log."""
        found = self.every(span._replace(newest_first=True), min(count, _READ))
        return list(islice(found, count))[::-1]

    def page(self, span: Span, count: int) -> tuple[list[Line], Span | None]:
        """At most `count` of them, and what of the span was not looked at; None at the end.

        What the views have not folded yet, or all of it while there are none, is interpreted event by event.
        """
        with contextlib.ExitStack() as opened:
            at = self._views(opened)
            log = at.log if at else opened.enter_context(self._database.reading())
            candidates, reached = _candidates(log, at, self._wanted, span)
            lines, interpreter = list[Line](), Interpreter()
            for found in _read(log, candidates):
                line = events.line(found, interpreter, self._wanted)
                if line is not None:
                    lines.append(line)
                if len(lines) == count:
                    return lines, span.behind(found.position)
        return lines, span.behind(reached)

    def _views(self, opened: contextlib.ExitStack) -> Reading | None:
        """The views, where they know more than the log, and if there are any.

        A text is looked for in the log itself: there are fewer events that hold it than share a name.
        """
        wanted = self._wanted
        by_name = wanted.name is not None and wanted.contains is None and wanted.kind not in _BY_PEOPLE
        if wanted.subject is None and not by_name:
            return None
        try:
            return opened.enter_context(reading(self._database))
        except errors.ViewsError:
            return None


def _read(log: Connection, positions: Sequence[int]) -> Iterator[Event]:
    """Few bodies at a time: each may be as long as the door lets in."""
    for start in range(0, len(positions), _BODIES):
        part = positions[start : start + _BODIES]
        yield from sorted(reader.at(log, part), key=lambda found: part.index(found.position))


def _candidates(log: Connection, at: Reading | None, wanted: Filter, span: Span) -> Found:
    if at is not None:
        span, is_folded = span.until(bookkeeping.checkpoint(at.views).position)
        if is_folded:
            return _of_subject(at, wanted.subject, span) if wanted.subject is not None else _named(at, wanted, span)
    if wanted.kind in _BY_PEOPLE:
        return _first(_by_people(log, wanted.kind, span), span)
    near = span.near
    return _holding(log, wanted, near) if wanted.contains is not None else _looked_at(log, wanted, near)


def _of_subject(at: Reading, subject: str, span: Span) -> Found:
    """By the views: what was told of it, what waits behind a fault, and the fault; and what was left out."""
    found = set(skipped.positions(at.log))
    for table in (_timeline, _faults, _parked):
        for source in _sources(at.views, table, subject):
            query = select(table.position).where(table.source == source, table.subject == subject)
            found.update(at.views.scalars(_ordered(query.distinct(), table.position, span, _READ)))
    return _first(found, span)


def _sources(connection: Connection, of: Any, subject: str) -> Iterator[str]:
    """Every source that a table knows a subject of, from one to the next: an index has them in order."""
    source, known = "", select(func.min(of.source)).where(of.subject == subject)
    while (found := connection.scalar(known.where(of.source > source))) is not None:
        yield found
        source = found


def _named(at: Reading, wanted: Filter, span: Span) -> Found:
    """What tells a fact of that name, what nobody told because of a fault, and decisions: some of them are no facts."""
    near = span.near
    found = {*_by_people(at.log, event.DECISION, near), *skipped.positions(at.log)}
    for of, named in ((_timeline, (_timeline.name == wanted.name,)), (_faults, ()), (_parked, ())):
        query = select(of.position).where(*named).distinct()
        found.update(at.views.scalars(_ordered(query, of.position, near, _READ)))
    return _first(found, near)


def _by_people(log: Connection, kind: str, span: Span) -> list[int]:
    query = select(_events.position).where(_ACTS, _events.kind == kind)
    return list(log.scalars(_ordered(query, _events.position, span, _READ)))


def _looked_at(log: Connection, wanted: Filter, near: Span) -> Found:
    query = select(_events.position).where(*wanted.columns())
    return _first(log.scalars(_ordered(query, _events.position, near, _READ)), near)


def _holding(log: Connection, wanted: Filter, near: Span) -> Found:
    """Whose body holds the text: as many as that many bytes of bodies let us look at."""
    query = select(_events.position, _events.body).where(*wanted.columns())
    rows = log.execution_options(yield_per=_BODIES).execute(_ordered(query, _events.position, near, None))
    found, read = list[int](), 0
    with rows:
        for position, body in rows:
            read += len(body or b"")
            if wanted.is_held_by(body):
                found.append(position)
            if read > _READ_BYTES or len(found) == _READ:
                return Found(found, position)
    return Found(found, near.end)


def _ordered(query: Select[Any], position: Any, span: Span, count: int | None) -> Select[Any]:
    within = query.where(position.between(span.first, span.last))
    return within.order_by(position.desc() if span.newest_first else position).limit(count)


def _first(positions: Iterable[int], span: Span) -> Found:
    """As many as are read for one page."""
    within = {position for position in positions if span.first <= position <= span.last}
    ordered = sorted(within, reverse=span.newest_first)[:_READ]
    return Found(ordered, ordered[-1] if len(ordered) == _READ else span.end)
