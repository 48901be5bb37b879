"""Folds so that no event kills the worker for ever: each try is written down before it is made."""

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

import structlog
from sqlalchemy import Connection, select
from sqlalchemy.exc import InternalError, OperationalError

from listener import bookkeeping, errors
from listener.acts import Subject
from listener.bookkeeping import Checkpoint
from listener.interpreter import Interpreter
from listener.log.event import Content
from listener.views import Views
from listener.worker import faults, generations, intake
from listener.worker.fold import Faulty

_log = structlog.get_logger()

MOST_DEATHS: Final = 3
# A full disk, a lock, a server that cut us off while we were frozen: no event is to blame.
_ENDED: Final = (OSError, OperationalError, InternalError, errors.SignlogError)

Folded = tuple[int, Sequence[Faulty]]  # how many events, and what could not be taken in


class Mark(NamedTuple):
    """What somebody is about to take in: the events behind `after` up to `until`, with this code.

    `deaths`: so often the worker died of the first of them. `interpreted`: it had lived to see what that says.
    """

    after: int
    until: int
    deaths: int
    interpreted: bool
    tried_with: str


class Tries:
    """One life of the worker, on one generation."""

    def __init__(self, generation: Views, fingerprint: str) -> None:
        self.generation = generation
        self._fingerprint = fingerprint
        self._code_is_new = True  # until there is no fault that was last tried with other code
        self._suspects = self._left_behind()

    def _left_behind(self) -> Mark:
        """The events of which the life before may have died: its mark stands where the checkpoint is."""
        with self.generation.reading() as connection:
            position = bookkeeping.checkpoint(connection).position
            row = connection.execute(select(*(bookkeeping.trying.c[name] for name in Mark._fields))).one_or_none()
        found = self._mark(position, position) if row is None else Mark(*row)
        if not found.after <= position < found.until:
            return self._mark(position, position)
        if found.tried_with != self._fingerprint:  # it died of code that was mended since, perhaps
            return self._mark(position, found.until)
        if found.after < position:  # what it died of, if so, stands further behind
            return self._mark(position, found.until, min(found.deaths, 1))
        _log.error("died_taking_in", after=position, until=found.until, deaths=found.deaths + 1)
        return found._replace(deaths=found.deaths + 1)

    def _mark(self, after: int, until: int, deaths: int = 0) -> Mark:
        return Mark(after, until, deaths, interpreted=False, tried_with=self._fingerprint)

    def fold_next(self, log: Connection, before: Checkpoint) -> Folded:
        """Fold what comes next, if there is anything: faults that this code has not tried, then new events."""
        if self._code_is_new:
            again = self._try_again(log)
            if again is not None:
                return 1, again
            self._code_is_new = False
        events = intake.following(log, before)
        if not events:
            return 0, ()
        if before.position < self._suspects.until:
            return 1, self._fold_alone(log, before, events[0])
        with self._marked(self._mark(before.position, events[-1].position)):
            return len(events), self._take_in(log, before, events)

    def _take_in(self, log: Connection, before: Checkpoint, events: Sequence[Content]) -> Sequence[Faulty]:
        take = partial(intake.take_in, log, events=events, fingerprint=self._fingerprint)
        return intake.go_on(self.generation, before, take)

    def _try_again(self, log: Connection) -> Sequence[Faulty] | None:
        """Try the next fault that was last tried with other code; None without one."""
        with self.generation.writing() as connection:
            fault = faults.outdated(connection, self._fingerprint)
            if fault is None:
                return None
            faults.count(connection, fault, self._fingerprint)
        try:
            with self.generation.writing() as connection:
                return intake.try_again(log, connection, fault, self._fingerprint)
        except _ENDED:
            with contextlib.suppress(*_ENDED), self.generation.writing() as connection:
                faults.discount(connection, fault)
            raise

    def _fold_alone(self, log: Connection, before: Checkpoint, event: Content) -> Sequence[Faulty]:
        """Take one event in; or leave it out, if the worker died of it too often."""
        last = self._suspects
        mark = self._suspects = last._replace(after=before.position, interpreted=False)
        with self._marked(mark):
            # If it died before it saw what the event says, nobody will ever know of whom that speaks.
            subjects: Sequence[Subject] = ()
            if mark.deaths < MOST_DEATHS or last.interpreted:
                subjects = _subjects(log, event)
                self._write(mark._replace(interpreted=True))
            if mark.deaths < MOST_DEATHS:
                found = self._take_in(log, before, [event])
            else:
                found = self._leave_out(log, before, event, subjects)
        self._suspects = self._mark(event.position, mark.until, min(mark.deaths, 1))
        return found

    def _leave_out(
        self, log: Connection, before: Checkpoint, event: Content, of: Sequence[Subject]
    ) -> Sequence[Faulty]:
        attempts = self._suspects.deaths
        leave = partial(intake.leave_out, log, left=event, of=of, attempts=attempts, fingerprint=self._fingerprint)
        return intake.go_on(self.generation, before, leave)

    @contextlib.contextmanager
    def _marked(self, mark: Mark) -> Iterator[None]:
        """Whoever finds the mark where it stood knows that this block did not live to its end."""
        self._write(mark)
        try:
            yield
        except _ENDED:
            with contextlib.suppress(*_ENDED), self.generation.writing() as connection:
                connection.execute(bookkeeping.trying.delete())
            raise

    def _write(self, mark: Mark) -> None:
        with self.generation.writing() as connection:
            if connection.execute(bookkeeping.trying.update().values(mark._asdict())).rowcount == 0:
                connection.execute(bookkeeping.trying.insert().values(id=1, **mark._asdict()))


def _subjects(log: Connection, event: Content) -> Sequence[Subject]:
    """Of whom the event speaks."""
    try:
        found = Interpreter(generations.in_force(log, event.position - 1)).facts(event)
    except errors.Fault:
        return ()
    return [(fact.source, fact.subject) for fact in found]
