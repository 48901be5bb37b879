"""Where subjects stood at an earlier moment, and which code says so."""

import contextlib
from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, exists, func, select

from listener import __version__, acts, bookkeeping, errors, fingerprint, times
from listener.desk import pages, status
from listener.desk.pages import LOOK_AT, Line, Page
from listener.desk.past import Moment, Past
from listener.desk.reading import Reading, reading
from listener.log import clock, event, reader
from listener.log.database import Database
from projections import facts, timeline

_timeline: Final = timeline.TABLE
_FOLDED: Final = 50  # subjects, for one page


def moment(at: Reading, known: str | None = None, so: str | None = None) -> Moment:
    """What was known at a position or a time by our clock, else what is; and of that what was so at a time of theirs.

    No further than the views have folded: they say which events speak of whom. Raises ConfigurationError for what is
    neither a number nor a time.
    """
    position = bookkeeping.checkpoint(at.views).position
    if known is not None:
        asked = int(known) if known.isdecimal() else clock.reached(at.log, times.read(known))
        position = min(position, asked)
    return Moment(position, None if so is None else times.read(so))


def one(at: Reading, source: str, subject: str, when: Moment) -> Line | None:
    """A subject as it stood, and under `as_of` what that goes by; None if nothing was known of it."""
    folded = Past(at, [(source, subject)], when).whole()
    return _shown(folded, source, subject, told(at, when))


def _shown(folded: Past, source: str, subject: str, going_by: Line) -> Line | None:
    found = folded.shown(source, subject)
    return None if found is None else {**found, "as_of": {**going_by, "faults": folded.faults(source, subject)}}


def told(at: Reading, when: Moment) -> Line:
    """How far the log was read, and which code was in force then: it may have shown something else."""
    then = when.position
    if when.occurred_at is not None:
        then = min(then, clock.reached(at.log, when.occurred_at))
    last = reader.one(at.log, when.position)
    return {
        "position": when.position,
        "recorded_at": times.written(last.recorded_at) if last else None,
        "occurred_at": times.written(when.occurred_at),
        "code_then": _code(at.log, then),
        "code_now": {"version": __version__, "fingerprint": fingerprint.fingerprint()},
    }


def _code(log: Connection, position: int) -> Line | None:
    """What was declared to be in force there, and where: that event holds the code itself."""
    for declared in reader.acts(log, event.DECISION, acts.IN_FORCE_PATH, until=position, last=20):
        with contextlib.suppress(errors.Fault):
            found = acts.read_in_force(declared)
            return {"version": found.version, "fingerprint": found.fingerprint, "position": declared.position}
    return None


def every(database: Database, wanted: status.Filter, when: Moment, before: int | None = None) -> Iterator[Line]:
    """All subjects as they stood. A page after the other, in short transactions: the past does not move meanwhile."""

    def turn(before: int | None) -> Page:
        with reading(database) as at:
            return page(at, wanted, when, _FOLDED, before)

    return pages.every(turn, before)


def page(at: Reading, wanted: status.Filter, when: Moment, count: int, before: int | None = None) -> Page:
    """Subjects as they stood, those first that had last moved. A page folds a bounded number of them."""
    top = when.position if before is None else min(before - 1, when.position)
    moved, more = _moved(at, wanted.source, when.position, top)
    folded = Past(at, [(source, subject) for source, subject, _ in moved], when).whole()
    going_by, lines = told(at, when), list[Line]()
    for source, subject, position in moved:
        found = _shown(folded, source, subject, going_by)
        if found is not None and wanted.fits(found):
            lines.append(found)
        if len(lines) == count:
            return Page(lines, position)
    return Page(lines, more)


def _moved(at: Reading, source: str | None, until: int, top: int) -> tuple[list[tuple[str, str, int]], int | None]:
    """Subjects whose last event up to `until` stands at `top` or a bounded way below, and where to go on from.

    What we did and decided moves no subject. All else speaks of one subject each: no position stands here twice.
    """
    later = _timeline.alias()
    of_subject = (
        later.c.source == _timeline.c.source,
        later.c.subject == _timeline.c.subject,
        later.c.what.not_in(facts.OURS),
    )
    moved_on = exists().where(*of_subject, later.c.position > _timeline.c.position, later.c.position <= until)
    lowest = top - LOOK_AT
    query = (
        select(_timeline.c.source, _timeline.c.subject, _timeline.c.position)
        .where(_timeline.c.position.between(lowest + 1, top), _timeline.c.what.not_in(facts.OURS), ~moved_on)
        .order_by(_timeline.c.position.desc())
        .limit(_FOLDED)
    )
    if source is not None:
        query = query.where(func.coalesce(_timeline.c.source, "") == source)
    found = [(of, subject, position) for of, subject, position in at.views.execute(query)]
    if len(found) == _FOLDED:
        return found, found[-1][2]
    return found, lowest + 1 if lowest > 0 else None
