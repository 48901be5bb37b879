"""signlog quarantine: list, show, accept, drop."""

from typing import TYPE_CHECKING, Annotated

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import Config, Json, Number

if TYPE_CHECKING:
    from listener.quarantine import Kept, Quarantine
    from listener.settings import Settings

_COLUMNS = ("id", "received_at", "source", "status", "reason", "client", "genuine", "size", "path")

_HELP = """List callbacks that were refused. Or show, accept, drop one.

Example: signlog quarantine
"""

app = typer.Typer(cls=options.ListFirst, help=_HELP)


@app.command("list")
def list_(
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many, the newest.")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """List what was refused, and why.

    Example: signlog quarantine list
    """
    with options.opened(config) as (found, _):
        from listener import bootstrap
        from listener.desk import quarantine as desk

        with bootstrap.quarantine(found) as quarantine:
            rows = [desk.shown(kept) for kept in quarantine.rows(limit)]
        if json:
            output.json_value(rows)
        else:
            output.table(rows, _COLUMNS, "Nothing is in quarantine.")


@app.command()
def show(
    number: Number,
    raw: Annotated[bool, typer.Option("--raw", help="Exactly the body's bytes, and nothing else.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show one refused callback whole.

    Example: signlog quarantine show 3
    """
    with options.opened(config) as (found, _):
        from listener import bootstrap
        from listener.desk import quarantine as desk

        with bootstrap.quarantine(found) as quarantine:
            kept = _kept(quarantine, number)
        if raw:
            output.raw(kept.body)
        elif json:
            output.json_value(desk.whole(kept))
        else:
            output.whole(desk.whole(kept), kept.body, f"signlog quarantine show {number} --raw")


@app.command()
def accept(
    reason: options.Reason,
    number: Annotated[int | None, typer.Argument(metavar="[N]", min=1, help="Its number in the list.")] = None,
    now_valid: Annotated[
        bool, typer.Option("--now-valid", help="All whose key or address is configured by now.")
    ] = False,
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="Take it for this source, if it named an unknown one.")
    ] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Vouch for a refused callback: append it to the log.

    It is appended as an import, with your name and reason.

    Example: signlog quarantine accept --now-valid --reason 'the key was missing'
    """
    if (number is None) != now_valid:
        options.fail(options.WRONG, "name one number, or --now-valid")
    if now_valid and source is not None:
        options.fail(options.WRONG, "--source is for one number; with --now-valid each has its source already")
    with options.opened(config) as (found, database):
        from listener import bootstrap, decisions

        with bootstrap.quarantine(found) as quarantine:
            kept = _now_valid(found, quarantine) if number is None else [_kept(quarantine, number)]
            if not kept:
                raise errors.NotFoundError(
                    "nothing in quarantine would be let in by now; 'signlog quarantine' says why"
                )
            chosen = [(one, _source(found, one, source)) for one in kept]
            positions = [
                decisions.accept(database, quarantine, one, name, found.sources[name], options.operator(), reason)
                for one, name in chosen
            ]
        if json:
            output.json_value({"positions": positions})
        else:
            output.line(f"Accepted {len(positions)}, as events {', '.join(map(str, positions))}.")


@app.command()
def drop(number: Number, json: Json = False, config: Config = None) -> None:
    """Remove a refused callback for good.

    Example: signlog quarantine drop 3
    """
    with options.opened(config) as (found, _):
        from listener import bootstrap

        with bootstrap.quarantine(found) as quarantine:
            if not quarantine.drop(number):
                raise _missing(number)
        if json:
            output.json_value({"dropped": number})
        else:
            output.line(f"Dropped {number}.")


def _kept(quarantine: "Quarantine", number: int) -> "Kept":
    kept = quarantine.one(number)
    if kept is None:
        raise _missing(number)
    return kept


def _missing(number: int) -> errors.NotFoundError:
    return errors.NotFoundError(f"there is no {number} in quarantine; 'signlog quarantine' lists what is")


def _source(found: "Settings", kept: "Kept", named: str | None) -> str:
    source = named or kept.source
    if source not in found.sources:
        known = ", ".join(found.sources)
        wanted = f"name one with --source: {known}" if known else "none is yet: configure one first"
        raise errors.ConfigurationError(f"{source} is no configured source; {wanted}")
    if not kept.whole:
        raise errors.NotFoundError(
            f"{kept.id} is not whole: only its first {len(kept.body)} bytes were kept; have the provider send it again"
        )
    return source


def _now_valid(found: "Settings", quarantine: "Quarantine") -> list["Kept"]:
    """Whole ones that the configured credentials would let in now."""
    from listener import bootstrap_door

    gates = bootstrap_door.gates(found)
    return [
        kept
        for kept in quarantine.rows()
        if kept.whole and kept.source in gates and gates[kept.source].would_admit(kept.shown, kept.client)
    ]
