"""The log in PostgreSQL: who else opens it cannot change it, and what would lose a callback is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from listener import errors
from listener.log import catalog, migrate, schema
from listener.log.append import append
from listener.log.postgres import LOCK_MS, WRITE, Postgres
from tests import logbook, postgres
from tests.logbook import add, bodies, callback, either

TIMEOUTS = ("idle_in_transaction_session_timeout", "lock_timeout")
COLUMNS = schema.events.c.keys()
ERASED = ("body", "headers", "salt")
ALL_ERASED = "body = NULL, headers = NULL, salt = NULL"
OTHER = {
    name: "'other'" if str(column.type) == "TEXT" else "9" for name, column in schema.events.c.items()
} | dict.fromkeys(("body", "salt", "content", "leaf"), r"'\x00'::bytea")
KEPT = [name for name in COLUMNS if name not in ERASED]


@contextmanager
def plain(folder: Path) -> Iterator["psycopg.Connection[Any]"]:
    """A log of three events, opened by somebody who knows nothing of us."""
    with either(folder) as database:
        add(database, b"one", b"two", b"three")
        with psycopg.connect(postgres.plain(database.address), autocommit=True) as connection:
            yield connection


def rows(connection: "psycopg.Connection[Any]", table: str = "events") -> list[tuple[Any, ...]]:
    """A table as it is, in the order of its key."""
    return connection.execute(f"SELECT * FROM {table} ORDER BY 1".encode()).fetchall()


def refuse(connection: "psycopg.Connection[Any]", statement: str, table: str = "events") -> None:
    """It must fail because of a guard, and change nothing."""
    before = rows(connection, table)
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="append-only"):
        connection.execute(statement.encode())
    assert rows(connection, table) == before


def row(position: str) -> str:
    """The second event's values at another position."""
    return "SELECT {} FROM events WHERE position = 2".format(", ".join([position, *COLUMNS[1:]]))


REFUSED = [
    *(f"UPDATE events SET {name} = {OTHER[name]} WHERE position = 2" for name in COLUMNS),
    "UPDATE events SET v = v",
    f"UPDATE events SET {ALL_ERASED}",
    "WITH two AS (SELECT 2 AS n) UPDATE events SET source = 'other' WHERE position IN (SELECT n FROM two)",
    "DELETE FROM events",
    "DELETE FROM events WHERE position = 1 RETURNING body",
    "TRUNCATE events",
    "TRUNCATE events, erasures CASCADE",
    *(f"INSERT INTO events {row(position)}" for position in ("1", "3", "5", "0", "-1", "NULL", "9223372036854775807")),
    f"INSERT INTO events {row('2')} ON CONFLICT DO NOTHING",
    f"INSERT INTO events {row('2')} ON CONFLICT (position) DO UPDATE SET source = excluded.source",
    f"INSERT INTO events {row('4')} UNION ALL {row('4')}",
    "INSERT INTO events SELECT * FROM events",
    "MERGE INTO events USING (SELECT 2 AS n) AS two ON position = n WHEN MATCHED THEN DELETE",
    "MERGE INTO events USING (SELECT 2 AS n) AS two ON position = n WHEN MATCHED THEN UPDATE SET v = 2",
]


def test_no_event_is_changed_removed_or_put_elsewhere(on_postgres: Path) -> None:
    """Every column, every way to empty a table, every place but the end; the end is open."""
    with plain(on_postgres) as connection:
        for statement in REFUSED:
            refuse(connection, statement)
        connection.execute(f"INSERT INTO events {row('4')} UNION ALL {row('5')}".encode())
        assert [found[0] for found in rows(connection)] == [1, 2, 3, 4, 5]


def test_nobody_puts_another_table_before_ours(on_postgres: Path) -> None:
    """A temporary table or a schema of somebody's own does not tell the guards where the log ends."""
    with plain(on_postgres) as connection:
        connection.execute("CREATE TEMP TABLE events AS SELECT 7::bigint AS position")
        connection.execute("CREATE TEMP TABLE erasures AS SELECT 2::bigint AS position")
        for statement in (f"INSERT INTO public.events {row('8').replace('events', 'public.events')}",):
            with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="append-only"):
                connection.execute(statement.encode())
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="append-only"):
            connection.execute(f"UPDATE public.events SET {ALL_ERASED} WHERE position = 2".encode())


def test_without_the_guards_all_of_it_would_pass(on_postgres: Path) -> None:
    """The counter-example: it is the triggers that refuse."""
    with plain(on_postgres) as connection:
        for act in ("update", "delete", "truncate"):
            connection.execute(f"ALTER TABLE events DISABLE TRIGGER events_refuse_{act}".encode())
        connection.execute("UPDATE events SET v = 2")
        connection.execute("DELETE FROM events WHERE position = 3")
        connection.execute("TRUNCATE events")
        assert rows(connection) == []


def test_an_event_is_erased_as_decided(on_postgres: Path) -> None:
    """Body, headers and salt of a named position become NULL together; less, more or another one is refused."""
    with plain(on_postgres) as connection:
        connection.execute("INSERT INTO erasures VALUES (2, 3)")
        for statement in (
            *(f"UPDATE events SET {name} = NULL WHERE position = 2" for name in ERASED),
            *(f"UPDATE events SET {ALL_ERASED}, {name} = {OTHER[name]} WHERE position = 2" for name in KEPT),
            f"UPDATE events SET {ALL_ERASED} WHERE position = 1",
            f"UPDATE events SET {ALL_ERASED} WHERE position >= 2",
        ):
            refuse(connection, statement)
        before = rows(connection)
        connection.execute(f"UPDATE events SET {ALL_ERASED} WHERE position = 2".encode())
        blank = tuple(None if name in ERASED else value for name, value in zip(COLUMNS, before[1], strict=True))
        assert rows(connection) == [before[0], blank, before[2]]
        for name in ERASED:
            refuse(connection, f"UPDATE events SET {name} = {OTHER[name]} WHERE position = 2")


def test_what_stands_beside_the_events_only_grows_too(on_postgres: Path) -> None:
    """A decision to erase cannot be taken back, no log can be given another id, no head another note."""
    with plain(on_postgres) as connection:
        connection.execute("INSERT INTO erasures VALUES (2, 3)")
        connection.execute("INSERT INTO heads VALUES (1, 3, 0, 'note')")
        for table, key, other in (
            ("erasures", "position", "decided"),
            ("log", "first_position", "created_at"),
            ("heads", "number", "size"),
        ):
            for statement in (
                f"UPDATE {table} SET {key} = 9",
                f"UPDATE {table} SET {other} = 9",
                f"INSERT INTO {table} SELECT * FROM {table} ON CONFLICT ({key}) DO UPDATE SET {other} = 9",
                f"DELETE FROM {table}",
                f"TRUNCATE {table}",
            ):
                refuse(connection, statement, table)
        connection.execute("INSERT INTO erasures VALUES (1, 3)")
        connection.execute(r"INSERT INTO log VALUES (4, '\x00', 0)")
        connection.execute("INSERT INTO heads VALUES (2, 3, 0, 'note')")


SPOILED = [
    "ALTER TABLE events DISABLE TRIGGER events_refuse_update",
    "ALTER TABLE events SET UNLOGGED",
    "ALTER TABLE events ENABLE ROW LEVEL SECURITY",
    'ALTER TABLE events ALTER COLUMN path TYPE text COLLATE "default"',
    "ALTER TABLE events DROP CONSTRAINT events_pkey",
    "DROP INDEX events_acts",
    "DROP TRIGGER heads_refuse_truncate ON heads",
    "CREATE RULE lose AS ON INSERT TO events DO INSTEAD NOTHING",
    "CREATE OR REPLACE FUNCTION events_refuse_delete() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
]


def test_guards_are_as_they_were_made(on_postgres: Path) -> None:
    """What is there is what the migrations make on this very server, and the making leaves nothing behind."""
    with either(on_postgres) as database:
        for _ in range(2):
            with database.reading() as connection:
                assert catalog.made(connection) == migrate.fresh(database)


@pytest.mark.parametrize("statement", SPOILED)
def test_whatever_is_done_to_the_guards_shows(on_postgres: Path, statement: str) -> None:
    """Somebody who may do anything switched one off, or made rows vanish in another way."""
    with either(on_postgres) as database:
        postgres.tell(database.address, statement)
        with database.reading() as connection:
            assert catalog.made(connection) != migrate.fresh(database)


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
