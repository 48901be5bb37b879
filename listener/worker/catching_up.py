"""Catching up: the next events of the log, folded into a generation that somebody may be looking at."""

from collections.abc import Sequence

from listener import errors, views
from listener.log.database import Database
from listener.views import Views
from listener.worker import generations, intake
from listener.worker.fold import Faulty


def fold_next(
    database: Database, generation: Views, fingerprint: str, until: int | None = None, only_live: bool = False
) -> tuple[int, Sequence[Faulty]]:
    """Fold the next events into any generation, none behind `until`; how many, and what could not be taken in.

    Raises Parted if the generation was folded from another log, and with `only_live` Superseded if another is shown.
    """
    with generation.reading() as connection:
        before = views.checkpoint(connection)
    with database.reading() as log:
        if only_live and generations.live(log) != generation.generation:
            raise errors.Superseded(f"{generation.path} is not shown any more")
        if not generations.bound(log, before):
            raise errors.Parted(f"{generation.path} was folded from another log")
        events = intake.following(log, before, until)
        if not events:
            return 0, ()
        with generation.writing() as connection:
            # Another projector may have folded these since: its checkpoint tells, and this transaction shuts it out.
            if views.checkpoint(connection) != before:
                return len(events), ()
            return len(events), intake.take_in(log, connection, events, fingerprint)
