"""What the evidence proves, how to check it, and what nobody can prove with it: the end of the page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from listener.evidence.covering import Covered
from listener.evidence.markup import Markup, joined, table, tag

if TYPE_CHECKING:
    from listener.evidence.making import Row

_PROVED: Final = (
    (
        "a body or a header",
        "the hash in the event’s columns",
        "content = SHA-256(salt, length of headers, headers, body)",
    ),
    ("an event’s columns", "its leaf", "leaf = SHA-256(0, columns as JSON)"),
    ("a leaf", "the root of the tree", "the proof in the event’s file (RFC 9162)"),
    ("the root", "the key of the log", "the signature in head.txt (C2SP checkpoint, Ed25519, RFC 8032)"),
    ("a document", "an event", "the SHA-256 in the body of the outcome that stored it"),
)
_NOT_PROVED: Final = (
    "That all events of it are here. A proof says of an event that it is in the log; none says that no other is.",
    "Who the key belongs to, and that there is only one log. Compare the key and the head with what you have from "
    "elsewhere: a head that somebody outside keeps cannot be signed anew over another past.",
    "What the provider never sent, and who really sent a callback: most carry a shared key, and no signature.",
    "The time. It is that of the machine that took the callback, and that of the provider, as each told it.",
    "This page. It is a rendering of the events by the code that is named above; the list SHA256SUMS shows an "
    "accident, not an intention. Where it matters, read the events.",
)


def cover(covered: Covered, rows: Sequence["Row"]) -> object:
    """Whether everything is under a signed head, in a sentence or two."""
    outside = [row.event.position for row in rows if not row.covered]
    if not outside:
        return f"All {len(rows)} events are under one signed head of the log, over its first {covered.size:,} events."
    first = ", ".join(map(str, outside[:20])) + (" …" if len(outside) > 20 else "")
    what = f"The signed head that is in here does not cover what came after it: {first}."
    return joined((tag("b", "Not all of it is proved. "), what if covered.by else "There is no signed head in here."))


def section(covered: Covered, rows: Sequence["Row"]) -> Markup:
    """How to check it, what is signed, and what it all means."""
    how = (
        "With Python 3.8 or newer, where the zip was unpacked: ",
        tag("code", "python verify.py"),
        ". It names the file that was changed and says what is wrong. Without Python: ",
        tag("code", "sha256sum -c SHA256SUMS"),
        " compares the files. Who gave you this may have changed the program, too: take another copy of it to be safe.",
    )
    return tag(
        "section",
        tag("h2", "What it proves, and what it does not"),
        tag("p", cover(covered, rows)),
        _signed(covered),
        tag("p", *how),
        table(("of", "is bound to", "by"), _PROVED),
        tag("h3", "Not proved by any of it"),
        tag("ul", *(tag("li", each) for each in _NOT_PROVED)),
        class_="proof",
    )


def _signed(covered: Covered) -> Markup:
    if covered.by is None:
        return Markup()
    return joined(
        (
            tag("p", "The signed head, and the key that signed it:"),
            tag("pre", covered.by.note),
            tag("pre", covered.by.key),
        )
    )
