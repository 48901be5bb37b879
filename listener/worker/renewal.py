"""Live views that never held what was erased: made, shown, and all others removed."""

import contextlib
from collections.abc import Collection, Iterator
from typing import Final

from sqlalchemy import select

from listener import acts, bookkeeping, errors
from listener.acts import Act, Subject
from listener.log.append import now
from listener.log.database import Database
from listener.shelf import Shelf
from listener.views import Views
from listener.worker import generations, leaving_out
from listener.worker.catching_up import fold_next
from listener.worker.going_live import go_live
from listener.worker.patience import until

REASON: Final = "something was erased"
_TRIES: Final = 5


class Renewal:
    """Only for who holds the lock of replays: nobody else may make generations or throw them away meanwhile."""

    def __init__(self, database: Database, shelf: Shelf, fingerprint: str, disk_reserve: int) -> None:
        self._database = database
        self._shelf = shelf
        self._fingerprint = fingerprint
        self._disk_reserve = disk_reserve

    @contextlib.contextmanager
    def shown(self) -> Iterator[Views | None]:
        """The live generation, None before the first. Raises ErasureRefused if it is not fit to be copied."""
        with self._database.reading() as log:
            number = generations.live(log)
        if number is None:
            yield None
            return
        live = self._shelf.generation(number)
        try:
            self._assert_fit(live)
            yield live
        finally:
            live.close()

    def _assert_fit(self, live: Views) -> None:
        with live.reading() as shown, self._database.reading() as log:
            shape, checkpoint = bookkeeping.made_of(shown), bookkeeping.checkpoint(shown)
            if shape == bookkeeping.shape() and generations.bound(log, checkpoint):
                return
        raise errors.ErasureRefused(
            f"{live.name} was made by other code or from another log, and will be made anew: run 'signlog serve', "
            "and when it has caught up, type this again"
        )

    def assert_room(self) -> None:
        """Raise DiskReserve if there is no room for a copy of the live views."""
        with self.shown() as live:
            self._shelf.assert_room(self._disk_reserve, live.generation if live else None)

    def renew(
        self, subjects: Collection[Subject], positions: Collection[int], operator: str, worker_runs: bool
    ) -> None:
        """Show views without these subjects and events. Raises ErasureRefused if others keep getting in between."""
        for _ in range(_TRIES):
            with self.shown() as live:
                if live is None or self._is_replaced(live, subjects, positions, operator):
                    break
        else:
            raise errors.ErasureRefused("others keep changing which views are shown; type this again")
        since = now()
        if worker_runs and live is not None:
            until(lambda: self._has_beaten(since), "the worker has not taken up the new views")
        with self._database.writing() as log:
            generations.discard_others(log, self._shelf)
        until(self._shelf.leave_no_trace, "somebody reads views of before")

    def _is_replaced(
        self, live: Views, subjects: Collection[Subject], positions: Collection[int], operator: str
    ) -> bool:
        """Whether a copy is shown now; not if another generation was shown in the meantime."""
        new = self._shelf.generation(live.generation + 1)  # where a plan would be: nobody plans meanwhile
        went_live = Act(acts.LIVE, generation=new.generation, previous=live.generation, reason=REASON)
        try:
            leaving_out.copy(self._database, live, new, subjects, positions, self._fingerprint)
            go_live(self._database, new, self._catch_up, (), went_live, operator)
        except errors.ReplayRefused:
            new.discard()
            return False
        except BaseException:
            new.discard()
            raise
        finally:
            new.close()
        return True

    def _catch_up(self, generation: Views) -> None:
        while fold_next(self._database, generation, self._fingerprint)[0]:
            pass

    def _has_beaten(self, since: int) -> bool:
        """Whether the worker lives on the views that are shown: from then on it has let go of all others."""
        with self.shown() as live:
            if live is None:
                return True
            with live.reading() as shown:
                beat = shown.scalar(select(bookkeeping.heartbeat.c.at))
        return beat is not None and beat > since
