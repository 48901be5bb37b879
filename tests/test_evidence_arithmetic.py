"""The arithmetic of the verifier in evidence: proofs of a tree, and Ed25519, beside other implementations."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from listener.evidence import verify
from listener.log import merkle

# RFC 8032, section 7.1: public key, message, signature
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


# RFC 9162


def test_proofs_of_small_trees() -> None:
    """Each leaf is at its place, with its proof, and at no other; nor with a proof that is cut or too long."""
    leaves = [hashlib.sha256(bytes([number])).digest() for number in range(9)]
    for size in range(1, 10):
        nodes = Grown(leaves[:size])
        for index in range(size):
            path = merkle.inclusion(nodes, index, size)
            for claimed in range(-1, size + 2):
                head = verify.SignedHead(size, merkle.root(nodes, size))
                assert verify.is_included(leaves[index], claimed, head, path) == (claimed == index), (size, index)
                assert not verify.is_included(leaves[index], claimed, head, [*path, leaves[0]])
                assert not path or not verify.is_included(leaves[index], claimed, head, path[:-1])


class Grown:
    """The nodes of a small tree, each worked out from its leaves."""

    def __init__(self, leaves: list[bytes]) -> None:
        self._leaves = leaves

    def __call__(self, level: int, index: int) -> bytes:
        """The root over 2**level leaves."""
        if level == 0:
            return self._leaves[index]
        return merkle.parent(self(level - 1, 2 * index), self(level - 1, 2 * index + 1))


# RFC 8032


@pytest.mark.parametrize(("public", "message", "signature"), VECTORS)
def test_published_signatures(public: str, message: str, signature: str) -> None:
    """Those of RFC 8032, section 7.1; with one bit changed anywhere, they are none."""
    parts = [bytes.fromhex(part) for part in (public, message, signature)]
    assert verify.is_signed(*parts)
    for number, part in enumerate(parts):
        for at in range(0, len(part), 9):
            changed = [*parts]
            changed[number] = part[:at] + bytes([part[at] ^ 1]) + part[at + 1 :]
            assert not verify.is_signed(*changed)


@settings(max_examples=15, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_what_another_implementation_signed(seed: bytes, message: bytes) -> None:
    """It is signed; the same with a multiple of the order added to it is not: one signature, one spelling."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert verify.is_signed(public, message, signature)
    other = int.from_bytes(signature[32:], "little") + verify.ORDER
    assert not verify.is_signed(public, message, signature[:32] + other.to_bytes(32, "little"))
    assert not verify.is_signed(public, message + b"x", signature)


def test_what_is_no_point() -> None:
    """Neither a key nor a signature: too short, not on the curve, not reduced."""
    public, signature = bytes.fromhex(VECTORS[0][0]), bytes.fromhex(VECTORS[0][2])
    assert not verify.is_signed(public[:31], b"", signature)
    assert not verify.is_signed(public, b"", signature[:63])
    assert not verify.is_signed((2).to_bytes(32, "little"), b"", signature)
    assert verify.point((verify.P + 1).to_bytes(32, "little")) is None
    assert verify.point((1 + (1 << 255)).to_bytes(32, "little")) is None
