"""Which subjects were erased: by decisions of the log, found by what they are about."""

from sqlalchemy import Connection

from listener import acts
from listener.acts import Subject
from listener.log import event, reader


def subjects(log: Connection, until: int | None = None) -> frozenset[Subject]:
    """All of them, up to a position."""
    return frozenset(acts.is_about(path) for _, path in reader.filed(log, event.DECISION, acts.ERASED_PATH, until))


def when(log: Connection, source: str, subject: str) -> int | None:
    """The position of the newest decision that erased it, if any did. Nothing of it is fetched or asked for again."""
    decided = reader.acts(log, event.DECISION, acts.about(acts.ERASED_PATH, source, subject), last=1)
    return decided[0].position if decided else None
