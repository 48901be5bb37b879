"""signlog health."""

from pathlib import Path
from typing import Any

import typer

from listener.cli import options, output
from listener.cli.options import Config, Json


def health(json: Json = False, config: Config = None) -> None:
    """Say whether everything works, or what needs a person.

    The exit status is 1 when something does.

    Example: signlog health
    """
    with options.told():
        report = _report(config)
        if json:
            output.json_value(report)
        else:
            _show(report)
    if report["alarms"]:
        raise typer.Exit(options.NO)


def _report(config: Path | None) -> dict[str, Any]:
    """What database, views and files say; or the files alone, while the database is away."""
    from sqlalchemy.exc import DBAPIError

    from listener import bootstrap, bootstrap_documents, settings
    from listener.desk import away
    from listener.desk import health as desk

    found = settings.load(config)
    try:
        with bootstrap.existing_log(found) as database, bootstrap.quarantine(found) as quarantine:
            return desk.health(database, found, quarantine, bootstrap_documents.trouble(found))
    except DBAPIError as error:
        with bootstrap.quarantine(found) as quarantine:
            return away.health(found, quarantine, str(error.orig))


def _show(report: dict[str, Any]) -> None:
    """What needs a person first, then how much there is of what."""
    alarms = report["alarms"]
    output.line(f"Needs a person ({len(alarms)}):" if alarms else "Nothing needs a person.")
    for alarm in alarms:
        output.line(f"! {alarm}")
    for note in report["notes"]:
        output.line(f"Note: {note}")
    output.line()
    waiting = f"{report['spooled']} callbacks wait since {report['spooled_since']}" if report["spooled"] else None
    refused = f"{report['quarantined']} refused" if report["quarantined"] else "empty"
    known = _known(report) if report["head"] is not None else {}
    first = {name: known.pop(name, None) for name in ("events", "documents", "signatures")}
    output.fields({**first, "spool": waiting, "quarantine": refused, **known})


def _known(report: dict[str, Any]) -> dict[str, Any]:
    """What the database tells."""
    states = ("stored", "wanted", "held", "failed", "abandoned")
    counts = [f"{report[state]} {state}" for state in states if report[state]]
    behind = f", {report['lag_events']} behind ({report['lag_seconds']:.1f} s)" if report["lag_events"] else ""
    return {
        "events": f"{report['head']}, {report['projected']} folded{behind}",
        "documents": ", ".join(counts) or "none wanted yet",
        "signatures": _signatures(report["signatures"]),
        "faults": report["faults"] or None,
        "missed": f"{report['missed']} completed without a callback" if report["missed"] else None,
        "worker": f"last heard of at {report['heartbeat']}" if report["heartbeat"] else "never ran",
        "leads": report["workers"]["leads"],
        "stands by": ", ".join(report["workers"]["stand_by"]) or None,
        **{name: _source(source) for name, source in report["sources"].items()},
    }


def _signatures(found: dict[str, int]) -> str | None:
    """Of how many documents they are what, and what to do where nobody looked."""
    from listener.checking import inspector

    counts = ", ".join(f"{number} {word}" for word, number in found.items() if number)
    hint = f"; {inspector.INSTALL}" if found["unchecked"] and inspector.missing() else ""
    return counts + hint or None


def _source(source: dict[str, Any]) -> str:
    last, compared = source["last_callback"], source["reconciled"]
    told = f"last callback at {last}" if last else "no callback yet"
    return told + (f", compared with the provider at {compared}" if compared else "")
