"""Events that could not be taken in, and what waits behind them, from the live views."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select

from listener import errors, fingerprint, views
from listener.desk.reading import Reading

_parked = views.parked


def several(at: Reading, position: int | None = None) -> list[dict[str, Any]]:
    """All faults in the order of the log, or those of one event.

    `waiting` counts the facts behind them, `this_code` says that they were last tried with the code as it is now.
    """
    query = select(views.faults).order_by(views.faults.c.position, views.faults.c.subject)
    if position is not None:
        query = query.where(views.faults.c.position == position)
    counted = select(_parked.c.source, _parked.c.subject, func.count()).group_by(_parked.c.source, _parked.c.subject)
    waiting = {(source, subject): count for source, subject, count in at.views.execute(counted)}
    return [
        {
            **row._mapping,
            "this_code": row.tried_with == fingerprint.fingerprint(),
            "waiting": waiting.get((row.source, row.subject), 0),
        }
        for row in at.views.execute(query)
    ]


def named(at: Reading, positions: Sequence[int]) -> list[dict[str, Any]]:
    """The faults of these events. Raises NotFoundError if one of them has none."""
    wanted = set(positions)
    found = [fault for fault in several(at) if fault["position"] in wanted]
    missing = sorted(wanted - {fault["position"] for fault in found})
    if missing:
        events = ", ".join(map(str, missing))
        raise errors.NotFoundError(f"no faults, so nothing was decided: {events}; 'signlog faults' lists them")
    return found
