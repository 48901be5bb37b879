"""Where signed documents lie, for whoever reads or copies them: a folder, or a bucket."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from listener import errors, files


class Cabinet(Protocol):
    """Documents by path, SOURCE/SUBJECT/NAME; its own name as a string is what a person finds it by.

    `folder` is on this machine: the documents lie there, or what is on its way.
    """

    @property
    def folder(self) -> Path:
        """It exists as soon as anything was put into it."""

    def chunks(self, path: str) -> Iterator[bytes]:
        """What lies there, piece by piece. Raises FileNotFoundError, OSError, CopyRefused, StoreAway."""

    def add(self, path: str, content: Iterable[bytes]) -> None:
        """Put it there, whole or not at all. Raises FileExistsError if something lies there, and as `chunks` does."""


class Folder:
    """Documents on this machine's disks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    def chunks(self, path: str) -> Iterator[bytes]:
        """What lies there; never what a link leads to."""
        with files.opened(self._place(path)) as file:
            yield from files.chunks(file)

    def add(self, path: str, content: Iterable[bytes]) -> None:
        """Link a whole file into its place."""
        target = self._place(path)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".copy-") as draft:
            draft.writelines(content)
            os.fchmod(draft.fileno(), 0o440)
            draft.flush()
            os.fsync(draft.fileno())
            os.link(draft.name, target)
        files.sync_folder(target.parent)

    def _place(self, path: str) -> Path:
        """Where it lies. Raises CopyRefused if that would be behind a link, besides."""
        parts = inside(path)
        if any(self.folder.joinpath(*parts[:end]).is_symlink() for end in range(1, len(parts))):
            raise misplaced(path)
        return self.folder.joinpath(*parts)


def inside(path: str) -> tuple[str, ...]:
    """The elements of a path. Raises CopyRefused if it would lead out of where documents lie."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in path:
        raise misplaced(path)
    return parts


def misplaced(path: str) -> errors.CopyRefused:
    """What to raise for such a path."""
    return errors.CopyRefused(f"{path!r} is no place for a document")
