"""Lists, a page at a time: each page looks at a bounded number of rows, and says where to go on."""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, func, select

LOOK_AT: Final = 5_000  # rows or positions, for one page

Line = dict[str, Any]


class Page(NamedTuple):
    """Some lines, and the position to go on from; `more` is None at the end. A page may be empty and not the last."""

    lines: list[Line]
    more: int | None


def every(turn: Callable[[int | None], Page], before: int | None = None) -> Iterator[Line]:
    """The lines of all pages; `turn` gives the one that goes on from a position."""
    while True:
        lines, more = turn(before)
        yield from lines
        if more is None:
            return
        before = more


class Moved(NamedTuple):
    """Rows of one of the views' tables, those first that moved last.

    `indexed` are conditions that an index on them and `last_position` answers; `source` is looked for row by row.
    """

    table: Table
    indexed: tuple[ColumnElement[bool], ...] = ()
    source: str | None = None

    def page(self, connection: Connection, before: int | None, count: int) -> tuple[list[Row[Any]], int | None]:
        """About `count` rows that moved before a position, and the position to go on from: never half of those
        that share one.
        """
        floor, more = self._floor(connection, before, count)
        rows = self._where(select(self.table), before).where(self.table.c.last_position >= floor)
        ordered = rows.where(*self._of_source()).order_by(self.table.c.last_position.desc(), *self.table.primary_key)
        return list(connection.execute(ordered)), more

    def _floor(self, connection: Connection, before: int | None, count: int) -> tuple[int, int | None]:
        """Down to which position the page goes, and the same if there may be more below."""
        position = self.table.c.last_position
        near = self._where(select(position, self.table.c.source), before).order_by(position.desc()).limit(LOOK_AT)
        looked_at = near.subquery()
        wanted = select(looked_at.c.last_position).limit(count)
        if self.source is not None:
            wanted = wanted.where(looked_at.c.source == self.source)
        found = connection.scalars(wanted.order_by(looked_at.c.last_position.desc())).all()
        if len(found) == count:
            return found[-1], found[-1]
        number, lowest = connection.execute(select(func.count(), func.min(looked_at.c.last_position))).one()
        return (lowest, lowest) if number == LOOK_AT else (0, None)

    def _where(self, query: Select[Any], before: int | None) -> Select[Any]:
        below = () if before is None else (self.table.c.last_position < before,)
        return query.where(*self.indexed, *below)

    def _of_source(self) -> tuple[ColumnElement[bool], ...]:
        """As an expression: by the primary key, SQLite would fetch and sort all rows of the source."""
        return () if self.source is None else (func.coalesce(self.table.c.source, "") == self.source,)
