"""A child is of the code that its parent is of, and notices the end of its parent."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from listener import parent

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("command", "ours"), [(parent.command("listener"), True), ((sys.executable, "-m", "listener"), False)]
)
def test_what_lies_in_the_working_directory_is_not_started(
    tmp_path: Path, command: tuple[str, ...], ours: bool
) -> None:
    """Another checkout, say: it would fold with other code than its parent says."""
    (tmp_path / "listener").mkdir()
    (tmp_path / "listener" / "__init__.py").write_text("raise SystemExit('another listener')\n")
    said = subprocess.run([*command, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ("another listener" not in said.stderr and said.returncode == 0) is ours


def test_all_of_ours_is_started_like_that() -> None:
    """Wherever a module is started by name."""
    code = [path.read_text(encoding="utf-8") for path in (ROOT / "listener").rglob("*.py")]
    started = [found for text in code for found in re.findall(r'[^\s(\[]*,? "-m"', text)]
    assert len(started) >= 2
    assert set(started) == {'"-P", "-m"'}


def test_the_end_of_the_pipe_is_the_end_of_the_parent() -> None:
    """`stop` is called when the last writer is gone, and not while one is there, whatever it writes."""
    reading, writing = os.pipe()
    stopped = threading.Event()
    parent.alive(reading, stopped.set)
    os.write(writing, b"still here")
    assert not stopped.wait(0.05)
    os.close(writing)
    assert stopped.wait(20)
    os.close(reading)
