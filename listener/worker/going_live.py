"""Showing another generation of the views, in one step, and holding the documents that nobody has approved."""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import Connection

from listener import acts, errors, rows, views
from listener.acts import Act, Artifact
from listener.log import reader
from listener.log.append import append
from listener.log.database import Database
from listener.log.event import Draft
from listener.views import Views
from listener.worker import generations
from projections import artifacts, facts

CatchUp = Callable[[Views], None]

_HELD_BECAUSE: Final = "only a replay wants it; 'signlog downloads release' lets it go"
_AT_ONCE: Final = 500  # artifacts that one decision lists


def go_live(
    database: Database, new: Views, catch_up: CatchUp, wanted: Sequence[Artifact], went_live: Act, operator: str
) -> int:
    """Show `new` instead of `went_live.previous`; how many of the documents wanted are held.

    Nothing can be appended between the look at the head and the flip. The decisions stand behind everything that `new`
    has folded; a download must wait until they are folded too. Raises ReplayRefused if others were faster.
    """
    while True:
        catch_up(new)
        with database.writing() as connection:
            if generations.live(connection) != went_live.previous:
                raise errors.ReplayRefused(
                    "another generation went live meanwhile; 'signlog replay --plan' shows what would happen now"
                )
            if not at_head(connection, new):
                continue
            held = _still_open(new, wanted)
            append(connection, [*_holds(held, operator), acts.decision(went_live, operator, acts.LIVE_PATH)])
            generations.flip(connection, new.generation)
            return len(held)


def at_head(log: Connection, generation: Views) -> bool:
    """Whether it has folded all of this log."""
    with generation.reading() as reading:
        checkpoint = views.checkpoint(reading)
    return checkpoint.position == reader.head(log) and generations.bound(log, checkpoint)


def _still_open(generation: Views, wanted: Sequence[Artifact]) -> list[Artifact]:
    """Those that would be fetched now: what happened since the plan may have settled some."""
    with generation.reading() as connection:
        states = rows.load(connection, artifacts, [_key(artifact) for artifact in wanted])
    return [artifact for artifact in wanted if states[_key(artifact)].state in artifacts.OPEN]


def _key(artifact: Artifact) -> tuple[str, str, str]:
    return artifact.source, artifact.subject, artifact.name


def _holds(held: Sequence[Artifact], operator: str) -> list[Draft]:
    pages = [tuple(held[start : start + _AT_ONCE]) for start in range(0, len(held), _AT_ONCE)]
    drafts = [Act(facts.HELD, artifacts=page, reason=_HELD_BECAUSE) for page in pages]
    return [acts.decision(act, operator, acts.HELD_PATH) for act in drafts]
