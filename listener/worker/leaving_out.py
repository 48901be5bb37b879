"""The live views once more, without some subjects: those are folded anew, from what the log still says of them.

A copy, and not rows deleted: SQLite moves rows from page to page, and leaves traces of them in the gaps, secure_delete
or not (docs/decisions/0021).
"""

from collections.abc import Collection, Iterator
from typing import Final

from sqlalchemy import ColumnElement, Connection, Table, func, select, tuple_

from listener import bookkeeping, projection, views
from listener.acts import Subject
from listener.log.database import Database
from listener.views import Views
from listener.worker import faults, intake
from listener.worker.anew import Anew
from projections import packages, timeline

_TABLES: Final = (
    bookkeeping.segments,
    bookkeeping.heartbeat,
    bookkeeping.faults,
    bookkeeping.parked,
    bookkeeping.trying,
    *(projection.TABLE for projection in projection.PROJECTIONS),
)


def copy(
    database: Database,
    old: Views,
    new: Views,
    subjects: Collection[Subject],
    positions: Collection[int],
    fingerprint: str,
) -> None:
    """Make `new` of what `old` shows, but for these subjects, whoever else these events speak of, and their faults.

    Nobody may look at `new` before this returns. A projector may go on with `old` meanwhile, with whatever it read of
    the log before it was erased: nothing of that comes into `new`.
    """
    with old.reading() as shown:
        gone = sorted({*subjects, *_told_of(shown, positions)})
        before = bookkeeping.checkpoint(shown)
    with new.building(before.log_id, before.origin, old) as connection:
        before = bookkeeping.checkpoint(connection, views.beside)
        for table in _TABLES:
            kept = select(views.beside(table)).where(*_kept(views.beside(table), gone, positions))
            connection.execute(table.insert().from_select(table.c.keys(), kept))
        for subject in gone:
            _fold(database, old, connection, subject, before.position, fingerprint)
        if before.position:
            bookkeeping.move(connection, before.position, before.leaf)


def _told_of(shown: Connection, positions: Collection[int]) -> Iterator[Subject]:
    """Whom events speak of, as the views know it."""
    for of in (timeline.TABLE.c, bookkeeping.parked.c, bookkeeping.faults.c):
        about = (of.position.in_(positions), of.subject.is_not(None))
        yield from ((source, subject) for source, subject in shown.execute(select(of.source, of.subject).where(*about)))


def _kept(table: Table, gone: Collection[Subject], positions: Collection[int]) -> Iterator[ColumnElement[bool]]:
    """Which rows of a table are not left out."""
    if "source" in table.c:
        subject = table.c.id if table.name == packages.TABLE.name else table.c.subject
        yield tuple_(table.c.source, func.coalesce(subject, "")).not_in(gone)
    if table.name == bookkeeping.faults.name:
        yield table.c.position.not_in(positions)


def _fold(database: Database, old: Views, new: Connection, subject: Subject, until: int, fingerprint: str) -> None:
    """Decisions about it are kept, and it may have been called back about since."""
    with database.reading() as log, old.reading() as shown:
        anew = Anew(log, shown, [subject], until, fingerprint)
        for found in anew.events():
            anew.take(found, only=subject)
    intake.save(new, anew.fold)
    faults.note(new, anew.fold, fingerprint)
