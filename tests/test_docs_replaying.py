"""The page on replaying can be typed, from its first line to its last, and prints what it shows."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from listener import bookkeeping, bootstrap, errors
from listener.desk.reading import reading
from listener.log import reader
from listener.settings import Settings
from tests.site import environment, until

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/replaying.md").read_text(encoding="utf-8")
EXAMPLE = PAGE.partition("\n## Once through")[2].partition("\n## ")[0]
COPIED = ("listener", "projections", "migrations", "alembic.ini")
MARK = "that was all of it"


class Step(NamedTuple):
    """What is typed, and what that prints."""

    typed: str
    prints: str


def steps(text: str) -> Iterator[Step]:
    """A block of shell, and the block without a language behind it, if there is one before the next."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    for (language, typed), (next_language, prints) in zip(blocks, [*blocks[1:], ("sh", "")], strict=True):
        if language == "sh":
            yield Step(typed, prints if next_language == "" else "")


def normal(text: str) -> str:
    """Without what is different each time: times, and digests."""
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "a time", text)
    return re.sub(r"\b[0-9a-f]{64}\b", "DIGEST", text).strip()


class Shell:
    """A person at a terminal, in a copy of the checkout."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = str(port)
        program = folder / "bin" / "signlog"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m listener "$@"\n')
        program.chmod(0o755)
        path = f"{program.parent}:{os.environ['PATH']}"
        ours = {"PATH": path, "PYTHONPATH": str(folder), "PYTHONUNBUFFERED": "1", "SIGNLOG_DOOR__PORT": self.port}
        self._process = subprocess.Popen(
            ["sh"],
            cwd=folder,
            env={**environment(), **ours},
            text=True,
            start_new_session=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def type(self, text: str) -> str:
        """What it prints."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{text.replace('4449', self.port)}\necho; echo {MARK}\n")
        stdin.flush()
        return "".join(iter(stdout.readline, f"{MARK}\n"))

    def has_caught_up(self) -> bool:
        """Whether the views have all that was appended; a person is not faster than that."""
        found = Settings(data=str(self.folder / "signlog-data"))
        if not (found.folder / "signlog.db").exists():
            return True
        try:
            with bootstrap.log(found) as database, reading(database) as at:
                return bookkeeping.checkpoint(at.views).position == reader.head(at.log)
        except errors.ViewsError:  # the worker has only begun
            return False

    def close(self) -> None:
        """End it, and all that it started."""
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.communicate(timeout=60)


@contextmanager
def copy(folder: Path) -> Iterator[Shell]:
    """A copy of the checkout, as far as it runs."""
    for name in COPIED:
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    shell = Shell(folder, port)
    try:
        yield shell
    finally:
        shell.close()


def test_the_page_can_be_typed_and_prints_what_it_shows(tmp_path: Path) -> None:
    """A wrong mapping, the plan that mends it, the apply, the documents that are held and released, the way back."""
    digest = ""
    with copy(tmp_path) as shell:
        for step in steps(EXAMPLE):
            printed = shell.type(step.typed.replace("DIGEST", digest))
            assert normal(printed) == normal(step.prints), step.typed
            digest = next(iter(re.findall(r"--apply ([0-9a-f]{64})", printed)), digest)
            until(shell.has_caught_up)


def test_the_example_has_every_step() -> None:
    """The test above would be content with an empty page."""
    typed = "\n".join(step.typed for step in steps(EXAMPLE))
    for words in ("show", "health", "replay --plan", "replay --apply", "downloads release", "replay --rollback"):
        assert f"signlog {words}" in typed


def test_what_is_not_printed_as_shown_is_noticed(tmp_path: Path) -> None:
    """Another word, a line less; but not another time or digest."""
    with copy(tmp_path) as shell:
        printed = shell.type("echo 1 2026-11-22T10:53:03.079187Z; echo two >&2")
        assert normal(printed) == normal("1 2020-01-01T00:00:00.000000Z\ntwo\n")
        assert normal(printed) not in (normal("1 2020-01-01T00:00:00.000000Z\n"), normal("1\ntwo\n"))


def sentences() -> list[str]:
    """What the page says that may be said."""
    rows = re.findall(r"^\| (`.+?`.*?) \|", PAGE.partition("## What may go wrong")[2], re.M)
    return [words for row in rows for words in re.findall(r"`([^`]+)`", row)]


def says(words: str) -> bool:
    """Whether the code that refuses says so, word for word, however its lines are broken."""
    refusing = [ROOT / f"listener/{name}.py" for name in ("worker/conditions", "worker/replay", "views_file")]
    code = "".join("".join(path.read_text(encoding="utf-8").split()) for path in refusing)
    return "".join(words.split()) in re.sub(r'"f?"', "", code)


@pytest.mark.parametrize("words", sentences())
def test_what_may_be_said_is_what_the_program_says(words: str) -> None:
    """Each that stands in the table of what may go wrong."""
    assert says(words)


def test_a_sentence_that_is_never_said_is_noticed() -> None:
    """There are some that are, else the test above proves nothing."""
    assert len(sentences()) >= 10
    assert not says("the plan is lost")
