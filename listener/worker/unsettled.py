"""What the views leave open: who has not ended, and whose end no answer of the provider's API has confirmed."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select

from listener import bookkeeping
from listener.agenda import Agenda
from listener.log import reader
from listener.log.database import Database
from listener.views import Views
from listener.watched import Entry
from projections import course, facts, packages

_STRETCH: Final = 5000  # positions in one read
_TABLE: Final = packages.TABLE


def note(agenda: Agenda, database: Database, live: Views, lists: Mapping[str, bool]) -> None:
    """Put it on the agenda, as far as it moved since the last time.

    `lists` has the sources that can be asked, and whether a list of their provider's shows what moved.
    """
    with database.reading() as connection:
        log_id = reader.log_id(connection)
    name = f"{live.generation} {' '.join(sorted(lists))}"  # other sources: nobody has read for them
    after = agenda.read_to(log_id, name)
    while True:
        rows, until, folded = _moved(live, after)
        left_open = [_entry(row, lists) for row in rows if row.source in lists and _is_open(row)]
        settled = [(row.source, row.id) for row in rows if not _is_open(row)]
        agenda.note(log_id, name, until, left_open, settled)
        if until >= folded:
            agenda.drop_others(name)
            return
        after = until


def since(live: Views, source: str, at: int) -> list[Entry]:
    """Whatever was heard of since then, to be asked about as if nobody had confirmed it."""
    query = select(_TABLE).where(_TABLE.c.source == source, _TABLE.c.recorded_at >= at)
    with live.reading() as connection:
        rows = connection.execute(query).all()
    return [Entry(source, row.id, row.last_position, row.recorded_at, row.stage in facts.ENDED, True) for row in rows]


def _moved(live: Views, after: int) -> tuple[Sequence[Any], int, int]:
    """Rows that last moved in the next stretch of the log, where that ends, and how far the views are."""
    c = _TABLE.c
    with live.reading() as connection:
        folded = bookkeeping.checkpoint(connection).position
        until = min(after + _STRETCH, folded)
        wanted = select(c.source, c.id, c.stage, c.confirmed, c.last_position, c.recorded_at, c.expected)
        return connection.execute(wanted.where(c.last_position.between(after + 1, until))).all(), until, folded


def _is_open(row: Any) -> bool:
    return row.stage not in facts.ENDED or (row.stage in facts.TERMINAL and row.confirmed != course.YES)


def _entry(row: Any, lists: Mapping[str, bool]) -> Entry:
    closely = not lists[row.source] or row.expected is not None
    return Entry(row.source, row.id, row.last_position, row.recorded_at, row.stage in facts.ENDED, closely)
