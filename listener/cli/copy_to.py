"""signlog copy-to."""

from typing import TYPE_CHECKING, Annotated

import typer

from listener.cli import options, output, progress
from listener.cli.options import Config, Json

if TYPE_CHECKING:
    from listener.transfer import Moved

_HINT = """\
The log in the file is sealed, and takes nothing any more. Write the address that you typed into signlog.toml, or into
SIGNLOG_DATABASE_URL, and start 'signlog serve' again:

    database_url = "{scheme}…"
"""


def copy_to(
    url: Annotated[str, typer.Argument(metavar="URL", help="An empty database: postgresql://USER@HOST:5432/DATABASE")],
    json: Json = False,
    config: Config = None,
) -> None:
    """Move the log into PostgreSQL, while the server runs.

    Stopped, it goes on where it was when it is typed again. A password need not stand in the URL: PGPASSWORD, or
    ~/.pgpass.

    Example: signlog copy-to postgresql://signlog@db.example.com:5432/signlog
    """
    with options.opened(config) as (found, database):
        from listener import bootstrap, logs
        from listener.log.postgres import with_driver

        logs.configure()
        with bootstrap.transfer(found, database, with_driver(url)) as transfer, progress.bar("copying") as told:
            moved = transfer.make(options.operator(), told)
        _show(moved, json)


def _show(moved: "Moved", json: bool) -> None:
    from listener.log.postgres import SCHEME

    if json:
        output.json_value({"events": moved.events, "root": moved.root.hex()})
        return
    output.line("Copied, verified and sealed.")
    output.line()
    output.fields({"events": moved.events, "root": moved.root.hex()})
    output.note(_HINT.format(scheme=SCHEME))
