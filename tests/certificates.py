"""Certificates for a server on this machine, made by an authority that only tests know."""

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Authority(NamedTuple):
    """Who vouches for certificates, and the file to trust it by."""

    name: x509.Name
    key: EllipticCurvePrivateKey
    file: Path

    def certificate(
        self, folder: Path, address: str = "127.0.0.1", first: datetime.timedelta = -DAY, last: datetime.timedelta = DAY
    ) -> Path:
        """A file with a key and a certificate for `address`, good from `first` to `last`, as seen from now."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _signed(_named(address), key, self.name, self.key, (NOW + first, NOW + last), address)
        path = folder / f"{address}-{first.days}-{last.days}.pem"
        path.write_bytes(_written(key) + made.public_bytes(serialization.Encoding.PEM))
        return path


def authority(folder: Path, name: str = "tests") -> Authority:
    """A new one."""
    key, named = ec.generate_private_key(ec.SECP256R1()), _named(name)
    path = folder / f"{name}.pem"
    made = _signed(named, key, named, key, (NOW - 9 * DAY, NOW + 9 * DAY), None)
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return Authority(named, key, path)


def _signed(
    subject: x509.Name,
    key: EllipticCurvePrivateKey,
    issuer: x509.Name,
    by: EllipticCurvePrivateKey,
    times: tuple[datetime.datetime, datetime.datetime],
    address: str | None,
) -> x509.Certificate:
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(times[0]).not_valid_after(times[1])
    made = made.add_extension(x509.BasicConstraints(ca=address is None, path_length=None), critical=True)
    if address is not None:
        named = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        made = made.add_extension(named, critical=False)
    return made.sign(by, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _written(key: EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
