"""Answers: JSON for scripts, tables and sentences for people. The only room that prints."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)), "�")


def json_value(value: Any) -> None:
    """One JSON value."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=None) + "\n")


def json_lines(values: Iterable[Any]) -> None:
    """JSON Lines, each as soon as it is there."""
    for value in values:
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
        sys.stdout.flush()


def line(text: str = "") -> None:
    """A line for people, on standard output."""
    sys.stdout.write(clean(text) + "\n")


def note(text: str) -> None:
    """A line for people, beside the answer."""
    sys.stderr.write(clean(text) + "\n")


def clean(text: str) -> str:
    """Without control characters: what strangers sent must not steer the terminal."""
    return text.translate(_CONTROLS)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Rows as text, each column as wide as it needs; the last one takes what is left and is cut to fit."""
    import shutil

    cells = [[clean(_cell(row.get(column))) for column in columns] for row in rows]
    widths = [
        min(60, max(len(column), *(len(row[index]) for row in cells), 0)) if cells else len(column)
        for index, column in enumerate(columns)
    ]
    most = shutil.get_terminal_size((160, 24)).columns if sys.stdout.isatty() else 10_000
    for row in ([column.upper().replace("_", " ") for column in columns], *cells):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        sys.stdout.write((text if len(text) <= most else text[: most - 1] + "…") + "\n")


def fields(values: Mapping[str, Any]) -> None:
    """One thing, a line for each of its fields that says something."""
    width = max((len(name) for name in values), default=0)
    for name, value in values.items():
        if value not in (None, "", [], {}):
            line(f"{name.replace('_', ' '):<{width}}  {_cell(value)}")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
