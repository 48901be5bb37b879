"""Building a whole generation, from the first event on: in memory as far as it goes, and durable only at the end."""

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from listener import rows
from listener.log import reader
from listener.log.database import Database
from listener.projection import MADE_ONCE, PROJECTIONS, Projection
from listener.views import Views
from listener.worker import ahead, faults, intake, revisiting
from listener.worker.ahead import Piece, Row, Stretch
from listener.worker.fold import Fold, States, Subject
from listener.worker.sieve import Sieve
from projections.facts import Key

Told = Callable[[int], None]  # so many more events were folded

MOST_STATES: Final = 10_000  # of one projection, in memory: about 2 kB each
_TURN: Final = 0.000_2  # seconds: whoever writes needs the interpreter for a moment only, and often


class Leaving(NamedTuple):
    """What is not needed in memory any more: rows that came with a piece, and states."""

    made: Sequence[Sequence[Row]]  # for each of MADE_ONCE
    states: Sequence[States]  # for each of PROJECTIONS


_NOTHING: Final = Leaving([() for _ in MADE_ONCE], [{} for _ in PROJECTIONS])


def build(
    database: Database,
    generation: Views,
    origin: str,
    fingerprint: str,
    until: int,
    told: Told = lambda _events: None,
    only: Subject | None = None,
    alone: Stretch | None = None,
) -> None:
    """Make the generation of all events up to a position, or `only` one subject's part of it.

    Those of the stretch `alone` are taken in one by one. Nobody may look at it before this returns. What was killed
    half way is of no use, and is thrown away by whoever builds next. Raises Died if the process that reads ends.
    """
    with database.reading() as log:
        log_id = reader.log_id(log)
    with generation.building(log_id, origin) as connection:
        with _aside() as writer:
            half, last = Half(database, connection, writer, fingerprint), 0
            for piece in ahead.pieces(database, until, alone):
                half.take(piece if only is None else piece.of(*only))
                last = piece.last
                told(piece.events)
            half.finish(last)
        del half  # to sort takes memory, too


class Half:
    """A generation while it is built: what a piece leaves behind is written while the next ones come in."""

    def __init__(self, database: Database, connection: Connection, writer: Executor, fingerprint: str) -> None:
        self._database = database
        self._connection = connection
        self._writer = writer
        self._fingerprint = fingerprint
        self._fold = Fold()
        self._leaving = _NOTHING
        self._gone = [Sieve() for _ in PROJECTIONS]  # most keys are new: a package is seldom heard of so late
        self._write()

    def _write(self) -> None:
        """From here to its end the connection is the writer's."""
        self._writing = self._writer.submit(_write, self._connection, self._leaving)

    def take(self, piece: Piece) -> None:
        """Fold what comes next."""
        self._writing.result()
        self._fold.load_for(piece.facts)
        self._write()
        made = self._folded(piece)
        self._fold.faults += piece.faults
        if self._fold.faults or self._fold.parked or piece.decides:
            self._writing.result()
            self._leave_out(piece)
        self._leaving = Leaving(made, self._too_many())

    def _leave_out(self, piece: Piece) -> None:
        """Note the faults, and do what a decision says about them."""
        faults.note(self._connection, self._fold, self._fingerprint)
        if piece.decides:
            self._obey(piece.last)

    def _load(self, projection: Projection, keys: Sequence[Key]) -> Mapping[Key, Any]:
        """As they are written; what leaves next, or left last, is as new or newer."""
        index = PROJECTIONS.index(projection)
        leaving, gone = self._leaving.states[index], self._gone[index].sift(keys)
        return rows.load(self._connection, projection, gone) | {key: leaving[key] for key in gone if key in leaving}

    def _folded(self, piece: Piece) -> Sequence[Sequence[Row]]:
        """The rows that came with the piece, but for those of facts that must wait."""
        if piece.rows is None:
            self._fold.take_facts(piece.facts)
            return _NOTHING.made
        taken = self._fold.take_lasting(piece.facts)
        return [list(itertools.compress(made, taken)) for made in piece.rows]

    def _obey(self, position: int) -> None:
        """Do what a decision says about faults; they are noted, and what they touch is in memory or written."""
        with self._database.reading() as log:
            [decided] = reader.contents_at(log, [position])
            revisiting.obey(log, self._connection, self._fold, decided, self._fingerprint)

    def _too_many(self) -> Sequence[States]:
        """The states beyond those that are held in memory."""
        if max(map(len, self._fold.states)) <= MOST_STATES:
            return _NOTHING.states
        self._fold.load = self._load
        leaving = self._fold.let_go(MOST_STATES)
        for gone, states in zip(self._gone, leaving, strict=True):
            gone.add(states)
        return leaving

    def finish(self, last: int) -> None:
        """Write down what is left; `last` is the position of the last event."""
        self._writing.result()
        _write(self._connection, self._leaving)
        intake.save(self._connection, self._fold)
        if last:
            with self._database.reading() as log:
                intake.arrive(log, self._connection, 0, last, self._fingerprint)


def _write(connection: Connection, leaving: Leaving) -> None:
    for projection, made in zip(MADE_ONCE, leaving.made, strict=True):
        rows.write(connection, projection.TABLE, made)
    for projection, states in zip(PROJECTIONS, leaving.states, strict=True):
        rows.save(connection, projection, states)


@contextlib.contextmanager
def _aside() -> Iterator[Executor]:
    """A thread that writes: SQLite lets go of the interpreter while it works."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_TURN)
    try:
        with ahead.seldom_collecting(), ThreadPoolExecutor(1, "rows") as writer:
            yield writer
    finally:
        sys.setswitchinterval(before)
