"""The mail that OneSpan sends instead of a second try: the callback that failed stands in it, as JSON.

What else is in it, and whether it is text or HTML, is not published (https://support.onespan.com, KB0014510), and who
forwards it changes it once more. So every object of JSON in its texts is taken; what is a callback the provider knows.
"""

import html
import re
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesParser
from email.policy import Compat32
from typing import Final

import msgspec

from listener import errors

MOST_BYTES: Final = 4 * 1024 * 1024
_MOST_LINES: Final = 100_000
_MOST_NESTED: Final = 20  # declarations of parts that hold parts: the parser looks at each line once for each of them
_MOST_PARTS: Final = 200
_MOST_OBJECTS: Final = 1000
_MOST_OF_A_HEADER: Final = 1000  # characters; the parser's time grows with the square of it

_NESTED: Final = re.compile(rb"(?i)multipart/|message/")
_CHARSETS: Final = re.compile(r"us-ascii|utf-?8|iso-8859-\d+|windows-125\d|koi8-[ru]")  # and no other codec of Python's
_TAG: Final = re.compile("<[^<>]*>")
# An object without objects in it, as callbacks are. Nothing is looked at twice: what was passed over is not tried anew.
_OBJECT: Final = re.compile(r'\{(?:[^{}"]++|"(?:[^"\\]++|\\.)*+")*+\}', re.DOTALL)


def looks_like_one(content: bytes) -> bool:
    """Whether a file begins as mails do: with a header."""
    return re.match(rb"(?:From [^\r\n]*\r?\n)?[A-Za-z][A-Za-z0-9-]*[ \t]*:", content) is not None


def objects(content: bytes) -> list[bytes]:
    """Every object of JSON in the mail, each once; bytes in UTF-8. Raises Fault if there is more than a mail holds."""
    _assert_bounded(content)
    try:
        message = BytesParser(policy=_Bounded()).parsebytes(content)
        texts = [_text(part) for kind in _KINDS for part in message.walk() if part.get_content_type() == kind]
    except Exception as error:  # the parser was made for mails, not for whatever comes instead
        raise errors.Fault(f"a mail that cannot be read: {type(error).__name__}: {error}") from error
    found: dict[bytes, bytes] = {}
    for said, given in (pair for text in texts for pair in _objects(text)):
        found.setdefault(said, given)
        if len(found) > _MOST_OBJECTS:
            raise _too_much(_MOST_OBJECTS, "objects")
    return list(found.values())


_KINDS: Final = ("text/plain", "application/json", "text/html")


class _Bounded(Compat32):
    """Headers only as long as anybody needs them."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        """The name and the value of a header, cut."""
        name, value = super().header_source_parse([line[:_MOST_OF_A_HEADER] for line in sourcelines[:100]])
        return name, value[:_MOST_OF_A_HEADER]


def _assert_bounded(content: bytes) -> None:
    bounds = {
        "bytes": (len(content), MOST_BYTES),
        "lines": (content.count(b"\n") + content.count(b"\r") - content.count(b"\r\n"), _MOST_LINES),
        "parts": (content.count(b"\n--") + content.count(b"\r--"), _MOST_PARTS),
        "parts in parts": (sum(1 for _ in _NESTED.finditer(content)), _MOST_NESTED),
    }
    for what, (found, most) in bounds.items():
        if found > most:
            raise _too_much(most, what)


def _too_much(most: int, what: str) -> errors.Fault:
    return errors.Fault(f"a mail of more than {most} {what}; copy the JSON out of it into a file of its own")


def _text(part: "Message[str, str]") -> str:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    charset = part.get_content_charset("utf-8")
    try:
        text = content.decode(charset if _CHARSETS.fullmatch(charset) else "utf-8", "replace")
    except LookupError:
        text = content.decode("utf-8", "replace")
    return html.unescape(_TAG.sub("", text)) if part.get_content_type() == "text/html" else text


def _objects(text: str) -> Iterator[tuple[bytes, bytes]]:
    """Each object by what it says: plain text and HTML of one mail hold the same one in different spellings."""
    for match in _OBJECT.finditer(text.replace("\xa0", " ")):
        given = match[0].encode("utf-8", "replace")
        try:
            fields = msgspec.json.decode(given)
        except (ValueError, RecursionError):
            continue
        yield msgspec.json.encode(fields, order="deterministic"), given
