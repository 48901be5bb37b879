"""Both ciphers of Evrotrust's documents: known answers, the library that is slow, and what an IV can belong to."""

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from py3rijndael import Rijndael, RijndaelCbc, ZeroPadding

from listener.decryption import ciphers
from listener.decryption.ciphers import Aes256Cbc, Rijndael256Cbc
from listener.decryption.rijndael import Rijndael256

# One block of 256 bits with a key of 256 bits: what py3rijndael and rijndael-js say alike.
KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfe")
PLAIN = bytes.fromhex("3243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c8")
SECRET = bytes.fromhex("a49406115dfb30a40418aafa4869b7c6a886ff31602a7dd19c889dc64f7e4e7a")

KEYS = st.binary(min_size=32, max_size=32)
PIECES = st.lists(st.integers(1, 4), max_size=4)  # how many blocks each has


def test_the_known_block() -> None:
    """Decrypted alone, and again behind itself and in front of another."""
    assert Rijndael256(KEY).undo(SECRET) == PLAIN
    assert Rijndael256(KEY).undo(bytes(32) + SECRET * 2)[32:] == PLAIN * 2


def test_another_key_is_another_block() -> None:
    """The test above is able to fail: a key or a block that differs in one bit."""
    assert Rijndael256(bytes([KEY[0] ^ 1]) + KEY[1:]).undo(SECRET) != PLAIN
    assert Rijndael256(KEY).undo(bytes([SECRET[0] ^ 1]) + SECRET[1:]) != PLAIN


def test_the_known_chain() -> None:
    """Zeros are the padding, and whoever decrypts leaves them."""
    secret = bytes.fromhex("69ebe6475e2b494bc60ce9c5ae7db719c64fcf3d93043c9f0c64772e2f8db14d")
    cipher = Rijndael256Cbc(bytes(range(0x20, 0x40)), bytes(range(0x20)))
    assert cipher.chained([secret], cipher.iv) == [b"UEsDBBQAAAAIAA==" + bytes(16)]


@settings(max_examples=30, deadline=None)
@given(key=KEYS, data=st.data())
def test_every_block_is_as_the_library_says(key: bytes, data: st.DataObject) -> None:
    """Whatever stands in it, and however many are undone at once."""
    count = data.draw(st.integers(0, 5))
    blocks = data.draw(st.binary(min_size=32 * count, max_size=32 * count))
    known = Rijndael(key, 32)
    one_by_one = b"".join(known.decrypt(blocks[at : at + 32]) for at in range(0, len(blocks), 32))
    assert Rijndael256(key).undo(blocks) == one_by_one


@settings(max_examples=20, deadline=None)
@given(key=KEYS, iv=KEYS, sizes=PIECES, data=st.data())
def test_pieces_are_chains_of_their_own(key: bytes, iv: bytes, sizes: list[int], data: st.DataObject) -> None:
    """Each behind the same IV, with either cipher."""
    plain = [data.draw(st.binary(min_size=32 * size, max_size=32 * size)) for size in sizes]
    rijndael = [RijndaelCbc(key, iv, ZeroPadding(32), 32).encrypt(piece) for piece in plain]
    assert Rijndael256Cbc(key, iv).chained(rijndael, iv) == plain
    aes = [aes_cbc(key, iv[:16], piece) for piece in plain]
    assert Aes256Cbc(key, iv[:16]).chained(aes, iv[:16]) == plain


def aes_cbc(key: bytes, iv: bytes, plain: bytes) -> bytes:
    """Whole blocks, encrypted."""
    cipher = Cipher(algorithms.AES256(key), modes.CBC(iv)).encryptor()
    return cipher.update(plain) + cipher.finalize()


def test_aes_is_aes() -> None:
    """The first block of NIST's example (SP 800-38A, F.2.6), which is not what Rijndael-256 makes of it."""
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    secret = bytes.fromhex("f58c4c04d6e5f1ba779eabfb5f7bfbd6")
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    assert Aes256Cbc(key, bytes(range(16))).chained([secret], bytes(range(16))) == [plain]
    assert Rijndael256(key).undo(secret * 2)[:16] != plain


@pytest.mark.parametrize("size", [1, 16, 31, 33])
def test_what_is_no_whole_blocks_is_refused(size: int) -> None:
    """Half a block is not decrypted into half a truth."""
    with pytest.raises(ValueError, match="whole"):
        Rijndael256(KEY).undo(bytes(size))
    with pytest.raises(ValueError, match="whole"):
        Rijndael256Cbc(KEY, bytes(32)).chained([bytes(32), bytes(size)], bytes(32))
    with pytest.raises(ValueError, match="a key of"):
        Rijndael256(KEY[:16])


RAW = bytes(range(0x80, 0xA0))
SPACED = b"\n\t " + bytes(range(0x83, 0xA0))


@pytest.mark.parametrize(
    ("iv", "found"),
    [
        (RAW, [(Rijndael256Cbc, RAW)]),
        (RAW[:16], [(Aes256Cbc, RAW[:16])]),
        (SPACED, [(Rijndael256Cbc, SPACED)]),  # random bytes that look like white space
        (RAW + b"\r\n", [(Rijndael256Cbc, RAW)]),
        (RAW[:16] + b"\n", [(Aes256Cbc, RAW[:16])]),
        (RAW + b"more", [(Rijndael256Cbc, RAW)]),
        (RAW[:15] + b"\n", [(Aes256Cbc, RAW[:15] + b"\n")]),
        (RAW[:16].hex().encode(), [(Rijndael256Cbc, RAW[:16].hex().encode()), (Aes256Cbc, RAW[:16])]),
        (RAW.hex().encode() + b"\n", [(Rijndael256Cbc, RAW), (Rijndael256Cbc, RAW.hex().encode()[:32])]),
        (b"", []),
        (RAW[:24], []),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else "",
)
def test_what_an_iv_can_belong_to(iv: bytes, found: list[tuple[type, bytes]]) -> None:
    """Its length tells the cipher; it is trimmed only if it fits none, and hex may be hex or may be chance."""
    assert [(type(cipher), cipher.iv) for cipher in ciphers.fitting(KEY, iv)] == found
