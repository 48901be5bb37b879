"""Encrypts documents as Evrotrust does, for the public key that came with a submission.

How it is done is known from those who undo it; the vendor's own guide names another cipher, so there are both.
https://help.evrotrust.com/portal/en/kb/articles/document-decryption-guide
"""

import base64
import functools
import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from py3rijndael import RijndaelCbc, ZeroPadding

# The bytes of one piece: 4 096 become 5 464 in base64, padded to 5 472 for the cipher, and 7 296 characters when that
# is base64 again. Every piece is encrypted and encoded by itself.
PIECE = 4096


@dataclass(frozen=True)
class Seal:
    """For whom, and how. Without a key, for somebody whose private key is lost.

    `aes`: AES-256-CBC as in the vendor's guide, instead of Rijndael with blocks of 256 bits as in all known code.
    `whole`: as one ciphertext, as a mock of the vendor does it with hashes, instead of in pieces.
    """

    public_key: bytes | None = None
    aes: bool = False
    whole: bool = False

    def entries(self, name: str, content: bytes, file_name: str) -> dict[str, bytes]:
        """Return the entries that stand for a document. `name` stands in front of each; same input, same bytes."""
        key, iv = _noise(name, "key", 32), _noise(name, "iv", 16 if self.aes else 32)
        encrypted = _aes if self.aes else _rijndael
        pieces = [content] if self.whole else [content[at : at + PIECE] for at in range(0, len(content), PIECE)]
        return {
            name: b"".join(base64.b64encode(encrypted(key, iv, base64.b64encode(piece))) for piece in pieces),
            f"{name}.key": base64.b64encode(_wrapped(self._public(), key, _noise(name, "filler", 512))),
            f"{name}.iv": iv,
            f"{name}.filename": file_name.encode(),
        }

    def _public(self) -> RSAPublicKey:
        if self.public_key is None:
            return _nobody()
        found = load_pem_public_key(self.public_key)
        assert isinstance(found, RSAPublicKey)  # noqa: S101  they take no other
        return found


def key_pair(passphrase: bytes | None = None) -> tuple[bytes, bytes]:
    """Return a private and a public key in PEM, as https://help.evrotrust.com tells to make them."""
    key = rsa.generate_private_key(65537, 2048)
    protected = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protected)
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@functools.cache
def _nobody() -> RSAPublicKey:
    return rsa.generate_private_key(65537, 2048).public_key()


@functools.lru_cache(maxsize=64)  # large documents of tests repeat themselves, and py3rijndael is slow
def _rijndael(key: bytes, iv: bytes, text: bytes) -> bytes:
    found = RijndaelCbc(key, iv, ZeroPadding(32), block_size=32).encrypt(text)
    assert isinstance(found, bytes)  # noqa: S101  it has no types
    return found


def _aes(key: bytes, iv: bytes, text: bytes) -> bytes:
    padder, cipher = PKCS7(128).padder(), Cipher(algorithms.AES256(key), modes.CBC(iv)).encryptor()
    return cipher.update(padder.update(text) + padder.finalize()) + cipher.finalize()


def _wrapped(public: RSAPublicKey, key: bytes, filler: bytes) -> bytes:
    """PKCS #1 v1.5 (RFC 8017, 7.2.1), with a filler of ours for chance: the same document is the same twice."""
    size, numbers = public.key_size // 8, public.public_numbers()
    filled = filler.replace(b"\0", b"")[: size - 3 - len(key)]
    block = b"\0\2" + filled + b"\0" + key
    return pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(size, "big")


def _noise(name: str, purpose: str, size: int) -> bytes:
    return hashlib.shake_256(f"{name} {purpose}".encode()).digest(size)
