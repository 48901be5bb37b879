"""Catching up: the next events of the log, folded into a generation that somebody may be looking at."""

from functools import partial

from listener import bookkeeping, errors
from listener.log.database import Database
from listener.views import Views
from listener.worker import generations, intake
from listener.worker.tries import Folded, Tries


def fold_next(
    database: Database,
    generation: Views,
    fingerprint: str,
    until: int | None = None,
    tries: Tries | None = None,
    only_live: bool = False,
) -> Folded:
    """Fold the next events into any generation, none behind `until`; how many, and what could not be taken in.

    With `tries`, each is written down before. Raises Parted if the generation was folded from another log, and with
    `only_live` Superseded if another is shown.
    """
    with generation.reading() as connection:
        before = bookkeeping.checkpoint(connection)
    with database.reading() as log:
        if only_live and generations.live(log) != generation.generation:
            raise errors.Superseded(f"{generation.name} is not shown any more")
        if not generations.bound(log, before):
            raise errors.Parted(f"{generation.name} was folded from another log")
        if tries is not None:
            return tries.fold_next(log, before)
        events = intake.following(log, before, until)
        if not events:
            return 0, ()
        take = partial(intake.take_in, log, events=events, fingerprint=fingerprint)
        return len(events), intake.go_on(generation, before, take)
