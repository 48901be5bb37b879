"""A sieve: it says of a key that it may be among those that were let go, in memory that does not grow with them."""

from collections.abc import Iterable
from typing import Final

from projections.facts import Key

_BITS: Final = 2**24  # 2 MB: of a million keys, six in a hundred others pass


class Sieve:
    """A bit for each key, which some share: what was added always passes, and little else does."""

    def __init__(self, bits: int = _BITS) -> None:
        self._last = bits - 1
        self._bits = bytearray(bits // 8)

    def add(self, keys: Iterable[Key]) -> None:
        """Let these pass from now on."""
        for key in keys:
            at = hash(key) & self._last
            self._bits[at >> 3] |= 1 << (at & 7)

    def sift(self, keys: Iterable[Key]) -> list[Key]:
        """Those that may have been added."""
        bits, last = self._bits, self._last
        return [key for key in keys if bits[(at := hash(key) & last) >> 3] & 1 << (at & 7)]
