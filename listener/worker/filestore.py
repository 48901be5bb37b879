"""Signed documents on disk: each appears whole or not at all, once, under a name that nothing else has."""

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from listener import errors, files
from listener.acts import Artifact
from listener.api import Material, Stream
from listener.worker import looks, places
from listener.worker.drafts import Drafts
from projections.facts import Stored


class FileStore:
    """A folder: SOURCE/SUBJECT/ARTIFACT. Linking a file into place is the moment it exists.

    Where several workers put documents there, each is a `worker` of another name, with a place of its own for what
    comes in, and `living` names those that live.
    """

    def __init__(
        self, folder: Path, disk_reserve: int, worker: str = "", living: Callable[[], Collection[str]] = tuple
    ) -> None:
        self.folder = folder
        self.drafts = Drafts(folder, disk_reserve, worker, living)

    @property
    def scratch(self) -> Path:
        """Room for what lies between; it is emptied at the next start."""
        return self.drafts.room

    def prepare(self) -> None:
        """Make the folder, and drop what interrupted fetches left behind, as `Drafts` does."""
        self.drafts.prepare()

    def assert_room(self, size: int) -> None:
        """Raise DiskReserve if writing `size` bytes would leave less than the reserve."""
        self.drafts.assert_room(size)

    def adopt(self, artifact: Artifact) -> Stored | None:
        """What lies in its place already, because the outcome was lost between link and append. None if nothing does.

        Raises Unusable if that is not a document: it is never overwritten, a person must look.
        """
        path = self._place(artifact)
        try:
            with files.opened(path) as file:
                sha256, size = files.digest(file)
                looks.check(file, path.suffix, size)
                os.fsync(file.fileno())
            self._settle(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise errors.Unusable(f"{path} is in the way: {error}") from error
        return Stored(sha256, size, str(path.relative_to(self.folder)))

    def store(self, artifact: Artifact, stream: Stream) -> Stored:
        """Write the stream to disk and put it in its place. Raises Unusable, DiskReserve; nothing is left then."""
        path = self._place(artifact)
        with self.drafts.written(stream, path.suffix) as draft:
            os.fchmod(draft.file.fileno(), 0o440)
            os.fsync(draft.file.fileno())
            self._link(draft.path, path)
        self._settle(path)
        return Stored(draft.sha256, draft.size, str(path.relative_to(self.folder)))

    @contextlib.contextmanager
    def lying(self, stored: Stored) -> Iterator[Path]:
        """Where it lies."""
        yield self.folder / stored.path

    @contextlib.contextmanager
    def material(self, artifact: Artifact) -> Iterator[Material]:
        """What is stored, to make another document of it. Raises Hopeless if it is not there any more, Unusable."""
        stored = self.adopt(artifact)
        if stored is None:
            raise errors.Hopeless(f"{artifact.name} is not where it was stored; put it back")
        self.assert_room(2 * stored.size)  # what is made of it, twice for a moment
        yield Material(self.folder / stored.path, self.scratch)

    def path(self, artifact: Artifact) -> Path:
        """Where it lies. Distinct artifacts have distinct paths, on file systems that ignore case too."""
        return self.folder / places.place(artifact)

    def remove(self, source: str, subject: str) -> list[str]:
        """Remove every document of a subject; their paths below the folder. Raises Unusable for what is none."""
        folder = self.folder / places.of_subject(source, subject)
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
