"""How every command introduces itself, how light the program is until it has something to do, and how it ends."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from listener import __version__
from listener.cli.app import app
from tests.site import SIGNLOG, Site, environment

HEAVY = ("alembic", "httpx", "sqlalchemy", "starlette", "uvicorn")


def commands(group: Any = None, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and every group, as it is typed."""
    group = group or typer.main.get_command(app)
    yield words
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*words, name))


COMMANDS = list(commands())


def help_of(tmp_path: Path, words: tuple[str, ...]) -> str:
    """What --help prints."""
    done = Site(tmp_path).run(*words, "--help")
    assert (done.code, done.err) == (0, "")
    return done.out


def test_there_are_the_commands_of_this_version() -> None:
    """Each in its place."""
    assert {" ".join(words) for words in COMMANDS if words} == {
        "serve", "demo", "events", "show", "status", "timeline", "explain", "expect", "erase", "hold", "health",
        "downloads", "downloads list", "downloads retry", "downloads release",
        "downloads abandon", "downloads check", "import", "reconcile", "register",
        "replay", "faults", "faults list", "faults show", "faults retry", "faults skip",
        "quarantine", "quarantine list", "quarantine show", "quarantine accept", "quarantine drop",
        "verify", "checkpoint", "evidence", "backup", "restore", "copy-to",
    }  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_shows_an_example(tmp_path: Path, words: tuple[str, ...]) -> None:
    """One that begins with what is typed, and that the program takes."""
    found = re.search(r"Example: signlog (.+?)\n\n", help_of(tmp_path, words), re.S)
    assert found is not None
    typed = shlex.split(" ".join(found[1].split()))
    assert tuple(typed[: len(words)]) == words
    with typer.main.get_command(app).make_context("signlog", typed) as context:
        name, command, rest = context.command.resolve_command(context, typed)  # type: ignore[attr-defined]
        command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_says_in_a_line_what_a_command_does(tmp_path: Path, words: tuple[str, ...]) -> None:
    """One that the list of commands shows whole."""
    listed = help_of(tmp_path, words[:-1])
    if words:
        line = next(line for line in listed.splitlines() if line.startswith(f"  {words[-1]} "))
        assert line.endswith(".")
        assert not line.endswith("...")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_options_have_no_short_form(words: tuple[str, ...]) -> None:
    """Where an id may follow, "-f…" is one."""
    command: Any = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    options = [option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)]
    assert [option for option in options if re.fullmatch("-[^-].*", option)] == []


def test_help_and_version_need_nothing(tmp_path: Path) -> None:
    """Neither a configuration that is right, nor a log."""
    site = Site(tmp_path, "nonsense")
    assert site.run("--version").out == f"signlog {__version__}\n"
    assert site.run("--help").out.startswith("Usage: signlog ")
    assert (site.run().code, site.run().err[:15]) == (2, "Usage: signlog ")
    assert [path.name for path in tmp_path.iterdir()] == ["signlog.toml"]


def test_the_program_is_light_until_it_has_something_to_do() -> None:
    """What is heavy is imported when a command runs: help must come at once."""
    script = f"import sys, listener.cli.app; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_a_heavy_import_would_be_seen() -> None:
    """The test above is able to fail."""
    script = f"import sys, listener.bootstrap; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "sqlalchemy" in done.stdout


@pytest.mark.parametrize("program", [[SIGNLOG], [sys.executable, "-m", "listener"]], ids=["signlog", "python -m"])
def test_the_program_as_it_is_installed(tmp_path: Path, program: list[str]) -> None:
    """Under both of its names, as a shell starts it."""
    Site(tmp_path).filled()
    done = subprocess.run(
        [*program, "status", "--json"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


READING = [
    ["events"],
    ["show", "1"],
    ["status"],
    ["timeline", "onespan", "x"],
    ["explain", "onespan", "x", "stage"],
    ["erase", "onespan", "x", "--reason", "x"],
    ["hold"],
    ["health"],
    ["downloads"],
    ["downloads", "retry", "--reason", "x"],
    ["import", "-", "--source", "onespan", "--reason", "x"],
    ["quarantine"],
    ["quarantine", "show", "1"],
    ["quarantine", "accept", "1", "--reason", "x"],
    ["quarantine", "drop", "1"],
]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_without_a_log(tmp_path: Path, command: list[str]) -> None:
    """A sentence and exit 1; none is made by looking for it."""
    done = Site(tmp_path).run(*command, "--json")
    told = "there is no log in signlog-data; 'signlog serve' makes one, or set data"
    assert done == (1, "", f"signlog: {told}\n")
    assert not (tmp_path / "signlog-data").exists()


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_with_a_wrong_configuration(tmp_path: Path, command: list[str]) -> None:
    """A sentence and exit 2."""
    done = Site(tmp_path, "nonsense = 1").run(*command, "--json")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("signlog: nonsense: there is no such key; ")


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_with_a_configuration_elsewhere(tmp_path: Path, command: list[str]) -> None:
    """--config names it; what is not there is said."""
    done = Site(tmp_path).run(*command, "--config", "elsewhere.toml")
    assert done == (2, "", "signlog: elsewhere.toml: the file cannot be read: No such file or directory\n")


def test_the_environment_configures_too(tmp_path: Path) -> None:
    """Above the file; a wrong variable is named as it is spelled."""
    site = Site(tmp_path).filled()
    assert site.run("status", "--json", env={"SIGNLOG_DATA": "elsewhere"}).code == 1
    done = site.run("status", env={"SIGNLOG_DOR__PORT": "1"})
    assert done == (2, "", "signlog: SIGNLOG_DOR__PORT: there is no such key; did you mean SIGNLOG_DOOR__PORT?\n")


def test_an_unknown_command(tmp_path: Path) -> None:
    """Exit 2, on standard error."""
    done = Site(tmp_path).run("telepathy")
    assert (done.code, done.out) == (2, "")
    assert "No such command 'telepathy'" in done.err
