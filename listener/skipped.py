"""Events that somebody decided to leave out: the views tell nothing of them, and yet they may speak of a subject."""

import contextlib
from typing import Final

from sqlalchemy import Connection

from listener import acts, errors
from listener.log import event, reader

_MOST: Final = 100_000  # decisions; each names many events


def positions(log: Connection, until: int | None = None) -> frozenset[int]:
    """Their positions, by all decisions up to a position. What is named and could be taken in was not left out."""
    found: set[int] = set()
    for decided in reader.acts(log, event.DECISION, acts.FAULTS_PATH, until=until, last=_MOST):
        with contextlib.suppress(errors.Fault):
            act = acts.read(decided)
            found.update(act.positions if act.action == acts.SKIP else ())
    return frozenset(found)
