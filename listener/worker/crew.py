"""Those who share a build: this process alone if it is not much, else processes of their own, on all processors."""

import contextlib
import selectors
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

import msgspec
from sqlalchemy import Engine

from listener import errors, parent
from listener.worker import borders, spill
from listener.worker.piece import Stretch
from listener.worker.share import NOBODYS, NOTHING, READ, SAID, SAMPLE, Job, Order, Tell, sharing

Made = Callable[[Order], None]  # hears what is done, when it is

_FAILED: Final = 1  # how a process of ours ends that an error ended, and no event
_ORDERS: Final = 2  # that a process has at once: it need not wait for the next one


def work_here(log: Engine, job: Job, tell: Tell, made: Made) -> None:
    """Do all of a job that nobody shares."""
    with sharing(log, job, tell) as share:
        for orders in _steps(job):
            for order in orders:
                share.do(order)
                made(order)


@contextlib.contextmanager
def hired(processes: int) -> Iterator[Sequence["Process"]]:
    """So many processes, which take a while to begin."""
    with contextlib.ExitStack() as started:
        yield [started.enter_context(_started()) for _ in range(processes)]


def work_there(crew: Sequence["Process"], job: Job, count: Callable[[int], None], made: Made) -> None:
    """Let these processes share a job.

    `count` hears how many more events were read, or folded. Raises Died if one ends before its time, LogError if one
    fails. None is left when this returns or raises: their folder may be removed.
    """
    with contextlib.ExitStack() as ended:
        for number, each in enumerate(crew):
            ended.callback(each.kill)
            each.begin(msgspec.structs.replace(job, number=number))
        for orders in _steps(job):
            _work(crew, orders, count, made)
        for each in crew:
            each.end()


def _steps(job: Job) -> Iterator[Sequence[Order]]:
    """What can be done at once, step by step: each begins when all of the one before is done."""
    spill.begin(Path(job.folder), job.processes, job.partitions)
    samples = [Order(SAMPLE, number) for number in range(job.processes)] if job.partitions > 1 else []
    yield samples
    found = [subject for order in samples for subject in borders.read(job.made(order))]
    borders.write(job.borders, borders.draw(found, job.partitions))
    yield [order for order in job.orders if order.what == READ]
    yield [order for order in job.orders if order.what != READ]


def _work(crew: Sequence["Process"], orders: Sequence[Order], count: Callable[[int], None], made: Made) -> None:
    """Let whoever is free do the next one, until all are done."""
    left = deque(orders)
    with selectors.DefaultSelector() as heard:
        for each in crew:
            heard.register(each.answers, selectors.EVENT_READ, each)
        while left or any(each.orders for each in crew):
            _give(crew, left)
            for key, _ in heard.select():
                count(key.data.hear(made))


def _give(crew: Sequence["Process"], left: deque[Order]) -> None:
    for many in range(_ORDERS):
        for each in crew:
            if left and len(each.orders) <= many:
                each.take(left.popleft())


class Process:
    """One of the crew, and what it has yet to do."""

    def __init__(self, process: "subprocess.Popen[bytes]", orders: IO[bytes], answers: IO[bytes]) -> None:
        self._process = process
        self._orders = orders
        self.answers = answers
        self._stretch = NOTHING
        self.orders = deque[Order]()

    def begin(self, job: Job) -> None:
        """Tell it what it is a part of: not by arguments, which everybody may read, and the log's address is secret."""
        self._say(job)

    def take(self, order: Order) -> None:
        """Let it do this, too."""
        self.orders.append(order)
        self._say(order)

    def _say(self, line: Job | Order) -> None:
        with contextlib.suppress(BrokenPipeError):  # it died: that is heard where it should answer
            self._orders.write(msgspec.json.encode(line) + b"\n")

    def hear(self, made: Made) -> int:
        """How many events it has taken in. What it is about to take in is noted."""
        said = self.answers.read(SAID.size)
        if len(said) < SAID.size:
            raise self._ended()
        after, until, done = SAID.unpack(said)
        self._stretch = Stretch(after, until)
        if self._stretch == NOTHING:
            made(self.orders.popleft())
        return int(done)

    def end(self) -> None:
        """Let it end, and wait for that."""
        self._orders.close()
        if self._process.wait():
            raise self._ended()

    def kill(self) -> int:
        """See that it has ended; how it did."""
        self._process.kill()
        return self._process.wait()

    def _ended(self) -> errors.LogError:
        if self.kill() == _FAILED or self._stretch in (NOTHING, NOBODYS):
            return errors.LogError(
                "a process that builds views ended before its time; see what it said above, if anything"
            )
        after, until = self._stretch
        return errors.Died(f"a process that takes in events {after + 1} to {until} ended before its time", after, until)


@contextlib.contextmanager
def _started() -> Iterator[Process]:
    command = parent.command("listener.worker.share")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:  # noqa: S603
        try:
            assert process.stdin is not None  # noqa: S101  it was asked for
            assert process.stdout is not None  # noqa: S101  it was, too
            yield Process(process, process.stdin, process.stdout)
        finally:
            process.kill()
