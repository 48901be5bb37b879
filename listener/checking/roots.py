"""Whom to trust: files with certificates, in PEM (one or several) or DER."""

from collections.abc import Sequence
from typing import Final

from cryptography.x509 import Certificate, load_der_x509_certificate, load_pem_x509_certificates

from listener import errors

_MOST_BYTES: Final = 1024**2
_PEM: Final = b"-----BEGIN "


def check(key: str, paths: Sequence[str]) -> None:
    """Read all of them. Raises ConfigurationError that names their key in the configuration, too."""
    try:
        read(paths)
    except errors.ConfigurationError as error:
        raise errors.ConfigurationError(f"{key}: {error}") from None


def read(paths: Sequence[str]) -> list[Certificate]:
    """All of them. Raises ConfigurationError: which entry, and what is wrong."""
    return [certificate for number, path in enumerate(paths, 1) for certificate in _read(number, path)]


def _read(number: int, path: str) -> list[Certificate]:
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES)
        return load_pem_x509_certificates(content) if _PEM in content else [load_der_x509_certificate(content)]
    except OSError as error:
        raise errors.ConfigurationError(f"entry {number} cannot be read: {error.strerror}; write a path") from None
    except ValueError:
        raise errors.ConfigurationError(
            f"entry {number} is no certificate in PEM or DER; write the path of one"
        ) from None
