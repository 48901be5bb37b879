"""Messages in a file, one behind the other, each with its length in front."""

import struct
from collections.abc import Iterator
from typing import IO, Final

_LENGTH: Final = struct.Struct("<I")


def frame(body: bytes) -> bytes:
    """A message as it is written."""
    return _LENGTH.pack(len(body)) + body


def frames(file: IO[bytes]) -> Iterator[bytes]:
    """All messages of a file that is whole."""
    while head := file.read(_LENGTH.size):
        yield file.read(_LENGTH.unpack(head)[0])
