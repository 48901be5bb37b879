"""Taking events of the log into a generation: states, faults, segment and checkpoint move in one transaction."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, select

from listener import erased, rows, views
from listener.interpreter import Interpreter
from listener.log import reader
from listener.log.event import Content
from listener.views import Checkpoint
from listener.worker import generations
from listener.worker.fold import Faulty, Fold

BATCH: Final = 500


def following(log: Connection, checkpoint: Checkpoint, until: int | None = None) -> list[Content]:
    """The events behind a checkpoint that are to be taken in next, none behind `until`."""
    return reader.contents(log, checkpoint.position, BATCH, until)


def take_in(log: Connection, generation: Connection, events: Sequence[Content], fingerprint: str) -> Sequence[Faulty]:
    """Take in the events that follow the checkpoint, in a transaction of the generation; what could not be taken in."""
    after = events[0].position - 1
    fold = Fold(lambda projection, keys: rows.load(generation, projection, keys), stopped(generation))
    fold.take(events, Interpreter(generations.in_force(log, after), lambda: erased.subjects(log, after)))
    save(generation, fold)
    note(generation, fold)
    arrive(log, generation, after, events[-1].position, fingerprint)
    return fold.faults


def catch_up(log: Connection, generation: Connection, fingerprint: str, until: int) -> None:
    """Take in everything up to a position, in one transaction: for what is not much."""
    while events := following(log, views.checkpoint(generation), until):
        take_in(log, generation, events, fingerprint)


def stopped(generation: Connection) -> list[tuple[str, str]]:
    """The subjects whose later facts wait behind a fault."""
    return [(source, subject) for source, subject in generation.execute(views.STOPPED)]


def save(generation: Connection, fold: Fold) -> None:
    """Write down every state that changed."""
    for projection, changed in zip(views.PROJECTIONS, fold.changed, strict=True):
        rows.save(generation, projection, changed)


def note(generation: Connection, fold: Fold) -> None:
    """Write down what could not be taken in, and what waits behind it."""
    for fault in fold.faults:
        generation.execute(views.faults.insert().values((*fault, 1)))
    for row in dict.fromkeys(fold.parked):
        generation.execute(views.parked.insert().values(row))


def arrive(log: Connection, generation: Connection, after: int, position: int, fingerprint: str) -> None:
    """Move the checkpoint. Code that changed without a replay makes the generation a mixed one."""
    newest = select(views.segments.c.fingerprint).order_by(views.segments.c.after.desc()).limit(1)
    if generation.scalar(newest) != fingerprint:
        generation.execute(views.segments.insert().values((after, fingerprint)))
    leaf = reader.leaf(log, position)
    assert leaf is not None  # noqa: S101  it was read in the same transaction
    views.move(generation, position, leaf)
