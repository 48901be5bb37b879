"""What comes is written to a draft on this machine first: counted, hashed and looked at before it has a place."""

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from listener import errors, files
from listener.api import Stream
from listener.worker import looks

MOST_BYTES: Final = 1024**3
_INCOMING: Final = ".incoming"
_CHECK_DISK_EVERY: Final = 16 * 1024 * 1024


class Draft(NamedTuple):
    """A whole document that nobody sees yet: its file, its name there, its hash and its size in bytes."""

    file: IO[bytes]
    path: Path
    sha256: str
    size: int


class Drafts:
    """A folder below the one of documents, and the reserve of its disk.

    Where several workers put documents there, each is a `worker` of another name, with a place of its own for what
    comes in, and `living` names those that live.
    """

    def __init__(
        self, documents: Path, disk_reserve: int, worker: str = "", living: Callable[[], Collection[str]] = tuple
    ) -> None:
        self.folder = documents / _INCOMING / worker
        self._documents = documents
        self._disk_reserve = disk_reserve
        self._living = living

    def prepare(self) -> None:
        """Make the folder, and drop what interrupted fetches left behind, but for those of who lives.

        Without such names only for who holds a lock that proves that nobody else fetches.
        """
        living, incoming = self._living(), self._documents / _INCOMING
        self._make_room()
        for left in incoming.iterdir():
            if left.name not in living:
                _remove(left)
        files.sync_folder(self._documents.parent)

    @property
    def room(self) -> Path:
        """The folder. Another worker may have taken us for dead, and cleared up."""
        if not self.folder.is_dir():
            self._make_room()
        return self.folder

    def _make_room(self) -> None:
        for folder in (self._documents / _INCOMING, self.folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def assert_room(self, size: int) -> None:
        """Raise DiskReserve if writing `size` bytes would leave less than the reserve."""
        free = shutil.disk_usage(self._documents).free
        if free - size < self._disk_reserve:
            raise errors.DiskReserve(
                f"{free} bytes are free below {self._documents}; {self._disk_reserve} stay reserved"
            )

    @contextlib.contextmanager
    def written(self, stream: Stream, suffix: str) -> Iterator[Draft]:
        """The stream as a draft, for as long as the block. Raises Unusable for what is no document, DiskReserve."""
        self.assert_room(stream.length or 0)
        with tempfile.NamedTemporaryFile(dir=self.room, prefix="fetch-") as file:
            sha256, size = self._write(file, stream)
            if stream.length is not None and size != stream.length:
                raise errors.Unusable(f"{size} bytes came, {stream.length} were announced")
            looks.check(file, suffix, size)
            yield Draft(file, Path(file.name), sha256, size)

    def _write(self, file: IO[bytes], stream: Stream) -> tuple[str, int]:
        digest, size, checked = hashlib.sha256(), 0, 0
        for chunk in stream.chunks:
            size += len(chunk)
            if size > MOST_BYTES:
                raise errors.Unusable(f"more than {MOST_BYTES} bytes")
            if size - checked > _CHECK_DISK_EVERY:
                self.assert_room(0)
                checked = size
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        return digest.hexdigest(), size


def _remove(left: Path) -> None:
    if left.is_dir() and not left.is_symlink():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)
