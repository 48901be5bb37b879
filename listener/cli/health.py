"""signlog health."""

from typing import Any

import typer

from listener.cli import options, output
from listener.cli.options import Config, Json


def health(json: Json = False, config: Config = None) -> None:
    """Say whether everything works, or what needs a person.

    The exit status is 1 when something does.

    Example: signlog health
    """
    with options.opened(config) as (found, database):
        from listener import bootstrap, bootstrap_documents
        from listener.desk import health as desk

        with bootstrap.quarantine(found) as quarantine:
            report = desk.health(database, found, quarantine, bootstrap_documents.trouble(found))
        if json:
            output.json_value(report)
        else:
            _show(report)
    if report["alarms"]:
        raise typer.Exit(options.NO)


def _show(report: dict[str, Any]) -> None:
    """What needs a person first, then how much there is of what."""
    alarms = report["alarms"]
    output.line(f"Needs a person ({len(alarms)}):" if alarms else "Nothing needs a person.")
    for alarm in alarms:
        output.line(f"! {alarm}")
    for note in report["notes"]:
        output.line(f"Note: {note}")
    output.line()
    states = ("stored", "wanted", "held", "failed", "abandoned")
    counts = [f"{report[state]} {state}" for state in states if report[state]]
    behind = f", {report['lag_events']} behind ({report['lag_seconds']:.1f} s)" if report["lag_events"] else ""
    output.fields(
        {
            "events": f"{report['head']}, {report['projected']} folded{behind}",
            "documents": ", ".join(counts) or "none wanted yet",
            "signatures": _signatures(report["signatures"]),
            "quarantine": f"{report['quarantined']} refused" if report["quarantined"] else "empty",
            "faults": report["faults"] or None,
            "missed": f"{report['missed']} completed without a callback" if report["missed"] else None,
            "worker": f"last heard of at {report['heartbeat']}" if report["heartbeat"] else "never ran",
            **{name: _source(source) for name, source in report["sources"].items()},
        }
    )


def _signatures(found: dict[str, int]) -> str | None:
    """Of how many documents they are what, and what to do where nobody looked."""
    from listener.checking import inspector

    counts = ", ".join(f"{number} {word}" for word, number in found.items() if number)
    hint = f"; {inspector.INSTALL}" if found["unchecked"] and inspector.missing() else ""
    return counts + hint or None


def _source(source: dict[str, Any]) -> str:
    last = source["last_callback"]
    return f"last callback at {last}" if last else "no callback yet"
