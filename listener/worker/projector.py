"""Keeps the live generation of the views up to date with the log."""

from collections.abc import Sequence
from pathlib import Path

import structlog
from sqlalchemy import Connection

from listener import errors, views
from listener.log import reader
from listener.log.append import now
from listener.log.database import Database
from listener.views import Views
from listener.worker import generations, intake
from listener.worker.fold import Faulty

_log = structlog.get_logger()


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
            generation = generations.live(connection) or generations.flip(connection, 1)
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
            if generations.live(connection) == old.generation:  # else another projector was here first
                self._begin(connection, old.generation + 1, origin)
            self.views = Views(self._folder, generations.live(connection) or 1)
        old.close()
        _log.error("views_set_aside", origin=origin, old=old.generation, new=self.views.generation)
        return 1

    def _begin(self, connection: Connection, generation: int, origin: str) -> None:
        new = Views(self._folder, generation)
        new.discard()
        new.create(reader.log_id(connection), origin)
        new.close()
        generations.flip(connection, generation)


def fold_next(
    database: Database, generation: Views, fingerprint: str, until: int | None = None, only_live: bool = False
) -> tuple[int, Sequence[Faulty]]:
    """Fold the next events into any generation, none behind `until`; how many, and what could not be taken in.

    Raises Parted if the generation was folded from another log, and with `only_live` Superseded if another is shown.
    """
    with generation.reading() as connection:
        before = views.checkpoint(connection)
    with database.reading() as log:
        if only_live and generations.live(log) != generation.generation:
            raise errors.Superseded(f"{generation.path} is not shown any more")
        if not generations.bound(log, before):
            raise errors.Parted(f"{generation.path} was folded from another log")
        events = intake.following(log, before, until)
        if not events:
            return 0, ()
        with generation.writing() as connection:
            # Another projector may have folded these since: its checkpoint tells, and this transaction shuts it out.
            if views.checkpoint(connection) != before:
                return len(events), ()
            return len(events), intake.take_in(log, connection, events, fingerprint)
