"""Taking events of the log into a generation: states, faults, segment and checkpoint move in one transaction."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from sqlalchemy import Connection

from listener import bookkeeping, erased, rows
from listener.acts import Subject
from listener.bookkeeping import Checkpoint
from listener.interpreter import Interpreter
from listener.log import reader
from listener.log.event import Content
from listener.projection import PROJECTIONS
from listener.views import Views
from listener.worker import faults, generations, revisiting
from listener.worker.fold import Faulty, Fold

Take = Callable[[Connection], Sequence[Faulty]]

BATCH: Final = 500


def following(log: Connection, checkpoint: Checkpoint, until: int | None = None) -> list[Content]:
    """The events behind a checkpoint that are to be taken in next, none behind `until` or a decision about faults."""
    return reader.contents(log, checkpoint.position, BATCH, revisiting.stretch(log, checkpoint.position, until))


def go_on(generation: Views, before: Checkpoint, take: Take) -> Sequence[Faulty]:
    """Take in what comes behind a checkpoint; what could not be taken in."""
    with generation.writing() as connection:
        # Another projector may have folded these since: its checkpoint tells, and this transaction shuts it out.
        return take(connection) if bookkeeping.checkpoint(connection) == before else ()


def take_in(log: Connection, generation: Connection, events: Sequence[Content], fingerprint: str) -> Sequence[Faulty]:
    """Take in the events that follow the checkpoint, in a transaction of the generation; what could not be taken in."""
    after, last = events[0].position - 1, events[-1]
    fold = _fold(generation)
    fold.take(events, Interpreter(generations.in_force(log, after), lambda: erased.subjects(log, after)))
    found = faults.note(generation, fold, fingerprint)
    if revisiting.decides(last):
        found = [*found, *revisiting.obey(log, generation, fold, last, fingerprint)]
    save(generation, fold)
    arrive(log, generation, after, last.position, fingerprint)
    return found


def leave_out(
    log: Connection, generation: Connection, left: Content, of: Iterable[Subject], attempts: int, fingerprint: str
) -> Sequence[Faulty]:
    """Go on behind the event that follows the checkpoint without taking it in; the faults that it is."""
    fold = _fold(generation)
    fold.leave_out(left, of, f"the worker died {attempts} times while taking it in", attempts)
    found = faults.note(generation, fold, fingerprint)
    arrive(log, generation, left.position - 1, left.position, fingerprint)
    return found


def try_again(log: Connection, generation: Connection, fault: Faulty, fingerprint: str) -> Sequence[Faulty]:
    """Try a fault again, whose attempt was counted before; those that come of it."""
    fold = _fold(generation)
    found = revisiting.revisit(log, generation, fold, fault, fingerprint)
    save(generation, fold)
    _continue(generation, bookkeeping.checkpoint(generation).position, fingerprint)
    return found


def _fold(generation: Connection) -> Fold:
    return Fold(lambda projection, keys: rows.load(generation, projection, keys), faults.stopped(generation))


def catch_up(log: Connection, generation: Connection, fingerprint: str, until: int) -> None:
    """Take in everything up to a position, in one transaction: for what is not much."""
    while events := following(log, bookkeeping.checkpoint(generation), until):
        take_in(log, generation, events, fingerprint)


def save(generation: Connection, fold: Fold) -> None:
    """Write down every state that changed."""
    for projection, changed in zip(PROJECTIONS, fold.changed, strict=True):
        rows.save(generation, projection, changed)


def arrive(log: Connection, generation: Connection, after: int, position: int, fingerprint: str) -> None:
    """Move the checkpoint."""
    _continue(generation, after, fingerprint)
    leaf = reader.leaf(log, position)
    assert leaf is not None  # noqa: S101  it was read in the same transaction
    bookkeeping.move(generation, position, leaf)


def _continue(generation: Connection, after: int, fingerprint: str) -> None:
    """Say which code folds from here on. Code that changed without a replay makes the generation a mixed one."""
    if generation.scalar(bookkeeping.NEWEST_CODE) != fingerprint:
        bookkeeping.continue_with(generation, after, fingerprint)
