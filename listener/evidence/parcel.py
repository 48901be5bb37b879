"""The zip that evidence is, with the hash of everything that is put into it."""

import hashlib
from collections.abc import Iterable
from types import TracebackType
from typing import IO, Final, Self
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

SUMS: Final = "SHA256SUMS"
_LEVEL: Final = 6
_SAID: Final = (
    "# The SHA-256 of every file of this evidence; 'sha256sum -c SHA256SUMS' compares, 'python verify.py' does more."
)
_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)  # the same log makes the same zip


class Parcel:
    """Filled file by file. The list of hashes is the last one; its own last line is the hash of the lines above."""

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = ZipFile(file, "w")
        self._sums: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if kind is None:
            self._put(SUMS, self._listed())
        self._zip.close()

    def put(self, name: str, content: bytes) -> str:
        """A file that is at hand; its hash in hex."""
        self._put(name, content)
        self._sums[name] = hashlib.sha256(content).hexdigest()
        return self._sums[name]

    def copy(self, name: str, chunks: Iterable[bytes], size: int) -> str:
        """A file as it comes, about `size` bytes, which is packed already; its hash in hex."""
        found, info = hashlib.sha256(), _info(name, ZIP_STORED)
        info.file_size = size
        with self._zip.open(info, "w") as entry:
            for chunk in chunks:
                found.update(chunk)
                entry.write(chunk)
        self._sums[name] = found.hexdigest()
        return self._sums[name]

    def _put(self, name: str, content: bytes) -> None:
        self._zip.writestr(_info(name, ZIP_DEFLATED), content, compresslevel=_LEVEL)

    def _listed(self) -> bytes:
        lines = [_SAID, *(f"{sha256}  {name}" for name, sha256 in sorted(self._sums.items())), ""]
        above = "\n".join(lines).encode()
        return above + f"# {hashlib.sha256(above).hexdigest()}\n".encode()


def _info(name: str, packed: int) -> ZipInfo:
    info = ZipInfo(name, _NO_TIME)
    info.compress_type = packed
    info.create_system = 3  # as on Unix, wherever it is made
    info.external_attr = 0o644 << 16
    return info
