"""signlog downloads: list, retry, release, abandon; `check` stands beside."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from listener import errors
from listener.cli import downloads_check, options, output
from listener.cli.options import Config, Json, Reason

if TYPE_CHECKING:
    from listener.acts import Artifact

_COLUMNS = ("source", "subject", "name", "state", "why", "attempts", "next_at", "size", "path")
_HELP = """List signed documents: wanted, held, stored, failed. Or decide about them.

Example: signlog downloads
"""

app = typer.Typer(cls=options.ListFirst, help=_HELP)
app.command("check", context_settings=options.ID_FRIENDLY)(downloads_check.check)


@app.command("list")
def list_(
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help="wanted, held, stored, failed, abandoned, listed or unwanted.")
    ] = None,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this source.")] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many.")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """List documents, what became of them, and what they wait for.

    The one that moved last comes first.

    Example: signlog downloads list --state failed
    """
    with options.opened(config) as (found, database):
        from listener.desk import downloads as desk
        from listener.desk import waiting
        from listener.desk.reading import reading

        if state is not None and state not in desk.STATES:
            raise errors.ConfigurationError(f"--state: there is no such state; write one of: {', '.join(desk.STATES)}")
        count = limit or (None if json else output.ON_A_SCREEN)
        with reading(database) as at:
            rows = waiting.told(at, found, desk.several(at, desk.Filter(source, state), count))
        if json:
            output.json_value(rows)
            return
        shown = [{**row, "why": _why(row)} for row in rows]
        output.table(shown, _COLUMNS, "No such document. What completes at a provider is wanted from then on.")
        if limit is None and len(rows) == output.ON_A_SCREEN:
            output.note("There may be more; see them with --limit, or all of them with --json.")


def _why(row: Mapping[str, Any]) -> str:
    """What went wrong, what a person should know of a document that is there all the same, and what one waits for.

    What to type stands behind that, the same for many rows: scripts are told, and people by health.
    """
    verdict = row["verdict"]
    doubt = verdict["text"] if verdict is not None and verdict["doubtful"] else None
    waits = f"waits for {row['waits_for'].partition('; ')[0]}" if row["waits_for"] else None
    return "; ".join(said for said in (row["error"] or doubt, waits) if said)


@app.command("retry", context_settings=options.ID_FRIENDLY)
def retry(
    reason: Reason,
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="Only of this source …")] = None,
    id: Annotated[str | None, typer.Argument(metavar="ID", help="… of this package or transaction …")] = None,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="… this document.")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Try again what failed or was given up, now.

    The decision and its reason are kept in the log.

    Example: signlog downloads retry onespan --reason 'the key was renewed'
    """
    options.no_option(source)
    with options.opened(config) as (found, database):
        from listener import decisions
        from listener.desk import downloads as desk
        from listener.desk.reading import reading

        with reading(database) as at:
            artifacts = desk.retryable(at, found, desk.Named(source, id, name))
        if not artifacts:
            raise errors.NotFoundError("nothing to try again: no such document failed or was given up")
        positions = decisions.retry(database, artifacts, options.operator(), reason)
        then = "To be tried again now, by the worker. 'signlog downloads' shows what comes of it."
        _told(positions, artifacts, json, then)


@app.command("release", context_settings=options.ID_FRIENDLY)
def release(
    reason: Reason,
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="Of this source …")] = None,
    id: Annotated[str | None, typer.Argument(metavar="ID", help="… of this package or transaction …")] = None,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="… this document.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Everything that is held.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Let go what a replay found and held, to be fetched.

    The decision lists each document; it and its reason are kept in the log.

    Example: signlog downloads release --all --reason 'the handler was wrong'
    """
    options.no_option(source)
    with options.opened(config) as (found, database):
        from listener import decisions
        from listener.desk import downloads as desk
        from listener.desk.reading import reading

        options.one_or_all(source, all)
        with reading(database) as at:
            artifacts = desk.releasable(at, found, desk.Named(source, id, name))
        if not artifacts:
            raise errors.NotFoundError("nothing to release: no such document is held")
        positions = decisions.release(database, artifacts, options.operator(), reason)
        _told(
            positions, artifacts, json, "To be fetched now, by the worker. 'signlog downloads' shows what comes of it."
        )


@app.command("abandon", context_settings=options.ID_FRIENDLY)
def abandon(
    reason: Reason,
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="Of this source …")] = None,
    id: Annotated[str | None, typer.Argument(metavar="ID", help="… of this package or transaction …")] = None,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="… this document.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Everything that is wanted, held, failed or given up.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Give documents up: no longer wanted, held or failed.

    No callback brings them back, and health is content; 'signlog downloads retry' does bring them back. The decision
    lists each document; it and its reason are kept in the log.

    Example: signlog downloads abandon onespan LWsUTvGgE4WpOvaQPT16idnxNj8= --reason 'deleted there'
    """
    options.no_option(source)
    with options.opened(config) as (found, database):
        from listener import decisions
        from listener.desk import downloads as desk
        from listener.desk.reading import reading

        options.one_or_all(source, all)
        with reading(database) as at:
            artifacts = desk.abandonable(at, found, desk.Named(source, id, name))
        if not artifacts:
            raise errors.NotFoundError("nothing to abandon: no such document is wanted, held, failed or given up")
        positions = decisions.abandon(database, artifacts, options.operator(), reason)
        _told(positions, artifacts, json, "Not to be fetched any more; 'signlog downloads retry' brings them back.")


def _told(positions: list[int], artifacts: "list[Artifact]", json: bool, then: str) -> None:
    rows = [{"source": one.source, "subject": one.subject, "name": one.name} for one in artifacts]
    if json:
        output.json_value({"positions": positions, "artifacts": rows})
    else:
        output.table(rows, ("source", "subject", "name"))
        output.note(then)
