"""A worker that is killed at a step of its choice: `python -m tests.crash` forks one for each line of its input.

Forked from a process with one thread and no open files, because starting Python anew for each step takes a second.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx  # imported here, so that no forked process has to  # noqa: F401
import obstore
import sqlalchemy
from sqlalchemy import Engine

from listener import logs
from listener.worker import downloads  # noqa: F401
from tests import evro
from tests.rig import SOURCE, Worker

NEVER = 10**9


class Steps:
    """What the threads that fetch do to disk, bucket and log, counted; the nth step is the last."""

    def __init__(self, last: int, source: str) -> None:
        self.taken: list[str] = []
        self.last = last
        self.source = source
        for name in ("fsync", "link", "mkdir", "fchmod"):
            setattr(os, name, self.before(name, getattr(os, name)))
        for name in ("put", "get"):
            setattr(obstore, name, self.before(name, getattr(obstore, name)))
        sqlalchemy.event.listen(Engine, "before_cursor_execute", self.before_statement)
        sqlalchemy.event.listen(Engine, "commit", lambda _connection: self.step("commit"))

    def before(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, with a step before it; what is behind one is before the next."""

        def do(*arguments: Any, **named: Any) -> Any:
            self.step(name)
            return call(*arguments, **named)

        return do

    def before_statement(self, *arguments: Any) -> None:
        """A step before everything that writes."""
        if arguments[2].startswith(("INSERT", "UPDATE")):
            self.step(arguments[2].partition(" (")[0].partition(" VALUES")[0].partition(" SET")[0])

    def step(self, name: str) -> None:
        """Take one; only the threads that fetch do."""
        if threading.current_thread().name.startswith(self.source):
            self.taken.append(name)
            if len(self.taken) == self.last:
                os.kill(os.getpid(), signal.SIGKILL)


def run(folder: str, documents: str, url: str, last: int, stored: int, source: str, signatures: bool) -> None:
    """Work until so many documents are stored, or the last step."""
    logs.configure()
    steps = Steps(last, source)
    with worker_of(source, Path(folder), documents, url, signatures) as worker:
        worker.run(lambda: len(worker.stored()) == stored)
    Path(folder, "steps").write_text(json.dumps(steps.taken))


def worker_of(source: str, folder: Path, documents: str, url: str, signatures: bool) -> Worker:
    """A worker with one source of that name; a private key lies in the folder, if it needs one."""
    if source == SOURCE:
        return Worker(folder, url, documents=documents, check_signatures=signatures)
    sources = {evro.SOURCE: evro.source(folder, url, [folder / evro.KEY])}
    return Worker(folder, documents=documents, sources=sources)


def main() -> None:
    """Fork, wait, tell how it ended; one line each."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(*json.loads(line))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
