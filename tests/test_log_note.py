"""Signed heads are what C2SP describes: Go's own vector, openssl, and everything that is no note."""

import base64
import contextlib
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from listener import errors
from listener.log import note
from listener.log.note import PublicKey, SigningKey, TreeHead

# The example of Go's implementation, https://pkg.go.dev/golang.org/x/mod/sumdb/note: Ed25519 has one signature for a
# key and a text, so ours must be theirs.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SECRET = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
# The example of https://c2sp.org/tlog-checkpoint, whose key is not told.
C2SP_NAME = "example.com/behind-the-sofa"
C2SP_SIGNATURE = "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8="
C2SP_TEXT = f"{C2SP_NAME}\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
C2SP_NOTE = f"{C2SP_TEXT}\n— {C2SP_NAME} {C2SP_SIGNATURE}\n"
HEAD = TreeHead("signlog/test", 1000, bytes(range(32)))


def signing(name: str = "signlog/test", seed: int = 1) -> SigningKey:
    """A key that is the same each time."""
    return SigningKey(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def test_it_signs_as_go_does() -> None:
    """The same text and key give the same note, byte for byte."""
    peter = SigningKey("PeterNeumann", Ed25519PrivateKey.from_private_bytes(GO_SECRET))
    assert str(peter.public) == GO_KEY
    assert note.sign(GO_TEXT, [peter]) == f"{GO_TEXT}\n— PeterNeumann {GO_SIGNATURE}\n"


def test_it_believes_what_go_signed() -> None:
    """And not with one letter changed."""
    peter, signature = note.key(GO_KEY), base64.b64decode(GO_SIGNATURE)[4:]
    assert peter.made(signature, GO_TEXT)
    assert not peter.made(signature, GO_TEXT.replace("think", "thinK"))


def test_the_example_of_the_standard_is_read() -> None:
    """Its three lines, and who says that they signed them."""
    found = note.read(C2SP_NOTE)
    assert found.head[:2] == (C2SP_NAME, 20852163)
    assert found.head.text == found.text == C2SP_TEXT
    assert [signature.name for signature in found.signatures] == [C2SP_NAME]


def test_a_head_comes_back_as_it_was_signed() -> None:
    """With everybody known who signed it, in any number; strangers are left out."""
    keys = [signing(), signing("signlog/test", 2), signing("other", 3)]
    found = note.read(note.sign(HEAD.text, keys))
    assert found.head == HEAD
    assert found.signers([key.public for key in keys]) == [key.public for key in keys]
    assert found.signers([keys[1].public]) == [keys[1].public]
    assert found.signers([signing("signlog/test", 4).public]) == []


def test_a_wrong_signature_of_a_known_key_spoils_the_note() -> None:
    """Though another one is right: somebody changed the text."""
    keys = [signing(), signing("other", 2)]
    signed = note.sign(HEAD.text, keys).replace("1000", "1001")
    with pytest.raises(errors.NotANote, match="the signature of signlog/test is wrong"):
        note.read(signed).signers([keys[0].public])


def test_a_key_of_the_same_name_is_told_by_its_id() -> None:
    """After a change of keys the new one's line is not taken for the old one's."""
    old, new = signing(seed=1).public, signing(seed=2).public
    assert old.id != new.id
    assert note.read(note.sign(HEAD.text, [signing(seed=2)])).signers([old, new]) == [new]


def test_keys_are_written_and_read() -> None:
    """As verifiers of signed notes take them; the one of Go's checksum database is one."""
    assert note.key(str(signing().public)) == signing().public
    text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
    assert str(note.key(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        GO_KEY.replace("c74f20a3", "c74f20a4"),
        GO_KEY.replace("+AR", "+AB"),
        GO_KEY.replace("+AR", "+BR"),
        GO_KEY[:-4],
        GO_KEY.replace("Peter", "Peter "),
        "PRIVATE+KEY+" + GO_KEY,
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    """Another name, id, kind or length; a private key, too."""
    with pytest.raises(errors.NotANote):
        note.key(text)


SIGNED = note.sign(HEAD.text, [signing()])
LINE = SIGNED.splitlines()[-1]


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "no line of a signature"),
        (HEAD.text, "no line of a signature"),
        (HEAD.text + "\n", "a line below its text is no signature|no line of a signature"),
        (SIGNED[:-1], "no line of a signature"),
        (f"\n1\n{HEAD.text.splitlines()[2]}\n\n{LINE}\n", "no name of a log"),
        (SIGNED.replace("1000", "01000"), "no size in its second"),
        (SIGNED.replace("1000", "-1"), "no size in its second"),
        (SIGNED.replace("1000", "9" * 19), "no size in its second"),
        (SIGNED.replace("1000", "١"), "no size in its second"),
        (SIGNED.replace("AAEC", "AAE"), "its root is not base64"),
        (SIGNED.replace("AAEC", ""), "its root has 29 bytes"),
        (SIGNED.replace("— ", "- "), "a line below its text is no signature"),
        (SIGNED.replace("— signlog", "— sign+log"), "a line below its text is no signature"),
        (SIGNED + "x\n", "a line below its text is no signature"),
        (f"{HEAD.text}\n— signlog/test AAAA\n", "its signature has 3 bytes"),
        (f"{HEAD.text}\n— signlog/test ä\n", "its signature is not base64"),
        (SIGNED.replace("signlog", "sign\x1blog"), "such as steer a terminal"),
        (SIGNED.replace("\n", "\r\n"), "such as steer a terminal"),
        (SIGNED + LINE * 1000, "more than 65536 characters"),
    ],
)
def test_what_is_no_note_is_refused(written: str, why: str) -> None:
    """With what is wrong with it."""
    with pytest.raises(errors.NotANote, match=why):
        note.read(written)


@given(st.text(max_size=300) | st.builds("{}\n\n— {} {}\n".format, st.text(), st.text(), st.text()))
def test_any_text_is_a_note_or_none(written: str) -> None:
    """Nothing else is raised, whatever it is."""
    with contextlib.suppress(errors.NotANote):
        note.read(written)


def test_more_lines_in_the_text_are_no_harm() -> None:
    """The standard allows them; they are signed with the rest."""
    text = HEAD.text + "something else\n"
    found = note.read(note.sign(text, [signing()]))
    assert (found.head, found.text) == (HEAD, text)
    assert found.signers([signing().public]) == [signing().public]


def test_many_signatures_are_read() -> None:
    """The standard asks for sixteen at least."""
    keys = [signing(f"name-{seed}", seed) for seed in range(1, 40)]
    assert len(note.read(note.sign(HEAD.text, keys)).signers([key.public for key in keys])) == 39


def openssl(folder: Path, public: PublicKey, signature: bytes, text: str) -> int:
    """Ask openssl whether it is signed; 0 for yes."""
    for name, content in (("key.pem", public.pem.encode()), ("text", text.encode()), ("signature", signature)):
        (folder / name).write_bytes(content)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "text"]
    command += ["-sigfile", "signature"]
    return subprocess.run(command, check=False, cwd=folder, capture_output=True).returncode


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed here")
def test_openssl_agrees(tmp_path: Path) -> None:
    """Cut the text and the signature out of the note, and it says yes; to another text or key it says no."""
    found = note.read(SIGNED)
    (signature,) = found.signatures
    assert openssl(tmp_path, signing().public, signature.signature, found.text) == 0
    assert openssl(tmp_path, signing().public, signature.signature, found.text + " ") != 0
    assert openssl(tmp_path, signing(seed=2).public, signature.signature, found.text) != 0
