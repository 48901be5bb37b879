"""Large files beside a log whose every commit waits for the disk."""

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
_STEP: Final = 8 * 1024 * 1024  # bytes that the file system gives back, or the disk reads, at once
_READ_SECONDS: Final = 0.01  # for each step
_AHEAD: Final = 1024 * 1024 * 1024  # bytes: more of a file may not stay in memory until somebody asks for it


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


@contextlib.contextmanager
def read_ahead(path: Path) -> Iterator[None]:
    """Let the disk read a file that is about to be read, a little at a time, before anybody asks for it.

    Whoever asks for page after page waits for each.
    """
    over = threading.Event()

    def read() -> None:
        with path.open("rb") as file:
            for start in range(0, min(os.fstat(file.fileno()).st_size, _AHEAD), _STEP):
                os.posix_fadvise(file.fileno(), start, _STEP, os.POSIX_FADV_WILLNEED)
                if over.wait(_READ_SECONDS):
                    return

    with ThreadPoolExecutor(1, "reading-ahead") as aside:
        reading = aside.submit(read)
        try:
            yield
        finally:
            over.set()
        reading.result()


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
