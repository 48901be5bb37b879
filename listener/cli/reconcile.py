"""signlog reconcile."""

import threading
from typing import TYPE_CHECKING, Annotated

import typer

from listener import errors
from listener.cli import options, output, progress
from listener.cli.options import Config, Json

if TYPE_CHECKING:
    from listener.worker.findings import Findings
    from listener.worker.reconcile import Order, Reconciler

_COLUMNS = ("source", "id", "status")
_WITHOUT = ("source", "id", "error")
_COUNTS = ("asked", "agreed", "differed", "unknown", "unanswered")


def reconcile(
    source: Annotated[
        list[str] | None, typer.Argument(metavar="[SOURCE]…", help="Only these sources; without one, all.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Go back to a time, a day, or 7d; else to the last round.")
    ] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Ask the providers now what callbacks did not tell.

    The worker does the same by itself. What was broken off goes on where it was. The exit status is 1 when a
    completion was found of which no callback has told, or when anything could not be asked.

    Example: signlog reconcile onespan --since 7d
    """
    for name in source or ():
        options.no_option(name)
    with options.opened(config) as (found, database):
        from listener import bootstrap_reconciling
        from listener.worker.findings import Findings
        from listener.worker.reconcile import Order

        order = Order("command", _past(since))
        findings = Findings()
        with bootstrap_reconciling.reconciler(found, database) as reconciler:
            broken = _through(reconciler, _named(reconciler, source, list(found.sources)), order, findings)
        _told(findings, json)
        if broken:
            raise errors.NotFoundError("; ".join(broken) + ". Typed again, it goes on where it was")
        if findings.missing or findings.unanswered:
            raise typer.Exit(options.NO)


def _past(since: str | None) -> int | None:
    """A time from which on to ask. Raises ConfigurationError for one that is still to come."""
    from listener import times
    from listener.log.append import now

    if since is None:
        return None
    found = times.read(since)
    if found > now():
        raise errors.ConfigurationError(f"--since: {times.written(found)} is still to come; write an age, such as 7d")
    return found


def _named(reconciler: "Reconciler", source: list[str] | None, configured: list[str]) -> list[str]:
    """The sources to ask. Raises NotFoundError, and ConfigurationError where there is nobody to ask."""
    for name in source or ():
        if name not in configured:
            raise errors.NotFoundError(f"there is no source {name}; configured: {', '.join(configured) or 'none'}")
        if name not in reconciler.accounts:
            raise errors.ConfigurationError(f"sources.{name}.api_key: required to ask the provider; or set a client")
    if not reconciler.accounts:
        raise errors.ConfigurationError("sources.NAME.api_key: no source has access to its provider's API")
    return list(dict.fromkeys(source or reconciler.accounts))


def _through(reconciler: "Reconciler", sources: list[str], order: "Order", findings: "Findings") -> list[str]:
    """Go through all of them; why some did not come to an end."""
    wait, broken = threading.Event().wait, []
    for name in sources:
        with progress.bar(f"Asking {name}") as tell:
            try:
                reconciler.run(name, order, findings, wait, tell)
            except errors.ProviderError as error:
                broken.append(f"{name}: {error}")
    return broken


def _told(findings: "Findings", json: bool) -> None:
    missing = [missed._asdict() for missed in findings.missing]
    without = [one._asdict() for one in findings.without_answer]
    counts = {name: getattr(findings, name) for name in _COUNTS}
    if json:
        output.json_value({**counts, "missing": missing, "without_answer": without})
        return
    output.fields(counts)
    _listed("Completed, and no callback told:", missing, _COLUMNS)
    _listed("No answer about these; type the same again later:", without, _WITHOUT)
    if findings.unanswered > len(without):
        output.note(f"… the first {len(without)} of {findings.unanswered}")


def _listed(title: str, rows: list[dict[str, str]], columns: tuple[str, ...]) -> None:
    if rows:
        output.line()
        output.line(title)
        output.table(rows, columns)
