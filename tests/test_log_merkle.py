"""The tree is RFC 6962's: its published vectors, a naive second implementation, and proofs that must fail."""

import functools
import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener.log import merkle
from listener.log.merkle import Frontier

# What Certificate Transparency's reference implementation publishes:
# https://github.com/transparency-dev/merkle/blob/main/testonly/constants.go
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSIONS = [
    (0, 1, []),
    (0, 2, ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"]),
    (1, 2, ["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"]),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
]
CONSISTENCIES = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
]
MOST = 200


def leaf_hash(content: bytes) -> bytes:
    """RFC 6962's hash of a leaf."""
    return hashlib.sha256(b"\x00" + content).digest()


PUBLISHED = [leaf_hash(bytes.fromhex(content)) for content in INPUTS]
LEAVES = [leaf_hash(b"%d" % number) for number in range(5000)]


@functools.cache
def naive(start: int, stop: int) -> bytes:
    """MTH(D[start:stop]) as RFC 6962 writes it down, without a thought of what it costs."""
    if stop == start:
        return hashlib.sha256(b"").digest()
    if stop == start + 1:
        return LEAVES[start]
    middle = start + split(stop - start)
    return hashlib.sha256(b"\x01" + naive(start, middle) + naive(middle, stop)).digest()


def split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    power = 1
    while power * 2 < size:
        power *= 2
    return power


def path(index: int, start: int, stop: int) -> list[bytes]:
    """PATH(m, D[n]) as RFC 6962 writes it down; `index` counts from the first leaf of all."""
    if stop - start == 1:
        return []
    middle = start + split(stop - start)
    if index < middle:
        return [*path(index, start, middle), naive(middle, stop)]
    return [*path(index, middle, stop), naive(start, middle)]


def proof(old: int, start: int, stop: int, whole: bool = True) -> list[bytes]:
    """SUBPROOF(m, D[n], b) as RFC 6962 writes it down; `old` counts from the first leaf of all."""
    if old == stop:
        return [] if whole else [naive(start, stop)]
    middle = start + split(stop - start)
    if old <= middle:
        return [*proof(old, start, middle, whole), naive(middle, stop)]
    return [*proof(old, middle, stop, False), naive(start, middle)]


def node(level: int, index: int) -> bytes:
    """A complete subtree over LEAVES."""
    return naive(index << level, (index + 1) << level)


def grown(leaves: Sequence[bytes]) -> Frontier:
    """A frontier that took in these."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.push(leaf)
    return frontier


def published(level: int, index: int) -> bytes:
    """A complete subtree over the published leaves."""
    return grown(PUBLISHED[index << level : (index + 1) << level]).root()


def unhex(hashes: Sequence[str]) -> list[bytes]:
    """As bytes."""
    return [bytes.fromhex(one) for one in hashes]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_the_published_ones(size: int) -> None:
    """Grown leaf by leaf, and put together from nodes."""
    assert grown(PUBLISHED[:size]).root().hex() == ROOTS[size]
    assert merkle.root(published, size).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "expected"), INCLUSIONS)
def test_inclusion_proofs_are_the_published_ones(index: int, size: int, expected: list[str]) -> None:
    """And are accepted."""
    assert merkle.inclusion(published, index, size) == unhex(expected)
    assert merkle.is_included(PUBLISHED[index], index, size, unhex(expected), bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize(("old", "new", "expected"), CONSISTENCIES)
def test_consistency_proofs_are_the_published_ones(old: int, new: int, expected: list[str]) -> None:
    """And are accepted."""
    assert merkle.consistency(published, old, new) == unhex(expected)
    old_head, new_head = unhex([ROOTS[old], ROOTS[new]])
    assert merkle.is_consistent(old, new, old_head, new_head, unhex(expected))


def test_every_root_is_the_naive_one() -> None:
    """Of all sizes up to 200, and the nodes that are completed on the way are those that a proof asks for."""
    frontier = Frontier()
    for size in range(1, MOST + 1):
        made = frontier.push(LEAVES[size - 1])
        assert made == [node(level, (size >> level) - 1) for level in range(len(made))]
        assert frontier.root() == merkle.root(node, size) == naive(0, size)
    assert (Frontier().root(), merkle.root(node, 0)) == (merkle.EMPTY, merkle.EMPTY)


def test_every_inclusion_proof_is_the_naive_one() -> None:
    """Of each leaf in each tree of up to 200; it is accepted there, and nowhere beside."""
    for size in range(1, MOST + 1):
        head = naive(0, size)
        for index in range(size):
            found = merkle.inclusion(node, index, size)
            assert found == path(index, 0, size)
            assert merkle.is_included(LEAVES[index], index, size, found, head)
            assert not merkle.is_included(LEAVES[index + 1], index, size, found, head)
            assert not merkle.is_included(LEAVES[index], index + 1, size, found, head)


def test_every_consistency_proof_is_the_naive_one() -> None:
    """Of each tree in each larger one of up to 200; it is accepted for these two, and for no other size."""
    for new in range(1, MOST + 1):
        head = naive(0, new)
        for old in range(1, new + 1):
            found = merkle.consistency(node, old, new)
            assert found == proof(old, 0, new)
            assert merkle.is_consistent(old, new, naive(0, old), head, found)
            assert old == 1 or not merkle.is_consistent(old - 1, new, naive(0, old), head, found)
            assert not merkle.is_consistent(old, new, naive(1, old + 1), head, found)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_larger_trees_are_the_naive_ones_too(data: st.DataObject) -> None:
    """At random, beyond the sizes that are tested one by one."""
    new = data.draw(st.integers(MOST, len(LEAVES)))
    old, index = data.draw(st.integers(1, new)), data.draw(st.integers(0, new - 1))
    head = naive(0, new)
    assert merkle.root(node, new) == head
    assert merkle.inclusion(node, index, new) == path(index, 0, new)
    assert merkle.is_included(LEAVES[index], index, new, path(index, 0, new), head)
    assert merkle.consistency(node, old, new) == proof(old, 0, new)
    assert merkle.is_consistent(old, new, naive(0, old), head, proof(old, 0, new))


def changed(data: st.DataObject, good: list[bytes]) -> list[list[bytes]]:
    """A proof with one bit changed, with a hash too few, with one too many, and the other way round."""
    at, bit = data.draw(st.integers(0, len(good) - 1)), data.draw(st.integers(0, 255))
    flipped = (int.from_bytes(good[at], "big") ^ 1 << bit).to_bytes(32, "big")
    bad = [[*good[:at], flipped, *good[at + 1 :]], [*good[:at], *good[at + 1 :]], [*good[:at], good[at], *good[at:]]]
    return bad if len(good) == 1 else [*bad, good[::-1]]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_proof_with_anything_changed_is_refused(data: st.DataObject) -> None:
    """Whatever it is, in a proof of either kind."""
    size = data.draw(st.integers(3, 300))
    old, index = data.draw(st.integers(1, size - 1)), data.draw(st.integers(0, size - 1))
    for steps in changed(data, path(index, 0, size)):
        assert not merkle.is_included(LEAVES[index], index, size, steps, naive(0, size))
    for steps in changed(data, proof(old, 0, size)):
        assert not merkle.is_consistent(old, size, naive(0, old), naive(0, size), steps)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 3), (3, 3), (4, 3)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    """Neither made nor accepted."""
    with pytest.raises(ValueError, match=f"no leaf {index} among {size}"):
        merkle.inclusion(node, index, size)
    assert not merkle.is_included(LEAVES[0], index, size, [], LEAVES[0])


def test_there_is_no_proof_of_a_tree_that_is_larger() -> None:
    """A log that shrank is consistent with nothing it was; and a proof for the empty tree says nothing."""
    for old, new in ((4, 3), (0, 3)):
        with pytest.raises(ValueError, match=f"no tree of {old} leaves in one of {new}"):
            merkle.consistency(node, old, new)
    assert not merkle.is_consistent(4, 3, naive(0, 4), naive(0, 3), [naive(0, 3)])
    assert not merkle.is_consistent(1, 3, naive(0, 1), naive(0, 3), [])


def test_every_tree_begins_with_the_empty_one() -> None:
    """If that is what its root says; and each with itself."""
    assert merkle.is_consistent(0, 3, merkle.EMPTY, naive(0, 3), [])
    assert not merkle.is_consistent(0, 3, naive(0, 1), naive(0, 3), [])
    assert merkle.is_consistent(3, 3, naive(0, 3), naive(0, 3), [])
    assert not merkle.is_consistent(3, 3, naive(0, 3), naive(1, 4), [])
