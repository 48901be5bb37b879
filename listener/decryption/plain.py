"""The plain zip of signed documents, in which every entry has a harmless name of its own."""

from collections.abc import Iterable
from typing import IO, Final, Self
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from listener.decryption import names

_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)  # so that the same documents make the same bytes
_MODE: Final = 0o640 << 16  # what unpacking makes of it, where that is known


class Plain:
    """The zip while it is written. What is in it is not packed: signed PDFs would not get smaller."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = ZipFile(file, "w", ZIP_STORED)
        self._taken: dict[str, set[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def add(self, folder: str, name: str, size: int, content: Iterable[bytes]) -> None:
        """Put a document of that size into a folder ("" for none), both safe names."""
        own = names.distinct(name, self._taken.setdefault(folder.lower(), set()))
        entry = ZipInfo(f"{folder}/{own}" if folder else own, _NO_TIME)
        entry.external_attr = _MODE
        entry.file_size = size
        with self._zip.open(entry, "w") as target:
            target.writelines(content)
