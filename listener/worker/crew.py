"""Those who share a build: this process alone if it is not much, else processes of their own, on all processors."""

import contextlib
import secrets
import selectors
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Final

import msgspec
from sqlalchemy import Engine

from listener import errors, parent
from listener.worker.piece import Stretch
from listener.worker.share import NOBODYS, NOTHING, SAID, Job, Tell, sharing

_FAILED: Final = 1  # how a process of ours ends that an error ended, and no event


def work_here(log: Engine, job: Job, tell: Tell) -> None:
    """Do all of a job that nobody shares."""
    with sharing(log, job, tell) as share:
        share.read()
        for number in range(job.partitions):
            share.fold(number)
        share.wait()


def work_there(jobs: Sequence[Job], count: Callable[[int], None]) -> None:
    """Let a process of its own do each of the jobs that make up a build.

    `count` hears how many more events were read, or folded. Raises Died if one ends before its time, LogError if one
    fails.
    """
    with contextlib.ExitStack() as started:
        # Which partition a subject belongs to goes by its hash: nobody may foresee it, and all must have the same.
        seed = str(secrets.randbelow(2**32))
        crew = [started.enter_context(_started(job, seed)) for job in jobs]
        _work(crew, range(0), count)
        _work(crew, range(jobs[0].partitions), count)
        for each in crew:
            each.end()


def _work(crew: Sequence["_Process"], partitions: Sequence[int], count: Callable[[int], None]) -> None:
    """Give each partition to who is free, until all are folded and all are free."""
    left = deque(partitions)
    with selectors.DefaultSelector() as heard:
        for each in crew:
            heard.register(each.answers, selectors.EVENT_READ, each)
        while left or any(each.busy for each in crew):
            for each in crew:
                if left and not each.busy:
                    each.fold(left.popleft())
            for key, _ in heard.select():
                count(key.data.hear())


class _Process:
    """One of the crew. It is busy from its start on: it reads."""

    def __init__(self, process: "subprocess.Popen[bytes]", orders: IO[bytes], answers: IO[bytes]) -> None:
        self._process = process
        self._orders = orders
        self.answers = answers
        self._stretch = NOTHING
        self.busy = True

    def fold(self, partition: int) -> None:
        """Let it fold a partition."""
        self.busy = True
        with contextlib.suppress(BrokenPipeError):  # it died: that is heard where it should answer
            self._orders.write(b"%d\n" % partition)

    def hear(self) -> int:
        """How much it has done. What it is about to take in is noted."""
        said = self.answers.read(SAID.size)
        if len(said) < SAID.size:
            raise self._ended()
        after, until, done = SAID.unpack(said)
        self.busy = (after, until) != NOTHING
        self._stretch = Stretch(after, until)
        return int(done)

    def end(self) -> None:
        """Let it end, and wait for that: then what it has made is whole."""
        self._orders.close()
        if self._process.wait():
            raise self._ended()

    def _ended(self) -> errors.LogError:
        self._process.kill()
        if self._process.wait() == _FAILED or self._stretch in (NOTHING, NOBODYS):
            return errors.LogError(
                "a process that builds views ended before its time; see what it said above, if anything"
            )
        after, until = self._stretch
        return errors.Died(f"a process that takes in events {after + 1} to {until} ended before its time", after, until)


@contextlib.contextmanager
def _started(job: Job, seed: str) -> Iterator[_Process]:
    command = ("env", f"PYTHONHASHSEED={seed}", *parent.command("listener.worker.share"))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:  # noqa: S603
        try:
            assert process.stdin is not None  # noqa: S101  it was asked for
            assert process.stdout is not None  # noqa: S101  it was, too
            # Everybody may read the arguments of a process, and the address may hold a password.
            process.stdin.write(msgspec.json.encode(job) + b"\n")
            yield _Process(process, process.stdin, process.stdout)
        finally:
            process.kill()
