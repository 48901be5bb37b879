"""What is read before somebody asks for it."""

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from listener import reading_ahead
from listener.reading_ahead import advise, read_ahead


def test_all_of_a_file_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step by step, from its beginning on."""
    told = list[tuple[int, int, int]]()
    monkeypatch.setattr(os, "posix_fadvise", lambda _file, *what: told.append(what))
    path, step = tmp_path / "file", reading_ahead._STEP
    with path.open("wb") as file:
        file.truncate(2 * step + 1)
    advise(path)
    assert told == [(number * step, step, os.POSIX_FADV_WILLNEED) for number in range(3)]


def test_of_a_long_file_only_what_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is read as it is asked for."""
    told = list[int]()
    monkeypatch.setattr(os, "posix_fadvise", lambda _file, start, *_: told.append(start))
    monkeypatch.setattr(reading_ahead, "_MOST", 3 * reading_ahead._STEP)
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(9 * reading_ahead._STEP)
    advise(path)
    assert told == [number * reading_ahead._STEP for number in range(3)]


def test_what_cannot_be_read_ahead_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads it says what is wrong with it, if anything."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ESPIPE, "not here")

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    (tmp_path / "file").write_bytes(b"something")
    advise(tmp_path / "file")
    advise(tmp_path / "nothing")


def test_nobody_waits_for_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """When the block ends, so does it, however long the disk would take; and it says nothing."""
    path = tmp_path / "fifo"
    os.mkfifo(path)  # to open it takes for ever
    with read_ahead(path):
        pass
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("ahead", ["in a process of its own", "here"])
def test_locks_stay(ahead: str, tmp_path: Path) -> None:
    """That is why it is a process of its own: whoever closes a file here takes SQLite's locks away."""
    path = tmp_path / "file.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("CREATE TABLE found (a)")
    holder.execute("BEGIN EXCLUSIVE")
    if ahead == "here":
        advise(path)
    else:
        with read_ahead(path):
            pass
    script = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('SELECT * FROM found')"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (b"database is locked" in other.stderr) == (ahead != "here")
    holder.close()
