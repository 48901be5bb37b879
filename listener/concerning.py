"""The events that speak of some subjects, as the views know them, with what was in force for each."""

import heapq
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Final

from sqlalchemy import Connection, select, tuple_, union

from listener import acts, bookkeeping, errors, skipped
from listener.acts import InForce, Subject
from listener.interpreter import Interpreter
from listener.log import event, reader
from listener.log.event import Event, Readable
from projections import timeline

_AT_ONCE: Final = 500


def positions(log: Connection, generation: Connection, subjects: Sequence[Subject], until: int) -> list[int]:
    """Of all their events, as far as they were folded: also what waits behind a fault, or was left out."""
    tables = (timeline.TABLE.c, bookkeeping.parked.c, bookkeeping.faults.c)
    each = [
        select(of.position).where(tuple_(of.source, of.subject).in_(subjects), of.position <= until) for of in tables
    ]
    found = set(generation.scalars(union(*each)))
    left_out = sorted(position for position in skipped.positions(log) - found if position <= until)
    found.update(each.position for each in reader.contents_at(log, left_out) if speaks_of(each) & {*subjects})
    return sorted(found)


def speaks_of(found: Readable) -> set[Subject]:
    """Whom an event speaks of, as far as it can be read. Of decisions only what somebody expects tells of it."""
    if found.kind == event.DECISION and not acts.is_expectation(found):
        return set()
    try:
        return {(fact.source, fact.subject) for fact in Interpreter().facts(found)}
    except errors.Fault:
        return set()


def before(log: Connection, found: Sequence[int]) -> InForce | None:
    """What was in force in front of the first of these positions."""
    first = found[0] if found else 0
    return acts.newest_in_force(reader.acts(log, event.DECISION, acts.IN_FORCE_PATH, until=first, last=20))


def events(log: Connection, found: Sequence[int]) -> Iterator[Event]:
    """The events at these positions and what was declared to be in force in between, in order."""
    first, last = (found[0], found[-1]) if found else (0, 0)
    declared = reader.acts(log, event.DECISION, acts.IN_FORCE_PATH, until=last, after=first)[::-1]
    return heapq.merge(declared, _read(log, found), key=attrgetter("position"))


def _read(log: Connection, found: Sequence[int]) -> Iterator[Event]:
    for start in range(0, len(found), _AT_ONCE):
        yield from reader.at(log, found[start : start + _AT_ONCE])
