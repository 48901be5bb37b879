"""A lock that says "only one of these on this folder", for as long as the process that holds it lives."""

import fcntl
import os
from pathlib import Path
from typing import Self

from listener import errors


class OnlyOne:
    """One worker, or one supervised server, on a data folder: whoever holds it knows that every other is dead."""

    def __init__(self, folder: Path, part: str = "worker") -> None:
        self._path = folder / f"signlog-{part}.lock"
        self._part = part

    def __enter__(self) -> Self:
        self.fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self.fd)
            raise errors.ConfigurationError(
                f"a {self._part} already runs on {self._path.parent}; one is enough, stop that one first"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)
