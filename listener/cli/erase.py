"""signlog erase, signlog hold."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import Config, Json, Reason

if TYPE_CHECKING:
    from listener.log.database import Database
    from listener.settings import Settings
    from listener.worker.erasure import Erased

_COLUMNS = ("source", "id", "recorded_at", "operator", "reason", "position")

Source = Annotated[str | None, typer.Argument(metavar="[SOURCE]", help="The source.")]
Id = Annotated[str | None, typer.Argument(metavar="[ID]", help="The package or transaction.")]


def erase(
    reason: Reason,
    source: Source = None,
    id: Id = None,
    position: Annotated[
        list[int] | None, typer.Option(metavar="N", min=1, help="Instead: this event; may be given several times.")
    ] = None,
    documents: Annotated[bool, typer.Option("--documents", help="Its signed documents, too.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Erase for good what is known of a package or transaction.

    Its events stay in the log, blank. The decision, who made it and its reason are kept.

    Example: signlog erase onespan 'LWsUTvGgE4WpOvaQPT16idnxNj8=' --reason 'asked for by the signer'
    """
    options.no_option(source)
    if (id is None) == (position is None) or (source is None) != (id is None):
        raise typer.BadParameter("name a SOURCE and an ID, or events by --position")
    if position is not None and documents:
        raise typer.BadParameter("--documents are those of a SOURCE and an ID")
    with options.opened(config) as (settings, database):
        from listener import bootstrap_erasing
        from listener.worker.blanking import Order

        order = Order(options.operator(), reason)
        with bootstrap_erasing.erasure(settings, database) as erasure:
            if source is not None and id is not None:
                found = erasure.subject((source, id), order, documents)
            else:
                found = erasure.strays(sorted(set(position or ())), order)
        _told(found, json)


def _told(found: "Erased", json: bool) -> None:
    if json:
        output.json_value(found._asdict())
        return
    output.line(f"Erased: {len(found.positions)} events, by decision {found.decided}.")
    if found.quarantined:
        output.line(f"Dropped from quarantine: {len(found.quarantined)}.")
    for path in found.documents:
        output.line(f"Removed: {path}")
    output.note("Backups, copies and logs elsewhere still have it: erase it there, too.")


def hold(
    source: Source = None,
    id: Id = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; it is kept in the log.")] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Take the hold away.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Put a package or transaction on legal hold.

    Nothing of it can be erased until the hold is lifted. Without a name, list what is on hold.

    Example: signlog hold onespan 'LWsUTvGgE4WpOvaQPT16idnxNj8=' --reason 'case 17/2026'
    """
    options.no_option(source)
    if source is None and id is None and reason is None and not lift:
        _list(json, config)
    elif source is None or id is None or not (reason or "").strip():
        raise typer.BadParameter("name a SOURCE, an ID and a --reason; or nothing, to list what is on hold")
    else:
        _decide(source, id, reason or "", lift, json, config)


def _list(json: bool, config: Path | None) -> None:
    with options.opened(config) as (_, database):
        from listener import holds, times

        with database.reading() as log:
            rows = [{**known._asdict(), "recorded_at": times.written(known.recorded_at)} for known in holds.every(log)]
        if json:
            output.json_value(rows)
        else:
            output.table(rows, _COLUMNS, "Nothing is on hold.")


def _decide(source: str, id: str, reason: str, lift: bool, json: bool, config: Path | None) -> None:
    with options.opened(config) as (settings, database):
        from listener import holds

        if lift:
            position = holds.lift(database, source, id, options.operator(), reason)
        else:
            _assert_known(settings, database, source, id)
            position = holds.put(database, source, id, options.operator(), reason)
        if json:
            output.json_value({"position": position})
        else:
            output.line(f"{'Lifted' if lift else 'On hold'}, by decision {position}.")


def _assert_known(settings: "Settings", database: "Database", source: str, id: str) -> None:
    """A hold on a name that was mistyped would protect nobody."""
    from listener.desk.events import Filter
    from listener.desk.search import Search, Span
    from listener.log import reader

    with database.reading() as log:
        head = reader.head(log)
    found = Search(database, Filter(subject=id)).every(Span(1, head))
    if not any(line["source"] == source for line in found):
        raise errors.NotFoundError(f"nothing is known of {id} in {source}; 'signlog status' lists what is")
