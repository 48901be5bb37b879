"""Files that grow fast beside a log whose every commit waits for the disk."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from listener import files

_SECONDS: Final = 0.05  # so often: the disk takes what came since in less than a door may wait
_STEP: Final = 8 * 1024 * 1024  # bytes that the file system gives back at once


@contextlib.contextmanager
def settling(path: Path) -> Iterator[None]:
    """Let the disk have what is written, a little at a time: all at once at the end would make the door wait."""
    over = threading.Event()

    def settle() -> None:
        while not over.wait(_SECONDS):
            files.sync(path)

    with ThreadPoolExecutor(1, "settling") as aside:
        settling = aside.submit(settle)
        try:
            yield
        finally:
            over.set()
        settling.result()


def remove(path: Path) -> None:
    """Remove a file, if it is there; a little at a time, if nobody reads it.

    The file system gives a large one back in one step, and whoever commits beside it waits for that.
    """
    try:
        opened = os.open(path, os.O_RDWR)
    except OSError:  # it is not there, or not ours to write
        path.unlink(missing_ok=True)
        return
    try:
        path.unlink()
        if _is_nobodys(opened):
            for size in range(os.fstat(opened).st_size, 0, -_STEP):
                os.ftruncate(opened, size)
    finally:
        os.close(opened)


def remove_folder(folder: Path) -> None:
    """Remove a folder and the files in it, if it is there."""
    for path in folder.glob("*"):
        remove(path)
    with contextlib.suppress(FileNotFoundError):
        folder.rmdir()


def _is_nobodys(removed: int) -> bool:
    """Whether no one else has this file open, which nobody can open any more (fcntl(2), F_SETLEASE)."""
    try:
        fcntl.fcntl(removed, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        return False
    return True
