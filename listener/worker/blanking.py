"""The log's part of an erasure: which events it is about, whether it may be, and the transaction that blanks them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from listener import acts, bookkeeping, concerning, erased, errors, holds
from listener.acts import Act, Subject
from listener.log import erase, event, reader, schema
from listener.log.append import append
from listener.log.database import Database
from listener.log.event import Readable
from listener.views import Views
from listener.worker import claims
from projections import facts

_AT_ONCE = 500


class Order(NamedTuple):
    """Who wants something erased, and why."""

    operator: str
    reason: str


class Blanked(NamedTuple):
    """The decision's position, the positions that are blank since, and the subjects that they were about."""

    decided: int
    positions: tuple[int, ...]
    subjects: tuple[Subject, ...]


def blank_subject(database: Database, live: Views | None, subject: Subject, order: Order) -> Blanked:
    """Blank every event that speaks of a subject; decisions about it are kept.

    Of one that was erased before and of which nothing came since, the decision of then. Raises NotFoundError,
    ErasureRefused.
    """
    found, head = _speaking_of(database, live, subject)
    with database.writing() as log:
        _assert_free(log, subject)
        found += [each.position for each in _behind(log, head) if subject in concerning.speaks_of(each)]
        open_ones = sorted(set(found) - erase.blank(log, found))
        if not open_ones:
            return Blanked(_decided_before(log, subject), (), (subject,))
        act = Act(facts.ERASED, source=subject[0], subject=subject[1], positions=tuple(open_ones), reason=order.reason)
        return Blanked(_decide(log, act, order, acts.about(acts.ERASED_PATH, *subject)), act.positions, (subject,))


def blank_strays(database: Database, positions: Sequence[int], order: Order) -> Blanked:
    """Blank these events, whomever they speak of. Raises NotFoundError, ErasureRefused."""
    with database.writing() as log:
        found = reader.at(log, positions)
        missing = sorted({*positions} - {each.position for each in found})
        if missing:
            raise errors.NotFoundError(f"there is no event {missing[0]}")
        decisions = [each.position for each in found if _is_kept(each)]
        if decisions:
            raise errors.ErasureRefused(f"event {decisions[0]} is a decision: what was decided is never erased")
        subjects = {subject for each in found for subject in concerning.speaks_of(each)}
        for subject in subjects:
            _assert_free(log, subject)
        open_ones = tuple(each.position for each in found if each.body is not None)
        if not open_ones:
            return Blanked(_decided(log, positions), (), ())
        act = Act(facts.ERASED, positions=open_ones, reason=order.reason)
        return Blanked(_decide(log, act, order, acts.ERASED_PATH), open_ones, tuple(sorted(subjects)))


def _decide(log: Connection, act: Act, order: Order, filed: str) -> int:
    [decision] = append(log, [acts.decision(act, order.operator, filed)])
    erase.erase(log, act.positions, decision.position)
    return decision.position


def _speaking_of(database: Database, live: Views | None, subject: Subject) -> tuple[list[int], int]:
    """Positions, and how far the log was looked at: by the views as far as they know, else event by event."""
    found, known = list[int](), 0
    if live is not None:
        with live.reading() as generation, database.reading() as log:
            known = bookkeeping.checkpoint(generation).position
            found = concerning.positions(log, generation, [subject], known)
    with database.reading() as log:
        found = [each.position for each in reader.at(log, found) if not _is_kept(each)]
    while True:
        with database.reading() as log:
            page = reader.contents(log, known, _AT_ONCE)
        if not page:
            return found, known
        found += [each.position for each in page if subject in concerning.speaks_of(each)]
        known = page[-1].position


def _behind(log: Connection, position: int) -> Iterator[Readable]:
    while page := reader.contents(log, position, _AT_ONCE):
        yield from page
        position = page[-1].position


def _is_kept(found: Readable) -> bool:
    """Who decided what and why is never erased; what somebody expected of a subject is no decision about it."""
    return found.kind == event.DECISION and not acts.is_expectation(found)


def _assert_free(log: Connection, subject: Subject) -> None:
    """Raise ErasureRefused for a legal hold, and while a document is being fetched, which would come behind it."""
    hold = holds.on(log, *subject)
    if hold is not None:
        raise errors.ErasureRefused(f"{holds.told(hold)}; 'signlog hold … --lift --reason …' lifts it")
    fetching = claims.release(log, *subject)
    if fetching is not None:
        raise errors.ErasureRefused(
            f"a document of it is being fetched right now, by {fetching}; type the same again in a moment, or half a "
            "minute after that worker has ended"
        )


def _decided_before(log: Connection, subject: Subject) -> int:
    decided = erased.when(log, *subject)
    if decided is None:
        raise errors.NotFoundError(f"nothing is known of {subject[1]} in {subject[0]}; 'signlog status' lists what is")
    return decided


def _decided(log: Connection, positions: Sequence[int]) -> int:
    noted = schema.erasures.c
    decided: int | None = log.scalar(select(func.max(noted.decided)).where(noted.position.in_(positions)))
    if decided is None:
        raise errors.ErasureRefused(f"event {positions[0]} is blank, and no decision says so: somebody changed the log")
    return decided
