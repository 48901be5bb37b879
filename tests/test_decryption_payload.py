"""The text of an `.enc`: in pieces or as one, with either cipher, padded either way; and what is none."""

import base64
import hashlib
import io
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py3rijndael import RijndaelCbc, ZeroPadding

from listener.decryption import payload
from listener.decryption.ciphers import Aes256Cbc, Cipher, Rijndael256Cbc, fitting
from listener.decryption.keys import PrivateKeys
from listener.decryption.payload import Garbled
from listener.demo.archive import archive
from listener.demo.sealing import Seal
from tests.evro import SEALS, key_file, pair

KEY, IV = bytes(range(32)), bytes(range(0x80, 0xA0))
FRAMINGS = {False: payload.in_pieces, True: payload.as_one}  # by Seal.whole


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> PrivateKeys:
    """Ours."""
    return PrivateKeys((str(key_file(tmp_path_factory.mktemp("keys"))),))


def sealed(content: bytes, seal: Seal, keys: PrivateKeys) -> tuple[bytes, Cipher]:
    """The text that stands for a content, and the cipher that fits it."""
    made = Seal(pair().public, seal.aes, seal.whole).entries("1_OUT.enc", content, "x")
    (private,) = keys.each()
    key = private.opened(base64.b64decode(made["1_OUT.enc.key"]))
    assert key is not None
    (cipher,) = fitting(key, made["1_OUT.enc.iv"])
    return made["1_OUT.enc"], cipher


def noise(size: int) -> bytes:
    """Bytes that look random and are the same each time."""
    return hashlib.shake_256(b"%d" % size).digest(size)


@pytest.mark.parametrize("how", SEALS)
@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 9000])
def test_what_was_encrypted_comes_out(how: str, size: int, keys: PrivateKeys) -> None:
    """Around the size of a piece; a line end behind it changes nothing."""
    content = noise(size)
    text, cipher = sealed(content, SEALS[how], keys)
    framing = FRAMINGS[SEALS[how].whole]
    for written in (text, text + b"\n", text + b"\r\n"):
        assert b"".join(framing(io.BytesIO(written), cipher)) == content


@pytest.mark.parametrize("whole", [False, True])
def test_a_large_one_comes_out_part_by_part(whole: bool, keys: PrivateKeys) -> None:
    """More than is read at once, which is how memory stays small."""
    content = noise(700_000)
    text, cipher = sealed(content, Seal(aes=True, whole=whole), keys)
    parts = list(FRAMINGS[whole](io.BytesIO(text), cipher))
    assert b"".join(parts) == content
    assert max(map(len, parts)) < 300_000


def test_a_base64_that_was_cut_comes_out_too(keys: PrivateKeys) -> None:
    """A mock of the vendor cuts one long base64 into pieces, instead of encoding each for itself."""
    content = noise(20_000)
    one = base64.b64encode(content)
    pieces = [one[at : at + 5472] for at in range(0, len(one), 5472)]
    text = b"".join(base64.b64encode(RijndaelCbc(KEY, IV, ZeroPadding(32), 32).encrypt(piece)) for piece in pieces)
    assert b"".join(payload.in_pieces(io.BytesIO(text), Rijndael256Cbc(KEY, IV))) == content


@pytest.mark.parametrize("how", SEALS)
def test_the_other_framing_is_noticed(how: str, keys: PrivateKeys) -> None:
    """From the second piece on."""
    text, cipher = sealed(noise(9000), SEALS[how], keys)
    with pytest.raises(Garbled):
        list(FRAMINGS[not SEALS[how].whole](io.BytesIO(text), cipher))


@pytest.mark.parametrize("how", SEALS)
def test_the_first_piece_tells_the_cipher(how: str, keys: PrivateKeys) -> None:
    """It must begin a zip, and be base64 to its end; another key, IV or cipher makes noise of it."""
    text, cipher = sealed(archive({"a.pdf": noise(9000)}), SEALS[how], keys)
    first = text[: payload.PIECE]
    assert payload.opens(first, cipher)
    others = [*fitting(KEY, cipher.iv), *fitting(KEY[::-1], IV[: cipher.block]), Aes256Cbc(KEY, IV[:16])]
    assert len(others) == 3
    assert not any(payload.opens(first, other) for other in others)
    assert not payload.opens(first[:-4], cipher)


def test_what_is_no_zip_does_not_open(keys: PrivateKeys) -> None:
    """Though key and cipher are right."""
    text, cipher = sealed(b"%PDF-1.4 and more", Seal(), keys)
    assert not payload.opens(text, cipher)
    text, cipher = sealed(archive({"a": b""}), Seal(), keys)
    assert payload.opens(text, cipher)


TEXTS = st.binary(max_size=200) | st.binary(max_size=96).map(base64.b64encode) | st.text(max_size=50).map(str.encode)
CIPHERS = st.sampled_from([Rijndael256Cbc(KEY, IV), Aes256Cbc(KEY, IV[:16])])


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, cipher=CIPHERS, whole=st.booleans())
def test_any_text_is_something_or_garbled(text: bytes, cipher: Cipher, whole: bool) -> None:
    """Nothing else is raised, and what comes out is never more than went in."""
    payload.opens(text, cipher)
    assert len(taken(FRAMINGS[whole](io.BytesIO(text), cipher))) <= len(text)


def taken(pieces: Iterator[bytes]) -> bytes:
    """What comes before it is garbled."""
    found = b""
    try:
        for piece in pieces:
            found += piece
    except Garbled:
        pass
    return found
