"""Asking a provider's API where a subject stands, and keeping the answer as an event."""

from typing import Any

import msgspec
from sqlalchemy import Connection, select

from listener import errors
from listener.api import NOTHING, Api, Known, Observation
from listener.log import event, reader
from listener.log.append import append
from listener.log.database import Database
from listener.log.event import Draft, Event, written
from listener.views import Views
from projections import facts, timeline


class Observer:
    """Appends what a provider's API answered, unless the log says so already."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(
        self, provider: str, api: Api, source: str, subject: str, live: Views, known: Known = NOTHING
    ) -> Observation:
        """Ask, append, and return if it is complete. Raises NotReady if not, NotAccessible for 403 and 404."""
        answer = api.ask(subject, known)
        called_back = _last_callback(live, source, subject)
        draft = _draft(answer, source, provider)
        with self._database.writing() as connection:
            last = _last(connection, draft)
            if last is None or last.position < called_back or _facts(last) != _facts(draft):
                append(connection, [draft])
        if answer.code in (403, 404):
            raise errors.NotAccessible(f"HTTP {answer.code}")
        if not answer.complete:
            raise errors.NotReady("the provider says that it is not complete yet")
        return answer


def _draft(answer: Observation, source: str, provider: str) -> Draft:
    headers = written([(":status", str(answer.code))])
    return Draft(event.OBSERVATION, source, provider, answer.body, headers, answer.method, answer.path)


def _last(connection: Connection, draft: Draft) -> Event | None:
    found = reader.acts(connection, event.OBSERVATION, draft.path or "")
    return next((known for known in found if known.source == draft.source), None)


def _last_callback(live: Views, source: str, subject: str) -> int:
    """The position of the newest fact of this subject that is neither an answer nor an act of ours."""
    table = timeline.TABLE
    ours = (facts.OBSERVED, facts.EXPECTED, *facts.OURS)
    newest = select(table.c.position).where(
        table.c.source == source, table.c.subject == subject, table.c.what.not_in(ours)
    )
    with live.reading() as connection:
        return connection.scalar(newest.order_by(table.c.position.desc()).limit(1)) or 0


def _facts(answer: Event | Draft) -> tuple[Any, ...]:
    """What two answers must share to be the same: all but the bytes around the facts."""
    kept = msgspec.json.decode(answer.body or b"{}")
    kept.pop("answer", None)
    return (answer.headers, kept)
