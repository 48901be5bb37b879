"""Whom to trust: files with certificates, in PEM (one or several) or DER."""

from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate, load_der_x509_certificate, load_pem_x509_certificates

from listener import errors

_MOST_BYTES: Final = 1024**2
_PEM: Final = b"-----BEGIN "


def read(key: str, paths: Sequence[str]) -> tuple[bytes, ...]:
    """All of them, in DER. Raises ConfigurationError: which entry of the key, and what is wrong."""
    try:
        return tuple(found.public_bytes(Encoding.DER) for number in range(len(paths)) for found in _at(number, paths))
    except errors.ConfigurationError as error:
        raise errors.ConfigurationError(f"{key}: {error}") from None


def _at(number: int, paths: Sequence[str]) -> list[Certificate]:
    entry = f"entry {number + 1}"
    try:
        with open(paths[number], "rb") as file:
            content = file.read(_MOST_BYTES)
        return load_pem_x509_certificates(content) if _PEM in content else [load_der_x509_certificate(content)]
    except OSError as error:
        raise errors.ConfigurationError(f"{entry} cannot be read: {error.strerror}; write a path") from None
    except ValueError:
        raise errors.ConfigurationError(f"{entry} is no certificate in PEM or DER; write the path of one") from None
