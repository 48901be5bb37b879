"""A log moves into PostgreSQL as it is, whoever appends and whenever it is stopped; then its file takes nothing."""

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from listener import acts, bootstrap, errors
from listener.acts import Act
from listener.audit import scan, verify
from listener.audit.verify import Told
from listener.log import erase, heads, migrate, reader
from listener.log.append import append
from listener.log.database import Database
from listener.log.postgres import Postgres
from listener.only import OnlyOne
from listener.transfer import Moved, Transfer
from projections import facts
from tests.logbook import aside, ended, spawned
from tests.rig import Log, add
from tests.sealed import Sealed, full

TABLES = ("events", "erasures", "heads", "live", "claims", "log")
STEPS = 8  # transactions in the target, from its tables to the id that makes it a log


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short log has many pages."""
    monkeypatch.setattr("listener.audit.scan.ROWS", 3)
    monkeypatch.setattr("listener.transfer._FEW", 4)


def quiet(_more: int, _whole: int) -> None:
    """Nobody looks on."""


def move(log: Log, url: str, told: Told = quiet) -> Moved:
    """As the command does it."""
    with bootstrap.transfer(log.settings, log.database, url) as transfer:
        return transfer.make("somebody", told)


@contextlib.contextmanager
def opened(url: str) -> Iterator[Database]:
    """The log that was moved, as a server opens it."""
    database = Postgres(url)
    try:
        migrate.migrate(database)
        yield database
    finally:
        database.close()


def rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that makes a log, as it lies in its database."""
    with database.reading() as connection:
        found = {table: connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1") for table in TABLES}
        return {table: [tuple(row) for row in result] for table, result in found.items()}


def decide_and_erase(database: Database, *positions: int) -> None:
    """Erase events, as the worker does."""
    with database.writing() as connection:
        act = Act(facts.ERASED, positions=positions)
        (decision,) = append(connection, [acts.decision(act, "somebody", acts.ERASED_PATH)])
        erase.erase(connection, positions, decision.position)


def equal(log: Log, url: str) -> bool:
    """Whether the target is the log, to the last byte, and whole."""
    with opened(url) as database:
        return rows(database) == rows(log.database) and verify.verify(database).ok


def test_a_log_moves_as_it_is(tmp_path: Path, empty_database: str) -> None:
    """Events of every kind, erased ones, odd letters, heads, claims, and what is shown; then it goes on there."""
    with Sealed(tmp_path) as log:
        add(log.database, full(b"\0\xff")._replace(headers='[["x","\\u0000"]]', path="/\0\U0001f600"), full(b""))
        decide_and_erase(log.database, 3, 14)
        with log.database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO claims VALUES ('onespan', 'p', 'z', 7, 'host:1', 1)")
            connection.exec_driver_sql("INSERT INTO live VALUES (1, 4)")
        told = list[int]()
        moved = move(log, empty_database, lambda more, _whole: told.append(more))
        assert equal(log, empty_database)
        assert (moved.events, len(log.events()), told) == (16, 16, [3, 3, 3, 3, 1])  # the rest under the lock
        with opened(empty_database) as database:
            assert verify.verify(database).root == moved.root
            assert rows(database)["erasures"] == [(3, 15), (14, 15)]
            assert add(database, full()) == [17]


def test_the_file_is_sealed(tmp_path: Path, empty_database: str) -> None:
    """Its last event says who ended it and where it goes on, a head is signed over that, and nothing comes behind."""
    with Sealed(tmp_path) as log:
        moved = move(log, empty_database)
        last = log.events()[-1]
        assert (last.position, last.path, last.credential) == (moved.events, acts.SEALED_PATH, "operator:somebody")
        assert acts.read(last).reason == f"it goes on in {Postgres(empty_database).name}"
        with log.database.reading() as connection:
            newest = heads.newest(connection)
        assert newest is not None
        assert newest.size == moved.events
        for _ in range(2):
            with pytest.raises(errors.Sealed, match=rf"^event {moved.events} sealed this log.*; set database_url"):
                add(log.database, full())
        with contextlib.closing(sqlite3.connect(log.settings.folder / "signlog.db")) as by_hand:
            copy = (
                "INSERT INTO events SELECT position + 1, v, recorded_at, spooled_at, kind, source, provider, method, "
            )
            copy += "path, peer, client, headers, credential, body, salt, content, leaf FROM events WHERE position = ?"
            for statement in (copy, "DELETE FROM sealed WHERE position = ?"):
                with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                    by_hand.execute(statement, (moved.events,))
        assert log.verify().problems == []
        with pytest.raises(errors.ConfigurationError, match=r"^database_url: event \d+ sealed the log in .*name that"):
            bootstrap.prepare(log.settings)


def test_what_comes_meanwhile_moves_too(tmp_path: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody appends until he is told that the log is sealed; every position that he was given is there."""
    monkeypatch.setattr("listener.audit.scan.ROWS", 50)
    with Sealed(tmp_path) as log:
        add(log.database, *[full()] * 300)
        given = list[int]()

        def appending() -> None:
            with contextlib.suppress(errors.Sealed):
                while True:
                    given.extend(add(log.database, full()))
                    time.sleep(0.02)

        with aside(appending):
            moved = move(log, empty_database)
        assert len(given) > 0
        assert moved.events == given[-1] + 1
        assert equal(log, empty_database)


# Stopped


def move_and_die(folder: Path, url: str, step: int, committed: bool) -> None:
    """For another process: be killed before or behind the commit of the nth transaction in the target."""
    patch = pytest.MonkeyPatch()
    patch.setattr("listener.audit.scan.ROWS", 3)
    patch.setattr("listener.transfer._FEW", 4)
    real, done = Postgres.writing, list[int]()

    @contextlib.contextmanager
    def writing(self: Postgres) -> Iterator[Connection]:
        done.append(1)
        with real(self) as connection:
            yield connection
            if len(done) == step and not committed:
                os.kill(os.getpid(), signal.SIGKILL)
        if len(done) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    patch.setattr(Postgres, "writing", writing)
    with Log(folder, checkpoint_copy=str(folder / "outside")) as log:
        move(log, url)


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_killed_it_goes_on_where_it_was(tmp_path: Path, empty_database: str, step: int, committed: bool) -> None:
    """Wherever it was; in between nobody takes the half for a log, and what was copied may be erased."""
    with Sealed(tmp_path) as log:
        assert ended(spawned(move_and_die, tmp_path, empty_database, step, committed)) == -signal.SIGKILL
        with log.database.reading() as connection:
            sealed = reader.sealed(connection)
        if step < STEPS and (step > 2 or (step > 1 and committed)):
            with (
                pytest.raises(errors.UnsuitableDatabase, match="a part of a log that is being copied there"),
                opened(empty_database),
            ):
                pass
        if sealed is None:
            decide_and_erase(log.database, 3, 4)
            add(log.database, full())
        moved = move(log, empty_database)
        assert equal(log, empty_database)
        assert move(log, empty_database) == moved


def test_there_are_no_more_steps(tmp_path: Path, empty_database: str) -> None:
    """The last one that somebody is killed at above is the last one that there is."""
    with Sealed(tmp_path):
        assert ended(spawned(move_and_die, tmp_path, empty_database, STEPS + 1, True)) == 0


def test_where_the_target_is_away_nothing_is_sealed(
    tmp_path: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if it goes while the last events are copied, and everybody waits."""
    with Sealed(tmp_path) as log:
        real = Transfer._put

        def put(self: Transfer, page: scan.Page) -> None:
            if page.rows[-1][0] > 9:
                raise ConnectionError("gone")
            real(self, page)

        monkeypatch.setattr(Transfer, "_put", put)
        with pytest.raises(ConnectionError):
            move(log, empty_database)
        monkeypatch.undo()
        assert add(log.database, full()) == [13]
        move(log, empty_database)
        assert equal(log, empty_database)


# Refused


def test_a_target_that_became_a_log_meanwhile_seals_nothing(tmp_path: Path, empty_database: str) -> None:
    """Somebody opened it before the first page was there: both go on, and neither is the other."""
    with Sealed(tmp_path) as log:
        real = migrate.make_tables

        def opened_then(database: Database) -> None:
            real(database)
            migrate.migrate(database)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(migrate, "make_tables", opened_then)
            refuse(log, empty_database, "there is another log")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Transfer, "_copy", lambda self, told: migrate.migrate(self._target))
            refuse(log, empty_database, "there is another log")


def refuse(log: Log, url: str, told: str) -> None:
    """It says why, and the file goes on."""
    with pytest.raises(errors.CopyRefused, match=told):
        move(log, url)
    add(log.database, full())


def test_another_log_is_not_written_to(tmp_path: Path, empty_database: str) -> None:
    """Neither one with events, nor an empty one that somebody has begun, nor a half of another one."""
    with Sealed(tmp_path) as log:
        with opened(empty_database) as database:
            refuse(log, empty_database, r"^there is another log in .*; name an empty database$")
            add(database, full())
            refuse(log, empty_database, "there is another log")
            with database.writing() as connection:
                connection.exec_driver_sql("ALTER TABLE log DISABLE TRIGGER ALL")
                connection.exec_driver_sql("DELETE FROM log")
                connection.exec_driver_sql("ALTER TABLE log ENABLE TRIGGER ALL")
        refuse(log, empty_database, "holds other events than this log, or has gone on")


def test_a_log_that_went_on_is_not_written_to(tmp_path: Path, empty_database: str) -> None:
    """Typed once more after the move, it changes nothing."""
    with Sealed(tmp_path) as log:
        move(log, empty_database)
        with opened(empty_database) as database:
            add(database, full())
            before = rows(database)
            with pytest.raises(errors.CopyRefused, match="has gone on"):
                move(log, empty_database)
            assert rows(database) == before


def test_a_log_that_was_changed_does_not_move(tmp_path: Path, empty_database: str) -> None:
    """The first event that is not what was written is named; nothing is sealed."""
    with Sealed(tmp_path) as log:
        log.change("body", "x'00'", position=6)
        refuse(log, empty_database, "^event 6 is not what was written: .*; see 'signlog verify'$")


def test_a_log_that_nobody_may_sign_does_not_move(tmp_path: Path, empty_database: str) -> None:
    """It is shorter than what was signed: a person must decide first."""
    with Sealed(tmp_path) as log:
        with log.unguarded() as connection:
            connection.exec_driver_sql("DELETE FROM events WHERE position > 10")
        with pytest.raises(errors.SigningStopped):
            move(log, empty_database)
        add(log.database, full())


def test_not_beside_an_erasure(tmp_path: Path, empty_database: str) -> None:
    """What it blanks behind our back would stay there."""
    with Sealed(tmp_path) as log:
        with OnlyOne(log.settings.folder, "replay"), pytest.raises(errors.ConfigurationError, match="already runs"):
            move(log, empty_database)
        move(log, empty_database)


def test_a_log_in_a_server_does_not_move(tmp_path: Path, on_postgres: Path) -> None:
    """There are better tools."""
    with Log(on_postgres) as log:
        refuse(log, "postgresql+psycopg://x@y/z", "^the log is in .* already; to move that, use pg_dump")
