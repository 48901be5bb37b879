"""Signed heads of the tree as C2SP writes them: a note of three lines, and who signed it.

https://c2sp.org/tlog-checkpoint and https://c2sp.org/signed-note; the signatures are Ed25519 (RFC 8032).
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from listener import errors

MOST_CHARACTERS: Final = 64 * 1024  # of a note; one of ours has about 300
KEY_NAME: Final = re.compile(r"[^\s+\x00-\x1f\x7f]+")
_ED25519: Final = b"\x01"
_HASH_BYTES: Final = 32
_ID_BYTES: Final = 4
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")


class TreeHead(NamedTuple):
    """What is signed: which log, how many leaves, the root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text of the note."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class Signature(NamedTuple):
    """One line below the text: the name of a key, its id, and what it made of the text."""

    name: str
    id: bytes
    signature: bytes


class PublicKey(NamedTuple):
    """Who signs, under which name: 32 bytes of Ed25519. Its text is what verifiers of signed notes take."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart; they prove nothing."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_ID_BYTES]

    @property
    def pem(self) -> str:
        """The key without its name, as openssl takes it."""
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return Ed25519PublicKey.from_public_bytes(self.public).public_bytes(encoding, form).decode()

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    def made(self, signature: bytes, text: str) -> bool:
        """Whether it signed the text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except InvalidSignature:
            return False
        return True


class SigningKey(NamedTuple):
    """A private key and the name that it signs under."""

    name: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        """What others need to check what it signs."""
        return PublicKey(self.name, self.private.public_key().public_bytes_raw())


class Note(NamedTuple):
    """A signed head, as read: nobody has checked its signatures yet."""

    head: TreeHead
    text: str
    signatures: Sequence[Signature]

    def signers(self, known: Iterable[PublicKey]) -> list[PublicKey]:
        """Which of the known keys signed. Raises NotANote if a line is in the name of one that did not sign."""
        keys = {(key.name, key.id): key for key in known}
        found = []
        for name, id_, signature in self.signatures:
            key = keys.get((name, id_))
            if key is not None and not key.made(signature, self.text):
                raise errors.NotANote(f"the signature of {name} is wrong")
            found += [key] if key is not None else []
        return found


def sign(text: str, keys: Sequence[SigningKey]) -> str:
    """The note of a text, which ends with a newline, signed by each of the keys."""
    return text + "\n" + "".join(_line(key, text) for key in keys)


def _line(key: SigningKey, text: str) -> str:
    signed = base64.b64encode(key.public.id + key.private.sign(text.encode())).decode()
    return f"— {key.name} {signed}\n"


def read(written: str) -> Note:
    """Take the note of a head apart. Raises NotANote for what is none."""
    if len(written) > MOST_CHARACTERS or _CONTROL.search(written):
        raise errors.NotANote(f"more than {MOST_CHARACTERS} characters, or such as steer a terminal")
    text, empty, lines = written.rpartition("\n\n")
    if not empty or not lines.endswith("\n"):
        raise errors.NotANote("no line of a signature")
    return Note(_head(text), text + "\n", [_signature(line) for line in lines[:-1].split("\n")])


def _head(text: str) -> TreeHead:
    origin, size, root, *_ = [*text.split("\n"), "", "", ""]
    if not origin or not _SIZE.fullmatch(size):
        raise errors.NotANote("no name of a log in its first line, or no size in its second")
    return TreeHead(origin, int(size), _decoded(root, _HASH_BYTES, "root"))


def _signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, _, signed = rest.partition(" ")
    if dash != "—" or not KEY_NAME.fullmatch(name):
        raise errors.NotANote("a line below its text is no signature")
    decoded = _decoded(signed, None, "signature")
    return Signature(name, decoded[:_ID_BYTES], decoded[_ID_BYTES:])


def key(text: str) -> PublicKey:
    """A public key from its text, NAME+ID+KEY. Raises NotANote if it is none, or of another kind than Ed25519."""
    name, _, rest = text.partition("+")
    id_, _, encoded = rest.partition("+")
    decoded = _decoded(encoded, 1 + _HASH_BYTES, "key")
    found = PublicKey(name, decoded[1:])
    if not KEY_NAME.fullmatch(name) or decoded[:1] != _ED25519 or found.id.hex() != id_:
        raise errors.NotANote("this is no Ed25519 key for signed notes")
    return found


def _decoded(text: str, size: int | None, what: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise errors.NotANote(f"its {what} is not base64") from None
    if len(found) <= _ID_BYTES or (size is not None and len(found) != size):
        raise errors.NotANote(f"its {what} has {len(found)} bytes")
    return found
