"""The log in PostgreSQL: what would lose a callback is refused, and who is frozen stops nobody."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from listener import errors
from listener.log import catalog, migrate
from listener.log.append import append
from listener.log.postgres import LOCK_MS, WRITE, Postgres
from tests import logbook, postgres
from tests.logbook import add, bodies, callback, either

TIMEOUTS = ("idle_in_transaction_session_timeout", "lock_timeout")

# What durability needs


@contextmanager
def told(database: Postgres, **settings: str) -> Iterator[None]:
    """The database with other settings, for every connection from now on."""
    name = database.engine.url.database
    for key, value in settings.items():
        postgres.tell(database.address, f"ALTER DATABASE {name} SET {key} = {value}")
    database.engine.dispose()
    yield
    for key in settings:
        postgres.tell(database.address, f"ALTER DATABASE {name} RESET {key}")
    database.engine.dispose()


@contextmanager
def there(folder: Path) -> Iterator[Postgres]:
    """The log of a folder, as what it is."""
    with either(folder) as database:
        assert isinstance(database, Postgres)
        yield database


def test_commits_that_do_not_wait_for_the_disk_are_refused(on_postgres: Path) -> None:
    """synchronous_commit = off; anything else waits for a disk at least."""
    with there(on_postgres) as database:
        with (
            told(database, synchronous_commit="off"),
            pytest.raises(
                errors.UnsuitableDatabase,
                match="synchronous_commit is off, so that acknowledged callbacks could be lost",
            ),
        ):
            database.assert_suitable()
        for value in ("local", "remote_write", "on", "remote_apply"):
            with told(database, synchronous_commit=value):
                database.assert_suitable()


def test_a_password_is_in_no_message(on_postgres: Path) -> None:
    """Neither in the name nor in what is said of a server that cannot be reached."""
    with there(on_postgres) as database:
        url = database.address.replace("signlog@", "signlog:opensesame@")
    secret = Postgres(url + "&password=opensesame")
    assert "opensesame" not in secret.name
    secret.close()
    away = Postgres("postgresql+psycopg://u:opensesame@127.0.0.1:1/log")
    with pytest.raises(OperationalError) as caught, away.reading():
        pytest.fail("it was reached")
    assert "opensesame" not in str(caught.value)
    away.close()


def test_an_error_does_not_tell_what_was_to_be_stored(on_postgres: Path) -> None:
    """The server would show the row that it refused, and what it says ends up in our logs."""
    secret = b"opensesame"
    with there(on_postgres) as database:
        nameless = callback(secret)._replace(source=cast(str, None))
        with pytest.raises(IntegrityError, match="not-null") as caught, database.writing() as connection:
            append(connection, [nameless])
        for said in (str(caught.value), repr(caught.value), str(caught.value.orig), repr(caught.value.orig)):
            assert secret.decode() not in said
            assert secret.hex() not in said


@pytest.mark.parametrize("begin", ["writing", "reading"])
def test_who_is_frozen_is_cut_off(on_postgres: Path, begin: str) -> None:
    """The server ends a transaction of which nothing is heard; who waits for the lock does not wait for ever."""
    with there(on_postgres) as database, getattr(database, begin)() as connection:
        shown = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in TIMEOUTS]
        assert shown == [{"writing": "10s", "reading": "10min"}[begin], {"writing": "10s", "reading": "0"}[begin]]


def test_who_waits_too_long_for_the_lock_gives_up(on_postgres: Path) -> None:
    """And has appended nothing; the next one does, when the lock is free."""
    with there(on_postgres) as database:
        impatient = database.engine.execution_options(begin=WRITE.replace(str(LOCK_MS), "50"))
        with logbook.locked(on_postgres), pytest.raises(OperationalError, match="lock timeout"), impatient.begin():
            pytest.fail("it got the lock")
        assert add(database, b"next")[0].position == 1


def freeze(database: Postgres, idle: Engine) -> None:
    """Begin to append, do nothing until others have appended, and go on."""
    with idle.begin() as connection:
        append(connection, [callback(b"frozen")])
        add(database, b"others")  # waits until the server has ended ours
        append(connection, [callback(b"thawed")])


def test_a_frozen_writer_is_cut_off(on_postgres: Path) -> None:
    """Its lock is free then, and nothing of what it was about to append is there."""
    with there(on_postgres) as database:
        idle = database.engine.execution_options(begin=WRITE.replace(str(LOCK_MS), "50"))
        with pytest.raises(DBAPIError, match="idle-in-transaction timeout"):
            freeze(database, idle)
        assert bodies(database) == [b"others"]


# Who we are there


def test_the_owner_of_the_database_needs_no_other_right(on_postgres: Path) -> None:
    """An ordinary role makes the log, appends, probes, looks at the guards and removes what was overwritten."""
    url = postgres.url(on_postgres)
    assert url is not None
    name = make_url(url).database
    postgres.tell(url, f"CREATE ROLE {name} LOGIN", f"ALTER DATABASE {name} OWNER TO {name}")
    database = Postgres(url.replace("signlog@", f"{name}@"))
    try:
        migrate.migrate(database)
        database.assert_suitable()
        add(database, b"one")
        database.probe()
        with database.reading() as connection:
            assert catalog.made(connection) == migrate.fresh(database)
        assert database.leave_no_trace()
        assert len(database.notes()) == 1
    finally:
        database.close()
        postgres.tell(url, f"REASSIGN OWNED BY {name} TO signlog", f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_without_the_driver_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is not installed with signlog itself."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(errors.ConfigurationError, match=r"database_url: .* install signlog\[postgres\]"):
        Postgres("postgresql+psycopg://u@h/d")


@pytest.mark.parametrize("url", ["postgresql+psycopg://u:p@h:port/d", "postgresql+psycopg://h", "signlog.db", ""])
def test_what_is_no_address_is_refused(url: str) -> None:
    """It says what one looks like, and shows nothing of what was written."""
    with pytest.raises(errors.ConfigurationError, match="database_url: this is no address") as caught:
        Postgres(url)
    assert "u:p" not in str(caught.value)


def test_another_encoding_is_refused(on_postgres: Path) -> None:
    """Some letters could not be kept; the name of the database stands in the sentence."""
    url = postgres.url(on_postgres)
    assert url is not None
    name = f"{make_url(url).database}_latin"
    postgres.tell(url, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    database = Postgres(url.replace(str(make_url(url).database), name))
    try:
        with pytest.raises(errors.UnsuitableDatabase, match=f"{name}: its encoding is LATIN1, and must be UTF8"):
            database.assert_suitable()
    finally:
        database.close()
        postgres.tell(url, f"DROP DATABASE {name}")
