"""Where the worker puts documents: each appears whole or not at all, once, and is never written over."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from listener.acts import Artifact
from listener.api import Material, Stream
from projections.facts import Stored


class Store(Protocol):
    """A folder, or a bucket. All of it may raise StoreAway, where that is not on this machine."""

    @property
    def scratch(self) -> Path:
        """Room on this machine for what lies between; it is emptied at the next start."""

    def prepare(self) -> None:
        """Make room for what comes, and drop what an interrupted fetch left. Only for who holds the worker's lock."""

    def assert_room(self, size: int) -> None:
        """Raise DiskReserve if writing `size` bytes here would leave less than the reserve."""

    def adopt(self, artifact: Artifact) -> Stored | None:
        """What lies in its place already, because its outcome was lost. None if nothing does.

        Raises Unusable if that is not a document: it is never overwritten, a person must look.
        """

    def store(self, artifact: Artifact, stream: Stream) -> Stored:
        """Put the stream in its place. Raises Unusable, DiskReserve; nothing is left then."""

    def lying(self, stored: Stored) -> AbstractContextManager[Path]:
        """What was stored, as a file on this machine, for as long as the block. Raises Unusable."""

    def material(self, artifact: Artifact) -> AbstractContextManager[Material]:
        """What was stored, to make another document of it. Raises Hopeless if it is not there any more, Unusable."""

    def remove(self, source: str, subject: str) -> list[str]:
        """Remove every document of a subject; their paths. Raises Unusable for what is none."""
