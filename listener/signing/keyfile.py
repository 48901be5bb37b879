"""The private key of signed heads: a file that only its owner may read."""

import contextlib
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from listener import errors, files

_MOST_BYTES: Final = 64 * 1024


class KeyFile:
    """Ed25519 in PEM (PKCS 8), as openssl reads and writes it. During a change the next key lies beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = path.with_name(f"{path.name}.next")

    def load(self) -> Ed25519PrivateKey | None:
        """The key, None if there is none. Raises ConfigurationError for a file that is none."""
        return _loaded(self.path)

    def make(self) -> Ed25519PrivateKey:
        """Make a key, unless somebody made one meanwhile."""
        with contextlib.suppress(FileExistsError):
            files.create(self.path, _written(Ed25519PrivateKey.generate()))
        return self.load() or self.make()

    def stage(self) -> Ed25519PrivateKey:
        """Make the next key; until it is settled it signs nothing that the log does not name it for."""
        key = Ed25519PrivateKey.generate()
        self._next.unlink(missing_ok=True)
        files.create(self._next, _written(key))
        return key

    def staged(self) -> Ed25519PrivateKey | None:
        """The next key, if there is one."""
        return _loaded(self._next)

    def settle(self, key: Ed25519PrivateKey) -> None:
        """Put the next key in the place of the one before, if it is this one."""
        staged = self.staged()
        if staged is not None and staged.private_bytes_raw() == key.private_bytes_raw():
            with contextlib.suppress(FileNotFoundError):  # somebody else did
                os.replace(self._next, self.path)
            files.sync_folder(self.path.parent)


def _loaded(path: Path) -> Ed25519PrivateKey | None:
    try:
        with path.open("rb") as file:
            key = serialization.load_pem_private_key(file.read(_MOST_BYTES), None)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise errors.ConfigurationError(
            f"checkpoint_key: {path} holds no Ed25519 key in PEM; put the right file there, or name another one"
        )
    return key


def _written(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
