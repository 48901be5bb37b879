"""signlog backup, signlog restore."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from listener.cli import options, output, progress
from listener.cli.options import Config, Json

if TYPE_CHECKING:
    from listener.backup import Copied

_HINT = """\
Before you start signlog on it: put the files secret and checkpoint.key of before into {folder}, if you have them.
Without them old marks of credentials cannot be compared with new ones, and heads are signed with another key."""


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy; it must not be there yet.")],
    documents: Annotated[
        bool, typer.Option("--documents", help="Copy signed documents, too: into FILE.documents.")
    ] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Copy the log to a file, while the server runs.

    The copy is looked through before it gets its name.

    Example: signlog backup /backups/signlog-2026-11-22.db --documents
    """
    with options.opened(config) as (found, database):
        from listener import bootstrap, logs
        from listener.log.spool import standing

        logs.configure()
        with bootstrap.tree(found) as tree, progress.bar("verifying") as told:
            copied = bootstrap.backup(found, database, tree).make(file, documents, told)
        _show("Copied", copied, json)
        waiting = standing(found.spool_folder).callbacks
        if waiting:
            output.note(f"{waiting} callbacks wait in {found.spool_folder}, and are not in the copy.")


def restore(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A backup.")] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Go on though events are missing; alone: with the log that is there.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept in the log.")] = "",
    json: Json = False,
    config: Config = None,
) -> None:
    """Put a backup into an empty data folder, if it is whole.

    The log goes on in an epoch of its own. With --accept alone, a log that was restored by other means does.

    Example: signlog restore /backups/signlog-2026-11-22.db
    """
    if file is None and not (accept and reason.strip()):
        raise typer.BadParameter("name a backup; or --accept and --reason, for the log that is there")
    if file is None:
        _accept(reason, json, config)
    else:
        _restore(file, accept, reason.strip() or f"restored from {file.name}", json, config)


def _accept(reason: str, json: bool, config: Path | None) -> None:
    with options.opened(config) as (found, database):
        from listener import bootstrap, logs

        logs.configure()
        with bootstrap.signer(found, database) as signer:
            position = signer.accept(options.operator(), reason)
        if json:
            output.json_value({"position": position})
        else:
            output.line(f"Accepted: event {position} begins another epoch. Heads are signed under another origin now.")


def _restore(file: Path, accept: bool, reason: str, json: bool, config: Path | None) -> None:
    with options.told():
        from listener import bootstrap, logs, settings

        logs.configure()
        found = settings.load(config)
        with bootstrap.restore(found) as place, progress.bar("verifying") as told:
            copied = place.make(file, accept, options.operator(), reason, told)
        _show("Restored", copied, json)
        if not json:
            output.note(_HINT.format(folder=found.folder))


def _show(done: str, copied: "Copied", json: bool) -> None:
    if json:
        shape: dict[str, Any] = {**copied._asdict(), "file": str(copied.file), "root": copied.root.hex()}
        output.json_value(shape)
        return
    output.line(f"{done} and verified.")
    output.line()
    documents = copied.documents or None
    output.fields({"file": copied.file, "events": copied.events, "root": copied.root.hex(), "documents": documents})
