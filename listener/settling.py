"""Files that grow fast beside a log whose every commit waits for the disk."""

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

_SECONDS: Final = 0.2  # so often: the disk takes what came since in less than a door may wait


@contextlib.contextmanager
def settling(path: Path) -> Iterator[None]:
    """Let the disk have what is written, a little at a time: all at once at the end would make the door wait."""
    over = threading.Event()

    def settle() -> None:
        while not over.wait(_SECONDS):
            make_durable(path)

    with ThreadPoolExecutor(1, "settling") as aside:
        settling = aside.submit(settle)
        try:
            yield
        finally:
            over.set()
        settling.result()


def make_durable(path: Path) -> None:
    """Wait until the disk has what was written to a file, or which names a folder has."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
