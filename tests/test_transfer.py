"""A log moves into PostgreSQL as it is, whoever appends and whenever it is stopped; then its file takes nothing."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from listener import errors
from listener.audit import verify
from listener.log import migrate, reader
from listener.log.database import Database
from listener.log.postgres import Postgres
from listener.only import OnlyOne
from listener.transfer import Transfer
from tests.logbook import ended, spawned
from tests.moving import arriving, decide_and_erase, equal, in_pages, move, opened, refuse, rows
from tests.rig import Log, add
from tests.sealed import Sealed, full

STEPS = 9  # transactions in the target, from its tables to the id that makes it a log


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short log has many pages."""
    in_pages(monkeypatch)


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
        assert (moved.events, len(log.events()), told) == (16, 16, [3, 3, 3, 3, 3, 1])
        with opened(empty_database) as database:
            assert verify.verify(database).root == moved.root
            assert rows(database)["erasures"] == [(3, 15), (14, 15)]
            assert add(database, full()) == [17]


# Stopped


def move_and_die(folder: Path, empty_database: str, step: int, committed: bool) -> None:
    """For another process: be killed before or behind the commit of the nth transaction in the target."""
    patch = pytest.MonkeyPatch()
    in_pages(patch)
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
    arriving(patch, 1)
    with Log(folder, checkpoint_copy=str(folder / "outside")) as log:
        move(log, empty_database)


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
