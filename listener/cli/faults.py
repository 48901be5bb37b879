"""signlog faults: list, show."""

from typing import Annotated

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import Config, Json

_COLUMNS = ("position", "source", "subject", "waiting", "error", "attempts")

_ON_A_SCREEN = 50

_HELP = """List events that could not be taken in. Or show those of one.

Example: signlog faults
"""

app = typer.Typer(cls=options.ListFirst, help=_HELP)


@app.command("list")
def list_(
    after: Annotated[int, typer.Option(metavar="POSITION", min=0, help="Of events behind this position.")] = 0,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Of at most so many events.")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """List events that no projection could take in.

    What comes later about the same subject waits behind them; everything else goes on. When the code is mended,
    'signlog replay' takes them in.

    Example: signlog faults list
    """
    with options.opened(config) as (found, database):
        from listener.desk import faults as desk
        from listener.desk.reading import reading

        with reading(database, found.folder) as at:
            rows = desk.several(at, after, limit or (None if json else _ON_A_SCREEN))
        if json:
            output.json_value(rows)
        else:
            output.table(rows, _COLUMNS, "There are no faults." if not after else f"There are none behind {after}.")
            if limit is None and len(rows) >= _ON_A_SCREEN:
                output.note(f"There may be more; go on with --after {rows[-1]['position']}, or see all with --json.")


@app.command("show")
def show(
    position: Annotated[int, typer.Argument(metavar="POSITION", min=1, help="The position of the event.")],
    json: Json = False,
    config: Config = None,
) -> None:
    """Show what is wrong with one event.

    Example: signlog faults show 17
    """
    with options.opened(config) as (found, database):
        from listener.desk import faults as desk
        from listener.desk.reading import reading

        with reading(database, found.folder) as at:
            rows = desk.of(at, position)
        if not rows:
            raise errors.NotFoundError(f"{position} has no fault; 'signlog faults' lists those that have")
        if json:
            output.json_value(rows)
            return
        for row in rows:
            output.fields(row)
        output.note(f"'signlog show {position}' shows the event. When the code is mended: signlog replay")
