"""The text of an `.enc`: base64 of ciphertext, whose plaintext is base64 of a zip; in pieces, or as one.

In pieces (documents) each 7,296 characters stand for themselves: decoded alone, decrypted behind the IV alone, and
what comes out is decoded alone. As one (a mock of the vendor does so with hashes) it is a single long ciphertext.
"""

import binascii
from collections.abc import Iterator
from typing import IO, Final

from listener.decryption.ciphers import Cipher

PIECE: Final = 7296  # characters; 4096 bytes are 5464 in base64, padded to 5472 for the cipher, and that in base64
_PIECES_AT_ONCE: Final = 64
_AT_ONCE: Final = 128 * 2048  # characters of which bytes, blocks of either cipher and what they hold come out even
_ZIP_IN_BASE64: Final = b"UEsDB"  # PK and a 3 or a 5
# Zeros pad as PHP's mcrypt does, other small bytes as PKCS #7 does; base64 has none of them.
_PADDING: Final = bytes(range(0x21))


class Garbled(Exception):  # noqa: N818  no error yet: there may be another key, cipher or framing
    """Not what it should be with this key, cipher or framing."""


def opens(first: bytes, cipher: Cipher) -> bool:
    """Whether the first piece of a text begins a zip with this cipher; both framings begin the same way."""
    try:
        (plain,) = _decrypted([_decoded(first)], cipher, cipher.iv)
    except Garbled:
        return False
    return plain.startswith(_ZIP_IN_BASE64) and _is_base64(plain)


def _is_base64(text: bytes) -> bool:
    try:
        return bool(_decoded(text))
    except Garbled:
        return False


def in_pieces(text: IO[bytes], cipher: Cipher) -> Iterator[bytes]:
    """What each piece holds. Raises Garbled."""
    while part := text.read(PIECE * _PIECES_AT_ONCE):
        pieces = [_decoded(part[start : start + PIECE]) for start in range(0, len(part), PIECE)]
        yield from map(_decoded, _decrypted(pieces, cipher, cipher.iv))


def as_one(text: IO[bytes], cipher: Cipher) -> Iterator[bytes]:
    """What it holds, a part at a time. Raises Garbled."""
    iv = cipher.iv
    while part := text.read(_AT_ONCE):
        ciphertext = _decoded(part)
        yield from map(_decoded, _decrypted([ciphertext], cipher, iv))
        iv = ciphertext[-cipher.block :]


def _decrypted(pieces: list[bytes], cipher: Cipher, iv: bytes) -> list[bytes]:
    try:
        return [plain.rstrip(_PADDING) for plain in cipher.chained(pieces, iv)]
    except ValueError as error:
        raise Garbled(str(error)) from None


def _decoded(text: bytes) -> bytes:
    """Base64, with a line end behind it at most. Raises Garbled."""
    try:
        return binascii.a2b_base64(text.rstrip(b"\r\n"), strict_mode=True)
    except ValueError as error:
        raise Garbled(str(error)) from None
