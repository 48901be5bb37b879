"""Answers: JSON for scripts, tables and sentences for people. The only room that prints."""

import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from listener.cli import sheet as sheets
from listener.cli import table as tables
from listener.cli.table import clean, words

ON_A_SCREEN = 50  # rows of a list, where nobody said how many
_BODY_ON_A_SCREEN = 2000  # characters
_A_LINE = 120  # columns, where there is no terminal


def json_value(value: Any) -> None:
    """One JSON value, in UTF-8 whatever the terminal speaks. An iterator in it is a list too long to be held."""
    for part in _json(value):
        sys.stdout.buffer.write(part.encode())
    sys.stdout.buffer.write(b"\n")


def _json(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for number, (key, each) in enumerate(value.items()):
            yield f"{', ' if number else '{'}{json.dumps(key)}: "
            yield from _json(each)
        yield "}"
    elif isinstance(value, Iterator):
        yield "["
        for number, each in enumerate(value):
            yield (", " if number else "") + json.dumps(each, ensure_ascii=False)
        yield "]"
    else:
        yield json.dumps(value, ensure_ascii=False)


def json_lines(values: Iterable[Any], at_once: bool = False) -> None:
    """JSON Lines; each `at_once` where somebody waits for it."""
    for value in values:
        json_value(value)
        if at_once:
            sys.stdout.buffer.flush()


def sheet(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], at_once: bool = False) -> None:
    """CSV, in UTF-8 whatever the terminal speaks; each line `at_once` where somebody waits for it."""
    for text in sheets.lines(rows, columns):
        sys.stdout.buffer.write(text.encode())
        if at_once:
            sys.stdout.buffer.flush()


def raw(content: bytes) -> None:
    """Exactly these bytes."""
    sys.stdout.buffer.write(content)


def raw_text(text: str) -> None:
    """Exactly this text of ours, in UTF-8 whatever the terminal speaks."""
    raw(text.encode())


def line(text: str = "", at_once: bool = False) -> None:
    """A line for people, on standard output; `at_once` where somebody waits for it."""
    sys.stdout.write(clean(text) + "\n")
    if at_once:
        sys.stdout.flush()


def fits(text: str) -> bool:
    """Whether it is no wider than the terminal, or than a line should be."""
    return tables.width_of(clean(text)) <= (_room() or _A_LINE)


def cut_line(text: str) -> None:
    """A line for people, no wider than fits."""
    line(tables.cut(clean(text), _room() or _A_LINE))


def note(text: str) -> None:
    """A line for people, beside the answer."""
    sys.stderr.write(clean(text) + "\n")


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], nothing: str = "") -> None:
    """Rows as text, fitted to the terminal if there is one; or a sentence where there are no rows."""
    if not rows and nothing:
        note(nothing)
        return
    for text in tables.lines(rows, columns, _room()):
        sys.stdout.write(text + "\n")


def _room() -> int | None:
    """How many columns the terminal has, if there is one."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def fields(values: Mapping[str, Any]) -> None:
    """One thing, a line for each of its fields that says something."""
    said = {words(name): value for name, value in values.items() if value not in (None, "", [], {})}
    width = max(map(len, said), default=0)
    for name, value in said.items():
        line(f"{name:<{width}}  {tables.cell(value)}")


def whole(values: Mapping[str, Any], content: bytes, raw_command: str) -> None:
    """One event or refused callback: its fields, its headers, its body."""
    fields({name: value for name, value in values.items() if name not in ("headers", "body", "body_base64")})
    if values["headers"]:
        line()
    for name, value in values["headers"] or ():
        line(f"{name}: {value}")
    if content:
        line()
        body(content, f"all of it: '{raw_command}'")


def body(content: bytes, more: str) -> None:
    """What a callback carried, line by line; on a terminal only so much, and what to type for `more`."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        note(f"{len(content)} bytes that are no text; {more}")
        return
    shown = text[:_BODY_ON_A_SCREEN] if sys.stdout.isatty() else text
    for part in shown.splitlines():
        line(part.replace("\t", "    "))
    if len(shown) < len(text):
        note(f"… the first {len(shown)} of {len(text)} characters; {more}")
