"""A worker that is killed at a step of its choice: `python -m tests.crash` forks one for each line of its input.

Forked from a process with one thread and no open files, because starting Python anew for each step takes a second.
"""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Self

import httpx
import obstore
import pytest
import sqlalchemy
from sqlalchemy import Engine

from listener import errors, logs
from listener.demo.imitation import Imitation
from listener.worker import downloads, schedule  # noqa: F401
from projections import artifacts
from tests import evro
from tests.rig import SOURCE, Worker

NEVER = 10**9
RETRIES = 2  # of whoever is in a hurry
WAITING = "wait"  # the step of a thread that waits for a process of its own
_BY_CHANCE = "signlog-views"  # whoever folds does that while others fetch


class Steps:
    """What the threads that fetch do to disk, bucket and log, counted; the nth step is the last.

    `lay` has what lay in the folder before each, if there is no last one.
    """

    def __init__(self, last: int, source: str, folder: Path) -> None:
        self.taken: list[str] = []
        self.lay: list[str] = []
        self.last = last
        self.source = source
        self.folder = folder
        for name in ("fsync", "link", "mkdir", "fchmod"):
            setattr(os, name, self.before(name, getattr(os, name)))
        for name in ("put", "get"):
            setattr(obstore, name, self.before(name, getattr(obstore, name)))
        subprocess.Popen.wait = self.before_waiting(subprocess.Popen.wait)  # type: ignore[method-assign]  # until the end
        sqlalchemy.event.listen(Engine, "before_cursor_execute", self.before_statement)
        sqlalchemy.event.listen(Engine, "commit", self.before_commit)

    def before(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, with a step before it; what is behind one is before the next."""

        def do(*arguments: Any, **named: Any) -> Any:
            self.step(name)
            return call(*arguments, **named)

        return do

    def before_waiting(self, call: Callable[..., int]) -> Callable[..., int]:
        """The same; but one step however often somebody looks whether the process has ended."""
        step = self.before(WAITING, call)

        def do(*arguments: Any, **named: Any) -> int:
            found: int = (call if self.taken[-1:] == [WAITING] else step)(*arguments, **named)
            return found

        return do

    def before_statement(self, *arguments: Any) -> None:
        """A step before everything that writes."""
        if arguments[2].startswith(("INSERT", "UPDATE")):
            self.step(arguments[2].partition(" (")[0].partition(" VALUES")[0].partition(" SET")[0])

    def before_commit(self, _connection: object) -> None:
        """A step, if anything was written: how often views that are behind try in vain is up to chance."""
        if self.taken and self.taken[-1].startswith(("INSERT", "UPDATE")):
            self.step("commit")

    def step(self, name: str) -> None:
        """Take one; only the threads that fetch do."""
        if threading.current_thread().name.startswith(self.source):
            self.taken.append(name)
            if self.last == NEVER:
                self.lay.append(lies(self.folder))
            if len(self.taken) == self.last:
                os.kill(os.getpid(), signal.SIGKILL)


class Crashes:
    """The process that forks a worker for each life; `peak` is what the last one had in memory at most (KiB)."""

    peak = 0

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.crash"]
        root = Path(__file__).parents[1]
        self._process = subprocess.Popen(command, cwd=root, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._process.__exit__(*error)

    def work(
        self,
        folder: Path,
        server: Imitation,
        last: int = NEVER,
        source: str = SOURCE,
        signatures: bool = False,
        hurry: bool = False,
        documents: str | None = None,
    ) -> int:
        """Let a worker fetch what is wanted there, and check it or not, until the last step; its exit code."""
        stdin: IO[str] | None = self._process.stdin
        stdout: IO[str] | None = self._process.stdout
        assert stdin is not None
        assert stdout is not None
        put = documents or str(folder / "data" / "documents")
        stdin.write(json.dumps([str(folder), put, server.url, last, source, signatures, hurry]) + "\n")
        stdin.flush()
        code, self.peak = map(int, stdout.readline().split())
        return code


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """Time passes at once, and what fails is soon given up."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(schedule, "SECONDS", (0,) * len(schedule.SECONDS))
        patched.setattr(schedule, "RETRIES", RETRIES)
        patched.setattr(schedule, "_LONGEST_RETRY_AFTER", 0.1)
        patched.setattr(schedule, "_RETRIES", {errors.NotAccessible: RETRIES, errors.Hopeless: 0})
        yield


def lies(folder: Path) -> str:
    """A digest of what lies in a folder, as whoever comes next finds it: names, modes and bytes."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if not path.name.startswith(_BY_CHANCE) and not path.name.endswith("-shm"):
            found.update(f"{path} {path.lstat().st_mode}".encode())
            found.update(path.read_bytes() if path.is_file() else b"")
    return found.hexdigest()


def ended(worker: Worker, after: int = 0) -> bool:
    """Whether nothing will happen any more by itself: all is stored or given up, or the key was refused.

    Refused behind the position `after`: whoever begins tries again. What is made of a document that was given up waits.
    """
    known = worker.artifacts()
    if any(each.state == artifacts.FAILED and each.next_at is None and each.acted > after for each in known.values()):
        return True
    return bool(known) and not any(
        each.state in artifacts.OPEN and not _in_vain(known, *key) for key, each in known.items()
    )


def _in_vain(known: Mapping[tuple[str, str], artifacts.State], subject: str, name: str) -> bool:
    made_of = known.get((subject, evro.ENCRYPTED)) if name == evro.DOCUMENTS else None
    return made_of is not None and made_of.state == artifacts.ABANDONED


def run(folder: str, documents: str, url: str, last: int, source: str, signatures: bool, hurry: bool) -> None:
    """Work to the end, or to the last step."""
    logs.configure()
    steps = Steps(last, source, Path(folder))
    hurry_up = hurried() if hurry else contextlib.nullcontext()
    with hurry_up, worker_of(source, Path(folder), documents, url, signatures) as worker:
        worker.run(lambda: ended(worker))
    Path(folder, "steps").write_text(json.dumps(steps.taken))
    Path(folder, "lay").write_text(json.dumps(steps.lay))


def worker_of(source: str, folder: Path, documents: str, url: str, signatures: bool) -> Worker:
    """A worker with one source of that name; a private key lies in the folder, if it needs one."""
    if source == SOURCE:
        return Worker(folder, url, documents=documents, check_signatures=signatures)
    sources = {evro.SOURCE: evro.source(folder, url, [folder / evro.KEY])}
    return Worker(folder, documents=documents, sources=sources, check_signatures=signatures)


def main() -> None:
    """Fork, wait, tell how it ended; one line each."""
    httpx.Client().close()  # imports what it needs, so that no forked process has to
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            run(*json.loads(line))
            os._exit(0)
        _, status, used = os.wait4(child, 0)
        print(os.waitstatus_to_exitcode(status), used.ru_maxrss, flush=True)


if __name__ == "__main__":
    main()
