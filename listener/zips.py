"""Reading zips that anybody may have made: whatever is wrong with one is one error, and nothing is read forever."""

import contextlib
import errno
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Final
from zipfile import ZipFile, ZipInfo

from listener import errors

MOST_ENTRIES: Final = 1000  # a group has at most 20 documents, of four entries each
MOST_BYTES: Final = 2 * 1024**3  # that one zip may hold, unpacked
_AT_ONCE: Final = 256 * 1024
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED: Final = 0x1
# zipfile checks much and not everything; these are what it and zlib raise on what they did not expect.
_DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, OverflowError, RuntimeError)


def opened(file: IO[bytes], what: str) -> ZipFile:
    """A zip whose directory is sound: few entries, of distinct names, not too large, in ways that everybody can read.

    `what` it is stands in the message of what is raised: Hopeless, here and below.
    """
    with readable(what):
        found = ZipFile(file)
    infos = found.infolist()
    if len(infos) > MOST_ENTRIES:
        raise errors.Hopeless(f"{what} has {len(infos)} entries, and may have {MOST_ENTRIES}")
    if len({info.filename for info in infos}) < len(infos):
        raise errors.Hopeless(f"{what} has two entries of the same name")
    size = sum(info.file_size for info in infos)
    if size > MOST_BYTES:
        raise errors.Hopeless(f"{what} holds {size} bytes unpacked, and may hold {MOST_BYTES}")
    if any(info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED for info in infos):
        raise errors.Hopeless(f"{what} is packed or locked in a way that is not expected")
    return found


def small(archive: ZipFile, info: ZipInfo, most: int, what: str) -> bytes:
    """An entry of a few bytes."""
    if info.file_size > most:
        raise errors.Hopeless(f"{what}: {info.filename!r} has {info.file_size} bytes, and may have {most}")
    return b"".join(pieces(archive, info, what))


def pieces(archive: ZipFile, info: ZipInfo, what: str) -> Iterator[bytes]:
    """An entry as it is unpacked. It ends with an error if it is longer than it says, or its checksum is another."""
    with readable(what), archive.open(info) as entry:
        while piece := entry.read(_AT_ONCE):
            yield piece


@contextlib.contextmanager
def readable(what: str) -> Iterator[None]:
    """Whatever is wrong with a zip as one error; what is wrong with the disk stays what it is."""
    try:
        yield
    except _DAMAGED as error:
        raise errors.Hopeless(f"{what} is no whole zip: {error}"[:300]) from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # a place in the file that cannot be
            raise
        raise errors.Hopeless(f"{what} is no whole zip: {error}") from None
