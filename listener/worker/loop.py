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
_BEAT_SECONDS: Final = 2.0
_DUE_SECONDS: Final = 0.25


def run(projector: Projector, downloads: Downloads, stop: threading.Event) -> None:
    """Until `stop` is set. What is under way ends at its next chunk."""
    beat_at = due_at = 0.0
    try:
        while not stop.is_set():
            folded = projector.fold_some()
            if time.monotonic() >= beat_at:
                projector.beat()
                beat_at = time.monotonic() + _BEAT_SECONDS
            if time.monotonic() >= due_at:
                downloads.tick(projector.views)
                due_at = time.monotonic() + _DUE_SECONDS
            if not folded:
                stop.wait(TICK_SECONDS)
    finally:
        downloads.close()
        projector.close()


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
