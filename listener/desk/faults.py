"""Events that could not be taken in, and what waits behind them, from the live views."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, func, select, tuple_

from listener import bookkeeping, errors, fingerprint
from listener.acts import Subject
from listener.desk.pages import Line
from listener.desk.reading import Reading

_faults = bookkeeping.faults.c
_parked = bookkeeping.parked.c
_AT_ONCE = 200  # keys in one query
_LAST = 2**63 - 1  # no event stands behind it, and no database takes a larger number


def several(at: Reading, after: int = 0, limit: int | None = None) -> list[Line]:
    """All faults of events behind a position, in the order of the log; of at most `limit` events, none by half."""
    behind = select(_faults.position).distinct().where(_faults.position > after).order_by(_faults.position)
    return _shown(at, _faults.position.in_(behind.limit(limit)))


def of(at: Reading, positions: Iterable[int]) -> list[Line]:
    """Those of some events."""
    return _shown(at, _faults.position.in_(list(positions)))


def named(at: Reading, positions: Sequence[int]) -> list[Line]:
    """The faults of these events. Raises NotFoundError if one of them has none."""
    found = of(at, (position for position in positions if position <= _LAST))
    missing = sorted({*positions} - {fault["position"] for fault in found})
    if missing:
        events = ", ".join(map(str, missing))
        raise errors.NotFoundError(f"no faults, so nothing was decided: {events}; 'signlog faults' lists them")
    return found


def _shown(at: Reading, which: ColumnElement[bool]) -> list[Line]:
    """`waiting` counts the facts behind a fault, `this_code` says that it was last tried with the code as it is now."""
    rows = at.views.execute(select(bookkeeping.faults).where(which).order_by(_faults.position, _faults.subject)).all()
    waiting = _waiting(at, rows)
    return [
        {
            **row._mapping,
            "this_code": row.tried_with == fingerprint.fingerprint(),
            "waiting": waiting.get((row.source, row.subject), 0),
        }
        for row in rows
    ]


def _waiting(at: Reading, rows: Sequence[Row[Any]]) -> dict[Subject, int]:
    subjects = list(dict.fromkeys((row.source, row.subject) for row in rows if row.subject is not None))
    found: dict[Subject, int] = {}
    for start in range(0, len(subjects), _AT_ONCE):
        of_them = tuple_(_parked.source, _parked.subject).in_(subjects[start : start + _AT_ONCE])
        counted = select(_parked.source, _parked.subject, func.count()).where(of_them)
        for source, subject, count in at.views.execute(counted.group_by(_parked.source, _parked.subject)):
            found[source, subject] = count
    return found
