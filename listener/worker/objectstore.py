"""Signed documents in a bucket: each is put there once, read back, and only then told of."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path, PurePosixPath

from listener import errors, files
from listener.acts import Artifact
from listener.api import Material, Stream
from listener.bucket import Bucket
from listener.worker import places
from listener.worker.drafts import Draft, Drafts
from projections.facts import Stored


class ObjectStore:
    """SOURCE/SUBJECT/ARTIFACT in a bucket. A put that refuses what lies there is the moment a document exists."""

    def __init__(
        self, bucket: Bucket, disk_reserve: int, worker: str = "", living: Callable[[], Collection[str]] = tuple
    ) -> None:
        self._bucket = bucket
        self.drafts = Drafts(bucket.folder, disk_reserve, worker, living)

    @property
    def scratch(self) -> Path:
        """Room on this machine for what lies between."""
        return self.drafts.room

    def prepare(self) -> None:
        """Make room for what comes. The bucket may be away: it is proven before anything is fetched."""
        self.drafts.prepare()

    def assert_room(self, size: int) -> None:
        """Raise DiskReserve for a draft of `size` bytes, StoreAway or Overwrites if it could not be put there then."""
        self.drafts.assert_room(size)
        self._bucket.prove()

    def adopt(self, artifact: Artifact) -> Stored | None:
        """What lies in its place already, because the outcome was lost between put and append.

        Raises Unusable if that is not what was put there, or no document: a person must look.
        """
        path = places.place(artifact)
        try:
            with self._fetched(path) as draft:
                return Stored(draft.sha256, draft.size, path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise errors.Unusable(f"{self._bucket}/{path} is in the way: {error.strerror}") from error

    def store(self, artifact: Artifact, stream: Stream) -> Stored:
        """Write the stream to a draft, put it there, and read it back. Raises Unusable, DiskReserve."""
        path = places.place(artifact)
        with self.drafts.written(stream, PurePosixPath(path).suffix) as draft:
            said = "is not what was put there just now"
            try:
                self._bucket.put(path, draft.file, draft.sha256)
            except FileExistsError:  # another's; or ours, if the answer to an earlier try of it was lost
                said = "appeared meanwhile; it is checked at the next try"
            if self._lies(path) != (draft.sha256, draft.size):
                raise errors.Unusable(f"{self._bucket}/{path} {said}")
            return Stored(draft.sha256, draft.size, path)

    @contextlib.contextmanager
    def lying(self, stored: Stored) -> Iterator[Path]:
        """A copy of what was stored. Raises Unusable if something else lies there."""
        with self._fetched(stored.path) as draft:
            if draft.sha256 != stored.sha256:
                raise errors.Unusable(f"{self._bucket}/{stored.path} is not what was stored")
            yield draft.path

    @contextlib.contextmanager
    def material(self, artifact: Artifact) -> Iterator[Material]:
        """A copy of what was stored, to make another document of it. Raises Hopeless if it is gone, Unusable."""
        path = places.place(artifact)
        with contextlib.ExitStack() as held:
            try:
                draft = held.enter_context(self._fetched(path))
            except OSError as error:
                raise errors.Hopeless(f"{self._bucket}/{path}: {error.strerror}; put it back") from error
            self.assert_room(2 * draft.size)  # what is made of it, twice for a moment
            yield Material(draft.path, self.scratch)

    def remove(self, source: str, subject: str) -> list[str]:
        """Remove every document of a subject; their paths. A bucket with versions keeps the old ones."""
        return self._bucket.remove(places.of_subject(source, subject))

    def _lies(self, path: str) -> tuple[str, int] | None:
        """Hash and size of what lies there."""
        try:
            return files.hashed(self._bucket.chunks(path))
        except OSError:
            return None

    @contextlib.contextmanager
    def _fetched(self, path: str) -> Iterator[Draft]:
        """What lies there, as a draft again. Raises OSError; Unusable if it is not what was put there."""
        lying = self._bucket.open(path)
        with self.drafts.written(Stream(lying.chunks, lying.size), PurePosixPath(path).suffix) as draft:
            if lying.sha256 not in (None, draft.sha256):
                raise errors.Unusable(f"{self._bucket}/{path} is not what was put there; look at it")
            yield draft
