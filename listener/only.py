"""A lock that says "only one of these on this folder", for as long as the process that holds it lives."""

import fcntl
import os
from pathlib import Path
from typing import ClassVar

from sqlalchemy import Connection

from listener.lease import Lease


class OnlyOne(Lease):
    """One worker, or one supervised server, on a data folder: whoever holds it knows that every other is dead."""

    shared: ClassVar[bool] = False

    def __init__(self, folder: Path, part: str = "worker") -> None:
        self._path = folder / f"signlog-{part}.lock"
        self._part = part
        self.fd: int | None = None

    def take(self) -> bool:
        """Lock the file, unless we have."""
        if self.fd is not None:
            return True
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return False
        self.fd = fd
        return True

    def let_go(self) -> None:
        """Close the file."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    @property
    def held(self) -> bool:
        """Whether we have locked it."""
        return self.fd is not None

    def assert_held(self, connection: Connection) -> None:
        """Nothing to look at: the kernel keeps the lock for as long as we live, frozen or not, and whatever the
        clocks say. While somebody else has it, nothing of ours is left that could write."""

    @property
    def taken(self) -> str:
        """That one is enough."""
        return f"a {self._part} already runs on {self._path.parent}; one is enough, stop that one first"
