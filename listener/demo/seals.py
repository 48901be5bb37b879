"""Really signs PDFs, as providers do, with a key that is made anew in each process and a certificate of its own.

A signature is detached CMS in a hole that its byte range leaves out (ISO 32000-1, 12.8.1 and 12.8.3.3).
"""

import functools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7Options
from cryptography.x509.oid import NameOID

from listener.demo import pdf

_HOLE = 4096  # bytes for a signature, which has less than 1200
_FIELD, _SIGNATURE = pdf.OBJECTS + 1, pdf.OBJECTS + 2
_RANGE = b"/ByteRange [%010d %010d %010d %010d]"
# Without attributes: they would hold the time of day, and the same document must be the same bytes twice.
_making = threading.Lock()
_OPTIONS = (PKCS7Options.DetachedSignature, PKCS7Options.Binary, PKCS7Options.NoAttributes)


@dataclass(frozen=True)
class Sealer:
    """Who signs: a key, and a certificate that nobody else vouches for."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        """The certificate, for whoever is to trust it."""
        return self.certificate.public_bytes(Encoding.PEM)

    def sealed(self, whole: bytes, at: datetime) -> bytes:
        """Return a document of `pdf.document` with a signature of all of it; same input, same bytes."""
        holed = pdf.updated(whole, _objects(at))
        start = holed.index(b"/Contents <", len(whole)) + len(b"/Contents ")
        end = start + 2 * _HOLE + 2
        known = _RANGE % (0, start, end, len(holed) - end)
        holed = holed.replace(_RANGE % (0, 0, 0, 0), known)
        signature = self._signature(holed[:start] + holed[end:]).hex().encode()
        return holed[: start + 1] + signature.ljust(2 * _HOLE, b"0") + holed[end - 1 :]

    def _signature(self, content: bytes) -> bytes:
        builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
        return builder.add_signer(self.certificate, self.key, hashes.SHA256()).sign(Encoding.DER, list(_OPTIONS))


def sealer(name: str) -> Sealer:
    """Return who signs under a name in this process: always the same one, whoever asks first."""
    with _making:
        return _made(name)


@functools.cache
def _made(name: str) -> Sealer:
    key = rsa.generate_private_key(65537, 2048)
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(named, named, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=365))
    for extension in _extensions():
        builder = builder.add_extension(extension, critical=True)
    return Sealer(key, builder.sign(key, hashes.SHA256()))


def _extensions() -> Sequence[x509.ExtensionType]:
    usages = dict.fromkeys(
        (
            *("key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"),
            *("encipher_only", "decipher_only"),
        ),
        False,
    )
    usage = x509.KeyUsage(digital_signature=True, content_commitment=True, **usages)
    return x509.BasicConstraints(ca=False, path_length=None), usage


def _objects(at: datetime) -> dict[int, bytes]:
    """A signature field without a look, and the signature in it."""
    field, signature = b"%d 0 R" % _FIELD, b"%d 0 R" % _SIGNATURE
    moment = at.astimezone(UTC).strftime("D:%Y%m%d%H%M%SZ").encode()
    return {
        pdf.CATALOG: pdf.dictionary(pdf.ROOT, b"/AcroForm << /Fields [%b] /SigFlags 3 >>" % field),
        pdf.PAGE: pdf.dictionary(pdf.SHEET, b"/Annots [%b]" % field),
        _FIELD: b"<< /Type /Annot /Subtype /Widget /FT /Sig /T (Signature) /F 132 /Rect [0 0 0 0] /P %d 0 R /V %b >>"
        % (pdf.PAGE, signature),
        _SIGNATURE: b"<< /Type /Sig /Filter /Adobe.PPKLite /SubFilter /adbe.pkcs7.detached /M (%b) %b /Contents <%b> >>"
        % (moment, _RANGE % (0, 0, 0, 0), b"0" * 2 * _HOLE),
    }
