"""What comes is written to a draft on this machine first: counted, hashed and looked at before it has a place."""

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
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
    """A folder below the one of documents, and the reserve of its disk."""

    def __init__(self, documents: Path, disk_reserve: int) -> None:
        self.folder = documents / _INCOMING
        self._documents = documents
        self._disk_reserve = disk_reserve

    def prepare(self) -> None:
        """Make the folder, and drop what an interrupted fetch left behind. Only for who holds the worker's lock."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o700)
        files.sync_folder(self._documents.parent)

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
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix="fetch-") as file:
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
