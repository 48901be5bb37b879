"""signlog timeline, signlog explain."""

from typing import Annotated, Any

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import AsOf, Config, Csv, Json

_COLUMNS = ("position", "occurred_at", "text", "recorded_at")
_SHEET = ("position", "occurred_at", "recorded_at", "kind", "name", "what", "text", "same_as")

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="The source.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The package or transaction.")]


def timeline(source: Source, id: Id, json: Json = False, csv: Csv = False, config: Config = None) -> None:
    """Tell what happened to a package or transaction, in order.

    With --json, JSON Lines.

    Example: signlog timeline onespan 'LWsUTvGgE4WpOvaQPT16idnxNj8='
    """
    options.no_option(source)
    options.one_form(json, csv)
    with options.opened(config) as (_, database):
        from listener.desk import status as desk
        from listener.desk.reading import reading

        with reading(database) as at:
            history = desk.history(at, source, id)
        if not history:
            raise errors.NotFoundError(f"nothing is known of {id} in {source}; 'signlog status' lists what is")
        if json:
            output.json_lines(history)
        elif csv:
            output.sheet(history, _SHEET)
        else:
            output.table([_told(fact) for fact in history], _COLUMNS)


def _told(fact: dict[str, Any]) -> dict[str, Any]:
    return fact if fact["same_as"] is None else {**fact, "text": f"{fact['text']} (again, as at {fact['same_as']})"}


def explain(
    source: Source,
    id: Id,
    field: Annotated[str, typer.Argument(metavar="FIELD", help="As in the JSON of status, such as stage.")],
    as_of: AsOf = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Name the event that made a field what it is.

    Fields of signers and documents have the id in between: signers.ID.completed, artifacts.evidence.pdf.state.

    Example: signlog explain onespan 'LWsUTvGgE4WpOvaQPT16idnxNj8=' stage
    """
    options.no_option(source)
    with options.opened(config) as (_, database):
        from listener.desk import as_of as desk
        from listener.desk.explain import explain as explained
        from listener.desk.reading import reading

        with reading(database) as at:
            found = explained(at, source, id, field, desk.moment(at, as_of))
        if found is None:
            raise errors.NotFoundError(f"nothing is known of {id} in {source}; 'signlog status' lists what is")
        if json:
            output.json_value(found)
        else:
            output.fields(found)
            output.note(_where(found))


def _where(found: dict[str, Any]) -> str:
    if found["position"] is None:
        return "No event has set it."
    return f"'signlog show {found['position']}' shows the event."
