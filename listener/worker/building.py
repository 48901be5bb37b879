"""Building a whole generation, from the first event on: in memory as far as it goes, and durable only at the end."""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from listener import rows
from listener.log import reader
from listener.log.database import Database
from listener.views import Views
from listener.worker import ahead, faults, intake, revisiting
from listener.worker.ahead import Piece
from listener.worker.fold import Fold, Subject

Told = Callable[[int], None]  # so many more events were folded

MOST_STATES: Final = 40_000  # of one projection, in memory: about 2 kB each


def build(
    database: Database,
    generation: Views,
    origin: str,
    fingerprint: str,
    until: int,
    told: Told = lambda _events: None,
    only: Subject | None = None,
) -> None:
    """Make the generation of all events up to a position, or `only` one subject's part of it.

    Nobody may look at it before this returns. What was killed half way is of no use, and is thrown away by whoever
    builds next.
    """
    with database.reading() as log:
        log_id = reader.log_id(log)
    with ahead.seldom_collecting(), generation.building(log_id, origin) as connection:
        fold, last = Fold(), 0
        for piece in ahead.pieces(database, until):
            fold.faults += piece.faults
            fold.take_facts(piece.facts, only)
            faults.note(connection, fold, fingerprint)
            if piece.decides:
                _obey(database, connection, fold, piece, fingerprint)
            if _make_room(connection, fold):
                generation.settle()
            last = piece.last
            told(piece.events)
        _save_all(connection, fold)
        if last:
            with database.reading() as log:
                intake.arrive(log, connection, 0, last, fingerprint)


def _obey(database: Database, connection: Connection, fold: Fold, piece: Piece, fingerprint: str) -> None:
    """Do what a decision says about faults; they are noted, and the states stay in memory."""
    with database.reading() as log:
        [decided] = reader.contents_at(log, [piece.last])
        revisiting.obey(log, connection, fold, decided, fingerprint)


def _make_room(connection: Connection, fold: Fold) -> bool:
    """Write everything down once it is too much to be held; whether it was."""
    if max(map(len, fold.states)) <= MOST_STATES:
        return False
    _save_all(connection, fold)
    fold.load = lambda projection, keys: rows.load(connection, projection, keys)
    return True


def _save_all(connection: Connection, fold: Fold) -> None:
    intake.save(connection, fold)
    for states, changed in zip(fold.states, fold.changed, strict=True):
        states.clear()
        changed.clear()
