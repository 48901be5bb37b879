"""What every command shares: where the configuration is, and how errors and answers leave the program."""

import contextlib
import getpass
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from listener import errors

if TYPE_CHECKING:
    from listener.log.database import Database
    from listener.settings import Settings

Config = Annotated[
    Path | None, typer.Option("--config", help="The configuration file.", show_default="signlog.toml if it is there")
]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept in the log.")]

NO = 1  # the answer is no: a problem was found, or nothing matched where something was named
WRONG = 2  # wrong usage or configuration


def fail(code: int, message: str) -> NoReturn:
    """End the program with a sentence on standard error."""
    print(f"signlog: {message}", file=sys.stderr)
    raise typer.Exit(code)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Errors raised on purpose become a sentence and an exit code."""
    try:
        yield
    except (errors.ConfigurationError, errors.UnsuitableDatabase) as error:
        fail(WRONG, str(error))
    except errors.SignlogError as error:
        fail(NO, str(error))


@contextlib.contextmanager
def opened(config: Path | None) -> Iterator[tuple["Settings", "Database"]]:
    """The settings and the log that they point to, which must be there."""
    with told():
        from listener import bootstrap, settings

        found = settings.load(config)
        with bootstrap.existing_log(found) as database:
            yield found, database


def operator() -> str:
    """Who decides: the name of the account that runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
