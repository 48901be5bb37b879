"""Having the disk read a file before somebody asks for it: `python -m listener.reading_ahead PATH`.

Whoever asks for page after page waits for each. A process of its own opens the file: to close it would take away all
locks that our process has on it, SQLite's among them (https://sqlite.org/howtocorrupt.html, section 2.2).
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from listener import parent

_STEP: Final = 8 * 1024 * 1024  # bytes at once, and …
_SECONDS: Final = 0.01  # … how often: a door beside it needs the disk, too
_MOST: Final = 1024 * 1024 * 1024  # bytes: more may not stay in memory until somebody asks for it


@contextlib.contextmanager
def read_ahead(path: Path) -> Iterator[None]:
    """A block in which a file is read. It is only a hint: where it cannot be given, nothing is amiss."""
    command = [*parent.command("listener.reading_ahead"), str(path)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as reading:  # noqa: S603
        try:
            yield
        finally:
            reading.kill()


def advise(path: Path) -> None:
    """Tell the kernel that the file will be needed, a little at a time."""
    with contextlib.suppress(OSError, AttributeError), path.open("rb") as file:  # it is gone; or this is no Linux
        for start in range(0, min(os.fstat(file.fileno()).st_size, _MOST), _STEP):
            os.posix_fadvise(file.fileno(), start, _STEP, os.POSIX_FADV_WILLNEED)
            time.sleep(_SECONDS)


if __name__ == "__main__":
    advise(Path(sys.argv[1]))
