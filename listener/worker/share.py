"""One process' share of a build: it reads a stretch of the log, and folds partition after partition.

`python -m listener.worker.share` reads a Job from the first line of its standard input, and from each further line the
number of a partition. On its standard output it says what it is about to take in, and when it waits.
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

from listener import rows
from listener.acts import Subject
from listener.log import address
from listener.projection import MADE_ONCE
from listener.worker import part, spill
from listener.worker.partition import Partition
from listener.worker.piece import Stretch, is_alone, pieces
from listener.worker.spill import Chunk, Spills

Tell = Callable[[Stretch, int], None]  # what is about to be taken in; and how many events were read or folded before

FACTS: Final = 1_000  # about as many are folded before it is said what comes next …
SPAN: Final = 25_000  # … or fewer, if they are of so many events: one may be looked for among them
SAID: Final = struct.Struct("<qqq")  # how a process says what Tell is told
NOTHING: Final = Stretch(-1, -1)  # is about to be taken in: it waits
NOBODYS: Final = Stretch(0, 0)  # what is done next is the work of no event
_OBJECTS: Final = 200_000  # that may be made before cycles are looked for


class Job(msgspec.Struct, frozen=True):
    """What is to be done by all who share a build, and which of them this is; `log` is its address.

    The events of `alone` are taken in one by one, and `only` one subject's part of all.
    """

    log: str
    folder: str
    stretches: tuple[Stretch, ...]  # one for each who shares
    number: int
    partitions: int
    fingerprint: str
    alone: Stretch | None = None
    only: Subject | None = None

    @property
    def part(self) -> Path:
        """The file of the rows that it makes."""
        return Path(self.folder) / f"{self.number}.part"


class Share:
    """Reads its stretch once; when all have, it folds the partitions that it is given."""

    def __init__(self, log: Engine, made: Connection, job: Job, tell: Tell) -> None:
        self._log = log
        self._part = made
        self._job = job
        self._folder = Path(job.folder)
        self._tell = tell
        self._done = 0

    def read(self) -> None:
        """Share out what the events of the stretch say, and write the rows that need no state."""
        job = self._job
        stretch = job.stretches[job.number]
        with Spills(self._folder, stretch, job.partitions) as spills:
            for whole in pieces(self._log, stretch, job.alone, self._about):
                piece = whole if job.only is None else whole.of(*job.only)
                spills.add(piece)
                for projection, made in zip(MADE_ONCE, piece.rows or [()] * len(MADE_ONCE), strict=True):
                    rows.write(self._part, projection.TABLE, made)
                self._done += piece.stretch.until - piece.stretch.after

    def fold(self, number: int) -> None:
        """Fold all that is said of the subjects of a partition."""
        job = self._job
        partition = Partition(self._log, self._part, job.fingerprint, number, job.partitions)
        for together in self._together(number):
            self._about(Stretch(together[0].stretch.after, together[-1].stretch.until))
            for chunk in together:
                partition.take(chunk)
        self._about(NOBODYS)
        partition.finish()
        until = job.stretches[-1].until
        self._done += until * (number + 1) // job.partitions - until * number // job.partitions

    def _together(self, number: int) -> Iterator[list[Chunk]]:
        """The chunks of a partition, a few at once; but alone what is to be taken in alone."""
        found: list[Chunk] = []
        for chunk in spill.chunks(self._folder, self._job.stretches, number):
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

    def wait(self) -> None:
        """Say that what there was to do is done."""
        self._about(NOTHING)


def _is_much(chunks: list[Chunk]) -> bool:
    span = chunks[-1].stretch.until - chunks[0].stretch.after
    return span >= SPAN or sum(len(chunk.facts) for chunk in chunks) >= FACTS


@contextlib.contextmanager
def sharing(log: Engine, job: Job, tell: Tell) -> Iterator[Share]:
    """A share of a build; its part is whole when the block ends."""
    with _seldom_collecting(), part.writing(job.part) as made:
        yield Share(log, made, job, tell)


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
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    with open(1, "wb", buffering=0, closefd=False) as pipe:

        def tell(stretch: Stretch, done: int) -> None:
            pipe.write(SAID.pack(*stretch, done))  # so little is written at once or not at all

        with contextlib.suppress(BrokenPipeError), sharing(address.reading(job.log), job, tell) as share:
            share.read()
            share.wait()
            for line in sys.stdin.buffer:
                share.fold(int(line))
                share.wait()


if __name__ == "__main__":
    _main()
