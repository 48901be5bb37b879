"""Whether the log says something already: asked before it is said once more."""

import contextlib
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import select, tuple_

from listener import bookkeeping, errors
from listener.desk.reading import Reading, reading
from listener.interpreter import Interpreter
from listener.log import event, reader, schema
from listener.log.database import Database
from projections import timeline
from projections.facts import Fact
from projections.timeline import State

_PAGE: Final = 200
_TABLE: Final = timeline.TABLE
_FROM_OUTSIDE: Final = schema.events.c.kind.in_((event.CALLBACK, event.IMPORT))

Said = tuple[str, str, State | None]  # source, subject, and what facts share that say the same


def said(fact: Fact) -> Said:
    """What is to be compared."""
    (key,) = timeline.keys(fact)
    return fact.source, fact.subject, timeline.apply(timeline.initial(key), key, fact).sense


def first_said(database: Database, facts: Sequence[Fact]) -> dict[Said, int]:
    """The position of the first event that says the same, for each that there is.

    The views know it up to where they have folded; what is behind that, or everything if there are none, is read.
    """
    wanted = {said(fact) for fact in facts}
    try:
        with reading(database) as at:
            found, after = _folded(at, wanted), bookkeeping.checkpoint(at.views).position
    except errors.ViewsError:
        found, after = {}, 0
    interpreter = Interpreter()
    for behind in reader.every(database, after, 500, _FROM_OUTSIDE):
        with contextlib.suppress(errors.Fault):
            for fact in interpreter.facts(behind):
                if said(fact) in wanted:
                    found.setdefault(said(fact), behind.position)
    return found


def _folded(at: Reading, wanted: set[Said]) -> dict[Said, int]:
    found: dict[Said, int] = {}
    subjects = sorted({(source, subject) for source, subject, _ in wanted})
    for start in range(0, len(subjects), _PAGE):
        of_them = tuple_(_TABLE.c.source, _TABLE.c.subject).in_(subjects[start : start + _PAGE])
        for row in at.views.execute(select(_TABLE).where(of_them).order_by(_TABLE.c.position)):
            _note(row, wanted, found)
    return found


def _note(row: Any, wanted: set[Said], found: dict[Said, int]) -> None:
    known = (row.source, row.subject, timeline.load(row).sense)
    if known in wanted:
        found.setdefault(known, row.position)
