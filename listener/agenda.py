"""What is to be asked of providers and when, how far somebody has come, and what is in the way: beside the log.

Nothing of it has a meaning. Without the file everything is asked once more, and the log says the same.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ExceptionContext,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    event,
    or_,
    select,
)

from listener import errors
from listener.log.sqlite import sqlite_engine
from listener.watched import Entry

_HOUR: Final = 3600 * 1_000_000
OVERLAP: Final = _HOUR  # of two rounds: clocks differ, and a list may lag behind what it lists
STALE: Final = 24 * _HOUR  # a command that broke off longer ago is not gone on with

WORKER: Final = "worker"  # whose round it is
COMMAND: Final = "command"

_metadata = MetaData()
_read = Table(
    "read",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("log_id", LargeBinary, nullable=False),
    Column("views", Text, nullable=False),
    Column("position", Integer, nullable=False),
    sqlite_strict=True,
)
_subjects = Table(
    "subjects",
    _metadata,
    Column("source", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("heard_at", Integer, nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("closely", Boolean, nullable=False),
    Column("views", Text, nullable=False),
    Column("asked_at", Integer, nullable=False),
    Column("answered", Integer, nullable=False),
    Column("next_at", Integer),
    sqlite_with_rowid=False,
)
Index("subjects_due", _subjects.c.source, _subjects.c.next_at)
_rounds = Table(
    "rounds",
    _metadata,
    Column("source", Text, primary_key=True),
    Column("who", Text, primary_key=True),
    Column("since", Integer, nullable=False),
    Column("began", Integer),
    Column("cursor", Text),
    Column("finished_at", Integer),
    Column("trouble", Text),
    Column("troubled_at", Integer),
    sqlite_strict=True,
)
_c: Final = _subjects.c
# What is lost in a power cut is asked once more.
_PRAGMAS: Final = {"journal_mode": "wal", "synchronous": 1, "secure_delete": 1}
_CORRUPT, _NOT_A_DATABASE = 11, 26  # https://sqlite.org/rescode.html


class Round(NamedTuple):
    """Once through a source: everything that moved `since` then; it `began` then, and stands behind `cursor`."""

    since: int
    began: int
    cursor: str | None


class State(NamedTuple):
    """When a source was last gone through, and why it was not since, if so. Microseconds, ours."""

    finished_at: int | None
    trouble: str | None
    since: int | None  # when the trouble began


class Agenda:
    """`agenda.db`. Worker and commands may use it at once. All of it raises AgendaDamaged."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "agenda.db"
        self._engine = sqlite_engine(self.path, _PRAGMAS)
        event.listen(self._engine, "handle_error", self._tell_damage)

    def discard(self) -> None:
        """Remove the file, and what SQLite keeps beside it."""
        self._engine.dispose()
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    def read_to(self, log_id: bytes, views: str) -> int:
        """How far these views of this log were read. Of another log nothing is known."""
        with self._writing() as connection:
            known = connection.execute(select(_read)).one_or_none()
            if known is not None and known.log_id != log_id:
                for table in _metadata.tables.values():
                    connection.execute(table.delete())
            return known.position if known is not None and known[1:3] == (log_id, views) else 0

    def note(
        self, log_id: bytes, views: str, position: int, left_open: Sequence[Entry], settled: Sequence[tuple[str, str]]
    ) -> None:
        """Take in what views say up to a position."""
        with self._writing() as connection:
            for entry in left_open:
                _put(connection, entry, views)
            for source, subject in settled:
                connection.execute(_subjects.delete().where(_c.source == source, _c.subject == subject))
            connection.execute(_read.delete())
            connection.execute(_read.insert().values((1, log_id, views, position)))

    def drop_others(self, views: str) -> None:
        """Forget what only other views knew of, once all of these was read."""
        with self._writing() as connection:
            connection.execute(_subjects.delete().where(_c.views != views))

    def again(self, entries: Sequence[Entry]) -> None:
        """Ask for these, whoever answered before."""
        with self._writing() as connection:
            views = _views(connection)
            for entry in entries:
                _put(connection, entry, views)
                connection.execute(_subjects.update().where(_is(*entry[:2])).values(answered=0, next_at=entry.heard_at))

    def notice(self, source: str, subject: str, at: int) -> None:
        """Ask for it from then on: the provider says something else of it than we know. The rest of its row stays."""
        with self._writing() as connection:
            if connection.scalar(select(_c.subject).where(_is(source, subject))) is None:
                _put(connection, Entry(source, subject, 0, at, False, False), _views(connection))
            connection.execute(_subjects.update().where(_is(source, subject)).values(next_at=at))

    def due(self, source: str, at: int, began: int, at_once: bool, most: int) -> list[str]:
        """Subjects to ask for in a round that began then, the longest overdue first.

        With `at_once` also what is watched closely and not due yet. Nothing is asked for twice in a round.
        """
        now = _c.next_at <= at
        wanted = or_(now, _c.closely, _c.ended) if at_once else now
        query = select(_c.subject).where(_c.source == source, _c.next_at.is_not(None), _c.asked_at < began, wanted)
        with self._writing() as connection:
            return list(connection.scalars(query.order_by(_c.next_at).limit(most)))

    def asked(self, source: str, subject: str, at: int, answered: int | None = None) -> None:
        """It was asked for; if it was answered, with the log known so far."""
        with self._writing() as connection:
            row = connection.execute(_subjects.select().where(_is(source, subject))).one_or_none()
            if row is not None:
                known = row.answered if answered is None else answered
                values = {"asked_at": at, "answered": known, "next_at": _entry(row).next_at(at, known)}
                connection.execute(_subjects.update().where(_is(source, subject)).values(values))

    def tried(self, source: str, subject: str, began: int) -> bool:
        """It was asked for in vain, in a round that began then: it stays due, behind all that were due before.

        Whether it was tried in vain before, too, and never with success since.
        """
        with self._writing() as connection:
            row = connection.execute(_subjects.select().where(_is(source, subject))).one_or_none()
            connection.execute(
                _subjects.update().where(_is(source, subject)).values(asked_at=began - 1, next_at=began - 1)
            )
            return row is not None and 0 < row.asked_at == row.next_at  # who has an answer is due later than that

    def forget(self, source: str, subject: str) -> None:
        """Nobody asks for it any more."""
        with self._writing() as connection:
            connection.execute(_subjects.delete().where(_is(source, subject)))

    def begin(self, source: str, who: str, at: int, first: int, since: int | None = None) -> Round:
        """The round that was broken off, or a new one: from where the last one ended, or `since` then.

        `first` is where the first of all rounds begins.
        """
        with self._writing() as connection:
            known = _round(connection, source, who)
            if known is not None and _goes_on(known, who, at, since):
                return Round(known.since, known.began, known.cursor)
            worker = _round(connection, source, WORKER)
            start = since if since is not None else worker.since if worker is not None else first
            _set(connection, source, who, since=start, began=at, cursor=None)
            return Round(start, at, None)

    def move(self, source: str, who: str, cursor: str) -> None:
        """It stands behind there now."""
        with self._writing() as connection:
            _set(connection, source, who, cursor=cursor)

    def finish(self, source: str, who: str, at: int) -> None:
        """It came to its end; the next one begins a little before this one did."""
        with self._writing() as connection:
            known = _round(connection, source, who)
            since = known.began - OVERLAP if known is not None and known.began else at - OVERLAP
            done = {"since": since, "began": None, "cursor": None, "finished_at": at}
            _set(connection, source, who, **done, trouble=None, troubled_at=None)

    def troubled(self, source: str, who: str, at: int, why: str) -> None:
        """It cannot go on, for now."""
        with self._writing() as connection:
            known = _round(connection, source, who)
            since = known.troubled_at if known is not None and known.troubled_at else at
            _set(connection, source, who, trouble=why, troubled_at=since)

    def state(self, source: str) -> State:
        """How the worker's rounds through a source go."""
        if not self.path.exists():
            return _NOTHING
        with self._engine.begin() as connection:
            there = connection.dialect.has_table(connection, _rounds.name)
            known = _round(connection, source, WORKER) if there else None
        return _NOTHING if known is None else State(known.finished_at, known.trouble, known.troubled_at)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._engine.execution_options(writing=True).begin() as connection:
            if not connection.dialect.has_table(connection, _rounds.name):
                _metadata.create_all(connection)
            yield connection

    def _tell_damage(self, context: ExceptionContext) -> None:
        error = context.original_exception
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in (_CORRUPT, _NOT_A_DATABASE):
            raise errors.AgendaDamaged(f"{self.path} is damaged ({error}); the worker makes it anew") from error


_NOTHING: Final = State(None, None, None)


def _is(source: str, subject: str) -> Any:
    return (_c.source == source) & (_c.subject == subject)


def _entry(row: Any) -> Entry:
    return Entry(*row[:6])


def _views(connection: Connection) -> str:
    """Which views were read last."""
    return connection.scalar(select(_read.c.views)) or ""


def _put(connection: Connection, entry: Entry, views: str) -> None:
    """Write what the views say; when it was asked for stays known."""
    row = connection.execute(_subjects.select().where(_is(entry.source, entry.subject))).one_or_none()
    asked_at, answered = (0, 0) if row is None else (row.asked_at, row.answered)
    values = (*entry, views, asked_at, answered, entry.next_at(asked_at, answered))
    connection.execute(_subjects.insert().prefix_with("OR REPLACE").values(values))


def _round(connection: Connection, source: str, who: str) -> Any:
    return connection.execute(_rounds.select().where(_rounds.c.source == source, _rounds.c.who == who)).one_or_none()


def _set(connection: Connection, source: str, who: str, **values: Any) -> None:
    its = (_rounds.c.source == source, _rounds.c.who == who)
    if connection.execute(_rounds.update().where(*its).values(values)).rowcount == 0:
        connection.execute(_rounds.insert().values({"source": source, "who": who, "since": 0, **values}))


def _goes_on(known: Any, who: str, at: int, since: int | None) -> bool:
    """Whether a round that was broken off is the one that is wanted now. A command asks for what is so today."""
    if known.began is None or (since is not None and since < known.since):
        return False
    return who == WORKER or known.began > at - STALE
