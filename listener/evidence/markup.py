"""HTML in which everything is text unless it was made here: strangers wrote most of what a page shows."""

import html
from collections.abc import Iterable
from typing import Final

_LAYOUT: Final = frozenset("\t\n")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """A value as text; letters that show nothing, or turn the order of others around, by their numbers."""
    if isinstance(value, Markup):
        return value
    written = str(value)
    shown = written if written.isprintable() else "".join(map(_shown, written))
    return Markup(html.escape(shown))


def _shown(letter: str) -> str:
    return letter if letter.isprintable() or letter in _LAYOUT else f"\\u{ord(letter):04x}"


def tag(name: str, *inside: object, **attributes: object) -> Markup:
    """An element; `class_` is its class. What is inside is text, unless it is an element."""
    given = "".join(f' {key.rstrip("_")}="{text(value)}"' for key, value in attributes.items())
    return Markup(f"<{name}{given}>{joined(inside)}</{name}>")


LINE: Final = Markup("<br>")
NOTHING: Final = Markup("–")


def joined(parts: Iterable[object], between: str = "") -> Markup:
    """One after the other."""
    return Markup(text(between).join(map(text, parts)))


def table(heads: Iterable[str], rows: Iterable[Iterable[object]], class_: str = "") -> Markup:
    """Rows below a heading, which is there again on every printed page."""
    head = tag("thead", tag("tr", *(tag("th", each, scope="col") for each in heads)))
    cells = (tag("tr", *(tag("td", cell) for cell in row)) for row in rows)
    body = tag("tbody", joined(cells, "\n"))
    return tag("table", head, body, class_=class_)


def moment(at: str) -> str:
    """A time as people read it, in UTC; what it has of milliseconds and microseconds, if it has any."""
    return at.replace("T", " ").replace(".000000Z", "").replace("000Z", "").removesuffix("Z")
