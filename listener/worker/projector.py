"""Keeps the live generation of the views up to date with the log."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Connection, select

from listener import acts, errors, views
from listener.interpreter import Interpreter
from listener.log import event, reader
from listener.log import schema as log_schema
from listener.log.append import now
from listener.log.database import Database
from listener.log.event import Event
from listener.views import Checkpoint, Views
from listener.worker.fold import Faulty, Fold

_log = structlog.get_logger()

BATCH: Final = 500


class Projector:
    """Folds what the log has and the views do not. Two at once are safe: the checkpoint is compared in the write."""

    def __init__(self, database: Database, folder: Path, fingerprint: str) -> None:
        self._database = database
        self._folder = folder
        self._fingerprint = fingerprint
        self._open()

    def catch_up(self) -> int:
        """Fold up to the head; how many events were folded."""
        folded = 0
        while taken := self.fold_some():
            folded += taken
        return folded

    def beat(self) -> None:
        """Show that the worker lives."""
        with self.views.writing() as connection:
            views.beat(connection, now())

    def close(self) -> None:
        """Let go of the views."""
        self.views.close()

    def fold_some(self) -> int:
        """Fold the next events, if there are any; how many."""
        try:
            taken, faults = fold_next(self._database, self.views, self._fingerprint, only_live=True)
        except errors.Superseded:  # somebody applied a replay, or took one back
            return self._switch()
        except errors.Parted:
            return self._set_aside(views.PARTED)
        for fault in faults:
            _log.error("fault", **fault._asdict())
        return taken

    def mend(self, error: errors.ViewsError) -> None:
        """Throw views away that cannot be read, and begin the next generation: they are no more than an opinion."""
        damaged = self.views
        self._set_aside(views.DAMAGED)
        damaged.discard()
        _log.error("views_damaged", generation=damaged.generation, error=str(error))

    def _switch(self) -> int:
        old = self.views
        self._open()
        _log.info("views_switched", old=old.generation, new=self.views.generation)
        old.close()
        self.beat()
        return 1

    def _open(self) -> None:
        """The live generation; a new one if the live one cannot be read, or has another shape."""
        with self._database.writing() as connection:
            generation = live_generation(connection) or flip(connection, 1)
        self.views = Views(self._folder, generation)
        try:
            if not self._fits():
                self._set_aside(views.RESHAPED)
        except errors.ViewsError as error:
            self.mend(error)

    def _fits(self) -> bool:
        with self._database.reading() as connection:
            log_id = reader.log_id(connection)
        self.views.create(log_id, views.FIRST)
        with self.views.reading() as connection:
            return views.made_of(connection) == views.shape()

    def _set_aside(self, origin: str) -> int:
        """Leave the live generation as it is, and begin the next one from the first event."""
        old = self.views
        with self._database.writing() as connection:
            if live_generation(connection) == old.generation:  # else another projector was here first
                self._begin(connection, old.generation + 1, origin)
            self.views = Views(self._folder, live_generation(connection) or 1)
        old.close()
        _log.error("views_set_aside", origin=origin, old=old.generation, new=self.views.generation)
        return 1

    def _begin(self, connection: Connection, generation: int, origin: str) -> None:
        new = Views(self._folder, generation)
        new.discard()
        new.create(reader.log_id(connection), origin)
        new.close()
        flip(connection, generation)


def fold_next(
    database: Database, generation: Views, fingerprint: str, until: int | None = None, only_live: bool = False
) -> tuple[int, Sequence[Faulty]]:
    """Fold the next events into any generation, none behind `until`; how many, and what could not be taken in.

    Raises Parted if the generation was folded from another log, and with `only_live` Superseded if another is shown.
    """
    with generation.reading() as connection:
        before = views.checkpoint(connection)
    with database.reading() as connection:
        if only_live and live_generation(connection) != generation.generation:
            raise errors.Superseded(f"{generation.path} is not shown any more")
        if not bound(connection, before):
            raise errors.Parted(f"{generation.path} was folded from another log")
        events = reader.read(connection, before.position, BATCH, until)
        if not events:
            return 0, ()
        interpreter = Interpreter(in_force(connection, before.position))
    with generation.writing() as connection:
        # Another projector may have folded these since: its checkpoint tells, and this transaction shuts it out.
        if views.checkpoint(connection) != before:
            return len(events), ()
        return len(events), _fold(connection, before, events, interpreter, fingerprint)


def _fold(
    connection: Connection, before: Checkpoint, events: Sequence[Event], interpreter: Interpreter, fingerprint: str
) -> Sequence[Faulty]:
    stopped = [(source, subject) for source, subject in connection.execute(views.STOPPED)]
    fold = Fold(lambda projection, keys: views.load(connection, projection, keys), stopped)
    fold.take(events, interpreter)
    for projection, states, changed in zip(views.PROJECTIONS, fold.states, fold.changed, strict=True):
        views.save(connection, projection, {key: states[key] for key in changed})
    _note_faults(connection, fold)
    _note_segment(connection, before.position, fingerprint)
    views.move(connection, events[-1].position, events[-1].leaf)
    return fold.faults


def _note_segment(connection: Connection, after: int, fingerprint: str) -> None:
    """Which code folded from where on. Code that changed without a replay makes the generation a mixed one."""
    newest = select(views.segments.c.fingerprint).order_by(views.segments.c.after.desc()).limit(1)
    if connection.scalar(newest) != fingerprint:
        connection.execute(views.segments.insert().values((after, fingerprint)))


def _note_faults(connection: Connection, fold: Fold) -> None:
    for fault in fold.faults:
        connection.execute(views.faults.insert().values((*fault, 1)))
    for row in dict.fromkeys(fold.parked):
        connection.execute(views.parked.insert().values(row))


def live_generation(connection: Connection) -> int | None:
    """Which generation is shown, from the log's database; None before the first."""
    return connection.scalar(select(log_schema.live.c.generation))


def flip(connection: Connection, generation: int) -> int:
    """Show another generation from the end of this transaction of `Database.writing` on."""
    table = log_schema.live
    if connection.execute(table.update().values(generation=generation)).rowcount == 0:
        connection.execute(table.insert().values(id=1, generation=generation))
    return generation


def bound(connection: Connection, checkpoint: Checkpoint) -> bool:
    """Whether this is the log that the views were folded from: a restored backup is shorter, or has other events."""
    if checkpoint.log_id != reader.log_id(connection):
        return False
    return checkpoint.position == 0 or reader.leaf(connection, checkpoint.position) == checkpoint.leaf


def in_force(connection: Connection, position: int) -> acts.InForce | None:
    """The newest declaration up to a position."""
    return acts.newest_in_force(reader.acts(connection, event.DECISION, acts.IN_FORCE_PATH, until=position, last=20))
