"""Signed documents on disk: each appears whole or not at all, once, under a name that nothing else has."""

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

from listener import errors, files
from listener.acts import Artifact
from listener.api import Material, Stream
from projections.facts import Stored

MOST_BYTES: Final = 1024**3
_INCOMING: Final = ".incoming"
_LONGEST_NAME: Final = 180  # file systems stop at 255 bytes
_FIRST_BYTES: Final = {".pdf": (b"%PDF-",), ".zip": (b"PK\x03\x04", b"PK\x05\x06"), ".json": (b"{", b"[")}
_LAST_BYTES: Final = {b"{": b"}", b"[": b"]"}
_CHECK_DISK_EVERY: Final = 16 * 1024 * 1024


class FileStore:
    """A folder: SOURCE/SUBJECT/ARTIFACT. Linking a file into place is the moment it exists.

    Where several workers put documents there, each is a `worker` of another name, with a place of its own for what
    comes in, and `living` names those that live.
    """

    def __init__(
        self, folder: Path, disk_reserve: int, worker: str = "", living: Callable[[], Collection[str]] = tuple
    ) -> None:
        self.folder = folder
        self._disk_reserve = disk_reserve
        self._incoming = folder / _INCOMING / worker
        self._living = living

    def prepare(self) -> None:
        """Make the folder, and drop what interrupted fetches left behind, but for those of who lives.

        Without such names only for who holds a lock that proves that nobody else fetches.
        """
        living, incoming = self._living(), self.folder / _INCOMING
        self._make_room()
        for left in incoming.iterdir():
            if left.name not in living:
                _remove(left)
        files.sync_folder(self.folder.parent)

    def _make_room(self) -> None:
        for folder in (self.folder / _INCOMING, self._incoming):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def adopt(self, artifact: Artifact) -> Stored | None:
        """What lies in its place already, because the outcome was lost between link and append. None if nothing does.

        Raises Unusable if that is not a document: it is never overwritten, a person must look.
        """
        path = self._place(artifact)
        try:
            with files.opened(path) as file:
                sha256, size = files.digest(file)
                _check(file, path.suffix, size)
                os.fsync(file.fileno())
            self._settle(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise errors.Unusable(f"{path} is in the way: {error}") from error
        return Stored(sha256, size, str(path.relative_to(self.folder)))

    def store(self, artifact: Artifact, stream: Stream) -> Stored:
        """Write the stream to disk and put it in its place. Raises Unusable, DiskReserve; nothing is left then."""
        self.assert_room(stream.length or 0)
        path = self._place(artifact)
        if not self._incoming.is_dir():  # another worker took us for dead, and cleared up
            self._make_room()
        with tempfile.NamedTemporaryFile(dir=self._incoming, prefix="fetch-") as file:
            sha256, size = self._write(file, stream)
            if stream.length is not None and size != stream.length:
                raise errors.Unusable(f"{size} bytes came, {stream.length} were announced")
            _check(file, path.suffix, size)
            os.fchmod(file.fileno(), 0o440)
            os.fsync(file.fileno())
            self._link(Path(file.name), path)
        self._settle(path)
        return Stored(sha256, size, str(path.relative_to(self.folder)))

    def material(self, artifact: Artifact) -> Material:
        """What is stored, to make another document of it. Raises Hopeless if it is not there any more, Unusable."""
        stored = self.adopt(artifact)
        if stored is None:
            raise errors.Hopeless(f"{artifact.name} is not where it was stored; put it back")
        self.assert_room(2 * stored.size)  # what is made of it, twice for a moment
        return Material(self.folder / stored.path, self._incoming)

    @property
    def scratch(self) -> Path:
        """Room for what lies between; it is emptied at the next start."""
        return self._incoming

    def path(self, artifact: Artifact) -> Path:
        """Where it lies. Distinct artifacts have distinct paths, on file systems that ignore case too."""
        stem, kind = os.path.splitext(artifact.name)
        if kind not in _FIRST_BYTES:
            raise errors.Unusable(f"{artifact.name!r} is no kind of document that could be checked")
        return self.folder / artifact.source / safe(artifact.subject) / (safe(stem) + kind)

    def remove(self, source: str, subject: str) -> list[str]:
        """Remove every document of a subject; their paths below the folder. Raises Unusable for what is none."""
        folder = self.folder / source / safe(subject)
        if folder.is_symlink() or folder.parent.is_symlink():
            raise errors.Unusable(f"{folder} is a link, or below one; remove by hand what it leads to")
        removed = []
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_dir() and not path.is_symlink():
                raise errors.Unusable(f"{path} is a folder; documents do not lie in one: remove it by hand")
            path.unlink()
            removed.append(str(path.relative_to(self.folder)))
        if folder.is_dir():
            folder.rmdir()
            files.sync_folder(folder.parent)
        return removed

    def assert_room(self, size: int) -> None:
        """Raise DiskReserve if writing `size` bytes would leave less than the reserve."""
        free = shutil.disk_usage(self.folder).free
        if free - size < self._disk_reserve:
            raise errors.DiskReserve(f"{free} bytes are free below {self.folder}; {self._disk_reserve} stay reserved")

    def _place(self, artifact: Artifact) -> Path:
        """Where it lies, if no link on the way leads elsewhere. Only `folder` itself may be one."""
        path = self.path(artifact)
        for folder in self._above(path)[:-1]:
            if folder.is_symlink():
                raise errors.Unusable(f"{folder} is a link; documents are only put into folders")
        return path

    def _above(self, path: Path) -> list[Path]:
        """The folders that lead to a document, innermost first, up to ours."""
        return [folder for folder in path.parents if folder.is_relative_to(self.folder)]

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

    def _link(self, temporary: Path, path: Path) -> None:
        """link, not rename: it fails if the place is taken, and a document is never overwritten."""
        for folder in reversed(self._above(path)):
            folder.mkdir(mode=0o750, exist_ok=True)
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise errors.Unusable(f"{path} appeared meanwhile; it is checked at the next try") from None

    def _settle(self, path: Path) -> None:
        """Make every name that leads to a document survive a power cut.

        Whoever made one of them may have been killed before it was synced, so all of them are, each time.
        """
        for folder in self._above(path):
            files.sync_folder(folder)


def _remove(left: Path) -> None:
    if left.is_dir() and not left.is_symlink():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)


def safe(name: str) -> str:
    """A file name for an id: readable, distinct for distinct ids, free of separators, and of dots in front.

    Ids that differ only in case get a suffix that says which letters are capitals, so that they stay apart where the
    file system ignores case. The parts cannot be confused: an id's own dots and percent signs are encoded.
    """
    encoded = quote(name, safe="=").replace("~", "%7E").replace(".", "%2E") or "%"
    if encoded.startswith("-"):
        encoded = f"%2D{encoded[1:]}"
    if len(encoded) > _LONGEST_NAME:
        return f"{encoded[:100].rstrip('%')}%%{hashlib.sha256(name.encode()).hexdigest()}"
    capitals = sum(1 << index for index, letter in enumerate(name) if letter.isupper() and letter.isascii())
    return f"{encoded}.{capitals:x}" if capitals else encoded


def _check(file: IO[bytes], suffix: str, size: int) -> None:
    """Raise Unusable unless this begins and ends like what it should be: an error page may come with status 200."""
    file.seek(0)
    first = file.read(8)
    if not first.startswith(_FIRST_BYTES[suffix]):
        raise errors.Unusable(f"not a {suffix[1:]}: {size} bytes that begin with {first!r}")
    file.seek(max(0, size - 2048))
    end = file.read()
    if suffix == ".zip" and not _ends_like_a_zip(file):
        raise errors.Unusable("a zip without its end")
    if suffix == ".pdf" and b"%%EOF" not in end:
        raise errors.Unusable("a PDF without its end")
    if suffix == ".json" and not end.rstrip().endswith(_LAST_BYTES[first[:1]]):
        raise errors.Unusable("JSON without its end")


def _ends_like_a_zip(file: IO[bytes]) -> bool:
    try:
        return zipfile.is_zipfile(file)
    except zipfile.BadZipFile:  # an end of 64 bits that contradicts itself
        return False
