"""The guards of the log in PostgreSQL: who else opens it cannot change it, and what is done to them shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from listener.log import catalog, migrate, schema
from tests import postgres
from tests.logbook import add, either

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
