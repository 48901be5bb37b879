"""The private keys that documents may be encrypted for: PEM files, or folders of them, with a name each.

https://help.evrotrust.com/portal/en/kb/articles/how-to-generate-your-public-and-private-keys
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from listener import errors

_MOST_BYTES: Final = 64 * 1024
_SUFFIX: Final = ".pem"  # what counts as a key in a folder
_KEY_BYTES: Final = 32


class PrivateKeys(NamedTuple):
    """Where the keys lie, in the order to try them, and the passphrases that protect some of them."""

    paths: tuple[str, ...]
    passphrases: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"PrivateKeys({len(self.paths)})"

    def check(self) -> None:
        """Read every key that is named by its path. Raises ConfigurationError: which entry, and what is wrong."""
        for number, path in enumerate(map(Path, self.paths), 1):
            with _told(number):
                if path.is_dir():
                    next(path.iterdir(), None)  # may we look into it?
                else:
                    _read(path, self.passphrases, checked=True)

    def each(self, named: str | None = None) -> Iterator["PrivateKey"]:
        """All keys, one by one, the one of that name first. Raises ConfigurationError for one that cannot be read."""
        files = [(number, file) for number, path in enumerate(self.paths, 1) for file in _files(number, Path(path))]
        for number, file in sorted(files, key=lambda found: found[1].stem != named):
            with _told(number):
                key = _read(file, self.passphrases, checked=False)
            yield PrivateKey(file.stem, key)


class PrivateKey(NamedTuple):
    """A key, and what people call it: the name of its file, without what stands behind the last dot."""

    name: str
    key: RSAPrivateKey

    def opened(self, sealed: bytes) -> bytes | None:
        """The key that `sealed` holds; None if it was not made for this one, or is damaged.

        PKCS #1 v1.5: what was made for another key may come out as noise of any length, of this one too.
        """
        with contextlib.suppress(ValueError):
            found = self.key.decrypt(sealed, padding.PKCS1v15())
            return found if len(found) == _KEY_BYTES else None
        return None


def _files(number: int, path: Path) -> list[Path]:
    with _told(number):
        return sorted(path.glob(f"*{_SUFFIX}")) if path.is_dir() else [path]


def _read(path: Path, passphrases: Sequence[str], checked: bool) -> RSAPrivateKey:
    """`checked`: that its numbers fit together, which takes 50 ms; a folder may hold a key for each transaction."""
    with open(path, "rb") as file:
        content = file.read(_MOST_BYTES)
    for passphrase in (None, *(each.encode() for each in passphrases)):
        with contextlib.suppress(TypeError, ValueError):  # another passphrase, or none, is needed
            key = load_pem_private_key(content, passphrase, unsafe_skip_rsa_key_validation=not checked)
            if isinstance(key, RSAPrivateKey):
                return key
            raise errors.ConfigurationError("no RSA key")
    raise errors.ConfigurationError("no private key in PEM, or one that no passphrase opens")


@contextlib.contextmanager
def _told(number: int) -> Iterator[None]:
    """Errors that name the entry, and not its value: it might be the key itself, in the wrong place."""
    try:
        yield
    except OSError as error:
        raise errors.ConfigurationError(f"entry {number} cannot be read: {error.strerror}; write a path") from None
    except (ValueError, UnsupportedAlgorithm, errors.ConfigurationError) as error:
        raise errors.ConfigurationError(f"entry {number} is {error}; write the path of an RSA key in PEM") from None
