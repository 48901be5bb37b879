"""What is said of the subjects of each partition, in files: so that one partition after the other fits into memory."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from listener.worker.fold import Faulty
from listener.worker.piece import Piece, Stretch
from projections.facts import Fact

_LENGTH: Final = struct.Struct("<I")
_BUFFERED: Final = 4 * 1024 * 1024  # bytes, of all partitions together
_UNREADABLE: Final = 0  # the partition of what nobody can tell of whom it speaks


class Chunk(msgspec.Struct, array_like=True, gc=False):
    """What a piece says of the subjects of a partition. `made`: whether the rows of MADE_ONCE came with it."""

    stretch: Stretch
    decides: bool
    facts: Sequence[Fact]
    faults: Sequence[Faulty]
    made: bool


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Chunk).decode


def partition(source: str, subject: str | None, of: int) -> int:
    """Which of so many partitions a subject belongs to: the same in all processes that have one PYTHONHASHSEED."""
    return _UNREADABLE if subject is None else hash((source, subject)) % of


class Spills:
    """The chunks of a stretch on their way to the files of their partitions."""

    def __init__(self, folder: Path, stretch: Stretch, partitions: int) -> None:
        self._paths = [_path(folder, stretch, number) for number in range(partitions)]
        self._buffers = [bytearray() for _ in range(partitions)]
        self._buffered = 0

    def add(self, piece: Piece) -> None:
        """Share a piece out. A decision about faults concerns every partition."""
        of = len(self._paths)
        shared: list[list[Fact]] = [[] for _ in range(of)]
        for fact in piece.facts:
            shared[partition(fact.source, fact.subject, of)].append(fact)
        made = piece.rows is not None
        for number, facts in enumerate(shared):
            faults = piece.faults if number == _UNREADABLE else ()
            if facts or faults or piece.decides:
                self._put(number, _encode(Chunk(piece.stretch, piece.decides, facts, faults, made)))

    def _put(self, number: int, body: bytes) -> None:
        self._buffers[number] += _LENGTH.pack(len(body)) + body
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
        for path in self._paths:  # one that is missing later was lost
            path.touch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()


def chunks(folder: Path, stretches: Iterable[Stretch], number: int) -> Iterator[Chunk]:
    """What was shared out to a partition, in the order of the log. A file that was read to its end is removed."""
    for stretch in stretches:
        path = _path(folder, stretch, number)
        with path.open("rb") as file:
            while head := file.read(_LENGTH.size):
                yield _decode(file.read(_LENGTH.unpack(head)[0]))
        path.unlink()


def _path(folder: Path, stretch: Stretch, number: int) -> Path:
    return folder / f"{stretch.after}-{stretch.until}-{number}.spill"
