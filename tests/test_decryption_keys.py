"""Private keys: from files and folders, with and without passphrases, in which order; and what is no key."""

import base64
import os
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_public_key,
)

from listener import errors
from listener.decryption.keys import PrivateKeys
from tests.evro import key_file, pair

PASSPHRASE = "a passphrase"


def elliptic(folder: Path) -> Path:
    """A private key of another sort."""
    path = folder / "elliptic.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def found(*paths: Path, named: str | None = None, passphrases: tuple[str, ...] = ()) -> list[str]:
    """The names of the keys, in the order in which they are tried."""
    return [key.name for key in PrivateKeys(tuple(map(str, paths)), passphrases).each(named)]


def test_keys_are_tried_as_they_are_written(tmp_path: Path) -> None:
    """The one that is named comes first; a name that nobody has changes nothing."""
    old, new = key_file(tmp_path, "old"), key_file(tmp_path, "new")
    assert found(old, new) == ["old", "new"]
    assert found(old, new, named="new") == ["new", "old"]
    assert found(old, new, named="other") == ["old", "new"]


def test_a_folder_stands_for_its_keys(tmp_path: Path) -> None:
    """By name; what does not end in .pem is none. A key that comes later is found."""
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "notes.txt").write_text("no key")
    alone = key_file(tmp_path, "alone")
    key_file(folder, "b")
    assert found(folder, alone) == ["b", "alone"]
    key_file(folder, "a")
    assert found(folder, alone, named="alone") == ["alone", "a", "b"]


def test_a_passphrase_opens_what_it_protects(tmp_path: Path) -> None:
    """Any of several; keys without one are read beside them."""
    protected = key_file(tmp_path, "protected", PASSPHRASE.encode())
    plain = key_file(tmp_path, "plain")
    assert found(protected, plain, passphrases=("wrong", PASSPHRASE)) == ["protected", "plain"]
    for passphrases in ((), ("wrong",)):
        with pytest.raises(
            errors.ConfigurationError, match="entry 1 is no private key in PEM, or one that no passphrase"
        ):
            found(protected, plain, passphrases=passphrases)


def test_a_key_opens_what_was_made_for_it(tmp_path: Path) -> None:
    """And not what was made for another one, though that may come out as noise; nor what is damaged."""
    (ours,) = PrivateKeys((str(key_file(tmp_path)),)).each()
    secret = bytes(range(32))
    public = load_pem_public_key(pair().public)
    other = load_pem_public_key(pair("theirs").public)
    assert ours.opened(public.encrypt(secret, padding.PKCS1v15())) == secret  # type: ignore[union-attr]
    assert ours.opened(public.encrypt(b"short", padding.PKCS1v15())) is None  # type: ignore[union-attr]
    assert ours.opened(other.encrypt(secret, padding.PKCS1v15())) != secret  # type: ignore[union-attr]
    assert ours.opened(b"") is None
    assert ours.opened(bytes(7)) is None


@pytest.mark.parametrize("content", [b"", b"no key", b"\xff" * 100_000, b"-----BEGIN PRIVATE KEY-----\n", "public"])
def test_what_is_no_key_is_told_by_its_number(tmp_path: Path, content: bytes | str) -> None:
    """The message never shows the path: it may be the key itself, in the wrong place."""
    path = tmp_path / "s3cret"
    path.write_bytes(pair().public if isinstance(content, str) else content)
    keys = PrivateKeys((str(key_file(tmp_path)), str(path)))
    with pytest.raises(errors.ConfigurationError, match="entry 2 is no private key in PEM") as raised:
        keys.check()
    assert "s3cret" not in str(raised.value)


def test_a_key_of_another_sort_is_told(tmp_path: Path) -> None:
    """RSA it must be."""
    with pytest.raises(errors.ConfigurationError, match="entry 1 is no RSA key; write the path"):
        PrivateKeys((str(elliptic(tmp_path)),)).check()


def test_a_path_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    """So is a key that stands where a path should: its text is not shown."""
    pem = pair().private.decode()
    for path in (str(tmp_path / "s3cret.pem"), pem, str(tmp_path / "x" / "y")):
        with pytest.raises(errors.ConfigurationError, match="entry 1 cannot be read: ") as raised:
            PrivateKeys((path,)).check()
        assert not re.search("s3cret|MII", str(raised.value))


def test_every_key_is_read_at_the_start(tmp_path: Path) -> None:
    """But those in folders, of which there may be many, and which change."""
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "broken.pem").write_text("no key")
    PrivateKeys((str(key_file(tmp_path)), str(folder))).check()
    with pytest.raises(errors.ConfigurationError, match="entry 2"):
        list(PrivateKeys((str(key_file(tmp_path)), str(folder))).each())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_key_that_we_may_not_read_is_told(tmp_path: Path) -> None:
    """With the system's words."""
    path = key_file(tmp_path)
    path.chmod(0)
    with pytest.raises(errors.ConfigurationError, match="Permission denied"):
        PrivateKeys((str(path),)).check()


def test_nothing_secret_shows(tmp_path: Path) -> None:
    """In no text that a traceback would print."""
    keys = PrivateKeys((str(key_file(tmp_path, "s3cret")),), ("pa55",))
    (key,) = keys.each()
    shown = repr(keys) + repr(key)
    body = base64.b64encode(pair("s3cret").private).decode()
    assert "pa55" not in shown
    assert body[40:60] not in shown
