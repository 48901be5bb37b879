"""A callback as it stands in the spool: a line that shows whether it is as it was written."""

import zlib
from typing import Final, NamedTuple

import msgspec

from listener.log.event import Draft, content_hash
from listener.log.reader import Tip

_PREFIX: Final = 18  # bytes: length and checksum, eight hexadecimal digits and a space each


class Spooled(NamedTuple):
    """A callback in the spool, with salt and time. If the log has it already, then behind position `head`.

    `leaf` is that of the event there: a log that has another one was cut, and is not what was looked at.
    """

    head: int
    draft: Draft
    leaf: bytes = b""

    @property
    def tip(self) -> Tip:
        """What was the newest event, as far as the door knew."""
        return Tip(self.head, self.leaf)

    @property
    def content(self) -> bytes:
        """What no other event has: there is a salt in it."""
        return content_hash(self.draft.salt or b"", self.draft.headers, self.draft.body)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Spooled).decode


def line(record: Spooled) -> bytes:
    """As it is written: the length of what follows, CRC-32 of both, JSON, and a newline, which is nowhere in JSON."""
    text = _encode(record)
    length = b"%08x" % len(text)
    return b"%s %08x %s\n" % (length, zlib.crc32(length + text), text)


def parse(written: bytes) -> Spooled | None:
    """A line without its newline; None if it is not as it was written."""
    length, text = written[:8], written[_PREFIX:]
    try:
        if int(length, 16) != len(text) or int(written[9:17], 16) != zlib.crc32(length + text):
            return None
        return _decode(text)
    except (ValueError, msgspec.DecodeError):
        return None


def read(content: bytes) -> tuple[list[Spooled], list[bytes]]:
    """What a segment says, and what of it cannot be read.

    Its end may be torn: a line is acknowledged when all of it is on disk, so less than one was promised to nobody.
    """
    pieces = content.split(b"\n")
    if _is_torn(pieces[-1]):
        del pieces[-1]
    found = [(piece, parse(piece)) for piece in pieces]
    return [record for _, record in found if record], [piece for piece, record in found if record is None]


def _is_torn(piece: bytes) -> bool:
    try:
        return len(piece) < _PREFIX or len(piece) < _PREFIX + int(piece[:8], 16)
    except ValueError:
        return False
