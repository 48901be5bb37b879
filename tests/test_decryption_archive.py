"""Archives that somebody made to hurt: whatever is in them, the only error is the declared one, and soon."""

import functools
import io
import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener import errors, zips
from listener.decryption import documents
from listener.decryption.documents import Way
from listener.decryption.keys import PrivateKeys
from listener.demo.archive import archive
from listener.demo.sealing import Seal
from listener.demo.transactions import Transaction, group_package, package
from tests.evro import ID, key_file, pair

ENC = f"{ID}_OUT.enc"


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> Way:
    """With our key, and an empty folder for what lies between."""
    key = key_file(tmp_path_factory.mktemp("keys"))
    return Way(PrivateKeys((str(key),)), None, tmp_path_factory.mktemp("scratch"))


def opened(download: bytes, way: Way) -> bytes:
    """What is made of a download."""
    made = io.BytesIO()
    documents.make(io.BytesIO(download), made, way)
    return made.getvalue()


def seal() -> Seal:
    """For our key."""
    return Seal(pair().public, aes=True)


def entries(content: bytes = b"signed") -> dict[str, bytes]:
    """Those of a sound download."""
    return seal().entries(ENC, archive({"a.pdf": content}), "a.pdf")


def without(*suffixes: str) -> bytes:
    """A download that lacks entries."""
    return archive(
        {name: each for name, each in entries().items() if name not in {ENC + suffix for suffix in suffixes}}
    )


def inner(content: bytes) -> bytes:
    """A download whose inner zip is anything."""
    return archive(seal().entries(ENC, content, "a.pdf"))


def doubled() -> bytes:
    """A zip with two entries of one name."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as file:
        warnings.simplefilter("ignore")
        file.writestr(ENC, b"a")
        file.writestr(ENC, b"b")
    return out.getvalue()


def packed(name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip with one entry, packed in some way."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        file.writestr(name, content)
    return out.getvalue()


def claiming(size: int) -> bytes:
    """A zip whose directory claims that its entry is so large."""
    made = bytearray(packed(ENC, b"x"))
    at = made.index(b"PK\x01\x02")
    struct.pack_into("<I", made, at + 24, size)
    return bytes(made)


def locked() -> bytes:
    """A zip whose entry needs a password."""
    made = bytearray(packed(ENC, b"x"))
    made[made.index(b"PK\x01\x02") + 8] |= 1
    return bytes(made)


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "no whole zip"),
    "no zip": (lambda: b"<html>", "no whole zip"),
    "its end alone": (lambda: archive(entries())[-22:], "no whole zip"),
    "cut in front": (lambda: archive(entries())[100:], "no whole zip"),
    "empty": (lambda: archive({}), "nothing in the download is encrypted"),
    "not encrypted": (lambda: archive({"contract.pdf": b"%PDF-"}), "nothing in the download is encrypted"),
    "no key": (lambda: without(".key"), f"transaction {ID} has no .enc.key"),
    "no text": (lambda: without(""), f"transaction {ID} has no .enc$"),
    "no iv and no key": (lambda: without(".iv", ".key"), "has no .enc.iv and no .enc.key"),
    "key that is no base64": (lambda: archive(entries() | {f"{ENC}.key": b"\xff"}), "a key that is no base64"),
    "iv of 5 bytes": (lambda: archive(entries() | {f"{ENC}.iv": b"short"}), "no private key opens"),
    "long key": (lambda: archive(entries() | {f"{ENC}.key": bytes(70_000)}), "may have 65536"),
    "long iv": (lambda: archive(entries() | {f"{ENC}.iv": bytes(2000)}), "may have 1024"),
    "long name": (lambda: archive(entries() | {f"{ENC}.filename": bytes(9000)}), "may have 4096"),
    "doubled": (doubled, "two entries of the same name"),
    "many entries": (lambda: archive({str(n): b"" for n in range(1001)}), "has 1001 entries, and may have 1000"),
    "large": (lambda: claiming(3 * 1024**3), "3221225472 bytes unpacked, and may hold 2147483648"),
    "packed oddly": (lambda: packed(ENC, b"x", zipfile.ZIP_LZMA), "in a way that is not expected"),
    "locked": (locked, "in a way that is not expected"),
    "nested zip that is none": (lambda: archive({"1.zip": b"no zip"}), "1.zip is no whole zip"),
    "nested zip with nothing in it": (lambda: archive({"1.zip": archive({})}), "nothing in '1.zip' is encrypted"),
    "zips in zips in zips": (
        lambda: archive({"1.zip": archive({"2.zip": archive(entries())})}),
        "nothing in '1.zip' is encrypted",
    ),
    "inner entries": (lambda: inner(archive({str(n): b"" for n in range(1001)})), "has 1001 entries"),
    "inner zip that is none": (lambda: inner(b"PK\x03\x04" + bytes(9000)), "does not go on like one"),
    "inner zip that is large": (lambda: inner(claiming(3 * 1024**3)), "bytes unpacked"),
    "inner entry that is damaged": (lambda: inner(archive({"a": b"signed"}).replace(b"signed", b"forged")), "CRC"),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_what_is_wrong_is_told(make: tuple[Callable[[], bytes], str], way: Way) -> None:
    """In one sentence of the declared kind, that trying again would not change."""
    download, told = make
    with pytest.raises(errors.Hopeless, match=told) as raised:
        opened(download(), way)
    assert len(str(raised.value)) < 400


def test_what_is_right_is_opened(way: Way) -> None:
    """The tests above are able to fail; what else lies in a download changes nothing."""
    plain = opened(archive(entries()), way)
    assert opened(archive({"README.txt": b"hello", **entries(), "empty/": b""}), way) == plain
    assert zipfile.ZipFile(io.BytesIO(plain)).namelist() == ["a.pdf"]


def test_a_bomb_is_measured_before_it_goes_off(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    """What a zip says that it holds is what is read of it at most, whatever is packed in it."""
    bomb = packed("a.pdf", bytes(5_000_000))
    assert len(bomb) < 10_000
    assert len(opened(inner(bomb), way)) > 5_000_000
    monkeypatch.setattr(zips, "MOST_BYTES", 1_000_000)
    with pytest.raises(errors.Hopeless, match="holds 5000000 bytes unpacked"):
        opened(inner(bomb), way)
    understated = bytearray(bomb)
    for at in (understated.index(b"PK\x01\x02") + 24, 22):
        struct.pack_into("<I", understated, at, 1000)
    with pytest.raises(errors.Hopeless, match="Bad CRC"):
        opened(inner(bytes(understated)), way)


def test_a_disk_that_fails_is_no_damaged_archive(tmp_path: Path, way: Way) -> None:
    """What is wrong here is not the document, and passes."""
    gone = tmp_path / "gone"
    with pytest.raises(FileNotFoundError):
        documents.make(io.BytesIO(archive(entries())), io.BytesIO(), way._replace(scratch=gone))


# Any bytes at all


def sound() -> list[bytes]:
    """Downloads of every sort."""
    members = [Transaction("1", seal=seal()), Transaction("2", seal=Seal(pair().public, whole=True))]
    return [archive(entries()), package(members[0]), *(group_package(members, flat=flat) for flat in (False, True))]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A download with bytes taken out, others put in, and a few changed."""
    made = bytearray(draw(st.sampled_from(_sound())))
    start = draw(st.integers(0, len(made)))
    made[start : start + draw(st.integers(0, 40))] = draw(st.binary(max_size=40))
    for _ in range(draw(st.integers(0, 3))):
        made[draw(st.integers(0, len(made) - 1))] = draw(st.integers(0, 255))
    return bytes(made)


@st.composite
def directories(draw: st.DrawFn) -> bytes:
    """A download whose directory, where everything else is found, has other numbers in it."""
    made = bytearray(draw(st.sampled_from(_sound())))
    start = made.index(b"PK\x01\x02")
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(start, len(made) - 4))
        struct.pack_into(
            "<I", made, at, draw(st.sampled_from([0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]) | st.integers(0, 99))
        )
    return bytes(made)


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """A zip of anything, under names that mean something."""
    names = st.sampled_from([ENC, f"{ENC}.key", f"{ENC}.iv", f"{ENC}.filename", "1.zip", ".enc", "../x.enc", "x/"])
    content = st.binary(max_size=60) | st.sampled_from([*entries().values()])
    return archive(draw(st.dictionaries(names, content, max_size=6)))


_sound = functools.cache(sound)


@settings(max_examples=400, deadline=None)
@given(download=damaged() | directories() | archives() | st.binary(max_size=100))
def test_any_archive_is_opened_or_hopeless(download: bytes, way: Way) -> None:
    """Nothing else is raised, and nothing is left behind."""
    try:
        made = opened(download, way)
    except errors.Hopeless as error:
        assert str(error)  # noqa: PT017  either is fine
    else:
        assert zipfile.ZipFile(io.BytesIO(made)).testzip() is None
    assert os.listdir(way.scratch) == []
