"""Which generation of the views is shown, and whether it belongs to this log."""

from sqlalchemy import Connection, select

from listener import acts
from listener.bookkeeping import Checkpoint
from listener.log import event, reader, schema
from listener.shelf import Shelf


def live(log: Connection) -> int | None:
    """Which generation is shown, from the log's database; None before the first."""
    return log.scalar(select(schema.live.c.generation))


def flip(log: Connection, generation: int) -> int:
    """Show another generation from the end of this transaction of `Database.writing` on."""
    table = schema.live
    if log.execute(table.update().values(generation=generation)).rowcount == 0:
        log.execute(table.insert().values(id=1, generation=generation))
    return generation


def bound(log: Connection, checkpoint: Checkpoint) -> bool:
    """Whether this is the log that the views were folded from: a restored backup is shorter, or has other events."""
    if checkpoint.log_id != reader.log_id(log):
        return False
    return checkpoint.position == 0 or reader.leaf(log, checkpoint.position) == checkpoint.leaf


def in_force(log: Connection, position: int) -> acts.InForce | None:
    """The newest declaration up to a position."""
    return acts.newest_in_force(reader.acts(log, event.DECISION, acts.IN_FORCE_PATH, until=position, last=20))


def declared_by(log: Connection, fingerprint: str) -> bool:
    """Whether it was this code that declared last what is in force: then a worker that runs folds with it."""
    found = in_force(log, reader.head(log))
    return found is not None and found.fingerprint == fingerprint


def first_in_force(log: Connection) -> acts.InForce | None:
    """The oldest declaration of the log."""
    return acts.newest_in_force(reversed(reader.acts(log, event.DECISION, acts.IN_FORCE_PATH)))


def discard_others(log: Connection, shelf: Shelf) -> list[int]:
    """Remove whatever there is of every generation but the one that is shown; their numbers."""
    found = sorted((shelf.numbers() | shelf.halves()) - {live(log)})
    for number in found:
        shelf.generation(number).discard()
    return found
