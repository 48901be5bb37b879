"""The two ciphers that documents may come in, in cipher block chaining, and which of them an IV can belong to.

Every integration that is known decrypts with Rijndael-256, the vendor's guide says AES-256-CBC: what the IV looks like
tells which to try, and what comes out tells which it was.
https://help.evrotrust.com/portal/en/kb/articles/document-decryption-guide
"""

import binascii
import itertools
from collections.abc import Sequence
from typing import Final, Protocol

from cryptography.hazmat.primitives.ciphers import Cipher as Aes
from cryptography.hazmat.primitives.ciphers import algorithms, modes

from listener.decryption import rijndael
from listener.decryption.rijndael import Rijndael256

_AES_BLOCK: Final = 16


class Cipher(Protocol):
    """A cipher with its key, and the IV that came with it."""

    block: int  # bytes
    iv: bytes

    def chained(self, pieces: Sequence[bytes], iv: bytes) -> list[bytes]:
        """Each piece decrypted, all of them behind the same IV. Raises ValueError for a piece that is not whole."""


def fitting(key: bytes, iv: bytes) -> list[Cipher]:
    """The ciphers that this key (32 bytes) and the content of an `.iv` can belong to, the likeliest first.

    The IV is random bytes: it may begin or end like white space, so it is only trimmed if its length is wrong.
    """
    found: list[Cipher] = []
    for one in dict.fromkeys((iv, iv.rstrip(b"\r\n"), _unhexed(iv), iv[: rijndael.BLOCK])):
        if len(one) == rijndael.BLOCK:
            found.append(Rijndael256Cbc(key, one))
        elif len(one) == _AES_BLOCK:
            found.append(Aes256Cbc(key, one))
    return found


def _unhexed(iv: bytes) -> bytes:
    try:
        return binascii.unhexlify(iv.strip())
    except ValueError:
        return b""


class Aes256Cbc:
    """AES with a key of 32 bytes."""

    block = _AES_BLOCK

    def __init__(self, key: bytes, iv: bytes) -> None:
        self.iv = iv
        self._algorithm = algorithms.AES256(key)

    def chained(self, pieces: Sequence[bytes], iv: bytes) -> list[bytes]:
        """As the protocol says."""
        return [self._one(piece, iv) for piece in pieces]

    def _one(self, piece: bytes, iv: bytes) -> bytes:
        opened = Aes(self._algorithm, modes.CBC(iv)).decryptor()
        return opened.update(piece) + opened.finalize()


class Rijndael256Cbc:
    """Rijndael with blocks and a key of 32 bytes."""

    block = rijndael.BLOCK

    def __init__(self, key: bytes, iv: bytes) -> None:
        self.iv = iv
        self._cipher = Rijndael256(key)

    def chained(self, pieces: Sequence[bytes], iv: bytes) -> list[bytes]:
        """As the protocol says; all blocks of all pieces at once, for each only needs the ciphertext before it."""
        if any(len(piece) % self.block for piece in pieces):
            raise ValueError("a piece that is no whole blocks")
        before = b"".join((iv + piece)[: len(piece)] for piece in pieces)
        plain = _sum(self._cipher.undo(b"".join(pieces)), before)
        ends = itertools.accumulate(map(len, pieces), initial=0)
        return [plain[start:end] for start, end in itertools.pairwise(ends)]


def _sum(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")
