"""signlog status, signlog timeline."""

from typing import Annotated, Any

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import Config, Json

_COLUMNS = ("source", "id", "stage", "status", "confirmed", "documents_stored", "recorded_at")
_ON_A_SCREEN = 50
# Ids may begin with "-": options here have no short form, and what is not one of ours is an id.
ID_FRIENDLY = {"ignore_unknown_options": True}


def status(
    source: Annotated[str | None, typer.Argument(help="The source of one subject.")] = None,
    id: Annotated[str | None, typer.Argument(help="Its id.")] = None,
    stage: Annotated[str | None, typer.Option(help="List only: draft, in_progress, completed, declined …")] = None,
    of: Annotated[str | None, typer.Option("--source", help="List only of this source.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="List at most so many.")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show where a package or transaction stands, or list them, the one that moved last first.

    Example: signlog status onespan 'LWsUTvGgE4WpOvaQPT16idnxNj8='
    """
    with options.opened(config) as (found, database):
        from listener.desk import status as desk
        from listener.desk.reading import reading
        from projections.facts import STAGES

        if source is not None and id is None:
            raise errors.ConfigurationError("name a source and an id, or use --source to list")
        if stage is not None and stage not in STAGES:
            raise errors.ConfigurationError(f"--stage {stage}: no such stage; write one of: {', '.join(STAGES)}")
        with reading(database, found.folder) as at:
            if source is not None and id is not None:
                _one(desk.one(at, source, id), source, id, json)
            else:
                rows = desk.several(at, desk.Filter(of, stage), limit or (None if json else _ON_A_SCREEN))
                _list(rows, json)


def _one(found: dict[str, Any] | None, source: str, id: str, json: bool) -> None:
    if found is None:
        raise errors.NotFoundError(f"nothing is known of {id} in {source}; see 'signlog events --subject {id}'")
    if json:
        output.json_value(found)
        return
    signers, documents, kept = found.pop("signers"), found.pop("documents"), found.pop("artifacts")
    output.fields(found)
    if signers:
        output.line()
        output.table([{**known, "signer": known["name"] or known["id"]} for known in signers], ("signer", "completed"))
    if documents:
        output.line()
        rows = [{**known, "document": known["name"] or known["id"]} for known in documents]
        output.table(rows, ("document", "viewed", "signed"))
    if kept:
        output.line()
        output.table(kept, ("name", "state", "size", "path", "error"))


def _list(found: list[dict[str, Any]], json: bool) -> None:
    if json:
        output.json_value(found)
        return
    for known in found:
        stored = sum(artifact["state"] == "stored" for artifact in known["artifacts"])
        known["documents_stored"] = f"{stored}/{len(known['artifacts'])}"
    output.table(found, _COLUMNS)


def timeline(
    source: Annotated[str, typer.Argument(help="The source.")],
    id: Annotated[str, typer.Argument(help="The package or transaction.")],
    json: Json = False,
    config: Config = None,
) -> None:
    """Tell what happened to a package or transaction, in order. JSON Lines with --json.

    Example: signlog timeline onespan 'LWsUTvGgE4WpOvaQPT16idnxNj8='
    """
    with options.opened(config) as (found, database):
        from listener.desk import status as desk
        from listener.desk.reading import reading

        with reading(database, found.folder) as at:
            history = desk.history(at, source, id)
        if not history:
            raise errors.NotFoundError(f"nothing is known of {id} in {source}")
        if json:
            output.json_lines(history)
        else:
            output.table(history, ("position", "occurred_at", "recorded_at", "text", "same_as"))
