"""Waiting for others to let go of what was erased, for a while."""

import time
from collections.abc import Callable
from typing import Final

from listener import errors

SECONDS: Final = 60.0  # what waits for its end is a command, and somebody sits before it


def until(condition: Callable[[], bool], otherwise: str) -> None:
    """Wait for it. Raises ErasureRefused if it does not come true in time."""
    give_up_at = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > give_up_at:
            raise errors.ErasureRefused(f"erased, but not without a trace yet: {otherwise}; type this again")
        time.sleep(0.05)
