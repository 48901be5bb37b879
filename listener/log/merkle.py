"""Merkle trees as RFC 6962 draws them: roots, proofs, and how anybody checks a proof."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

# A complete subtree is named by its level and its index there: the one over the 2**level leaves from index * 2**level
# on. Nodes answers with its hash; leaves are level 0, and count from 0.
Nodes = Callable[[int, int], bytes]

EMPTY: Final = hashlib.sha256(b"").digest()  # the root over no leaf at all
_sha256 = hashlib.sha256


def parent(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right), https://www.rfc-editor.org/rfc/rfc6962#section-2.1."""
    return _sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that only grows, and keeps no more of itself than the roots of its complete subtrees, largest first."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        self.size = size
        self._peaks = list(peaks)

    def push(self, leaf: bytes) -> list[bytes]:
        """Take in one more leaf hash. The nodes that it completes: the leaf, then one of each level above."""
        made, node, size = [leaf], leaf, self.size
        while size & 1:
            node = parent(self._peaks.pop(), node)
            made.append(node)
            size >>= 1
        self._peaks.append(node)
        self.size += 1
        return made

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._peaks:
            return EMPTY
        *others, found = self._peaks
        for peak in reversed(others):
            found = parent(peak, found)
        return found


def peaks(nodes: Nodes, size: int) -> list[bytes]:
    """The roots of the complete subtrees that a tree of `size` leaves is made of, largest first."""
    levels = [level for level in range(size.bit_length() - 1, -1, -1) if size >> level & 1]
    return [nodes(level, (size >> level) - 1) for level in levels]


def root(nodes: Nodes, size: int) -> bytes:
    """The root over the first `size` leaves."""
    return Frontier(size, peaks(nodes, size)).root()


def inclusion(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """PATH(index, D[size]): what the leaf at `index` (0 ≤ index < size) needs to reach the root over `size` leaves."""
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} among {size}")
    path, start, stop = list[bytes](), 0, size
    while stop - start > 1:
        middle = start + _left(stop - start)
        if index < middle:
            path.append(_span(nodes, middle, stop))
            stop = middle
        else:
            path.append(_span(nodes, start, middle))
            start = middle
    return path[::-1]


def consistency(nodes: Nodes, old: int, new: int) -> list[bytes]:
    """PROOF(old, D[new]): what shows that the tree of `new` leaves begins with the tree of `old` (0 < old ≤ new)."""
    if not 0 < old <= new:
        raise ValueError(f"no tree of {old} leaves in one of {new}")
    path, start, stop = list[bytes](), 0, new
    while stop > old:
        middle = start + _left(stop - start)
        if old <= middle:
            path.append(_span(nodes, middle, stop))
            stop = middle
        else:
            path.append(_span(nodes, start, middle))
            start = middle
    known = [_span(nodes, start, stop)] if start else []  # who checks it knows the whole old tree's root already
    return known + path[::-1]


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], head: bytes) -> bool:
    """Whether `path` proves that this leaf stands at `index` under the root `head` over `size` leaves.

    https://www.rfc-editor.org/rfc/rfc9162#section-2.1.3.2
    """
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = parent(step, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = parent(found, step)
        at, last = at >> 1, last >> 1
    return last == 0 and found == head


def is_consistent(old: int, new: int, old_head: bytes, new_head: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves that the tree of `new` leaves begins with the tree of `old`; roots at both sizes given.

    https://www.rfc-editor.org/rfc/rfc9162#section-2.1.4.2
    """
    if old == new:
        return not path and old_head == new_head
    if old == 0:  # every tree begins with the empty one
        return not path and old_head == EMPTY
    if not 0 < old < new or not path:
        return False
    steps = [old_head, *path] if old & (old - 1) == 0 else list(path)
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old_found = new_found = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old_found, new_found = parent(step, old_found), parent(step, new_found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new_found = parent(new_found, step)
        at, last = at >> 1, last >> 1
    return last == 0 and (old_found, new_found) == (old_head, new_head)


def _left(size: int) -> int:
    """How many leaves stand in the left subtree: the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _span(nodes: Nodes, start: int, stop: int) -> bytes:
    """The root over the leaves from `start` on, before `stop`, where a split of the tree begins and ends."""
    size = stop - start
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return nodes(level, start >> level)
    middle = start + _left(size)
    return parent(_span(nodes, start, middle), _span(nodes, middle, stop))
