"""The faults of a generation: what could not be taken in, what waits behind it, how often it was tried."""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, select

from listener import bookkeeping
from listener.acts import Subject
from listener.worker.fold import Faulty, Fold

_faults: Final = bookkeeping.faults
_parked: Final = bookkeeping.parked
_AT_ONCE: Final = 500  # positions in one query
_FAULTY: Final = select(*(_faults.c[name] for name in Faulty._fields))
_IN_ORDER: Final = (_faults.c.position, _faults.c.source, _faults.c.subject.nulls_first())


def stopped(generation: Connection) -> list[Subject]:
    """The subjects whose later facts wait behind a fault."""
    return [(source, subject) for source, subject in generation.execute(bookkeeping.STOPPED)]


def note(generation: Connection, fold: Fold, fingerprint: str) -> Sequence[Faulty]:
    """Write down what the fold could not take in, and what waits behind it; the faults. The fold forgets both."""
    noted, waiting = [_note(generation, fault, fingerprint) for fault in fold.faults], set(fold.parked)
    fold.faults, fold.parked = [], []
    if waiting:
        generation.execute(_parked.insert(), [{"source": s, "subject": n, "position": p} for s, n, p in waiting])
    return noted


def _note(generation: Connection, fault: Faulty, fingerprint: str) -> Faulty:
    """Of one that is there already only the error may be new: its attempts were counted before it was tried."""
    again = _faults.update().where(_same(fault)).values(error=fault.error)
    if generation.execute(again).rowcount == 0:
        generation.execute(_faults.insert().values((*fault, fingerprint)))
        return fault
    return Faulty(*generation.execute(_FAULTY.where(_same(fault))).one())


def _same(fault: Faulty) -> ColumnElement[bool]:
    return and_(
        _faults.c.position == fault.position,
        _faults.c.source == fault.source,
        _faults.c.subject.is_not_distinct_from(fault.subject),
    )


def at(generation: Connection, positions: Iterable[int]) -> list[Faulty]:
    """The faults that these events are, in order; one for each subject that an event stopped."""
    wanted = sorted(set(positions))
    found: list[Faulty] = []
    for start in range(0, len(wanted), _AT_ONCE):
        query = _FAULTY.where(_faults.c.position.in_(wanted[start : start + _AT_ONCE])).order_by(*_IN_ORDER)
        found += [Faulty(*row) for row in generation.execute(query)]
    return found


def outdated(generation: Connection, fingerprint: str) -> Faulty | None:
    """The first that was last tried with other code."""
    query = _FAULTY.where(_faults.c.tried_with != fingerprint).order_by(*_IN_ORDER).limit(1)
    row = generation.execute(query).one_or_none()
    return None if row is None else Faulty(*row)


def count(generation: Connection, fault: Faulty, fingerprint: str) -> None:
    """One more attempt, with this code."""
    tried = {"attempts": _faults.c.attempts + 1, "tried_with": fingerprint}
    generation.execute(_faults.update().where(_same(fault)).values(tried))


def discount(generation: Connection, fault: Faulty) -> None:
    """The attempt came to nothing, as if this code had never tried."""
    tried = {"attempts": fault.attempts, "tried_with": ""}
    generation.execute(_faults.update().where(_same(fault)).values(tried))


def forget(generation: Connection, fault: Faulty) -> None:
    """It is none any more."""
    generation.execute(_faults.delete().where(_same(fault)))


def waiting(generation: Connection, subject: Subject) -> list[int]:
    """The positions of the next events that wait, in order."""
    query = select(_parked.c.position).where(_of(subject)).order_by(_parked.c.position).limit(_AT_ONCE)
    return list(generation.scalars(query))


def wait(generation: Connection, subject: Subject, position: int) -> None:
    """Let an event wait too."""
    generation.execute(_parked.insert().values((*subject, position)))


def let_go(generation: Connection, subject: Subject, until: int) -> None:
    """What stands up to a position waits no more."""
    generation.execute(_parked.delete().where(_of(subject), _parked.c.position <= until))


def _of(subject: Subject) -> ColumnElement[bool]:
    source, name = subject
    return and_(_parked.c.source == source, _parked.c.subject == name)
