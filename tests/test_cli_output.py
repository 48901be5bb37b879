"""Tables and texts for people: aligned, harmless, and on a terminal no wider than it is."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path
from typing import Any

import pytest

from listener.cli import table
from listener.log import event
from listener.log.event import Draft
from tests.site import ID, SIGNLOG, Site, callback, environment, stored

TIME = "2026-11-22T05:16:23.000001Z"


def rows(*values: dict[str, Any]) -> list[str]:
    """A table where there is no terminal."""
    return table.lines(values, list(values[0]), None)


def fitted(room: int, *values: dict[str, Any]) -> list[str]:
    """A table on a terminal with so many columns."""
    found = table.lines(values, list(values[0]), room)
    assert all(table.width_of(line) <= room for line in found)
    return found


def test_columns_are_as_wide_as_they_need() -> None:
    """And nothing stands behind the last."""
    assert rows({"id": 1, "long_name": "a"}, {"id": 22, "long_name": "bb"}) == ["ID  LONG NAME", "1   a", "22  bb"]


def test_cells_as_people_read_them() -> None:
    """Nothing is a dash, truth is yes or no."""
    assert rows({"a": None, "b": True, "c": False, "d": 0, "e": ""})[1] == "-  yes  no  0  -"


def test_letters_have_the_width_that_terminals_give_them() -> None:
    """Those of East Asia two, marks on other letters none."""
    assert table.width_of("签字") == 4
    assert table.width_of("e\u0301") == 1
    assert table.width_of("Грешен") == 6
    assert rows({"a": "签字", "b": 1}, {"a": "abcd", "b": 2}) == ["A     B", "签字  1", "abcd  2"]


def test_without_a_terminal_everything_is_whole() -> None:
    """A script that reads a table, against all advice, gets all of it."""
    long = "x" * 300
    assert rows({"a": long, "b": TIME, "c": None})[1] == f"{long}  {TIME}  -"


def test_columns_that_say_nothing_are_left_out_on_a_terminal() -> None:
    """In none of the rows."""
    assert fitted(80, {"a": 1, "b": None, "c": None}, {"a": 2, "b": None, "c": 3}) == ["A  C", "1  -", "2  3"]


def test_times_lose_their_fractions_before_anything_else_is_lost() -> None:
    """Only where there is no room."""
    row = {"a": TIME, "b": "x" * 10}
    assert fitted(39, row)[1] == f"{TIME}  {'x' * 10}"
    assert fitted(38, row)[1] == f"2026-11-22T05:16:23Z  {'x' * 10}"


def test_a_long_last_column_is_cut() -> None:
    """With a mark where."""
    assert fitted(30, {"a": "x" * 10, "b": "y" * 40})[1] == f"{'x' * 10}  {'y' * 17}…"
    assert fitted(9, {"a": "签字签字签字"})[1] == "签字签字…"


def test_a_last_column_that_finds_no_room_is_left_out() -> None:
    """Ids and states, which stand further left, stay whole."""
    row = {"a": "x" * 28, "b": "y" * 20, "c": "z" * 40}
    assert fitted(51, row) == [f"{'A':<28}  B", f"{'x' * 28}  {'y' * 20}"]
    assert fitted(30, row)[1] == "x" * 28
    assert fitted(10, row)[1] == "xxxxxxxxx…"
    assert fitted(1, row)[1] == "…"


@pytest.mark.parametrize(
    "letter", ["\x00", "\x1b", "\n", "\r", "\t", "\x7f", "\x9b", "\u202e", "\u2066", "\u2028", "\ud800"]
)
def test_what_steers_a_terminal_is_replaced(letter: str) -> None:
    """So is what turns the order of letters around, and what is no letter at all."""
    assert table.clean(f"a{letter}b") == "a�b"


@pytest.mark.parametrize("text", ["", "plain", "Грешен документ", "签字", "naïve", "a=b; c"])
def test_what_people_write_stays(text: str) -> None:
    """Letters of all languages."""
    assert table.clean(text) == text


def test_a_wide_space_is_a_space() -> None:
    """Names are written with them."""
    assert table.clean("10\u00a0000\u3000x") == "10 000 x"


# On a real terminal


def on_a_terminal(site: Site, columns: int, *arguments: str) -> str:
    """What a command writes on a terminal with so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen([SIGNLOG, *arguments], cwd=site.folder, env=environment(), stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = bytearray()
    while chunk := _read(ours):
        said += chunk
    os.close(ours)
    assert process.wait(60) == 0
    return said.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when nobody holds the other end any more
        return b""


def test_a_table_on_a_terminal(tmp_path: Path) -> None:
    """No line is wider than it; the id is whole."""
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"), stored())
    assert on_a_terminal(site, 70, "downloads").splitlines() == [
        "SOURCE   SUBJECT                       NAME           STATE",
        f"onespan  {ID}  evidence.pdf   stored",
        f"onespan  {ID}  documents.zip  wanted",
    ]
    assert on_a_terminal(site, 90, "downloads").splitlines() == [
        "SOURCE   SUBJECT                       NAME           STATE   WHY",
        f"onespan  {ID}  evidence.pdf   stored  -",
        f"onespan  {ID}  documents.zip  wanted  waits for a person: set sou…",
    ]
    assert on_a_terminal(site, 70, "downloads", "--state", "stored").splitlines() == [
        "SOURCE   SUBJECT                       NAME          STATE   ATTEMPTS",
        f"onespan  {ID}  evidence.pdf  stored  1",
    ]


def test_whether_it_is_confirmed_stands_on_a_narrow_terminal(tmp_path: Path) -> None:
    """Also where somebody gave it a reference: a claim must not look like the truth."""
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"))
    assert site.run("expect", "onespan", ID, "--reference", "order-17").code == 0
    site.fold()
    assert on_a_terminal(site, 80, "status").splitlines() == [
        "SOURCE   ID                            STAGE      CONFIRMED  REFERENCE",
        f"onespan  {ID}  completed  no         order-17",
    ]


def test_a_long_body_on_a_terminal(tmp_path: Path) -> None:
    """Its beginning, and what to type for the rest; a pipe gets all of it."""
    site = Site(tmp_path)
    site.append(callback("PACKAGE_DECLINE", message="x" * 5000))
    shown = on_a_terminal(site, 80, "show", "2")
    assert "… the first 2000 of " in shown
    assert "all of it: 'signlog show 2 --raw'" in shown
    assert "x" * 2000 not in shown
    assert "x" * 5000 in site.run("show", "2").out


def test_lines_of_a_body_stay_lines(tmp_path: Path) -> None:
    """Some senders write JSON over several."""
    site = Site(tmp_path)
    site.append(Draft(event.CALLBACK, "onespan", "onespan", b'{\n\t"a": 1\r\n}', "[]"))
    assert site.run("show", "2").out.endswith('\n{\n    "a": 1\n}\n')


def test_a_terminal_without_the_letters(tmp_path: Path) -> None:
    """Shows "?" instead of ending with a traceback; JSON is UTF-8 whatever it speaks."""
    Site(tmp_path).filled(callback("PACKAGE_DECLINE", message="Грешен"))
    spoken = {**environment(), "PYTHONIOENCODING": "latin-1"}
    for arguments, shown in ((["status"], b"??????"), (["status", "--json"], "Грешен".encode())):
        done = subprocess.run(
            [SIGNLOG, *arguments], cwd=tmp_path, env=spoken, capture_output=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert shown in done.stdout
