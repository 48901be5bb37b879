"""signlog faults: list, show, retry, skip."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import Config, Json, Reason

_COLUMNS = ("position", "source", "subject", "waiting", "error", "attempts", "this_code")
_NEXT = (
    "When the code is mended, restart 'signlog serve': each is tried again. 'signlog faults retry' tries them now, "
    "'signlog faults skip N --reason …' leaves one out."
)
_DECIDED = "The worker does it now; 'signlog faults' shows what is left."

_HELP = """List events that could not be taken in. Or try them again, or leave them out.

Example: signlog faults
"""

app = typer.Typer(cls=options.ListFirst, help=_HELP)

Why = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the log.")]


@app.command("list")
def list_(
    after: Annotated[int, typer.Option(metavar="POSITION", min=0, help="Of events behind this position.")] = 0,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Of at most so many events.")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """List events that no projection could take in.

    What comes later about the same subject waits behind them; everything else goes on.

    Example: signlog faults list
    """
    with options.opened(config) as (_, database):
        from listener.desk import faults as desk
        from listener.desk.reading import reading

        with reading(database) as at:
            rows = desk.several(at, after, limit or (None if json else output.ON_A_SCREEN))
        if json:
            output.json_value(rows)
            return
        output.table(rows, _COLUMNS, "There are no faults." if not after else f"There are none behind {after}.")
        if limit is None and len(rows) >= output.ON_A_SCREEN:
            output.note(f"There may be more; go on with --after {rows[-1]['position']}, or see all with --json.")
        if rows:
            output.note(_NEXT)


@app.command("show")
def show(
    position: Annotated[int, typer.Argument(metavar="POSITION", min=1, help="The position of the event.")],
    json: Json = False,
    config: Config = None,
) -> None:
    """Show what is wrong with one event.

    Example: signlog faults show 17
    """
    with options.opened(config) as (_, database):
        from listener.desk import faults as desk
        from listener.desk.reading import reading

        with reading(database) as at:
            rows = desk.of(at, [position])
        if not rows:
            raise errors.NotFoundError(f"{position} has no fault; 'signlog faults' lists those that have")
        if json:
            output.json_value(rows)
            return
        for row in rows:
            output.fields(row)
        output.note(f"'signlog show {position}' shows the event. {_NEXT}")


@app.command("retry")
def retry(
    positions: Annotated[
        list[int] | None, typer.Argument(metavar="[POSITION]…", min=1, help="Of the events; without any, all of them.")
    ] = None,
    reason: Why = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Try faults again now, and then what waits behind them.

    The decision lists each event, and is kept in the log. After a change of the code nobody need type this: the worker
    tries each fault again when it starts.

    Example: signlog faults retry 17
    """
    with options.opened(config) as (_, database):
        from listener import decisions
        from listener.desk import faults as desk
        from listener.desk.reading import reading

        with reading(database) as at:
            rows = desk.named(at, positions) if positions else desk.several(at)
        if not rows:
            raise errors.NotFoundError("nothing to try again: there are no faults")
        decided = decisions.retry_faults(database, _positions(rows), options.operator(), reason)
        _told(decided, rows, json)


@app.command("skip")
def skip(
    positions: Annotated[list[int], typer.Argument(metavar="POSITION…", min=1, help="Of the events.")],
    reason: Reason,
    json: Json = False,
    config: Config = None,
) -> None:
    """Leave events out for good, and take in what waits behind them.

    The decision lists each event; it and its reason are kept in the log, and every replay obeys it. An event that a
    replay with other code takes in is not left out there.

    Example: signlog faults skip 17 --reason 'a test of the provider'
    """
    with options.opened(config) as (_, database):
        from listener import decisions
        from listener.desk import faults as desk
        from listener.desk.reading import reading

        with reading(database) as at:
            rows = desk.named(at, positions)
        decided = decisions.skip(database, _positions(rows), options.operator(), reason)
        _told(decided, rows, json)


def _positions(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    return sorted({row["position"] for row in rows})


def _told(decided: list[int], rows: Sequence[Mapping[str, Any]], json: bool) -> None:
    named = [{key: row[key] for key in ("position", "source", "subject")} for row in rows]
    if json:
        output.json_value({"positions": decided, "faults": named})
    else:
        output.table(named, ("position", "source", "subject"))
        output.note(_DECIDED)
