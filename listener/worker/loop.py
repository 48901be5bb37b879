"""The worker's process: fetch what is due, and while no other worker does, fold what came in and sign for it."""

import contextlib
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import msgspec
import structlog
from sqlalchemy.exc import InternalError, OperationalError

from listener import errors
from listener.lease import Lease
from listener.log.bell import Bell
from listener.worker.downloads import Downloads
from listener.worker.live import Live
from listener.worker.projector import Projector

_log = structlog.get_logger()

TICK_SECONDS: Final = 0.05
RING_SECONDS: Final = 0.25  # as long as nobody rings
BEAT_SECONDS: Final = 2.0
DUE_SECONDS: Final = 0.25
STAND_BY_SECONDS: Final = 0.5
AWAY_SECONDS: Final = 1.0
MENDED_SECONDS: Final = 1.0  # whatever damaged the views may do it again


Lead = Callable[[], AbstractContextManager[Projector]]  # what one does for all, while the block runs


def run(
    lease: Lease, lead: Lead, downloads: Downloads, live: Live, stop: threading.Event, bell: Bell | None = None
) -> None:
    """Until `stop` is set. What is under way ends at its next chunk.

    With a `bell` it looks less often whether there is anything to fold, and at once when that rings.
    """
    try:
        while not stop.is_set():
            try:
                if lease.take():
                    _log.info("worker_leads", shared=lease.shared)
                    _lead(lease, lead, downloads, stop, bell)
                else:
                    _stand_by(downloads, live, stop)
            except errors.LeaseLost as error:
                _step_back(lease, error)
            except (OperationalError, InternalError) as error:
                if not lease.shared:
                    raise
                _step_back(lease, error)  # the server is away, or cut us off while we were frozen
                stop.wait(AWAY_SECONDS)
    finally:
        downloads.close()


def _lead(lease: Lease, lead: Lead, downloads: Downloads, stop: threading.Event, bell: Bell | None) -> None:
    beat, fetch = Every(BEAT_SECONDS), Every(DUE_SECONDS)
    with lead() as projector:
        while not stop.is_set():
            if not lease.held:
                raise errors.LeaseLost("this worker was not heard of for too long")
            try:
                folded = _turn(projector, downloads, beat, fetch)
            except errors.ViewsError as error:
                projector.mend(error)
                stop.wait(MENDED_SECONDS)
                continue
            if not folded:
                _wait(stop, bell)
        downloads.close()  # what comes of the last ones is still signed for


def _wait(stop: threading.Event, bell: Bell | None) -> None:
    if bell is None:
        stop.wait(TICK_SECONDS)
    else:
        bell.wait(RING_SECONDS)


def _stand_by(downloads: Downloads, live: Live, stop: threading.Event) -> None:
    """Fetch what is due, while another worker does the rest."""
    with contextlib.suppress(
        errors.ViewsError, msgspec.ValidationError
    ):  # there are none yet, or of other code than ours
        downloads.tick(live.views())
    stop.wait(STAND_BY_SECONDS)


def _step_back(lease: Lease, error: Exception) -> None:
    _log.warning("stepped_back", error=str(getattr(error, "orig", None) or error))
    lease.let_go()


def _turn(projector: Projector, downloads: Downloads, beat: "Every", fetch: "Every") -> int:
    folded = projector.fold_some()
    if beat.due():
        projector.beat()
    if fetch.due():
        downloads.tick(projector.views)
    return folded


class Every:
    """True once in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def due(self) -> bool:
        """Whether it is time again."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self._seconds
        return True
