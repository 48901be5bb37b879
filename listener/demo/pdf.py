"""A small, valid, one-page PDF: what the imitations hand out as signed documents."""

from collections.abc import Mapping, Sequence

NOTICE = "A demonstration made by signlog. It has no legal effect."
LINES_ON_A_PAGE = 44
OBJECTS = 7  # of a document, before anything is appended
CATALOG, PAGE = 1, 3  # the numbers of two of them, and what is in these
ROOT = b"/Type /Catalog /Pages 2 0 R"
SHEET = b"/Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 7 0 R"


def document(title: str, lines: Sequence[str]) -> bytes:
    """Return one A4 page with `title` and at most 44 `lines`; the same input gives the same bytes.

    Text outside Windows-1252, the encoding of the built-in font, becomes "?" (ISO 32000-1, 9.6.2.2 and annex D).
    """
    return _file(_objects(title, lines))


def updated(whole: bytes, objects: Mapping[int, bytes]) -> bytes:
    """Return a file of ours with objects appended, new ones or in the place of others (ISO 32000-1, 7.5.6)."""
    out, entries = bytearray(whole), b""
    for number, content in sorted(objects.items()):
        entries += b"%d 1\n%010d 00000 n \n" % (number, len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    before, size = int(whole.split()[-2]), max(OBJECTS, *objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R /Info 6 0 R /Prev %d >>\n" % (size, before)
    return bytes(out) + b"xref\n%b%bstartxref\n%d\n%%%%EOF\n" % (entries, trailer, len(out))


def dictionary(*entries: bytes) -> bytes:
    """Return entries as a dictionary."""
    return b"<< %b >>" % b" ".join(entries)


def _objects(title: str, lines: Sequence[str]) -> list[bytes]:
    content = _content(title, lines)
    return [
        dictionary(ROOT),
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        dictionary(SHEET),
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Title %b /Producer %b >>" % (_text(title), _text("signlog demonstration")),
        b"<< /Font << /F1 5 0 R >> >>",
    ]


def _content(title: str, lines: Sequence[str]) -> bytes:
    body = b"\n".join(b"%b Tj T*" % _text(line) for line in (*lines[:LINES_ON_A_PAGE], "", NOTICE))
    return b"BT\n/F1 18 Tf 56 780 Td %b Tj\n/F1 11 Tf 15 TL 0 -30 Td\n%b\nET" % (_text(title), body)


def _text(text: str) -> bytes:
    raw = " ".join(text.split()).encode("cp1252", "replace")
    return b"(%b)" % raw.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def _file(objects: Sequence[bytes]) -> bytes:
    # The comment of four high bytes tells tools that look at the start that the file is binary (ISO 32000-1, 7.5.2).
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    return bytes(out) + _trailer(offsets, start=len(out))


def _trailer(offsets: Sequence[int], start: int) -> bytes:
    # Every entry is 20 bytes, its two-byte line end included: readers seek by multiplication (ISO 32000-1, 7.5.4).
    entries = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(offsets) + 1
    table = b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, entries)
    return table + b"trailer\n<< /Size %d /Root 1 0 R /Info 6 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start)
