"""Pieces of the log: what some events in a row say, and the rows of it that need no state."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine

from listener import erased, errors
from listener.acts import Subject
from listener.interpreter import Interpreter
from listener.log import reader
from listener.projection import MADE_ONCE, Projection
from listener.worker import generations, revisiting
from listener.worker.fold import Faulty
from projections.facts import Fact

EVENTS: Final = 2_000  # of a piece, or fewer …
FACTS: Final = 4_000  # … if these say so much: a decision may name hundreds of documents

Row = tuple[Any, ...]


class Stretch(NamedTuple):
    """The events behind a position, up to another."""

    after: int
    until: int


class Piece(NamedTuple):
    """What the events of a stretch say, and which could not be read.

    A decision about faults is the last of its piece: it `decides` what becomes of those before. `rows` has a row of
    each fact for each projection of MADE_ONCE; None if some cannot be made: whoever folds finds out why.
    """

    stretch: Stretch
    decides: bool
    facts: Sequence[Fact]
    faults: Sequence[Faulty]
    rows: Sequence[Sequence[Row]] | None

    def of(self, source: str, subject: str) -> "Piece":
        """Only what is said of one subject."""
        its = [fact.source == source and fact.subject == subject for fact in self.facts]
        rows = None if self.rows is None else [list(itertools.compress(made, its)) for made in self.rows]
        return self._replace(facts=list(itertools.compress(self.facts, its)), rows=rows)


def pieces(
    log: Engine, stretch: Stretch, alone: Stretch | None, about: Callable[[Stretch], None] = lambda _stretch: None
) -> Iterator[Piece]:
    """What the events of a stretch say, in order; those that are also of `alone` one by one.

    Before each is read, `about` hears which it is, at most.
    """
    after, interpreter = stretch.after, _standing(log, stretch.after)
    while after < stretch.until:
        most = _most(after, alone)
        about(Stretch(after, min(after + most, stretch.until)))
        with log.begin() as connection:  # a short transaction: a long one would make the write-ahead log grow
            piece = _read(connection, Stretch(after, stretch.until), most, interpreter)
        if piece is None:
            return
        yield piece
        after = piece.stretch.until


def _most(after: int, alone: Stretch | None) -> int:
    if alone is None or after >= alone.until:
        return EVENTS
    return 1 if is_alone(after, alone) else min(EVENTS, alone.after - after)


def is_alone(after: int, alone: Stretch | None) -> bool:
    """Whether the event behind a position is to be taken in by itself."""
    return alone is not None and alone.after <= after < alone.until


def _standing(log: Engine, position: int) -> Interpreter:
    """With what was in force at a position."""

    def erased_before() -> frozenset[Subject]:
        with log.begin() as connection:
            return erased.subjects(connection, position)

    with log.begin() as connection:
        return Interpreter(generations.in_force(connection, position), erased_before)


def _read(log: Connection, stretch: Stretch, most: int, interpreter: Interpreter) -> Piece | None:
    """The first piece of a stretch; None if there is none."""
    events = reader.contents(log, stretch.after, most, revisiting.stretch(log, *stretch))
    if not events:
        return None
    found: list[Fact] = []
    faults: list[Faulty] = []
    for number, event in enumerate(events, 1):
        try:
            found += interpreter.facts(event)
        except errors.Fault as fault:
            faults.append(Faulty(event.position, event.source, None, str(fault)))
        if len(found) >= FACTS:
            events = events[:number]
            break
    read = Stretch(stretch.after, events[-1].position)
    return Piece(read, revisiting.decides(events[-1]), found, faults, _rows(found))


def _rows(found: Sequence[Fact]) -> list[list[Row]] | None:
    try:
        return [list(map(rows_of(known), found)) for known in MADE_ONCE]
    except Exception:  # a projection's bug: it shows again where the fact is folded, and stops its subject
        return None


def rows_of(projection: Projection) -> Callable[[Fact], Row]:
    """What makes the row that a projection of MADE_ONCE makes of a fact."""
    keys, initial, apply, row = projection.keys, projection.initial, projection.apply, projection.row

    def made(fact: Fact) -> Row:
        [key] = keys(fact)
        return row(key, apply(initial(key), key, fact))

    return made


def last_of_each(projection: Projection, found: Piece, rows: Sequence[Row]) -> Sequence[Row]:
    """Of several rows of a piece with one key the last: an event may say two things of one subject."""
    if len({fact.position for fact in found.facts}) == len(found.facts):
        return rows  # no event says more than one thing
    width = len(projection.TABLE.primary_key)
    return list({row[:width]: row for row in rows}.values())
