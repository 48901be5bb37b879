"""signlog health."""

import typer

from listener.cli import options, output
from listener.cli.options import Config, Json


def health(json: Json = False, config: Config = None) -> None:
    """Say whether everything works; exit 1 when something needs a person.

    Example: signlog health
    """
    with options.opened(config) as (found, database):
        from listener import bootstrap
        from listener.desk import health as desk

        with bootstrap.quarantine(found) as quarantine:
            report = desk.health(database, found, quarantine)
    if json:
        output.json_value(report)
    else:
        alarms, sources = report.pop("alarms"), report.pop("sources")
        output.fields({name: value for name, value in report.items() if value is not False})
        for name, source in sources.items():
            last = source["last_callback"]
            output.line(f"{name}: {f'last callback {last}' if last else 'no callback yet'}")
        for alarm in alarms:
            output.line(f"! {alarm}")
        report["alarms"] = alarms
    if report["alarms"]:
        raise typer.Exit(options.NO)
