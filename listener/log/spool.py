"""The spool: callbacks on the local disk, while the database cannot take them."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from listener import errors
from listener.log import mark
from listener.log.mark import Mark
from listener.log.reader import Tip
from listener.log.spooled import Spooled, line, parse

MOST_BYTES: Final = 1024 * 1024 * 1024
SEGMENT_BYTES: Final = 16 * 1024 * 1024  # so much of it is in memory while it is drained
DAMAGED: Final = "damaged"
LOG: Final = "log"  # which log it belongs to, and where that ended
_SUFFIX: Final = ".spool"
_OPEN: Final = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass
class Segment:
    """One file of the spool. Who holds its lock writes it, or drains it: several doors may have one folder."""

    path: Path
    fd: int
    size: int

    def content(self) -> bytes:
        """All of it."""
        with open(self.fd, "rb", closefd=False) as file:
            file.seek(0)
            return file.read()


class Spool:
    """A folder of segments, which only grow, and are removed when the log has all that they say."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent)
        self._folder = folder
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._open: Segment | None = None
        self._closed = [found for path in segments(folder) if (found := _claimed(path)) is not None]
        self.kept = sum(segment.size for segment in self._closed)  # bytes, ever; to be read by any thread
        self.removed = 0

    def belong(self, log: bytes, tip: Tip) -> None:
        """Take it that the log is the one with this id. Raises UnsuitableDatabase if what waits is another one's."""
        known = mark.read(self._folder / LOG)
        if known is not None and known.log != log.hex() and self.waiting:
            raise errors.UnsuitableDatabase(
                f"what waits in {self._folder} belongs to the log {known.log}, and this is {log.hex()}; "
                "see database_url"
            )
        with self._lock:
            self._write(Mark(log.hex(), tip))

    @property
    def tip(self) -> Tip:
        """Where the log ended when that was last noted: behind it stands whatever comes from now on."""
        known = mark.read(self._folder / LOG)
        return Tip() if known is None else known.tip

    def note(self, tip: Tip) -> None:
        """Keep where the log ends. An older one is no less right: more is looked at."""
        with self._lock:
            self._note(tip)

    def _note(self, tip: Tip) -> None:
        known = mark.read(self._folder / LOG)
        if known is not None and tip.leaf:
            self._write(known._replace(tip=tip))

    def _write(self, found: Mark) -> None:
        if found != mark.read(self._folder / LOG):
            mark.write(self._folder / LOG, found)
            _sync(self._folder)

    @property
    def waiting(self) -> int:
        """How many bytes wait."""
        return self.kept - self.removed

    def keep(self, records: Sequence[Spooled]) -> None:
        """Store these durably, all or none. Raises Overloaded if there is no room, OSError if the disk has none."""
        content = b"".join(map(line, records))
        with self._lock:
            if self.waiting + len(content) > self._most_bytes:
                raise errors.Overloaded(f"{self.waiting} bytes wait in {self._folder} already")
            if self._open is None:
                for record in records[-1:]:
                    self._note(record.tip)
                self._open = _begun(self._folder)
            segment = self._open
            try:
                _write(segment.fd, content)
                os.fdatasync(segment.fd)
            except OSError:
                self._take_back(segment)
                raise
            self._grow(segment, len(content))
            if segment.size >= SEGMENT_BYTES:
                self._roll()

    def oldest(self) -> Segment | None:
        """The segment to drain next, to which nothing is added any more."""
        with self._lock:
            if not self._closed and self._open is not None and self._open.size:
                self._roll()
            return self._closed[0] if self._closed else None

    def remove(self, segment: Segment) -> None:
        """Forget a segment, because the log has what it says."""
        with self._lock:
            segment.path.unlink(missing_ok=True)
            os.close(segment.fd)
            self._closed.remove(segment)
            self.removed += segment.size

    def set_aside(self, piece: bytes) -> None:
        """Keep for a person what nobody can read, or no database take: durably, before its segment is removed."""
        with contextlib.closing(_File(self._folder / DAMAGED, os.O_CREAT)) as file:
            _write(file.fd, piece + b"\n")
            os.fsync(file.fd)
        _sync(self._folder)

    def close(self) -> None:
        """Let go of all segments; the next door drains them."""
        with self._lock:
            for segment in [*self._closed, *([self._open] if self._open else [])]:
                os.close(segment.fd)
            self._closed, self._open = [], None

    def _grow(self, segment: Segment, by: int) -> None:
        segment.size += by
        self.kept += by

    def _roll(self) -> None:
        if self._open is not None:
            self._closed.append(self._open)
            self._open = None

    def _take_back(self, segment: Segment) -> None:
        """Whoever waited hears that it is not stored. If it cannot be removed it stays, and is appended once."""
        try:
            os.ftruncate(segment.fd, segment.size)
        except OSError:
            self._grow(segment, os.fstat(segment.fd).st_size - segment.size)
            self._roll()


class _File:
    """An open file that is closed at the end of a block."""

    def __init__(self, path: Path, flags: int = 0) -> None:
        self.fd = os.open(path, _OPEN | flags, 0o600)

    def close(self) -> None:
        os.close(self.fd)


def segments(folder: Path) -> list[Path]:
    """All segments of a folder, oldest first, whoever has them."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


def _begun(folder: Path) -> Segment:
    """A new segment, which is there after a power cut."""
    names = segments(folder)
    number = int(names[-1].stem) + 1 if names else 1
    while True:
        path = folder / f"{number:010}{_SUFFIX}"
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, 0o600))
            if (segment := _claimed(path)) is not None:
                _sync(folder)
                return segment
        number += 1


def _claimed(path: Path) -> Segment | None:
    """The segment, unless somebody else has it, or had it."""
    with contextlib.ExitStack() as undone:
        try:
            fd = os.open(path, _OPEN)
            undone.callback(os.close, fd)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (FileNotFoundError, BlockingIOError):
            return None
        found = os.fstat(fd)
        if found.st_nlink == 0:
            return None
        undone.pop_all()
        return Segment(path, fd, found.st_size)


def _write(fd: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(fd, left) :]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Standing(NamedTuple):
    """What lies in a spool: how many callbacks wait, since when (microseconds UTC), and pieces that were set aside."""

    callbacks: int
    since: int | None
    damaged: int


def standing(folder: Path) -> Standing:
    """What lies there, as far as anybody can see who only looks."""
    waiting, since = 0, None
    for path in segments(folder):
        for piece in _lines(path):
            waiting += 1
            if since is None and (record := parse(piece.removesuffix(b"\n"))) is not None:
                since = record.draft.spooled_at
    return Standing(waiting, since, sum(1 for _ in _lines(folder / DAMAGED)))


def _lines(path: Path) -> Iterator[bytes]:
    """What was written as lines; nothing if the file is gone meanwhile, or cut."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        yield from (each for each in file if each.endswith(b"\n"))
