"""signlog replay."""

import json as encoding
import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from listener import errors
from listener.cli import options, output, progress
from listener.cli.options import Config, Json

if TYPE_CHECKING:
    from listener.worker.replay import Replay

_EXAMPLES = 10
GIVES_WAY = 10  # to the door, whatever is under way here
_LONGEST = 60  # of a value in a table; --json and --subject show it whole


def replay(
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would change.")] = False,
    apply: Annotated[
        str | None, typer.Option("--apply", metavar="DIGEST", help="Do what the plan of this digest shows.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Plan and apply without a question.")] = False,
    accept_faults: Annotated[bool, typer.Option("--accept-faults", help="Even with new faults.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Go back to what the last replay replaced.")] = False,
    purge: Annotated[bool, typer.Option("--purge", help="Remove what is not live: plans, and the way back.")] = False,
    subject: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="SOURCE ID", help="Replay one subject, shown in full; with --plan, its part."),
    ] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """See what other code makes of the log, and then apply it.

    Alone it plans, shows, asks and applies. What only the replay wants is not fetched until somebody releases it.

    Example: signlog replay --plan
    """
    _one_thing(subject is not None and not plan, plan, apply is not None, rollback, purge, yes, json)
    with options.opened(config) as (found, database):
        from listener import bootstrap

        os.nice(GIVES_WAY)
        known = bootstrap.replay(found, database)
        if apply is not None:
            _apply(known, apply, accept_faults, json)
        elif rollback:
            _roll_back(known, json)
        elif purge:
            _purge(known, json)
        elif subject is not None and not plan:
            _one(known, subject, json)
        elif yes:
            _at_once(known, accept_faults, json)
        else:
            _walk(known, subject, plan, accept_faults, json)


def _one_thing(*said: bool) -> None:
    *things, json = said
    if sum(things) > 1:
        raise typer.BadParameter("one of --plan, --apply, --rollback, --purge, --yes and --subject (but with --plan)")
    if json and not any(things):
        raise typer.BadParameter("--json goes with --plan, --yes, --apply …: a question needs a person")


def _walk(known: "Replay", subject: tuple[str, str] | None, plan: bool, accept_faults: bool, json: bool) -> None:
    report = _planned(known, subject)
    _show(report, subject is not None, json)
    if not plan:
        _decide(known, report, accept_faults)
    elif not json:
        _say_what_next(report)


def _one(known: "Replay", subject: tuple[str, str], json: bool) -> None:
    """Replay one subject; nothing changes."""
    with progress.bar("folding") as told:
        found = known.of_subject(*subject, told)
    changes = [change._asdict() for change in found.changes] if found else []
    if json:
        documents = [{"name": name, "how": how} for how, name in found.documents] if found else []
        output.json_value({"source": subject[0], "id": subject[1], "changes": changes, "documents": documents})
    else:
        _whole(changes, "This code makes the same of it as is shown.")


def _at_once(known: "Replay", accept_faults: bool, json: bool) -> None:
    report = _planned(known, None)
    if not json:
        _show(report, False, False)
    _apply(known, report["digest"], accept_faults, json)


def _planned(known: "Replay", subject: tuple[str, str] | None) -> dict[str, Any]:
    from listener.worker import plan as plans

    with progress.bar("folding") as told:
        known.plan(told)
    found = known.planned()
    if found is None:
        raise errors.ReplayRefused("another generation went live meanwhile; plan again")
    plan, views = found
    try:
        with views.reading() as connection:
            return plans.report(plan, connection, *(subject or (None, None)))
    finally:
        views.close()


def _decide(known: "Replay", report: dict[str, Any], accept_faults: bool) -> None:
    if not report["different"]:
        output.note("No difference: what is shown stays as it is.")
    elif not typer.confirm("Apply it?", err=True):
        output.note("Nothing was changed.")
        raise typer.Exit(options.NO)
    _apply(known, report["digest"], accept_faults, False)


def _apply(known: "Replay", digest: str, accept_faults: bool, json: bool) -> None:
    held = known.apply(digest, options.operator(), accept_faults)
    if json:
        output.json_value({"applied": digest, "held": held})
        return
    output.note("Applied. 'signlog replay --rollback' takes it back, until 'signlog replay --purge'.")
    if held:
        output.note(
            f"Documents that only the replay wants are held: {held}; 'signlog downloads list --state held' lists them, "
            "'signlog downloads release --all --reason …' lets them go."
        )


def _roll_back(known: "Replay", json: bool) -> None:
    generation = known.roll_back(options.operator())
    if json:
        output.json_value({"generation": generation})
    else:
        output.note(f"Generation {generation} is live again.")


def _purge(known: "Replay", json: bool) -> None:
    removed = known.purge()
    if json:
        output.json_value({"removed": removed})
    else:
        output.note(f"Generations removed: {', '.join(map(str, removed)) or 'none'}.")


def _show(report: dict[str, Any], whole: bool, json: bool) -> None:
    if json:
        output.json_value(report)
        return
    if whole:
        _whole(report["changes"], "The plan changes nothing of it.")
        return
    output.fields(_summary(report))
    if report["transitions"]:
        output.line()
        rows = [
            {**known, "before": _short(known["before"]), "after": _short(known["after"])}
            for known in _commonest(report)
        ]
        output.table(rows, ("field", "before", "after", "count"))
    if report["changes"]:
        output.line()
        output.table(
            [_row(change) for change in telling(report["changes"])], ("source", "id", "field", "before", "after")
        )
    new = [fault for fault in report["faults"] if fault["new"]]
    if new:
        output.line()
        output.table(new, ("position", "source", "subject", "error"))


def _commonest(report: dict[str, Any]) -> list[dict[str, Any]]:
    known: list[dict[str, Any]] = report["transitions"]
    return known[:_EXAMPLES]


def _summary(report: dict[str, Any]) -> dict[str, Any]:
    documents = report["artifacts"]
    return {
        "events": report["events"],
        "subjects": ", ".join(f"{count} {how}" for how, count in report["summary"].items()),
        "documents": f"{len(documents['wanted'])} newly wanted, {len(documents['unwanted'])} no longer, "
        f"{documents['repeated']} repeated",
        "faults": f"{len(report['faults'])}, {sum(fault['new'] for fault in report['faults'])} of them new",
    }


def telling(changes: list[dict[str, Any]], most: int = _EXAMPLES) -> list[dict[str, Any]]:
    """One example of each kind of change before a second one of any; how facts are told comes last."""
    seen: dict[str, int] = {}
    ranked = []
    for number, change in enumerate(changes):
        kind = encoding.dumps([change["field"], change["before"], change["after"]])
        if change["field"] not in ("stage", "status", "confirmed", "trashed") and "artifacts." not in change["field"]:
            kind = change["field"]
        seen[kind] = seen.get(kind, 0) + 1
        ranked.append((change["field"] == "timeline", seen[kind], number))
    return [changes[number] for *_, number in sorted(ranked)[:most]]


def _row(change: dict[str, Any]) -> dict[str, Any]:
    return {**change, "before": _short(change["before"]), "after": _short(change["after"])}


def _short(value: Any) -> str:
    text = _text(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else encoding.dumps(value, ensure_ascii=False)


def _whole(changes: list[dict[str, Any]], unchanged: str) -> None:
    if not changes:
        output.note(unchanged)
    for change in changes:
        output.fields({"field": change["field"], "before": _text(change["before"]), "after": _text(change["after"])})
        output.line()


def _say_what_next(report: dict[str, Any]) -> None:
    if not report["different"]:
        output.note("No difference: what is shown would stay as it is.")
    output.note(f"Nothing has changed yet. To apply: signlog replay --apply {report['digest']}")
