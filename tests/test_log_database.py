"""What the log asks of its database: one writer at a time, all or nothing, and one moment for who reads."""

import contextlib
from pathlib import Path

import pytest

from listener.log import erase, reader
from listener.log.append import append
from listener.log.database import Database
from tests import logbook
from tests.logbook import add, aside, bodies, either, held_by_another, is_waited_for, locked, until


def test_an_append_waits_for_the_lock(each_engine: Path) -> None:
    """Whoever holds it, in whatever process, comes first; reading needs no lock; then the append goes through."""
    with either(each_engine) as database, contextlib.ExitStack() as stack:
        with locked(each_engine):
            stack.enter_context(aside(lambda: add(database, b"late")))
            until(lambda: is_waited_for(each_engine))
            assert bodies(database) == []
        until(lambda: bodies(database) == [b"late"])


def test_a_killed_process_leaves_no_lock_behind(each_engine: Path) -> None:
    """The kernel lets go for it, whatever it was doing."""
    with (
        either(each_engine) as database,
        held_by_another(each_engine) as process,
        aside(lambda: add(database, b"late")),
    ):
        until(lambda: is_waited_for(each_engine))
        process.kill()
        until(lambda: bodies(database) == [b"late"])


def fail(database: Database) -> None:
    """A transaction that does not come to its end."""
    with database.writing() as connection:
        append(connection, [logbook.callback(b"lost")])
        raise ZeroDivisionError


def test_a_failed_transaction_leaves_nothing_behind(each_engine: Path) -> None:
    """Neither rows nor a lock."""
    with either(each_engine) as database:
        with pytest.raises(ZeroDivisionError):
            fail(database)
        add(database, b"next")
        assert bodies(database) == [b"next"]


def test_a_reader_sees_one_moment(each_engine: Path) -> None:
    """What is appended while a read transaction goes on is seen by the next one."""
    with either(each_engine) as database:
        add(database, b"before")
        with database.reading() as connection:
            assert reader.head(connection) == 1
            add(database, b"meanwhile")
            assert reader.head(connection) == 1
        with database.reading() as connection:
            assert reader.head(connection) == 2


def test_a_probe_changes_nothing(each_engine: Path) -> None:
    """It waits for the lock as an append does, and leaves the log as it was."""
    with either(each_engine) as database, contextlib.ExitStack() as stack:
        add(database, b"one")
        with locked(each_engine):
            stack.enter_context(aside(database.probe))
            until(lambda: is_waited_for(each_engine))
        assert bodies(database) == [b"one"]


def test_a_suitable_log_has_nothing_to_mend(each_engine: Path) -> None:
    """As it is opened, it passes; its name tells where it lies."""
    with either(each_engine) as database:
        database.assert_suitable()
        assert database.alarms() == []
        assert database.name.partition("?")[0] in database.address


def test_nothing_is_left_of_a_scratch(each_engine: Path) -> None:
    """What is made there is nowhere, whoever looks, and is made again without a trace of the first time."""
    with either(each_engine) as database:
        for _ in range(2):
            with database.scratch() as connection:
                connection.exec_driver_sql("CREATE TABLE events (position INTEGER)")
                assert reader.head(connection) == 0
        add(database, b"one")
        with database.reading() as connection:
            assert reader.head(connection) == 1


def test_what_was_overwritten_goes_when_nobody_reads_it(each_engine: Path) -> None:
    """Who reads sees the log as it was; so it is there, and goes when they are done, whatever is appended meanwhile."""
    with either(each_engine) as database:
        add(database, b"secret" * 1000, b"two")
        with database.reading() as connection:
            assert reader.head(connection) == 2
            with database.writing() as other:
                erase.erase(other, [1], 2)
            assert not database.leave_no_trace()
            assert reader.one(connection, 1) is not None
            add(database, b"three")
            assert not database.leave_no_trace()
        assert database.leave_no_trace()
        assert bodies(database) == [None, b"two", b"three"]
        assert database.leave_no_trace()
