"""How a child process notices that the parent who supervises it is gone."""

import os
import threading
from collections.abc import Callable


def alive(fd: int, stop: Callable[[], None]) -> None:
    """Call `stop`, from a thread, once nobody holds the other end of the pipe that `fd` reads from.

    The kernel closes the parent's end however the parent dies, SIGKILL included. No child may inherit that end.
    """
    threading.Thread(target=_watch, args=(fd, stop), name="parent", daemon=True).start()


def _watch(fd: int, stop: Callable[[], None]) -> None:
    while os.read(fd, 1):
        pass
    stop()
