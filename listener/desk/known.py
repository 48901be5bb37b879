"""Whether the log says something already: asked before it is said once more."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import func, select, tuple_

from listener import errors, views
from listener.desk.reading import Reading, reading
from listener.interpreter import Interpreter
from listener.log import event, reader, schema
from listener.log.database import Database
from projections import timeline
from projections.facts import Fact

_PAGE: Final = 200
_TABLE: Final = timeline.TABLE
_FROM_OUTSIDE: Final = schema.events.c.kind.in_((event.CALLBACK, event.IMPORT))

Said = tuple[str, str, bytes]  # source, subject, and what facts share that say the same


def said(fact: Fact) -> Said:
    """What is to be compared."""
    return fact.source, fact.subject, timeline.sense(fact)


def first_said(database: Database, folder: Path, facts: Sequence[Fact]) -> dict[Said, int]:
    """The position of the first event that says the same, for each that there is.

    The views know it up to where they have folded; what is behind that, or everything if there are none, is read.
    """
    wanted = {said(fact) for fact in facts}
    try:
        with reading(database, folder) as at:
            found, after = _folded(at, sorted(wanted)), views.checkpoint(at.views).position
    except errors.ViewsError:
        found, after = {}, 0
    interpreter = Interpreter()
    for behind in reader.every(database, after, 500, _FROM_OUTSIDE):
        with contextlib.suppress(errors.Fault):
            for fact in interpreter.facts(behind):
                if said(fact) in wanted:
                    found.setdefault(said(fact), behind.position)
    return found


def _folded(at: Reading, wanted: Sequence[Said]) -> dict[Said, int]:
    found: dict[Said, int] = {}
    columns = (_TABLE.c.source, _TABLE.c.subject, _TABLE.c.sense)
    for start in range(0, len(wanted), _PAGE):
        page = wanted[start : start + _PAGE]
        query = select(*columns, func.min(_TABLE.c.position)).where(tuple_(*columns).in_(page)).group_by(*columns)
        found |= {(source, subject, sense): position for source, subject, sense, position in at.views.execute(query)}
    return found
