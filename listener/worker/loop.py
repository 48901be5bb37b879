"""The worker's process: fold what came in, fetch what is due, again and again until told to stop."""

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Final

import structlog

from listener import errors
from listener.worker.downloads import Downloads
from listener.worker.projector import Projector

_log = structlog.get_logger()

TICK_SECONDS: Final = 0.05
BEAT_SECONDS: Final = 2.0
DUE_SECONDS: Final = 0.25
MENDED_SECONDS: Final = 1.0  # whatever damaged the views may do it again


def run(projector: Projector, downloads: Downloads, stop: threading.Event) -> None:
    """Until `stop` is set. What is under way ends at its next chunk."""
    beat, fetch = Every(BEAT_SECONDS), Every(DUE_SECONDS)
    try:
        while not stop.is_set():
            try:
                folded = _turn(projector, downloads, beat, fetch)
            except errors.ViewsError as error:
                projector.mend(error)
                stop.wait(MENDED_SECONDS)
            else:
                stop.wait(0 if folded else TICK_SECONDS)
    finally:
        downloads.close()
        projector.close()


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


class OnlyOne:
    """One worker on a data folder: whoever holds this lock knows that every other worker here is dead."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "signlog-worker.lock"

    def __enter__(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise errors.ConfigurationError(
                f"a worker already runs on {self._path.parent}; one is enough, stop that one first"
            ) from None

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
