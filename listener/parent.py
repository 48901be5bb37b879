"""Parent and child: how a process of ours starts another, and how that notices when its parent is gone."""

import os
import sys
import threading
from collections.abc import Callable


def command(module: str) -> tuple[str, ...]:
    """What starts a module of ours: of this code, whatever is called like that in the working directory."""
    return sys.executable, "-P", "-m", module


def alive(fd: int, stop: Callable[[], None]) -> None:
    """Call `stop`, from a thread, once nobody holds the other end of the pipe that `fd` reads from.

    The kernel closes the parent's end however the parent dies, SIGKILL included. No child may inherit that end.
    """
    threading.Thread(target=_watch, args=(fd, stop), name="parent", daemon=True).start()


def _watch(fd: int, stop: Callable[[], None]) -> None:
    while os.read(fd, 1):
        pass
    stop()
