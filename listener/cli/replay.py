"""signlog replay."""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from listener import errors
from listener.cli import changes, options, output, progress
from listener.cli.options import Config, Json

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from listener.worker.plan import Plan
    from listener.worker.replay import Replay

GIVES_WAY = 10  # to the door, whatever is under way here


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
    with _planned(known) as (planned, connection):
        _show(planned, connection, subject, json)
    if not plan:
        _decide(known, planned, accept_faults)
    elif not json:
        _say_what_next(planned)


def _one(known: "Replay", subject: tuple[str, str], json: bool) -> None:
    """Replay one subject; nothing changes."""
    with progress.bar("folding") as told:
        found, faults = known.of_subject(*subject, told)
    if json:
        output.json_value(
            {
                "source": subject[0],
                "id": subject[1],
                "changes": [change._asdict() for change in found.changes],
                "documents": [{"name": name, "how": how} for how, name in found.documents],
                "faults": [msgspec.structs.asdict(fault) for fault in faults],
            }
        )
        return
    changes.whole(found.changes, "This code makes the same of it as is shown.")
    changes.show_faults(faults)


def _at_once(known: "Replay", accept_faults: bool, json: bool) -> None:
    with _planned(known) as (planned, connection):
        if not json:
            _show(planned, connection, None, False)
    _apply(known, planned.digest, accept_faults, json)


@contextlib.contextmanager
def _planned(known: "Replay") -> "Iterator[tuple[Plan, Connection]]":
    """A new plan, and the tables beside it."""
    died = known.last_words()
    if died is not None:
        output.note(died)
    with progress.bar("folding") as told:
        known.plan(told)
    found = known.planned()
    if found is None:
        raise errors.ReplayRefused("another generation went live meanwhile; plan again")
    plan, views = found
    with contextlib.closing(views), views.reading() as connection:
        yield plan, connection


def _show(plan: "Plan", connection: "Connection", subject: tuple[str, str] | None, json: bool) -> None:
    from listener.worker import plan as plans

    if json:
        output.json_value(plans.report(plan, connection, *(subject or ())))
    elif subject is not None:
        found = [change for *_, change in plans.changes(connection, *subject)]
        changes.whole(found, "The plan changes nothing of it.")
    else:
        changes.show(plan, plans.changes(connection))


def _decide(known: "Replay", plan: "Plan", accept_faults: bool) -> None:
    if not plan.different:
        output.note("No difference: what is shown stays as it is.")
    elif not typer.confirm("Apply it?", err=True):
        output.note("Nothing was changed.")
        raise typer.Exit(options.NO)
    _apply(known, plan.digest, accept_faults, False)


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


def _say_what_next(plan: "Plan") -> None:
    if not plan.different:
        output.note("No difference: what is shown would stay as it is.")
    output.note(f"Nothing has changed yet. To apply: signlog replay --apply {plan.digest}")
