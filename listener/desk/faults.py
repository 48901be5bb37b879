"""Events that could not be taken in, and what waits behind them, from the live views."""

from typing import Any

from sqlalchemy import func, select

from listener import views
from listener.desk.reading import Reading

_parked = views.parked


def several(at: Reading, position: int | None = None) -> list[dict[str, Any]]:
    """All faults in the order of the log, or those of one event. `waiting` counts the facts behind them."""
    query = select(views.faults).order_by(views.faults.c.position, views.faults.c.subject)
    if position is not None:
        query = query.where(views.faults.c.position == position)
    counted = select(_parked.c.source, _parked.c.subject, func.count()).group_by(_parked.c.source, _parked.c.subject)
    waiting = {(source, subject): count for source, subject, count in at.views.execute(counted)}
    return [{**row._mapping, "waiting": waiting.get((row.source, row.subject), 0)} for row in at.views.execute(query)]
