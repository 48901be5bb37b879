"""signlog status, signlog timeline."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import Config, Json

_COLUMNS = (
    "source",
    "id",
    "reference",
    "stage",
    "status",
    "documents",
    "confirmed",
    "expected",
    "reason",
    "recorded_at",
)
_ON_A_SCREEN = 50


def status(
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="The source of one subject.")] = None,
    id: Annotated[str | None, typer.Argument(metavar="ID", help="Its id.")] = None,
    stage: Annotated[
        str | None, typer.Option(metavar="STAGE", help="List only: draft, in_progress, completed, declined …")
    ] = None,
    of: Annotated[str | None, typer.Option("--source", metavar="NAME", help="List only of this source.")] = None,
    reference: Annotated[
        str | None, typer.Option(metavar="TEXT", help="List only what 'signlog expect' gave this reference.")
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="List at most so many.")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show where packages and transactions stand, or one of them.

    In a list, the one that moved last comes first.

    Example: signlog status onespan 'LWsUTvGgE4WpOvaQPT16idnxNj8='
    """
    options.no_option(source)
    with options.opened(config) as (found, database):
        from listener.desk import status as desk
        from listener.desk.reading import reading
        from projections.facts import STAGES

        if source is not None and id is None:
            raise errors.ConfigurationError(f"name an id too, or list them all: signlog status --source {source}")
        if stage is not None and stage not in STAGES:
            raise errors.ConfigurationError(f"--stage: there is no such stage; write one of: {', '.join(STAGES)}")
        with reading(database, found.folder) as at:
            if source is not None and id is not None:
                _one(desk.one(at, source, id), source, id, found.documents_folder, json)
            else:
                rows = desk.several(at, desk.Filter(of, stage, reference), limit or (None if json else _ON_A_SCREEN))
                _list(rows, json)


def _one(found: dict[str, Any] | None, source: str, id: str, folder: Path, json: bool) -> None:
    if found is None:
        hint = f"signlog events --subject {shlex.quote(id)}"
        raise errors.NotFoundError(f"nothing is known of {id} in {source}; what arrived about it, if anything: {hint}")
    if json:
        output.json_value(found)
        return
    signers, documents, kept = found.pop("signers"), found.pop("documents"), found.pop("artifacts")
    output.fields(found)
    if signers:
        output.line()
        output.table(
            [{**known, "signer": known["name"] or known["id"]} for known in signers],
            ("signer", "completed", "declined"),
        )
    if documents:
        output.line()
        rows = [{**known, "document": known["name"] or known["id"]} for known in documents]
        output.table(rows, ("document", "viewed", "signed", "declined"))
    if kept:
        output.line()
        output.fields({known["name"]: _artifact(known, folder) for known in kept})


def _artifact(known: dict[str, Any], folder: Path) -> str:
    """What became of a document, and where it lies: a path to copy, so never cut."""
    if known["path"] is not None:
        return f"{known['state']}, {known['size']} bytes: {folder / known['path']}"
    next_at = f", next try at {known['next_at']}" if known["next_at"] else ""
    return f"{known['state']}{next_at}" + (f": {known['error']}" if known["error"] else "")


def _list(found: list[dict[str, Any]], json: bool) -> None:
    if json:
        output.json_value(found)
        return
    for known in found:
        stored = sum(artifact["state"] == "stored" for artifact in known["artifacts"])
        known["documents"] = f"{stored} of {len(known['artifacts'])}" if known["artifacts"] else None
    output.table(found, _COLUMNS, "Nothing fits. 'signlog events' lists what arrived.")


def timeline(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source.")],
    id: Annotated[str, typer.Argument(metavar="ID", help="The package or transaction.")],
    json: Json = False,
    config: Config = None,
) -> None:
    """Tell what happened to a package or transaction, in order.

    With --json, JSON Lines.

    Example: signlog timeline onespan 'LWsUTvGgE4WpOvaQPT16idnxNj8='
    """
    options.no_option(source)
    with options.opened(config) as (found, database):
        from listener.desk import status as desk
        from listener.desk.reading import reading

        with reading(database, found.folder) as at:
            history = desk.history(at, source, id)
        if not history:
            raise errors.NotFoundError(f"nothing is known of {id} in {source}; 'signlog status' lists what is")
        if json:
            output.json_lines(history)
        else:
            output.table([_told(fact) for fact in history], ("position", "occurred_at", "text", "recorded_at"))


def _told(fact: dict[str, Any]) -> dict[str, Any]:
    return fact if fact["same_as"] is None else {**fact, "text": f"{fact['text']} (again, as at {fact['same_as']})"}
