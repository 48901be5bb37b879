"""Rows for a spreadsheet: CSV as RFC 4180 has it, in UTF-8, and nothing in it that a spreadsheet would run."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

# What makes a spreadsheet take a cell for a formula, the wide forms of East Asia included
# (https://owasp.org/www-community/attacks/CSV_Injection).
_RUNS: Final = tuple("=+-@\t\r\n＝＋－＠")
_LAYOUT: Final = frozenset("\t\r\n")


def lines(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    """A heading and a line for each row, with their ends."""
    yield _line(columns)
    for row in rows:
        yield _line([_cell(row.get(column)) for column in columns])


def _line(cells: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()


def _cell(value: Any) -> str:
    """A value as text. What looks like a formula gets an apostrophe in front, which a spreadsheet takes for "text"."""
    if not isinstance(value, str):
        return "" if value is None else str(value)
    text = value if value.isprintable() else "".join(map(_harmless, value))
    return f"'{text}" if text.startswith(_RUNS) else text


def _harmless(letter: str) -> str:
    return letter if letter.isprintable() or letter in _LAYOUT else "�"
