"""Who signs PDFs in tests, with keys of their own: authorities, signers that they vouch for, and what these signed."""

import functools
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from asn1crypto import keys, x509
from cryptography import x509 as made
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import BasePdfFileWriter, copy_into_new_writer
from pyhanko.sign import PdfSignatureMetadata, SimpleSigner, sign_pdf
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from listener.demo import pdf

PLAIN = pdf.document("Lease", ["first line", "second line"])


@dataclass(frozen=True)
class Party:
    """Somebody with a key, and a certificate for it."""

    key: rsa.RSAPrivateKey
    certificate: made.Certificate

    @property
    def pem(self) -> bytes:
        """The certificate, as it is configured."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        """The certificate, as it is passed on."""
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def asn1(self) -> x509.Certificate:
        """The certificate, as pyhanko wants it."""
        return x509.Certificate.load(self.der)

    @property
    def private(self) -> keys.PrivateKeyInfo:
        """The key, as pyhanko wants it."""
        return keys.PrivateKeyInfo.load(self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def authority(name: str = "Authority") -> Party:
    """Who vouches for others."""
    return _party(name, None, None)


def signer(name: str, by: str = "Authority") -> Party:
    """Somebody for whom an authority vouches."""
    return _party(name, authority(by), None)


def clock() -> Party:
    """Who vouches for the time."""
    return _party("Clock", authority(), ExtendedKeyUsageOID.TIME_STAMPING)


@functools.cache
def _party(name: str, by: Party | None, purpose: made.ObjectIdentifier | None) -> Party:
    key, subject = rsa.generate_private_key(65537, 2048), made.Name([made.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, now = (by.certificate.subject if by else subject), datetime.now(UTC)
    builder = made.CertificateBuilder(issuer, subject, key.public_key(), made.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
    builder = builder.add_extension(made.BasicConstraints(ca=by is None, path_length=None), critical=True)
    signs, vouches = by is not None, by is None
    usage = made.KeyUsage(signs, signs, False, False, False, vouches, vouches, False, False)
    builder = builder.add_extension(usage, critical=True)
    if purpose is not None:
        builder = builder.add_extension(made.ExtendedKeyUsage([purpose]), critical=True)
    return Party(key, builder.sign(by.key if by else key, hashes.SHA256()))


def signed(content: bytes, *names: str, by: str = "Authority", at: datetime | None = None) -> bytes:
    """A PDF signed by these, one after the other, each with a revision; with a time stamp of that time, if given."""
    for name in names:
        writer = IncrementalPdfFileWriter(io.BytesIO(content))
        if writer.prev.encrypted:
            writer.encrypt("")  # type: ignore[no-untyped-call]  # pyhanko has no types there
        party, store = signer(name, by), SimpleCertificateStore()  # type: ignore[no-untyped-call]  # nor here
        simple = SimpleSigner(signing_cert=party.asn1, signing_key=party.private, cert_registry=store)
        stamper = DummyTimeStamper(clock().asn1, clock().private, fixed_dt=at) if at else None
        out = sign_pdf(writer, PdfSignatureMetadata(field_name=f"Signature of {name}"), simple, timestamper=stamper)
        content = out.getvalue()
    return content


def encrypted(user: str) -> bytes:
    """A document that takes a password to be opened; an empty one is none."""
    writer = copy_into_new_writer(PdfFileReader(io.BytesIO(PLAIN)))
    writer.encrypt(owner_pass="owner", user_pass=user)  # type: ignore[no-untyped-call]  # pyhanko has no types there
    return written(writer)


def written(writer: BasePdfFileWriter) -> bytes:
    """What a writer of pyhanko's makes."""
    out = io.BytesIO()
    writer.write(out)  # type: ignore[no-untyped-call]  # pyhanko has no types there
    return out.getvalue()
