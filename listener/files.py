"""Files that appear whole or not at all, and are read only if they are files."""

import contextlib
import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Final

_READ_BYTES: Final = 1024 * 1024


def create(path: Path, content: bytes) -> None:
    """Make a file that only we may read. Raises FileExistsError if it is there."""
    _appear(path, content, os.link)


def replace(path: Path, content: bytes) -> None:
    """Make a file that everybody may read who may look into its folder, in the place of one that may be there."""
    _appear(path, content, os.replace, 0o644)


def _appear(path: Path, content: bytes, move: Callable[[Path, Path], None], mode: int = 0o600) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        move(Path(name), path)
    finally:
        Path(name).unlink(missing_ok=True)
    sync_folder(path.parent)


def sync(path: Path) -> None:
    """Make what was written to a file survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    sync(folder)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A regular file, never what a link points to. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def digest(file: IO[bytes]) -> tuple[str, int]:
    """The SHA-256 of what is left of an open file, and its size in bytes."""
    return hashed(chunks(file))


def hashed(pieces: Iterable[bytes]) -> tuple[str, int]:
    """The SHA-256 of all of them, and how many bytes they have."""
    found, size = hashlib.sha256(), 0
    for piece in pieces:
        found.update(piece)
        size += len(piece)
    return found.hexdigest(), size


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """What is left of an open file, piece by piece."""
    while chunk := file.read(_READ_BYTES):
        yield chunk
