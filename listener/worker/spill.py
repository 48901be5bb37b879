"""What is said of the subjects of each partition, in files: so that one partition after the other fits into memory."""

import heapq
import itertools
from collections.abc import Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from listener.acts import Subject
from listener.worker.borders import partition
from listener.worker.fold import Faulty
from listener.worker.frames import frame, frames
from listener.worker.piece import Piece, Stretch
from projections.facts import Fact

_BUFFERED: Final = 4 * 1024 * 1024  # bytes, of all partitions together


class Chunk(msgspec.Struct, array_like=True, gc=False):
    """What a piece says of the subjects of a partition. `made`: whether the rows of MADE_ONCE came with it."""

    stretch: Stretch
    decides: bool
    facts: Sequence[Fact]
    faults: Sequence[Faulty]
    made: bool


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Chunk).decode


class Spills:
    """The chunks of a stretch on their way to the files of their partitions, behind those of stretches before it."""

    def __init__(self, folder: Path, process: int, borders: Sequence[Subject]) -> None:
        self._borders = borders
        self._paths = [_path(folder, process, number) for number in range(len(borders) + 1)]
        self._buffers = [bytearray() for _ in self._paths]
        self._buffered = 0

    def add(self, piece: Piece) -> None:
        """Share a piece out. A decision about faults concerns every partition."""
        facts: list[list[Fact]] = [[] for _ in self._paths]
        faults: list[list[Faulty]] = [[] for _ in self._paths]
        for fact in piece.facts:
            facts[partition(self._borders, fact.source, fact.subject)].append(fact)
        for fault in piece.faults:
            faults[partition(self._borders, fault.source, fault.subject)].append(fault)
        for number, shared in enumerate(zip(facts, faults, strict=True)):
            if any(shared) or piece.decides:
                self._put(number, _encode(Chunk(piece.stretch, piece.decides, *shared, piece.rows is not None)))

    def _put(self, number: int, body: bytes) -> None:
        self._buffers[number] += frame(body)
        self._buffered += len(body)
        if self._buffered >= _BUFFERED:
            self._flush()

    def _flush(self) -> None:
        for path, buffer in zip(self._paths, self._buffers, strict=True):
            if not buffer:
                continue
            with path.open("ab") as file:  # not open all the time: there may be thousands
                file.write(buffer)
            buffer.clear()
        self._buffered = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()


def begin(folder: Path, processes: int, partitions: int) -> None:
    """Make the files that processes share out to: one that is missing later was lost."""
    for process, number in itertools.product(range(processes), range(partitions)):
        _path(folder, process, number).touch()


def chunks(folder: Path, processes: int, number: int) -> Iterator[Chunk]:
    """What was shared out to a partition, in the order of the log; then its files are removed."""
    paths = [_path(folder, process, number) for process in range(processes)]
    yield from heapq.merge(*map(_chunks, paths), key=attrgetter("stretch"))
    for path in paths:
        path.unlink()


def _chunks(path: Path) -> Iterator[Chunk]:
    with path.open("rb") as file:
        yield from map(_decode, frames(file))


def _path(folder: Path, process: int, number: int) -> Path:
    return folder / f"{process}-{number}.spill"
