"""The signatures of one PDF, as pyhanko finds them.

What they mean is told in ISO 32000-2, 12.8: each covers a range of bytes, and what was appended behind it may be of
another one's making. https://docs.pyhanko.eu/en/latest/lib-guide/validation.html
"""

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import IO, Final

from asn1crypto import x509
from pyhanko.pdf_utils.crypt import AuthStatus
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.validation import SignatureCoverageLevel, validate_pdf_signature
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import PdfSignatureStatus
from pyhanko_certvalidator import ValidationContext

from listener import errors
from listener.checking.job import TOO_MUCH_MEMORY
from projections import facts
from projections.facts import Paper, Signature

MOST_SIGNATURES: Final = 50  # of one PDF; OneSpan's limit is 40 signers
_LONGEST: Final = 200  # characters of a name, or of what went wrong
_1970: Final = datetime(1970, 1, 1, tzinfo=UTC)
# The certificates of providers are for seals or for signatures; either is enough.
_USAGE: Final = KeyUsageConstraints(key_usage={"digital_signature", "non_repudiation"}, match_all_key_usages=False)


def look(name: str, file: IO[bytes], roots: Sequence[x509.Certificate]) -> Paper:
    """What is found in a PDF, whatever it is made of."""
    try:
        signatures = tuple(_signature(found, roots) for found in _found(file))
    except MemoryError:
        return Paper(name, facts.UNREADABLE, TOO_MUCH_MEMORY)
    except errors.Hopeless as error:
        return Paper(name, facts.UNREADABLE, str(error))
    except Exception as error:  # pyhanko promises no type for what a hostile file makes of it
        return Paper(name, facts.UNREADABLE, _said(error))
    return Paper(name, *_judged(signatures), signatures)


def _found(file: IO[bytes]) -> Sequence[EmbeddedPdfSignature]:
    """Signatures of people and seals, in the order they were made; time stamps alone are nobody's."""
    # Not strict: other readers show what has small flaws, and a range of bytes is signed whatever else is wrong.
    reader = PdfFileReader(file, strict=False)
    if reader.encrypted and reader.decrypt("").status == AuthStatus.FAILED:  # without a password, as readers open it
        raise errors.Hopeless("it is encrypted, and takes a password")
    found: Sequence[EmbeddedPdfSignature] = reader.embedded_regular_signatures
    if len(found) > MOST_SIGNATURES:
        raise errors.Hopeless(f"it has {len(found)} signatures, and may have {MOST_SIGNATURES}")
    return found


def _signature(found: EmbeddedPdfSignature, roots: Sequence[x509.Certificate]) -> Signature:
    signer = ""
    try:
        signer = _name(found.signer_cert.subject)
        # Nothing is fetched: whether a certificate was revoked is judged by what lies in the document.
        context = ValidationContext(trust_roots=list(roots), allow_fetching=False)
        status = validate_pdf_signature(found, context, key_usage_settings=_USAGE)
    except MemoryError:
        raise
    except Exception as error:  # of this one; others may be sound
        return Signature(signer, intact=False, whole=False, problem=_said(error))
    return Signature(
        signer,
        intact=bool(status.intact and status.valid and status.coverage >= SignatureCoverageLevel.ENTIRE_REVISION),
        whole=status.coverage == SignatureCoverageLevel.ENTIRE_FILE,
        changed=_is_changed(status),
        signed_at=_signed_at(status),
        trusted=bool(status.trusted) if roots else None,
        problem=_problem(status, bool(roots)),
    )


def _name(subject: x509.Name) -> str:
    """What people call it."""
    return str(subject.native.get("common_name") or subject.human_friendly)[:_LONGEST]


def _is_changed(status: PdfSignatureStatus) -> bool:
    """Whether anything but what long-term validation appends (ETSI EN 319 142-1, 5.4) came after it."""
    level = status.modification_level
    return level is None or bool(level > ModificationLevel.LTA_UPDATES)


def _problem(status: PdfSignatureStatus, judged: bool) -> str | None:
    """What is wrong with a signature in itself."""
    if not status.intact:
        return "what it covers was changed"
    if not status.valid:
        return "it was not made with the key of its certificate"
    if status.coverage < SignatureCoverageLevel.ENTIRE_REVISION:
        return "it covers a part only"
    if judged and not status.trusted:
        why = status.trust_problem_indic
        return "nobody whom we trust vouches for the signer" + (f" ({why.standard_name})" if why else "")
    return None


def _signed_at(status: PdfSignatureStatus) -> int | None:
    """Microseconds UTC."""
    stamp = status.timestamp_validity
    at = stamp.timestamp if stamp is not None and stamp.intact and stamp.valid else status.signer_reported_dt
    if at is None:
        return None
    with contextlib.suppress(OverflowError):
        return (at.astimezone(UTC) - _1970) // timedelta(microseconds=1)
    return None


def _judged(signatures: Sequence[Signature]) -> tuple[str, str | None]:
    """What the signatures of a PDF come to. What came after one that is not the last, the last one covers."""
    if not signatures:
        return facts.UNSIGNED, None
    broken = [one for one in signatures if not one.intact]
    if broken:
        return facts.INVALID, broken[0].problem
    if signatures[-1].changed:
        return facts.INVALID, "it was changed after it was signed"
    strangers = [one for one in signatures if one.trusted is False]
    return (facts.UNTRUSTED, strangers[0].problem) if strangers else (facts.VALID, None)


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return (f"{type(error).__name__}: {text}" if text else type(error).__name__)[:_LONGEST]
