"""Keeps the live generation of the views up to date with the log."""

import contextlib

import structlog
from sqlalchemy import Connection

from listener import bookkeeping, errors
from listener.log import reader
from listener.log.append import now
from listener.log.database import Database
from listener.shelf import Shelf
from listener.worker import generations
from listener.worker.catching_up import fold_next
from listener.worker.rebuilding import rebuild
from listener.worker.tries import Tries

_log = structlog.get_logger()


class Projector:
    """Folds what the log has and the views do not. Two at once are safe: the checkpoint is compared in the write."""

    def __init__(self, database: Database, shelf: Shelf, fingerprint: str, disk_reserve: int = 0) -> None:
        self._disk_reserve = disk_reserve
        self._database = database
        self._shelf = shelf
        self._fingerprint = fingerprint
        self._tries: Tries | None = None
        self._open()

    def catch_up(self) -> int:
        """Fold up to the head; how many events were folded."""
        folded = 0
        while taken := self.fold_some():
            folded += taken
        return folded

    def beat(self) -> None:
        """Show that the worker lives. Raises ViewsError if others found the views damaged, where we have not."""
        self.views.assert_sound()
        with self.views.writing() as connection:
            bookkeeping.beat(connection, now())

    @property
    def mixed(self) -> bool:
        """Whether other code than ours folded a part of what is shown."""
        with self.views.reading() as connection:
            return bool(bookkeeping.folded_by(connection) - {self._fingerprint})

    def close(self) -> None:
        """Let go of the views."""
        self.views.close()

    def fold_some(self) -> int:
        """Fold the next events, if there are any; how many."""
        try:
            tries = self._live_tries()
            taken, faults = fold_next(self._database, self.views, self._fingerprint, tries=tries, only_live=True)
        except errors.Superseded:  # somebody applied a replay, or took one back
            return self._switch()
        except errors.Parted:
            self._rebuild(bookkeeping.PARTED)
            return 1
        for fault in faults:
            _log.error("fault", **fault._asdict())
        return taken

    def _live_tries(self) -> Tries:
        if self._tries is None or self._tries.generation is not self.views:
            self._tries = Tries(self.views, self._fingerprint)
        return self._tries

    def mend(self, error: errors.ViewsError) -> None:
        """Throw views away that cannot be read, and build them anew: they are no more than an opinion."""
        damaged = self.views
        if self._rebuild(bookkeeping.DAMAGED):
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
        """The live generation; another one if it is lost, cannot be read, or has another shape."""
        with self._database.writing() as connection:
            shown = generations.live(connection) or self._begin(connection)
        self.views = self._shelf.generation(shown)
        try:
            origin = self._unfit()
        except errors.ViewsError as error:
            self.mend(error)
        else:
            if origin is not None:
                self._rebuild(origin)

    def _begin(self, connection: Connection) -> int:
        """The first generation. Shown only when it is there: what is shown and is not there was lost."""
        first = self._shelf.generation(1)
        # Somebody may have been killed here, before or behind the tables, or another log's views may lie there.
        with contextlib.suppress(errors.ViewsError):  # damaged: that is seen when it is read
            first.create(reader.log_id(connection), bookkeeping.FIRST)
        first.close()
        return generations.flip(connection, 1)

    def _unfit(self) -> str | None:
        """Why the live generation cannot be gone on with, if so."""
        if not self.views.exists():
            return bookkeeping.LOST
        with self.views.reading() as connection:
            return None if bookkeeping.made_of(connection) == bookkeeping.shape() else bookkeeping.RESHAPED

    def _rebuild(self, origin: str) -> bool:
        """Build another generation from the first event on, then show it. The one that was shown stays as it is.

        Not if ours is not shown any more: then it may have been purged under us, and is neither lost nor damaged.
        """
        old = self.views
        try:
            code, reserve = self._fingerprint, self._disk_reserve
            self.views = rebuild(self._database, self._shelf, code, origin, old.generation, reserve)
        except errors.Superseded:
            self._switch()
            return False
        old.close()
        _log.error("views_rebuilt", origin=origin, old=old.generation, new=self.views.generation)
        return True
