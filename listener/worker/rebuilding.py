"""Views that nobody planned: built anew where those shown are lost, damaged, reshaped or parted from the log."""

import sys
from typing import Final

import structlog
from sqlalchemy import Connection, select

from listener import acts, bookkeeping, errors
from listener.acts import Act, Artifact
from listener.log import event, reader
from listener.log.database import Database
from listener.shelf import Shelf
from listener.views import Views
from listener.worker import generations, renewal
from listener.worker.building import Told, build
from listener.worker.catching_up import fold_next
from listener.worker.going_live import go_live
from listener.worker.tries import Tries
from projections import artifacts

_log = structlog.get_logger()

_US: Final = "signlog"  # who decides that what cannot be read is not shown any more


def rebuild(
    database: Database, shelf: Shelf, fingerprint: str, origin: str, shown: int, disk_reserve: int = 0
) -> Views:
    """A new generation of all events instead of `shown`, the live one; `origin` says why.

    There is nothing to compare it with. So what it wants and is not stored is held, unless its code is approved.
    Raises Superseded if another generation is live, or went live meanwhile, DiskReserve before too little is free.
    """
    with database.reading() as log:
        if generations.live(log) != shown:
            raise errors.Superseded(f"generation {shown} is not shown any more")
        head = reader.head(log)
    _log.error("views_rebuilding", origin=origin, old=shown)
    new = _begun(database, shelf, shown, fingerprint)
    if new is None:
        # A plan may be in the making, without our knowing: what comes next to the one shown is for plans.
        new = shelf.generation(max({shown + 1} | shelf.numbers()) + 1)
        _make(database, new, origin, fingerprint, head, lambda _events: shelf.assert_room(disk_reserve))
    tries = Tries(new, fingerprint)

    def catch_up(generation: Views) -> None:
        while fold_next(database, generation, fingerprint, tries=tries)[0]:
            pass

    catch_up(new)
    with database.reading() as log:
        wanted = set() if _approved(log) == fingerprint else _open(new)
    went_live = Act(acts.LIVE, generation=new.generation, previous=shown, reason=origin)
    try:
        go_live(database, new, catch_up, wanted, went_live, _US)
    except errors.ReplayRefused as error:
        raise errors.Superseded(str(error)) from None
    return new


def _make(database: Database, new: Views, origin: str, fingerprint: str, head: int, told: Told) -> None:
    """Build it at once; or only its tables, if whoever built it before died: then each try is to be written down."""
    if not new.is_half():
        try:
            build(database, new, origin, fingerprint, head, told)
        except errors.DiskReserve:
            new.discard()  # nobody died of it
            raise
        return
    new.discard()
    with database.reading() as log:
        new.create(reader.log_id(log), origin)


def _begun(database: Database, shelf: Shelf, shown: int, fingerprint: str) -> Views | None:
    """The newest generation that was made like this one, and never shown: whoever made it was killed."""
    for number in sorted(shelf.numbers(), reverse=True):
        found = shelf.generation(number)
        if number > shown and _goes_on(database, found, fingerprint):
            return found
        found.close()
    return None


def _goes_on(database: Database, found: Views, fingerprint: str) -> bool:
    """Whether it was folded from this log, with this code, and nobody planned it."""
    try:
        with found.reading() as connection:
            if bookkeeping.made_of(connection) != bookkeeping.shape():
                return False
            checkpoint, codes = bookkeeping.checkpoint(connection), bookkeeping.folded_by(connection)
    except errors.ViewsError:
        return False
    with database.reading() as log:
        unplanned = checkpoint.origin in bookkeeping.UNPLANNED
        return unplanned and codes <= {fingerprint} and generations.bound(log, checkpoint)


def _approved(log: Connection) -> str | None:
    """The code that was in force when somebody last decided what is shown; before that, the first there was.

    Whoever had something erased decided nothing about code: those views are shown ones without what was erased.
    """
    decided = reader.acts(log, event.DECISION, acts.LIVE_PATH)
    positions = [found.position for found in decided if acts.read(found).reason != renewal.REASON]
    found = generations.in_force(log, positions[0]) if positions else generations.first_in_force(log)
    return None if found is None else found.fingerprint


def _open(generation: Views) -> set[Artifact]:
    table = artifacts.TABLE
    key = (table.c.source, table.c.subject, table.c.name)
    with generation.reading() as connection:
        rows = connection.execute(select(*key).where(table.c.state.in_(artifacts.OPEN)))
        # Of all documents there are few sources and names.
        return {Artifact(sys.intern(source), subject, sys.intern(name)) for source, subject, name in rows}
