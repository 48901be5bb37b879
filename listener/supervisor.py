"""Keeps the door and the worker running, each a process of its own, and ends them when it ends.

Imports nothing of signlog: it must stay small, and outlive whatever is wrong with the rest. It holds the door's
socket, so callbacks that come while the door restarts wait in the kernel instead of being refused.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

BACK_OFF = (0.1, 1.0, 2.0, 5.0, 15.0, 30.0)  # seconds before a restart; the last one again and again
STEADY_SECONDS = 60.0  # who lived that long starts from the first again
GRACE_SECONDS = 30.0  # to end by oneself after SIGTERM; then comes SIGKILL
_POLL_SECONDS = 0.1


class Child:
    """One part of signlog, started again when it ends by itself."""

    def __init__(self, name: str, arguments: Sequence[str], inherited: Sequence[int]) -> None:
        self.name = name
        self._arguments = [sys.executable, "-P", "-m", "listener", *arguments]
        self._inherited = inherited
        self._failures = 0
        self._start_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def tend(self) -> None:
        """Start it if it is not running and its time has come."""
        if self.process is not None and self.process.poll() is None:
            return
        if self.process is not None:
            self._ended(self.process.returncode)
        if time.monotonic() >= self._start_at:
            self._start()

    def _start(self) -> None:
        self._started_at = time.monotonic()
        try:
            self.process = subprocess.Popen(self._arguments, pass_fds=self._inherited)  # noqa: S603  our own program
        except OSError as error:  # no room for a process now, or a Python that is being replaced: both pass
            self._ended(error)

    def _ended(self, how: object) -> None:
        self.process = None
        if time.monotonic() - self._started_at > STEADY_SECONDS:
            self._failures = 0
        wait = BACK_OFF[min(self._failures, len(BACK_OFF) - 1)]
        self._failures += 1
        self._start_at = time.monotonic() + wait
        with contextlib.suppress(OSError):  # whoever read it may be gone; that ends nothing here
            print(f"signlog: the {self.name} ended with {how}; starting it again in {wait:g} s", file=sys.stderr)

    def stop(self) -> None:
        """Ask it to end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self, until: float) -> None:
        """Wait for its end; after `until` (monotonic seconds) there is no more patience."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Supervise until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="listener.supervisor")
    parser.add_argument("--socket-fd", type=int, required=True)
    parser.add_argument("rest", nargs="*", help="what to pass on to every part")
    options = parser.parse_args(arguments)
    alive, held = os.pipe()  # children watch `alive`: it ends when this process does, however it does
    common = ["--parent-fd", str(alive), *options.rest]
    children = [
        Child("door", ["serve", "--door", "--socket-fd", str(options.socket_fd), *common], (options.socket_fd, alive)),
        Child("worker", ["serve", "--worker", *common], (alive,)),
    ]
    stopping = _on_signals()
    while not stopping:
        for child in children:
            child.tend()
        time.sleep(_POLL_SECONDS)
    _stop(children)
    os.close(held)
    return 0


def _on_signals() -> list[int]:
    """A list that a signal makes true."""
    caught: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: caught.append(received))
    return caught


def _stop(children: Sequence[Child]) -> None:
    """Both at once: what the door still takes in, the worker folds after the next start."""
    until = time.monotonic() + GRACE_SECONDS
    for child in children:
        child.stop()
    for child in children:
        child.wait(until)


if __name__ == "__main__":
    sys.exit(main())
