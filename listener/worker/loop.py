"""The worker's process: fold what came in, fetch what is due, sign for it, again and again until told to stop."""

import threading
import time
from typing import Final

import structlog

from listener import errors
from listener.worker.downloads import Downloads
from listener.worker.notary import Notary
from listener.worker.projector import Projector

_log = structlog.get_logger()

TICK_SECONDS: Final = 0.05
BEAT_SECONDS: Final = 2.0
DUE_SECONDS: Final = 0.25
SIGN_SECONDS: Final = 0.5
MENDED_SECONDS: Final = 1.0  # whatever damaged the views may do it again


def run(projector: Projector, downloads: Downloads, notary: Notary, stop: threading.Event) -> None:
    """Until `stop` is set. What is under way ends at its next chunk."""
    beat, fetch, sign = Every(BEAT_SECONDS), Every(DUE_SECONDS), Every(SIGN_SECONDS)
    try:
        while not stop.is_set():
            try:
                folded = _turn(projector, downloads, beat, fetch)
                if sign.due():
                    notary.tick()
            except errors.ViewsError as error:
                projector.mend(error)
                stop.wait(MENDED_SECONDS)
            else:
                stop.wait(0 if folded else TICK_SECONDS)
    finally:
        downloads.close()
        projector.close()
        notary.close()


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
