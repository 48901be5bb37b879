"""signlog status."""

import shlex
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import AsOf, Before, Config, Json

if TYPE_CHECKING:
    from listener.desk.reading import Reading
    from listener.desk.status import Filter
    from listener.log.database import Database

_COLUMNS = (
    "source",
    "id",
    "stage",
    "confirmed",
    "reference",
    "status",
    "documents",
    "expected",
    "reason",
    "recorded_at",
)


Stage = Annotated[
    str | None, typer.Option(metavar="STAGE", help="List only: draft, in_progress, completed, declined …")
]
Reference = Annotated[
    str | None, typer.Option(metavar="TEXT", help="List only what 'signlog expect' gave this reference.")
]
AsOfProvider = Annotated[
    str | None, typer.Option(metavar="TIME", help="One subject as it was at the provider, by its clock.")
]


def status(
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="The source of one subject.")] = None,
    id: Annotated[str | None, typer.Argument(metavar="ID", help="Its id.")] = None,
    stage: Stage = None,
    of: Annotated[str | None, typer.Option("--source", metavar="NAME", help="List only of this source.")] = None,
    reference: Reference = None,
    as_of: AsOf = None,
    as_of_provider: AsOfProvider = None,
    before: Before = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="List at most so many.")] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show where packages and transactions stand, or one of them.

    Today, or at an earlier time. In a list, the one that moved last comes first.

    Example: signlog status onespan 'LWsUTvGgE4WpOvaQPT16idnxNj8='
    """
    options.no_option(source)
    _asked_rightly(source, id, stage, as_of_provider)
    with options.opened(config) as (found, database):
        from listener.desk.reading import reading
        from listener.desk.status import Filter

        if source is not None and id is not None:
            with reading(database) as at:
                place = found.bucket or str(found.documents_folder)
                _one(_stood(at, source, id, as_of, as_of_provider), source, id, place, json)
        else:
            count = limit or (None if json else output.ON_A_SCREEN)
            rows = _listed(database, Filter(of, stage, reference), as_of, before, count)
            _list(rows, json, limit is None)


def _asked_rightly(source: str | None, id: str | None, stage: str | None, as_of_provider: str | None) -> None:
    from projections.facts import STAGES

    with options.told():
        if source is not None and id is None:
            raise errors.ConfigurationError(f"name an id too, or list them all: signlog status --source {source}")
        if stage is not None and stage not in STAGES:
            raise errors.ConfigurationError(f"--stage: there is no such stage; write one of: {', '.join(STAGES)}")
        if source is None and as_of_provider is not None:
            raise errors.ConfigurationError(
                "--as-of-provider: name a SOURCE and an ID; nothing orders all subjects by the provider's clock, so a "
                "list would have to fold the whole log. A list takes --as-of"
            )


def _stood(at: "Reading", source: str, id: str, as_of: str | None, as_of_provider: str | None) -> dict[str, Any] | None:
    from listener.desk import as_of as desk
    from listener.desk import status as today

    if as_of is None and as_of_provider is None:
        return today.one(at, source, id)
    return desk.one(at, source, id, desk.moment(at, as_of, as_of_provider))


def _listed(
    database: "Database", wanted: "Filter", as_of: str | None, before: int | None, count: int | None
) -> list[dict[str, Any]]:
    from listener.desk import as_of as desk
    from listener.desk import status as today
    from listener.desk.reading import reading

    with reading(database) as at:
        if as_of is None:
            return today.several(at, wanted, count, before)
        moment = desk.moment(at, as_of)
    return list(islice(desk.every(database, wanted, moment, before), count))


def _one(found: dict[str, Any] | None, source: str, id: str, place: str, json: bool) -> None:
    if found is None:
        hint = f"signlog events --subject {shlex.quote(id)}"
        raise errors.NotFoundError(f"nothing is known of {id} in {source}; what arrived about it, if anything: {hint}")
    if json:
        output.json_value(found)
        return
    signers, documents, kept = found.pop("signers"), found.pop("documents"), found.pop("artifacts")
    as_of = found.pop("as_of", None)
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
        output.fields({known["name"]: _artifact(known, place) for known in kept})
    if as_of:
        output.line()
        output.fields(_going_by(as_of))


def _going_by(as_of: dict[str, Any]) -> dict[str, Any]:
    """How far the log was read for it, and by which code."""
    then, now, fault = as_of["code_then"], as_of["code_now"], next(iter(as_of["faults"]), None)
    return {
        "known up to": f"{as_of['position']}, {as_of['recorded_at']}",
        "at the provider": as_of["occurred_at"],
        "code then": f"{_code(then)}, kept in event {then['position']}" if then else "none was declared yet",
        "code now": _code(now) + (", the same" if then and then["fingerprint"] == now["fingerprint"] else ""),
        "stopped at": fault and f"{fault['position']}: {fault['error']}",
    }


def _code(known: dict[str, Any]) -> str:
    return f"{known['version']} {known['fingerprint'][:12]}"


def _artifact(known: dict[str, Any], place: str) -> str:
    """What became of a document, and where it lies: a path to copy, so never cut."""
    if known["path"] is not None:
        verdict = f"; {known['verdict']['text']}" if known["verdict"] else ""
        return f"{known['state']}, {known['size']} bytes{verdict}: {place.rstrip('/')}/{known['path']}"
    next_at = f", next try at {known['next_at']}" if known["next_at"] else ""
    return f"{known['state']}{next_at}" + (f": {known['error']}" if known["error"] else "")


def _list(found: list[dict[str, Any]], json: bool, cut: bool) -> None:
    if json:
        output.json_value(found)
        return
    for known in found:
        stored = sum(artifact["state"] == "stored" for artifact in known["artifacts"])
        known["documents"] = f"{stored} of {len(known['artifacts'])}" if known["artifacts"] else None
    output.table(found, _COLUMNS, "Nothing fits. 'signlog events' lists what arrived.")
    if cut and len(found) == output.ON_A_SCREEN:
        output.note(f"There may be more; go on with --before {found[-1]['last_position']}, or see all with --json.")
