"""Legal holds: subjects of which nothing may be erased until somebody lifts the hold. Decisions of the log."""

from typing import NamedTuple

from sqlalchemy import Connection

from listener import acts, errors
from listener.acts import Act
from listener.log import event, reader
from listener.log.append import append
from listener.log.database import Database
from projections import facts


class Hold(NamedTuple):
    """A subject that is on hold: the decision's position and time (microseconds UTC), who put it there, and why."""

    source: str
    id: str
    position: int
    recorded_at: int
    operator: str | None
    reason: str | None


def on(log: Connection, source: str, subject: str) -> Hold | None:
    """The hold that is on a subject, if one is."""
    decided = reader.acts(log, event.DECISION, acts.about(acts.HOLDS_PATH, source, subject), last=1)
    if not decided:
        return None
    act = acts.read(decided[0])
    if act.action != facts.ON_HOLD:
        return None
    return Hold(source, subject, decided[0].position, decided[0].recorded_at, act.operator, act.reason)


def every(log: Connection) -> list[Hold]:
    """All that are on, in the order in which they were put there."""
    known = {acts.is_about(path) for _, path in reader.filed(log, event.DECISION, acts.HOLDS_PATH)}
    return sorted((hold for subject in known if (hold := on(log, *subject))), key=lambda hold: hold.position)


def put(database: Database, source: str, subject: str, operator: str, reason: str) -> int:
    """Put a subject on hold; the position of the decision. Put there twice, one lift is enough."""
    with database.writing() as connection:
        return _decide(connection, facts.ON_HOLD, source, subject, operator, reason)


def lift(database: Database, source: str, subject: str, operator: str, reason: str) -> int:
    """Take a subject's hold away; the position of the decision. Raises NotFoundError if there is none."""
    with database.writing() as connection:
        if on(connection, source, subject) is None:
            raise errors.NotFoundError(f"{subject} in {source} is not on hold; 'signlog hold' lists what is")
        return _decide(connection, facts.LIFTED, source, subject, operator, reason)


def _decide(connection: Connection, action: str, source: str, subject: str, operator: str, reason: str) -> int:
    act = Act(action, source=source, subject=subject, reason=reason)
    [decided] = append(connection, [acts.decision(act, operator, acts.about(acts.HOLDS_PATH, source, subject))])
    return decided.position


def told(hold: Hold) -> str:
    """A hold as a person is told of it."""
    return f"{hold.id} in {hold.source} is on hold since event {hold.position}, by {hold.operator}: {hold.reason}"
