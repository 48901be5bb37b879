"""Where documents lie, a folder or a bucket: the store that a worker has there, and a hand on what lies there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from listener.bucket import Bucket
from listener.worker.filestore import FileStore
from listener.worker.objectstore import ObjectStore
from tests import s3
from tests.rig import paths

KINDS: Final = ("folder", "bucket")


class Home(Protocol):
    """One of either kind; `documents` is how it is configured."""

    @property
    def documents(self) -> str: ...

    def store(self, reserve: int = 0) -> FileStore | ObjectStore: ...

    def paths(self) -> list[str]: ...

    def read(self, path: str) -> bytes: ...

    def write(self, path: str, content: bytes) -> None: ...

    def delete(self, path: str) -> None: ...


class InFolder:
    """On this machine's disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.documents = str(folder)

    def store(self, reserve: int = 0) -> FileStore:
        """One that is ready."""
        made = FileStore(self._folder, reserve)
        made.prepare()
        return made

    def paths(self) -> list[str]:
        """Of everything there, half or whole."""
        return [*paths(self._folder)]

    def read(self, path: str) -> bytes:
        """What lies there."""
        return (self._folder / path).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        """Put something there, whatever lay there before."""
        place = self._folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_bytes(content)

    def delete(self, path: str) -> None:
        """Take it away."""
        (self._folder / path).unlink()


class InBucket:
    """In object storage; `folder` has the drafts. Whoever uses it needs the server's environment."""

    def __init__(self, folder: Path, url: str, address: str) -> None:
        self._folder = folder
        self.documents = address
        self.objects = s3.Objects(url, address)

    def store(self, reserve: int = 0) -> ObjectStore:
        """One that is ready."""
        self._folder.mkdir(parents=True, exist_ok=True)
        made = ObjectStore(Bucket(self.documents, self._folder), reserve)
        made.prepare()
        return made

    def paths(self) -> list[str]:
        """Of everything there, and of drafts here."""
        return [*self.objects.paths(), *paths(self._folder)]

    def read(self, path: str) -> bytes:
        """What lies there."""
        return self.objects.read(path)

    def write(self, path: str, content: bytes) -> None:
        """Put something there, whatever lay there before."""
        self.objects.write(path, content)

    def delete(self, path: str) -> None:
        """Take it away."""
        self.objects.delete(path)


def home(kind: str, folder: Path, url: str, name: str) -> Home:
    """One of that kind; `name` is below which it lies in the bucket of the server."""
    if kind == "folder":
        return InFolder(folder / "documents")
    return InBucket(folder / "documents", url, f"s3://{s3.BUCKET}/{name}")


@contextmanager
def served() -> Iterator[str]:
    """A server of objects, whose environment is ours meanwhile; its address."""
    with s3.server() as url:
        before = dict(os.environ)
        os.environ.update(s3.environment(url))
        try:
            yield url
        finally:
            os.environ.clear()
            os.environ.update(before)
