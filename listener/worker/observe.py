"""Asking a provider's API where a subject stands, and keeping the answer as an event."""

import contextlib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, select

from listener import bookkeeping, erased, errors
from listener.api import NOTHING, Api, Known, Observation
from listener.interpreter import Interpreter
from listener.log import event, reader, schema
from listener.log.append import append
from listener.log.database import Database
from listener.log.event import Draft, Event, written
from listener.views import Views
from projections import facts, timeline
from projections.facts import Fact

_OVERTAKEN: Final = 3  # answers of one question; a provider that calls back faster than it answers is asked later
_PAGE: Final = 500
_CALLED: Final = schema.events.c.kind.in_((event.CALLBACK, event.IMPORT))


class Heard(NamedTuple):
    """An answer, the event that keeps it, whether that is new, and up to where the log has no callback behind it."""

    answer: Observation
    kept: Event
    news: bool
    head: int


class Observer:
    """Appends what a provider's API answered, unless the log says so already."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(
        self, provider: str, api: Api, source: str, subject: str, live: Views, known: Known = NOTHING
    ) -> Observation:
        """Ask, append, and return if it is complete. Raises NotReady if not, NotAccessible for 403 and 404."""
        answer = self.hear(provider, api, source, subject, live, known).answer
        if answer.code in (403, 404):
            raise errors.NotAccessible(f"HTTP {answer.code}")
        if not answer.complete:
            raise errors.NotReady("the provider says that it is not complete yet")
        return answer

    def hear(self, provider: str, api: Api, source: str, subject: str, live: Views, known: Known = NOTHING) -> Heard:
        """Ask and append, whatever the answer is. Raises ProviderError, and Superseded for what was erased.

        An answer is as old as its question: a callback that was appended in between may tell of what came later, and
        the answer would contradict it. Then it is asked again. An equal answer is news behind a callback, also behind
        one that nobody has folded yet: views alone do not know of those, so the log behind them is read.
        """
        called_back, looked = self._last_callback(live, source, subject)
        for _ in range(_OVERTAKEN):
            draft = _draft(answer := api.ask(subject, known), source, provider)
            # Here, and not only under the lock for which callbacks wait: there may be much to read by now.
            since, looked = self._called_back(source, subject, looked)
            heard = None if since else self._keep(answer, draft, subject, called_back, looked)
            if heard is not None:
                return heard
            _, looked = self._called_back(source, subject, looked)
            called_back = looked
        raise errors.Unusable("each answer was overtaken by a callback")

    def _keep(self, answer: Observation, draft: Draft, subject: str, called_back: int, looked: int) -> Heard | None:
        """The answer in the log; None if a callback came since somebody `looked`."""
        with self._database.writing() as connection:
            head = reader.head(connection)
            if erased.when(connection, draft.source, subject) is not None:
                raise errors.Superseded(f"{subject} was erased while it was asked for")
            if _newest_callback(connection, draft.source, subject, looked):
                return None
            last = _last(connection, draft)
            if last is not None and last.position > called_back and _same(last, draft, answer.lacks):
                return Heard(answer, last, news=False, head=head)
            (kept,) = append(connection, [draft])
            return Heard(answer, kept, news=True, head=kept.position)

    def _last_callback(self, live: Views, source: str, subject: str) -> tuple[int, int]:
        """The position of the newest callback of a subject, and how far the log was looked at for it."""
        with live.reading() as connection:
            folded = bookkeeping.checkpoint(connection).position
            known = connection.scalar(_folded_callbacks(source, subject)) or 0
        newest, looked = self._called_back(source, subject, folded)
        return newest or known, looked

    def _called_back(self, source: str, subject: str, after: int) -> tuple[int, int]:
        with self._database.reading() as connection:
            head = reader.head(connection)
            return _newest_callback(connection, source, subject, after), head


def _draft(answer: Observation, source: str, provider: str) -> Draft:
    headers = written([(":status", str(answer.code))])
    return Draft(event.OBSERVATION, source, provider, answer.body, headers, answer.method, answer.path)


def _last(connection: Connection, draft: Draft) -> Event | None:
    found = reader.acts(connection, event.OBSERVATION, draft.path or "")
    return next((known for known in found if known.source == draft.source), None)


def _folded_callbacks(source: str, subject: str) -> Any:
    """Asks the views for the newest fact of a subject that is neither an answer nor an act of ours."""
    table = timeline.TABLE
    ours = (facts.OBSERVED, facts.EXPECTED, *facts.OURS)
    of_it = (table.c.source == source, table.c.subject == subject, table.c.what.not_in(ours))
    return select(table.c.position).where(*of_it).order_by(table.c.position.desc()).limit(1)


def called_back(log: Connection, source: str, subject: str, after: int) -> Iterator[Fact]:
    """What callbacks of a subject say behind a position of the log, whether anybody has folded them or not."""
    interpreter, until = Interpreter(), reader.head(log)
    of_source = (_CALLED, schema.events.c.source == source)
    while events := reader.read(log, after, _PAGE, until, *of_source):
        for found in events:
            with contextlib.suppress(errors.Fault):  # of whom it speaks, nobody knows
                yield from (fact for fact in interpreter.facts(found) if fact.subject == subject)
        after = events[-1].position


def _newest_callback(log: Connection, source: str, subject: str, after: int) -> int:
    """The position of the newest callback of a subject behind a position of the log, 0 without one."""
    return max((fact.position for fact in called_back(log, source, subject, after)), default=0)


def _same(last: Event, draft: Draft, lacks: tuple[str, ...]) -> bool:
    """Whether an answer says nothing new: all but the bytes around the facts, and what could not be had this time."""
    aside = ("answer", *lacks)
    return (last.headers, _facts(last, aside)) == (draft.headers, _facts(draft, aside))


def _facts(answer: Event | Draft, aside: tuple[str, ...]) -> dict[str, Any]:
    kept: dict[str, Any] = msgspec.json.decode(answer.body or b"{}")
    return {name: value for name, value in kept.items() if name not in aside}
