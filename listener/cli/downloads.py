"""signlog downloads list, signlog downloads retry."""

from typing import Annotated

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import Config, Json, Reason
from listener.cli.status import ID_FRIENDLY

app = typer.Typer(help="Signed documents: what is wanted, stored, failed.", no_args_is_help=True)


@app.command("list")
def list_(
    state: Annotated[str | None, typer.Option(help="wanted, stored, failed, abandoned or unwanted.")] = None,
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """List documents and what became of them.

    Example: signlog downloads list --state failed
    """
    with options.opened(config) as (found, database):
        from listener.desk import status as desk
        from listener.desk.reading import reading

        with reading(database, found.folder) as at:
            rows = [row for row in desk.downloads(at, source) if state in (None, row["state"])]
        if json:
            output.json_value(rows)
        else:
            output.table(rows, ("source", "subject", "name", "state", "attempts", "next_at", "size", "path", "error"))


@app.command("retry", context_settings=ID_FRIENDLY)
def retry(
    reason: Reason,
    source: Annotated[str | None, typer.Argument(help="Only of this source …")] = None,
    id: Annotated[str | None, typer.Argument(help="… of this package or transaction …")] = None,
    name: Annotated[str | None, typer.Argument(help="… this document.")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Try again what failed or was given up, now. The decision and its reason are kept in the log.

    Example: signlog downloads retry onespan --reason 'the key was renewed'
    """
    with options.opened(config) as (found, database):
        from listener import decisions
        from listener.desk import status as desk
        from listener.desk.reading import reading

        with reading(database, found.folder) as at:
            artifacts = desk.retryable(at, source, id, name)
        if not artifacts:
            raise errors.NotFoundError("nothing to try again: no such document failed or was given up")
        positions = decisions.retry(database, artifacts, options.operator(), reason)
        rows = [{"source": one.source, "subject": one.subject, "name": one.name} for one in artifacts]
        if json:
            output.json_value({"positions": positions, "artifacts": rows})
        else:
            output.line(f"{len(artifacts)} documents will be tried again now.")
