"""The live generation of the views, for those who only read it: another one as soon as that is shown."""

import threading

from listener import errors
from listener.log.database import Database
from listener.shelf import Shelf
from listener.views import Views
from listener.worker import generations


class Live:
    """Follows the pointer in the log's database. May be used by several threads."""

    def __init__(self, database: Database, shelf: Shelf) -> None:
        self._database = database
        self._shelf = shelf
        self._lock = threading.Lock()
        self._views: Views | None = None

    def views(self) -> Views:
        """What is shown now. Raises ViewsError before the first."""
        with self._database.reading() as connection:
            shown = generations.live(connection)
        if shown is None:
            raise errors.ViewsError("nothing was folded yet; the worker does it: run 'signlog serve'")
        with self._lock:
            if self._views is None or self._views.generation != shown:
                self._close()
                self._views = self._shelf.generation(shown)
            return self._views

    def close(self) -> None:
        """Let go of the views."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._views is not None:
            self._views.close()
