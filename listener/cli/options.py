"""What every command shares: where the configuration is, and how errors and answers leave the program."""

import contextlib
import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from listener import errors
from listener.cli import output

if TYPE_CHECKING:
    from listener.log.database import Database
    from listener.settings import Settings


def _said(reason: str) -> str:
    if not reason.strip():
        raise typer.BadParameter("say why; it is kept in the log")
    return reason


Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The configuration; without it signlog.toml, if it is there."),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, for scripts.")]
Csv = Annotated[bool, typer.Option("--csv", help="CSV on standard output, for spreadsheets.")]
AsOf = Annotated[
    str | None, typer.Option("--as-of", metavar="TIME|POSITION", help="As far as was known then, or up to there.")
]
Before = Annotated[
    int | None, typer.Option("--before", metavar="POSITION", min=1, help="Go on with what stands before.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", callback=_said, help="Why; it is kept in the log.")]
Number = Annotated[int, typer.Argument(metavar="N", min=1, help="Its number in the list.")]

NO = 1  # the answer is no: a problem was found, or nothing matched where something was named
WRONG = 2  # wrong usage or configuration

# Ids may begin with "-": options here have no short form, and what is none of ours is an id.
ID_FRIENDLY = {"ignore_unknown_options": True}


class ListFirst(TyperGroup):
    """A group of commands whose name alone lists: `signlog downloads` is `signlog downloads list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` where no command stands."""
        if not args or (args[0].startswith("-") and args[0] != "--help"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def fail(code: int, message: str) -> NoReturn:
    """End the program with a sentence on standard error."""
    output.note(f"signlog: {message}")
    raise typer.Exit(code)


def no_option(source: str | None) -> None:
    """Refuse what only looks like an id because ids may begin with "-": no source does."""
    if source is not None and source.startswith("-"):
        raise typer.BadParameter(f"no such option: {source}")


def one_or_all(source: str | None, all: bool) -> None:
    """Raise ConfigurationError for a decision about nothing in particular, and for one about both."""
    if all == (source is not None):
        raise errors.ConfigurationError("name a SOURCE (and an ID), or say --all")


def one_form(json: bool, csv: bool) -> None:
    """Refuse two forms at a time."""
    if json and csv:
        raise typer.BadParameter("one of --json and --csv at a time")


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Errors become a sentence and an exit code. Whose reader went away (`| head`) ends quietly."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise typer.Exit(0) from None
    except (errors.ConfigurationError, errors.UnsuitableDatabase) as error:
        fail(WRONG, str(error))
    except errors.SignlogError as error:
        fail(NO, str(error))
    except DBAPIError as error:
        fail(NO, f"the database cannot be used: {' '.join(str(error.orig).split())}")
    except OverflowError:
        fail(NO, "there is no number so large")
    except UnicodeEncodeError:
        fail(WRONG, "what was named is no UTF-8")
    except OSError as error:
        fail(NO, f"{error.filename or 'the system'}: {error.strerror or error}")


@contextlib.contextmanager
def opened(config: Path | None) -> Iterator[tuple["Settings", "Database"]]:
    """The settings and the log that they point to, which must be there."""
    with told():
        from listener import bootstrap, settings

        found = settings.load(config)
        with bootstrap.existing_log(found) as database:
            yield found, database


def operator() -> str:
    """Who decides: the account that runs the command, whatever the environment calls it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"
