"""Where the generations of the views stand: beside the file of the log, or in schemas of its database."""

from contextlib import AbstractContextManager
from typing import Protocol

from listener.lease import Lease
from listener.log.database import Database
from listener.views import Views
from listener.views_file import FileShelf
from listener.views_schema import SchemaShelf


class Shelf(Protocol):
    """All generations of one log, shown or not."""

    def generation(self, number: int) -> Views:
        """The one of that number, whether it was made or not."""

    def numbers(self) -> set[int]:
        """Of which something is there, as a whole."""

    def halves(self) -> set[int]:
        """Of which half is there: somebody builds them now, or was killed."""

    def scratch(self) -> AbstractContextManager[Views]:
        """One that nobody will be shown, and that is gone at the end of the block."""

    def assert_room(self, reserve: int, generation: int | None = None) -> None:
        """Raise DiskReserve if less than `reserve` bytes are free, or would be with a copy of a generation."""

    def leave_no_trace(self) -> bool:
        """Remove what those left behind who were killed; False while somebody keeps it."""


def shelf(database: Database, fence: Lease | None = None) -> Shelf:
    """That of a log, wherever it lies; `fence` is what its generations are made and thrown away under.

    On a folder the kernel keeps that, and nothing need be proved.
    """
    return SchemaShelf(database, fence) if database.folder is None else FileShelf(database.folder)
