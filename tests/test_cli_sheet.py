"""CSV for spreadsheets: as RFC 4180 has it, and harmless."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.cli import sheet


def written(*cells: object) -> str:
    """A line of cells, without the heading."""
    columns = [str(number) for number in range(len(cells))]
    return list(sheet.lines([dict(zip(columns, cells, strict=True))], columns))[1]


def test_a_line_ends_as_the_standard_has_it() -> None:
    """And cells are in quotes where they must be; what there is nothing of is empty."""
    assert list(sheet.lines([{"a": 1, "b": None}], ["a", "b"])) == ["a,b\r\n", "1,\r\n"]
    assert written('say "no"', "a,b", "two\r\nlines") == '"say ""no""","a,b","two\r\nlines"\r\n'


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-fSCSHWC=", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1"]
)
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    """With an apostrophe in front."""
    assert next(csv.reader(io.StringIO(written(text), newline=""))) == [f"'{text}"]


@pytest.mark.parametrize("value", [-1, 7, "LWsUTvGgE4WpOvaQPT16idnxNj8=", "a=b", "it's", True])
def test_what_it_would_not_run_is_as_it_is(value: object) -> None:
    """Numbers of ours, and texts with such letters further on."""
    assert written(value) == f"{value}\r\n"


def test_what_steers_a_terminal_is_no_part_of_it() -> None:
    """Nor what turns the order of letters around: a table may be looked at there."""
    assert written("a\x1b[2J\x00b\u202e") == "a�[2J�b�\r\n"


@given(st.lists(st.text(), min_size=2))
def test_every_reader_reads_what_was_written(cells: list[str]) -> None:
    """Cell by cell: no text ends its cell or its line."""
    (found,) = csv.reader(io.StringIO(written(*cells), newline=""))
    assert len(found) == len(cells)
    for text, cell in zip(found, cells, strict=True):
        assert cell.isprintable() is False or text.removeprefix("'") == cell.removeprefix("'")
