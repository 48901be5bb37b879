"""Building a whole generation, from the first event on: in memory as far as it goes, and durable only at the end."""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from listener import rows
from listener.interpreter import Interpreter
from listener.log import reader
from listener.log.database import Database
from listener.log.event import Content
from listener.views import Views
from listener.worker import faults, intake, revisiting
from listener.worker.fold import Fold

Told = Callable[[int], None]  # so many more events were folded

PIECE: Final = 2_000  # events that are read at once
MOST_STATES: Final = 40_000  # of one projection, in memory: about 2 kB each


def build(database: Database, generation: Views, origin: str, fingerprint: str, until: int, told: Told) -> None:
    """Make the generation of all events up to a position; nobody may look at it before this returns.

    What was killed half way is of no use, and is thrown away by whoever builds next.
    """
    with database.reading() as log:
        log_id = reader.log_id(log)
    with generation.building(log_id, origin) as connection:
        fold, interpreter, after = Fold(), Interpreter(), 0
        while piece := _piece(database, after, until):
            fold.take(piece, interpreter)
            after = piece[-1].position
            faults.note(connection, fold, fingerprint)
            if revisiting.decides(piece[-1]):
                _obey(database, connection, fold, piece[-1], fingerprint)
            _make_room(connection, fold)
            told(len(piece))
        _save_all(connection, fold)
        if after:
            with database.reading() as log:
                intake.arrive(log, connection, 0, after, fingerprint)


def _piece(database: Database, after: int, until: int) -> list[Content]:
    """The next events, in a short transaction: a long one would make the log's write-ahead log grow.

    A decision about faults is the last of its piece.
    """
    with database.reading() as log:
        return reader.contents(log, after, PIECE, revisiting.stretch(log, after, until))


def _obey(database: Database, connection: Connection, fold: Fold, decided: Content, fingerprint: str) -> None:
    """Do what a decision says about faults; they are noted, and the states stay in memory."""
    with database.reading() as log:
        revisiting.obey(log, connection, fold, decided, fingerprint)


def _make_room(connection: Connection, fold: Fold) -> None:
    """Write down what no later fact touches, and everything once it is too much to be held."""
    if max(map(len, fold.states)) > MOST_STATES:
        _save_all(connection, fold)
        fold.load = lambda projection, keys: rows.load(connection, projection, keys)


def _save_all(connection: Connection, fold: Fold) -> None:
    intake.save(connection, fold)
    for states, changed in zip(fold.states, fold.changed, strict=True):
        states.clear()
        changed.clear()
