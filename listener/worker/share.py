"""One process' share of a build: it reads section after section of the log, and folds partition after partition.

`python -m listener.worker.share` reads a Job from the first line of its standard input, and from each further line an
Order. On its standard output it says what it is about to take in, and when it has done what it was told.
"""

import contextlib
import gc
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection, Engine

from listener import bookkeeping
from listener.acts import Subject
from listener.log import address
from listener.log.sqlite import sqlite_engine
from listener.projection import MADE_ONCE
from listener.worker import borders, part, piece, spill
from listener.worker.partition import Partition
from listener.worker.piece import Stretch, is_alone, pieces
from listener.worker.spill import Chunk, Spills

Tell = Callable[[Stretch, int], None]  # what is about to be taken in; and how many events were read or folded before

FACTS: Final = 1_000  # about as many are folded before it is said what comes next …
SPAN: Final = 25_000  # … or fewer, if they are of so many events: one may be looked for among them
SAID: Final = struct.Struct("<qqq")  # how a process says what Tell is told
NOTHING: Final = Stretch(-1, -1)  # is about to be taken in: what was ordered is done
NOBODYS: Final = Stretch(0, 0)  # what is done next is the work of no event
_OBJECTS: Final = 200_000  # that may be made before cycles are looked for

SAMPLE: Final = "sample"  # say of whom some events speak
READ: Final = "read"  # a section of the log: share out what it says, and write the rows that need no state
FOLD: Final = "fold"  # a partition of the subjects, when all of the log is read


class Order(msgspec.Struct, frozen=True):
    """What a process is to do, and with which section or partition."""

    what: str
    number: int


class Job(msgspec.Struct, frozen=True):
    """What is to be done by all who share a build, and which of them this is; `log` is its address.

    The events up to `until` are taken in; those of `alone` one by one, and `only` one subject's part of all.
    """

    log: str
    folder: str
    until: int
    sections: int
    partitions: int
    processes: int
    number: int
    fingerprint: str
    alone: Stretch | None = None
    only: Subject | None = None

    @property
    def orders(self) -> list[Order]:
        """What makes the parts of the generation, in the order in which they are put in."""
        return [
            *(Order(READ, number) for number in range(self.sections)),
            *(Order(FOLD, number) for number in range(self.partitions)),
        ]

    @property
    def borders(self) -> Path:
        """The file of the borders between the partitions."""
        return Path(self.folder) / "borders"

    def made(self, order: Order) -> Path:
        """The file of what is made on an order."""
        return Path(self.folder) / f"{order.number}.{order.what}"

    def section(self, number: int) -> Stretch:
        """The events of a section."""
        return Stretch(self.until * number // self.sections, self.until * (number + 1) // self.sections)


class Share:
    """Does what it is ordered to."""

    def __init__(self, log: Engine, noted: Connection, job: Job, tell: Tell) -> None:
        self._log = log
        self._noted = noted
        self._job = job
        self._folder = Path(job.folder)
        self._tell = tell
        self._done = 0

    def do(self, order: Order) -> None:
        """Do it, and say so."""
        if order.what == SAMPLE:
            self._sample(order)
        else:
            with part.writing(self._job.made(order)) as made:
                (self._read if order.what == READ else self._fold)(order.number, made)
        self._about(NOTHING)

    def _sample(self, order: Order) -> None:
        job = self._job
        stretch = Stretch(*(job.until * number // job.processes for number in (order.number, order.number + 1)))
        subjects = borders.sample(self._log, stretch, -(-job.partitions // job.processes), self._about)
        borders.write(job.made(order), subjects)

    def _read(self, number: int, made: part.Part) -> None:
        job = self._job
        with Spills(self._folder, job.number, borders.read(job.borders)) as spills:
            for whole in pieces(self._log, job.section(number), job.alone, self._about):
                found = whole if job.only is None else whole.of(*job.only)
                spills.add(found)
                for projection, rows in zip(MADE_ONCE, found.rows or [()] * len(MADE_ONCE), strict=True):
                    made.add(projection.TABLE, piece.last_of_each(projection, found, rows))
                self._done += found.stretch.until - found.stretch.after

    def _fold(self, number: int, made: part.Part) -> None:
        job = self._job
        partition = Partition(self._log, self._noted, made, job.fingerprint)
        for together in self._together(number):
            self._about(Stretch(together[0].stretch.after, together[-1].stretch.until))
            for chunk in together:
                partition.take(chunk)
        self._about(NOBODYS)
        partition.finish()
        self._done += job.until * (number + 1) // job.partitions - job.until * number // job.partitions

    def _together(self, number: int) -> Iterator[list[Chunk]]:
        """The chunks of a partition, a few at once; but alone what is to be taken in alone."""
        found: list[Chunk] = []
        for chunk in spill.chunks(self._folder, self._job.processes, number):
            if found and (self._is_alone(found[-1]) or self._is_alone(chunk) or _is_much(found)):
                yield found
                found = []
            found.append(chunk)
        if found:
            yield found

    def _is_alone(self, chunk: Chunk) -> bool:
        return is_alone(chunk.stretch.after, self._job.alone)

    def _about(self, stretch: Stretch) -> None:
        self._tell(stretch, self._done)
        self._done = 0


def _is_much(chunks: list[Chunk]) -> bool:
    span = chunks[-1].stretch.until - chunks[0].stretch.after
    return span >= SPAN or sum(len(chunk.facts) for chunk in chunks) >= FACTS


@contextlib.contextmanager
def sharing(log: Engine, job: Job, tell: Tell) -> Iterator[Share]:
    """A share of a build."""
    with _seldom_collecting(), _noting(Path(job.folder) / f"{job.number}.noted") as noted:
        yield Share(log, noted, job, tell)


@contextlib.contextmanager
def _noting(path: Path) -> Iterator[Connection]:
    """A database for the faults of one partition, and what waits behind them: there may be more than memory holds."""
    engine = sqlite_engine(path, {"journal_mode": "off", "synchronous": 0, "cache_size": -8_192})
    try:
        with engine.begin() as connection:
            for table in (bookkeeping.faults, bookkeeping.parked):
                table.create(connection)
            yield connection
    finally:
        engine.dispose()


@contextlib.contextmanager
def _seldom_collecting() -> Iterator[None]:
    """A block that makes much and leaves no cycles: to look for some again and again is not free."""
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _main() -> None:
    """Until there is nothing more to do, or nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us is interrupted, too, and ends us
    told = sys.stdin.buffer.readline()
    if not told:  # whoever started us is gone
        return
    job = msgspec.json.decode(told, type=Job)
    with open(1, "wb", buffering=0, closefd=False) as pipe:

        def tell(stretch: Stretch, done: int) -> None:
            pipe.write(SAID.pack(*stretch, done))  # so little is written at once or not at all

        with contextlib.suppress(BrokenPipeError), sharing(address.reading(job.log), job, tell) as share:
            for order in sys.stdin.buffer:
                share.do(msgspec.json.decode(order, type=Order))


if __name__ == "__main__":
    _main()
