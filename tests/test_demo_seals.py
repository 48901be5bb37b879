"""The imitations' signatures: really made, by one signer of each name, and the same for the same document."""

import io
from datetime import UTC, datetime

from listener.checking import pdf as checking
from listener.demo import papers, pdf
from listener.demo.onespan import OneSpan
from listener.demo.packages import Package
from listener.demo.seals import sealer
from projections import facts
from tests.rig import ID, NOON, completed

MADE = pdf.document("Lease", ["first line"])


def found(content: bytes) -> str:
    """What signlog finds in it."""
    return checking.look("", io.BytesIO(content), []).found


def test_the_same_document_is_the_same_bytes_twice() -> None:
    """A test can tell a second download from a new version; another time or name makes another signature."""
    sealed = sealer("One").sealed(MADE, NOON)
    assert sealed == sealer("One").sealed(MADE, NOON)
    assert sealed != sealer("One").sealed(MADE, datetime(2026, 1, 1, tzinfo=UTC))
    assert sealed != sealer("Another").sealed(MADE, NOON)
    assert sealed.startswith(MADE)


def test_a_sealed_document_is_signed() -> None:
    """With something else in it, it is not."""
    sealed = sealer("One").sealed(MADE, NOON)
    assert found(sealed) == facts.VALID
    assert found(sealed.replace(b"first line", b"worst line")) == facts.INVALID
    assert found(MADE) == facts.UNSIGNED


def test_before_anybody_signed_a_document_has_no_signature() -> None:
    """As OneSpan hands it out, with status 200; the evidence summary has none at any time."""
    package = Package(ID)
    assert found(papers.document(package, package.documents[0])) == facts.UNSIGNED
    with OneSpan() as server:
        (package,) = completed(server)
    assert found(papers.document(package, package.documents[0])) == facts.VALID
    assert found(papers.evidence(package)) == facts.UNSIGNED
