"""Rijndael with blocks of 256 bits, undone for many blocks at once.

This is no AES, whose blocks have 128 bits, and OpenSSL does not have it. py3rijndael does, one block after the other:
its key schedule and tables are used here, and each step is taken for a whole row of blocks by what Python does fast,
translating bytes and adding long integers (docs/decisions/0011).
"""

from collections.abc import Sequence
from typing import Final

from py3rijndael import Rijndael
from py3rijndael.constants import Si

BLOCK: Final = 32
_ROW_SHIFTS: Final = (0, 1, 3, 4)  # columns, of eight (https://csrc.nist.gov, "AES Proposal: Rijndael", 4.2.2)


def _product(one: int, other: int) -> int:
    """In the field of 256 elements that Rijndael counts in."""
    found = 0
    while other:
        found ^= one if other & 1 else 0
        one = one << 1 ^ (0x11B if one & 0x80 else 0)
        other >>= 1
    return found


_UNSUBSTITUTED: Final = bytes(value & 0xFF for value in Si)
# Undoing a round: a byte is substituted back and goes into the four of its column, multiplied by one of these each.
_TABLES: Final = [bytes(_product(value, factor) for value in _UNSUBSTITUTED) for factor in (14, 11, 13, 9)]
# Undoing the shift of rows: where each byte of a block comes from. Byte 4 * column + row.
_ORIGINS: Final = [4 * ((column - shift) % 8) + row for column in range(8) for row, shift in enumerate(_ROW_SHIFTS)]


class Rijndael256:
    """The cipher with one key of 32 bytes. Raises ValueError for a key of another length."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError(f"a key of {len(key)} bytes")
        rounds = Rijndael(key, BLOCK).Kd
        self._first, *self._middle, self._last = [
            b"".join(word.to_bytes(4, "big") for word in words) for words in rounds
        ]

    def undo(self, blocks: bytes) -> bytes:
        """Each block of 32 bytes, decrypted by itself. Raises ValueError if they are not whole."""
        count, rest = divmod(len(blocks), BLOCK)
        if rest:
            raise ValueError(f"{len(blocks)} bytes are no whole blocks")
        ones = int.from_bytes(b"\x01" * count, "big")  # times a byte: that byte in every block
        lanes = [int.from_bytes(blocks[place::BLOCK], "big") ^ ones * byte for place, byte in enumerate(self._first)]
        for key in self._middle:
            lanes = [lane ^ ones * byte for lane, byte in zip(_unmixed(lanes, count), key, strict=True)]
        moved = [lanes[origin].to_bytes(count, "big").translate(_UNSUBSTITUTED) for origin in _ORIGINS]
        found = bytearray(len(blocks))
        for place, byte in enumerate(self._last):
            found[place::BLOCK] = (int.from_bytes(moved[place], "big") ^ ones * byte).to_bytes(count, "big")
        return bytes(found)


def _unmixed(lanes: Sequence[int], count: int) -> list[int]:
    """A round undone, but for its key. A lane is the byte at one place of every block, as one number."""
    moved = [lanes[origin].to_bytes(count, "big") for origin in _ORIGINS]
    parts = [[int.from_bytes(lane.translate(table), "big") for table in _TABLES] for lane in moved]
    return [_column_sum(parts, place) for place in range(BLOCK)]


def _column_sum(parts: Sequence[Sequence[int]], place: int) -> int:
    column, row = place & ~3, place & 3
    one, two, three, four = (parts[column + (row + step) % 4][step] for step in range(4))
    return one ^ two ^ three ^ four
