"""What is found in a PDF: signed by somebody or nobody, whole or changed since, and whatever somebody made to hurt."""

import io
import zlib
from datetime import UTC, datetime
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.validation.dss import DocumentSecurityStore

from listener.checking import pdf
from listener.demo.pdf import document, updated
from projections import facts
from projections.facts import Paper, Signature
from tests.signers import PLAIN, Party, authority, clock, encrypted, signed, signer, written

NOON: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
MICROS: Final = 1_795_176_000_000_000


def look(content: bytes, *roots: Party) -> Paper:
    """What is found in it."""
    return pdf.look("x.pdf", io.BytesIO(content), [root.asn1 for root in roots])


def only(paper: Paper) -> Signature:
    """Its one signature."""
    (found,) = paper.signatures
    return found


def appended(content: bytes) -> bytes:
    """The same with another text on its page, in a revision of its own."""
    writer = IncrementalPdfFileWriter(io.BytesIO(content))
    page = writer.root["/Pages"]["/Kids"][0]
    page["/Contents"] = writer.add_object(generic.StreamObject(stream_data=b"BT (And more) Tj ET"))
    writer.update_container(page)
    return written(writer)


def test_a_signed_document_is_valid() -> None:
    """By whom and when; whether to trust them was not asked."""
    paper = look(signed(PLAIN, "Ana Lee"))
    found = only(paper)
    assert (paper.name, paper.found, paper.reason) == ("x.pdf", facts.VALID, None)
    assert (found.signer, found.intact, found.whole, found.changed) == ("Ana Lee", True, True, False)
    assert (found.trusted, found.problem) == (None, None)
    assert abs((found.signed_at or 0) / 1e6 - datetime.now(UTC).timestamp()) < 600


def test_who_is_vouched_for_by_whom_we_trust_is_trusted() -> None:
    """By a chain of certificates; somebody else's says nothing of them."""
    content = signed(PLAIN, "Ana Lee")
    assert (look(content, authority()).found, only(look(content, authority())).trusted) == (facts.VALID, True)
    stranger = look(content, authority("Another"))
    assert (stranger.found, only(stranger).trusted, only(stranger).intact) == (facts.UNTRUSTED, False, True)
    assert "nobody whom we trust vouches for the signer" in (stranger.reason or "")


def test_whoever_signs_beside_one_who_is_trusted_is_not() -> None:
    """One stranger among them is enough."""
    content = signed(signed(PLAIN, "Ana Lee"), "Mallory", by="Another")
    assert look(content, authority()).found == facts.UNTRUSTED
    assert look(content, authority(), authority("Another")).found == facts.VALID


def test_a_time_stamp_counts_more_than_the_signers_clock() -> None:
    """It has somebody who vouches for it."""
    assert only(look(signed(PLAIN, "Ana Lee", at=NOON), authority(), clock())).signed_at == MICROS


def test_nobody_signed() -> None:
    """A document as it is before anybody did; a signature field that nobody filled is none."""
    assert look(PLAIN) == Paper("x.pdf", facts.UNSIGNED)
    field = b"<< /Type /Annot /Subtype /Widget /FT /Sig /T (a) /Rect [0 0 0 0] /P 3 0 R >>"
    root = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [8 0 R] >> >>"
    assert look(updated(PLAIN, {1: root, 8: field})) == Paper("x.pdf", facts.UNSIGNED)


def test_several_sign_one_after_the_other() -> None:
    """What came after the first, the second one covers."""
    paper = look(signed(PLAIN, "Ana Lee", "Bob Ray"), authority())
    assert paper.found == facts.VALID
    assert [(one.signer, one.intact, one.whole) for one in paper.signatures] == [
        ("Ana Lee", True, False),
        ("Bob Ray", True, True),
    ]


def test_a_changed_byte_breaks_it() -> None:
    """Wherever it is in what was signed."""
    content = signed(PLAIN, "Ana Lee")
    paper = look(content.replace(b"second line", b"second lime"))
    assert (paper.found, paper.reason, only(paper).intact) == (facts.INVALID, "what it covers was changed", False)


def test_what_is_appended_breaks_it() -> None:
    """The signature itself is as good as before; but it is not of what people see now."""
    paper = look(appended(signed(PLAIN, "Ana Lee")))
    assert (paper.found, paper.reason) == (facts.INVALID, "it was changed after it was signed")
    assert (only(paper).intact, only(paper).whole, only(paper).changed) == (True, False, True)


def test_proofs_of_validity_may_be_appended() -> None:
    """That is how documents are kept for long: whose certificates were valid then."""
    out = io.BytesIO(signed(PLAIN, "Ana Lee"))
    DocumentSecurityStore.add_dss(out, None, certs=[authority().asn1, signer("Ana Lee").asn1])
    paper = look(out.getvalue(), authority())
    assert (paper.found, only(paper).whole, only(paper).changed) == (facts.VALID, False, False)


def test_a_signature_made_with_another_key_is_broken() -> None:
    """A certificate can be copied by everybody."""
    content, other = signed(PLAIN, "Ana Lee"), signed(PLAIN, "Bob Ray")
    start, end = content.index(b"/Contents <") + 11, content.index(b">", content.index(b"/Contents <"))
    theirs = other[other.index(b"/Contents <") + 11 :][: end - start]
    assert look(content[:start] + theirs + content[end:]).found == facts.INVALID


def test_a_password_is_in_the_way_unless_there_is_none() -> None:
    """Documents that may only not be changed open without one."""
    assert look(encrypted("")).found == facts.UNSIGNED
    assert look(signed(encrypted(""), "Ana Lee")).found == facts.VALID
    locked = look(encrypted("secret"))
    assert (locked.found, locked.reason) == (facts.UNREADABLE, "it is encrypted, and takes a password")


def test_too_many_signatures_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes its time."""
    content = signed(PLAIN, "Ana Lee", "Bob Ray")
    monkeypatch.setattr(pdf, "MOST_SIGNATURES", 1)
    assert look(content).reason == "it has 2 signatures, and may have 1"


def tree(depth: int) -> bytes:
    """Fields in fields in fields."""
    fields = {number: b"<< /T (a) /Kids [%d 0 R] >>" % (number + 1) for number in range(8, 8 + depth)}
    root = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [8 0 R] >> >>"
    return updated(PLAIN, {1: root, **fields, 8 + depth: b"<< /T (a) /Kids [8 0 R] >>"})


def bomb() -> bytes:
    """A table many times its size."""
    packed = zlib.compress(bytes(1_000_000))
    head = b"%%PDF-1.5\n1 0 obj\n<< /Type /XRef /Size 200000 /W [1 2 2] /Root 1 0 R /Filter /FlateDecode /Length %d >>"
    return head % len(packed) + b"\nstream\n" + packed + b"\nendstream\nendobj\nstartxref\n9\n%%EOF\n"


HOSTILE: Final = {
    "nothing": b"",
    "a page": b"<!DOCTYPE html>%PDF-1.4 %%EOF",
    "no end": PLAIN[:200],
    "no table": PLAIN.replace(b"xref", b"yref"),
    "a table somewhere else": PLAIN.replace(b"startxref\n", b"startxref\n9"),
    "a table before itself": PLAIN.replace(b"/Root 1 0 R", b"/Root 1 0 R /Prev %d" % PLAIN.rindex(b"xref\n0")),
    "no root": PLAIN.replace(b"/Root 1 0 R", b"/Root 99 0 R"),
    "a root of another kind": updated(PLAIN, {1: b"(text)"}),
    "a root in itself": updated(PLAIN, {1: b"1 0 R"}),
    "lists in lists": updated(PLAIN, {1: b"[" * 100_000}),
    "dictionaries in dictionaries": updated(PLAIN, {1: b"<< /A " * 100_000}),
    "fields in fields": tree(1500),
    "fields in themselves": tree(1),
    "fields that are none": updated(PLAIN, {1: b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields 7 >> >>"}),
    "a bomb": bomb(),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_whatever_somebody_made_something_is_found(content: bytes) -> None:
    """And never that it is valid."""
    assert look(content).found in (facts.UNREADABLE, facts.UNSIGNED)


SIGNED: Final = signed(document("a", ["b"]), "Ana Lee")
HOLE: Final = SIGNED.index(b"/Contents <") + 10


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SIGNED) - 1), st.binary(max_size=8)), min_size=1, max_size=4))
def test_what_was_damaged_is_never_valid(edits: list[tuple[int, bytes]]) -> None:
    """Whatever bytes are put in the place of others: something is found, and what is valid is as it was signed."""
    content = SIGNED
    for at, other in edits:
        content = content[:at] + other + content[at + len(other) :]
    paper = look(content)
    assert paper.found in facts.FOUND
    assert paper.found != facts.VALID or content[:HOLE] == SIGNED[:HOLE]


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(SIGNED)))
def test_what_was_cut_or_follows_something_is_never_more_than_it_was(other: bytes, keep: int) -> None:
    """Cut anywhere, with anything behind it."""
    paper = look(SIGNED[:keep] + other)
    assert paper.found in facts.FOUND
    assert paper.found != facts.VALID or keep >= len(SIGNED) - 8
