"""What a download holds: for each document four entries that share a name, side by side or in a zip of their own.

Integrations in production find a zip for each document of a group, a mock of the vendor has them all side by side.
"""

import binascii
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple
from zipfile import ZipFile, ZipInfo

from listener import errors, zips

TEXT, KEY, IV, NAME = ".enc", ".enc.key", ".enc.iv", ".enc.filename"
_LONGEST_FIRST: Final = (NAME, KEY, IV, TEXT)
_NESTED: Final = ".zip"
_OUT: Final = "_OUT"  # stands behind the transaction's id in the names of entries
_MOST_KEY: Final = 64 * 1024
_MOST_IV: Final = 1024
_MOST_NAME: Final = 4 * 1024

Entries = dict[str, ZipInfo]  # of one document, by suffix


class Sealed(NamedTuple):
    """One document as it came: encrypted, with the key that only a private key opens."""

    transaction: str
    archive: ZipFile
    text: ZipInfo
    key: bytes  # the symmetric one, encrypted for somebody's private key
    iv: bytes
    name: str | None  # the document's, as it was when it was sent to be signed

    @property
    def what(self) -> str:
        """What it is called in messages."""
        return _called(self.transaction)

    def opened(self) -> IO[bytes]:
        """The encrypted text."""
        return self.archive.open(self.text)


def _called(transaction: str) -> str:
    return f"the document of transaction {transaction[:80]}"


def count(file: IO[bytes]) -> int:
    """How many documents there are. Raises Hopeless if there are none, or if this is no zip."""
    with zips.opened(file, "the download") as archive:
        found = len(_documents(archive)) + len(_nested(archive))
    if not found:
        raise errors.Hopeless(f"nothing in the download is encrypted: it has no {TEXT}")
    return found


def documents(file: IO[bytes], scratch: Path) -> Iterator[Sealed]:
    """All of them, one after the other, each to be used before the next. Raises Hopeless."""
    with zips.opened(file, "the download") as archive:
        for stem, entries in _documents(archive).items():
            yield _sealed(archive, stem, entries)
        for info in _nested(archive):
            with _unpacked(archive, info, scratch) as inner, zips.opened(inner, info.filename[:80]) as nested:
                found = _documents(nested)
                if not found:
                    raise errors.Hopeless(f"nothing in {info.filename[:80]!r} is encrypted: it has no {TEXT}")
                for stem, entries in found.items():
                    yield _sealed(nested, stem, entries)


def _documents(archive: ZipFile) -> dict[str, Entries]:
    """Their entries by what stands in front of the suffix."""
    found: dict[str, Entries] = {}
    for info in archive.infolist():
        suffix = next((each for each in _LONGEST_FIRST if info.filename.endswith(each)), None)
        if suffix is not None:
            found.setdefault(info.filename.removesuffix(suffix), {})[suffix] = info
    return found


def _nested(archive: ZipFile) -> list[ZipInfo]:
    return [info for info in archive.infolist() if info.filename.lower().endswith(_NESTED)]


@contextlib.contextmanager
def _unpacked(archive: ZipFile, info: ZipInfo, scratch: Path) -> Iterator[IO[bytes]]:
    """An entry as a file that has no name and goes away by itself."""
    with tempfile.TemporaryFile(dir=scratch) as file:
        for piece in zips.pieces(archive, info, "the download"):
            file.write(piece)
        yield file


def _sealed(archive: ZipFile, stem: str, entries: Entries) -> Sealed:
    transaction = stem.rpartition("/")[2].removesuffix(_OUT)
    what = _called(transaction)
    missing = {TEXT, KEY, IV} - entries.keys()
    if missing:
        raise errors.Hopeless(f"{what} has no {' and no '.join(sorted(missing))}")
    name = zips.small(archive, entries[NAME], _MOST_NAME, what) if NAME in entries else b""
    return Sealed(
        transaction,
        archive,
        entries[TEXT],
        _decoded(zips.small(archive, entries[KEY], _MOST_KEY, what), what),
        zips.small(archive, entries[IV], _MOST_IV, what),
        name.decode("utf-8", "replace").strip() or None,
    )


def _decoded(key: bytes, what: str) -> bytes:
    try:
        return binascii.a2b_base64(b"".join(key.split()), strict_mode=True)
    except ValueError as error:
        raise errors.Hopeless(f"{what} has a key that is no base64: {error}") from None
