"""Rows as lines for people: aligned, and on a terminal no wider than it is."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Final

NOTHING: Final = "-"
_GAP: Final = "  "
_WIDEST: Final = 60  # what is longer sticks out; it does not push all other rows aside
_WHOLE: Final = 20  # what is no wider is not cut: half a time or half a number says nothing …
_PART: Final = 12  # … and of what is wider, so much must be left
_FRACTION: Final = re.compile(r"(\d\d:\d\d:\d\d)\.\d{6}Z")

Cells = list[list[str]]


def lines(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], room: int | None) -> list[str]:
    """A heading and a line for each row. Without `room`, in characters, everything stands there whole."""
    cells = [[clean(cell(row.get(column))) for column in columns] for row in rows]
    heads = [words(column).upper() for column in columns]
    if room is None:
        return _aligned([heads, *cells], [min(width, _WIDEST) for width in _widths([heads, *cells])])
    whole = _telling([heads, *cells])
    if _excess(_widths(whole), room) > 0:
        whole = [[_FRACTION.sub(r"\1Z", text) for text in line] for line in whole]
    widths = _fitting(_widths(whole), room)
    return _aligned([[cut(text, width) for text, width in zip(line, widths, strict=False)] for line in whole], widths)


def cell(value: Any) -> str:
    """A value as people read it."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def words(name: str) -> str:
    """A key of the JSON as people read it."""
    return name.replace("_", " ")


def clean(text: str) -> str:
    """Without what steers a terminal, or turns the order of letters around: strangers sent it."""
    return text if text.isprintable() else "".join(map(_harmless, text))


def width_of(text: str) -> int:
    """How many columns it takes: letters of East Asia take two, marks on other letters none."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _harmless(letter: str) -> str:
    if letter.isprintable():
        return letter
    return " " if unicodedata.category(letter) == "Zs" else "�"


def _width(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _telling(whole: Cells) -> Cells:
    """Without the columns in which no row says anything."""
    telling = [index for index in range(len(whole[0])) if any(line[index] != NOTHING for line in whole[1:])]
    return [[line[index] for index in telling] for line in whole]


def _widths(whole: Cells) -> list[int]:
    return [max(map(width_of, column)) for column in zip(*whole, strict=True)]


def _excess(widths: Sequence[int], room: int) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1) - room


def _fitting(widths: list[int], room: int) -> list[int]:
    """Cut the last column, or leave it out: what people copy stands further left, and whole."""
    excess = _excess(widths, room)
    if excess <= 0:
        return widths
    *others, last = widths
    if not others or (last > _WHOLE and last - excess >= _PART):
        return [*others, max(1, last - excess)]
    return _fitting(others, room)


def cut(text: str, width: int) -> str:
    """No wider than this."""
    if width_of(text) <= width:
        return text
    while width_of(text) >= width:
        text = text[:-1]
    return text + "…"


def _aligned(whole: Cells, widths: Sequence[int]) -> list[str]:
    return [
        _GAP.join(text + " " * (width - width_of(text)) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in whole
    ]
