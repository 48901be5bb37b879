"""signlog quarantine list, show, accept, drop."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import Config, Json

if TYPE_CHECKING:
    from listener.quarantine import Kept, Quarantine
    from listener.settings import Settings

app = typer.Typer(help="Callbacks that were refused, and are kept for you to look at.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(help="Its number in the list.")]


@app.command("list")
def list_(
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many, the newest.")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """List what was refused, and why.

    Example: signlog quarantine list
    """
    with options.opened(config) as (found, _):
        from listener import bootstrap

        with bootstrap.quarantine(found) as quarantine:
            rows = [_shown(kept) for kept in quarantine.rows(limit)]
        if json:
            output.json_value(rows)
        else:
            columns = ("id", "received_at", "source", "status", "reason", "client", "genuine", "path", "size")
            output.table(rows, columns)


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

        with bootstrap.quarantine(found) as quarantine:
            kept = _kept(quarantine, number)
        if raw:
            sys.stdout.buffer.write(kept.body)
        elif json:
            output.json_value({**_shown(kept), "headers": kept.headers, "body": kept.body.decode(errors="replace")})
        else:
            output.fields(_shown(kept))
            output.line()
            output.line(kept.body.decode(errors="replace"))


@app.command()
def accept(
    reason: options.Reason,
    number: Annotated[int | None, typer.Argument(help="Its number in the list.")] = None,
    now_valid: Annotated[
        bool, typer.Option("--now-valid", help="All whose key or address is configured by now.")
    ] = False,
    source: Annotated[
        str | None, typer.Option(help="Take it for this source; needed if it named an unknown one.")
    ] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Vouch for a refused callback: it is appended to the log as an import, with your name and reason.

    Example: signlog quarantine accept --now-valid --reason 'the new key was missing here'
    """
    if (number is None) != now_valid:
        options.fail(options.WRONG, "name one number, or --now-valid")
    with options.opened(config) as (found, database):
        from listener import bootstrap, decisions

        with bootstrap.quarantine(found) as quarantine:
            chosen = _now_valid(found, quarantine) if number is None else [_kept(quarantine, number)]
            if not chosen:
                raise errors.NotFoundError("nothing in quarantine would be let in by now")
            positions = [
                decisions.accept(database, quarantine, kept, name, found.sources[name], options.operator(), reason)
                for kept in chosen
                for name in [_source(found, kept, source)]
            ]
        if json:
            output.json_value({"positions": positions})
        else:
            output.line(f"Accepted {len(positions)}, at {', '.join(map(str, positions))}.")


@app.command()
def drop(number: Number, json: Json = False, config: Config = None) -> None:
    """Remove a refused callback for good.

    Example: signlog quarantine drop 3
    """
    with options.opened(config) as (found, _):
        from listener import bootstrap

        with bootstrap.quarantine(found) as quarantine:
            if not quarantine.drop(number):
                raise errors.NotFoundError(f"there is no {number} in quarantine")
        if json:
            output.json_value({"dropped": number})


def _kept(quarantine: "Quarantine", number: int) -> "Kept":
    kept = quarantine.one(number)
    if kept is None:
        raise errors.NotFoundError(f"there is no {number} in quarantine; see 'signlog quarantine list'")
    return kept


def _source(found: "Settings", kept: "Kept", named: str | None) -> str:
    source = named or kept.source
    if source not in found.sources:
        raise errors.ConfigurationError(
            f"{source} is not configured; name one with --source: {', '.join(found.sources) or 'there is none yet'}"
        )
    if not kept.whole:
        raise errors.NotFoundError(f"{kept.id} is not whole: only its first {len(kept.body)} bytes were kept")
    return source


def _now_valid(found: "Settings", quarantine: "Quarantine") -> list["Kept"]:
    """Whole ones that the configured credentials would let in now."""
    from listener import bootstrap

    gates = bootstrap.gates(found)
    return [
        kept
        for kept in quarantine.rows()
        if kept.whole and kept.source in gates and gates[kept.source].would_admit(kept.shown, kept.client)
    ]


def _shown(kept: "Kept") -> dict[str, Any]:
    from listener import times

    return {
        "id": kept.id,
        "received_at": times.written(kept.received_at),
        "source": kept.source,
        "status": kept.status,
        "reason": kept.reason,
        "client": kept.client,
        "genuine": kept.genuine,
        "whole": kept.whole,
        "path": kept.path,
        "size": len(kept.body),
    }
