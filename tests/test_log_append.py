"""The log only grows: whoever opens the file, and however many append at once."""

import functools
import itertools
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DatabaseError

from listener.log import event, reader, schema
from listener.log.append import append
from listener.log.database import Database
from listener.log.event import CALLBACK, KINDS, Draft, Event
from tests import logbook
from tests.logbook import add, bodies, either, opened

Rows = list[tuple[Any, ...]]

COLUMNS = schema.events.c.keys()
ERASED = ("body", "headers", "salt")
KEPT = [name for name in COLUMNS if name not in ERASED]
ALL_ERASED = "body = NULL, headers = NULL, salt = NULL"
# Another value of the right type for each column, so that it is the guard that refuses and not the type.
OTHER = {
    name: "'other'" if str(column.type) == "TEXT" else "9" for name, column in schema.events.c.items()
} | dict.fromkeys(("body", "salt", "content", "leaf"), "x'00'")
CONFLICT = ("", "OR ABORT", "OR FAIL", "OR IGNORE", "OR REPLACE", "OR ROLLBACK")

recursive_or_not = pytest.mark.parametrize("recursive", ["OFF", "ON"])


@functools.cache
def three_events() -> bytes:
    """The file of a log of three events: the tests that only look at it need not each make one."""
    with tempfile.TemporaryDirectory() as folder:
        with opened(Path(folder)) as database:
            add(database, b"one", b"two", b"three")
        return (Path(folder) / "signlog.db").read_bytes()


@contextmanager
def plain(folder: Path, recursive: str = "OFF") -> Iterator[sqlite3.Connection]:
    """A log of three events, opened by somebody who knows nothing of us: the standard library as it comes.

    Ours is closed by then: two SQLite libraries in one process lose each other's locks on a file.
    """
    (folder / "signlog.db").write_bytes(three_events())
    with closing(sqlite3.connect(folder / "signlog.db", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA recursive_triggers = {recursive}")
        yield connection


def rows(connection: sqlite3.Connection, table: str = "events") -> Rows:
    """A table as it is, in the order of its key."""
    return connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()


def row(position: str) -> str:
    """The second event's values at another position."""
    return "SELECT {} FROM events WHERE position = 2".format(", ".join([position, *COLUMNS[1:]]))


def refuse(connection: sqlite3.Connection, statement: str, table: str = "events", why: str = "append-only") -> None:
    """It must fail, and change nothing."""
    before = rows(connection, table)
    with pytest.raises(sqlite3.IntegrityError, match=why):
        connection.execute(statement).fetchall()
    assert rows(connection, table) == before


CHANGES = [
    *(f"UPDATE events SET {name} = {OTHER[name]} WHERE position = 2" for name in COLUMNS),
    *(f"UPDATE {how} events SET source = 'other'" for how in CONFLICT),
    *(f"UPDATE {how} events SET position = 3 WHERE position = 2" for how in CONFLICT),
    *(f"UPDATE events SET {name} = 4 WHERE {name} = 3" for name in ("rowid", "oid", "_rowid_")),
    "UPDATE events SET position = -position",
    "UPDATE events SET v = v",
    f"UPDATE events SET {ALL_ERASED}",
    "UPDATE events SET source = 'other' FROM log",
    "WITH two AS (SELECT 2 AS n) UPDATE events SET source = 'other' WHERE position IN (SELECT n FROM two) RETURNING v",
    "DELETE FROM events",
    "DELETE FROM events WHERE position = 3",
    "DELETE FROM events WHERE position = 1 RETURNING body",
]
POSITIONS = ["1", "3", "5", "0", "-1", "NULL", "9223372036854775807", "'3'", "3.0"]
INSERTS = [
    *(f"INSERT {how} INTO events {row(position)}" for how, position in itertools.product(CONFLICT, POSITIONS)),
    f"REPLACE INTO events {row('2')}",
    f"INSERT INTO events {row('2')} ON CONFLICT DO NOTHING",
    f"INSERT INTO events {row('2')} ON CONFLICT (position) DO UPDATE SET source = excluded.source",
    f"INSERT INTO events {row('2')} ON CONFLICT (position) DO UPDATE SET {ALL_ERASED}",
    "INSERT INTO events ({0}) SELECT {0} FROM events WHERE position = 2".format(", ".join(COLUMNS[1:])),
    f"INSERT OR REPLACE INTO events {row('4')} UNION ALL {row('4')}",
    "INSERT OR REPLACE INTO events SELECT * FROM events",
]


@recursive_or_not
@pytest.mark.parametrize("statement", CHANGES)
def test_no_event_is_changed_or_deleted(tmp_path: Path, statement: str, recursive: str) -> None:
    """Every column, every spelling of the key, every conflict clause, whatever the connection has set."""
    with plain(tmp_path, recursive) as connection:
        refuse(connection, statement)


@recursive_or_not
@pytest.mark.parametrize("statement", INSERTS)
def test_no_event_is_put_anywhere_but_at_the_end(tmp_path: Path, statement: str, recursive: str) -> None:
    """Taken, a gap, zero, negative, null, left out: refused before REPLACE or UPSERT could touch a row."""
    with plain(tmp_path, recursive) as connection:
        refuse(connection, statement)


@pytest.mark.parametrize("how", [*CONFLICT, "upsert"])
def test_the_end_is_open(tmp_path: Path, how: str) -> None:
    """The last position plus one is taken, whatever the conflict clause: it is the position that is refused."""
    statement = f"INSERT {how} INTO events {row('4')}"
    if how == "upsert":
        statement = f"INSERT INTO events {row('4')} ON CONFLICT (position) DO UPDATE SET v = 2"
    with plain(tmp_path) as connection:
        connection.execute(statement)
        assert [found[0] for found in rows(connection)] == [1, 2, 3, 4]


def test_an_empty_log_begins_at_one(tmp_path: Path) -> None:
    """The first position is 1, and nothing else is."""
    with opened(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / "signlog.db", isolation_level=None)) as connection:
        values = "1, 1, NULL, 'k', 's', 'p', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, x'', x''"
        refuse(connection, f"INSERT INTO events VALUES (0, {values})")
        refuse(connection, f"INSERT INTO events VALUES (2, {values})")
        connection.execute(f"INSERT INTO events VALUES (1, {values})")


def test_a_delete_trigger_alone_would_not_do(tmp_path: Path) -> None:
    """The counter-example: without the guard on inserts, REPLACE deletes an event, and no DELETE trigger fires."""
    with plain(tmp_path) as connection:
        connection.execute("DROP TRIGGER events_refuse_insert")
        before = rows(connection)
        connection.execute(f"INSERT OR REPLACE INTO events {row('3')}")
        assert rows(connection) != before


@pytest.mark.parametrize("table", ["events", "erasures", "log"])
def test_there_is_no_unique_index_to_replace_through(tmp_path: Path, table: str) -> None:
    """REPLACE deletes the rows that any unique index finds, not only those with the same key."""
    with plain(tmp_path) as connection:
        indexes = connection.execute(f"PRAGMA index_list({table})").fetchall()
        assert not [index for index in indexes if index[2]]


def erasable(connection: sqlite3.Connection) -> None:
    """Name the second event in the erasures."""
    connection.execute("INSERT INTO erasures VALUES (2, 3)")


@recursive_or_not
def test_an_event_is_erased_as_decided(tmp_path: Path, recursive: str) -> None:
    """Body, headers and salt of the named position become NULL together; everything else stays."""
    with plain(tmp_path, recursive) as connection:
        erasable(connection)
        before = rows(connection)
        connection.execute(f"UPDATE events SET {ALL_ERASED} WHERE position = 2")
        blank = tuple(None if name in ERASED else value for name, value in zip(COLUMNS, before[1], strict=True))
        assert rows(connection) == [before[0], blank, before[2]]


PARTS = [parts for count in (1, 2) for parts in itertools.combinations(ERASED, count)]


@recursive_or_not
@pytest.mark.parametrize(
    "statement",
    [
        *(f"UPDATE events SET {', '.join(f'{name} = NULL' for name in parts)} WHERE position = 2" for parts in PARTS),
        *(f"UPDATE events SET {ALL_ERASED}, {name} = {OTHER[name]} WHERE position = 2" for name in KEPT),
        *(
            f"UPDATE events SET {ALL_ERASED.replace(f'{name} = NULL', f'{name} = {OTHER[name]}')} WHERE position = 2"
            for name in ERASED
        ),
        f"UPDATE OR REPLACE events SET {ALL_ERASED}, position = 3 WHERE position = 2",
        f"UPDATE events SET {ALL_ERASED} WHERE position = 1",
        f"UPDATE events SET {ALL_ERASED} WHERE position >= 2",
        "DELETE FROM events WHERE position = 2",
    ],
)
def test_nothing_but_an_erasure_passes_as_one(tmp_path: Path, statement: str, recursive: str) -> None:
    """Less than the three, more than the three, another value than NULL, or another event: refused."""
    with plain(tmp_path, recursive) as connection:
        erasable(connection)
        refuse(connection, statement)


@pytest.mark.parametrize("name", ERASED)
def test_what_is_erased_stays_erased(tmp_path: Path, name: str) -> None:
    """Nothing can be written where something was."""
    with plain(tmp_path) as connection:
        erasable(connection)
        connection.execute(f"UPDATE events SET {ALL_ERASED} WHERE position = 2")
        refuse(connection, f"UPDATE events SET {name} = {OTHER[name]} WHERE position = 2")


@recursive_or_not
@pytest.mark.parametrize(
    ("table", "key", "other"), [("erasures", "position", "decided"), ("log", "first_position", "created_at")]
)
def test_what_stands_beside_the_events_only_grows_too(
    tmp_path: Path, table: str, key: str, other: str, recursive: str
) -> None:
    """A decision to erase cannot be taken back, and no log can be given another id."""
    with plain(tmp_path, recursive) as connection:
        erasable(connection)
        taken = f"SELECT * FROM {table}"
        for statement in (
            *(f"UPDATE {table} SET {name} = 9" for name in (key, other, "rowid")),
            *(f"INSERT {how} INTO {table} {taken}" for how in CONFLICT),
            f"INSERT INTO {table} {taken} WHERE true ON CONFLICT ({key}) DO UPDATE SET {other} = 9",
            f"DELETE FROM {table}",
            f"DELETE FROM {table} RETURNING {key}",
        ):
            refuse(connection, statement, table)


def test_what_stands_beside_the_events_does_grow(tmp_path: Path) -> None:
    """Another erasure, and another epoch after a restored backup."""
    with plain(tmp_path) as connection:
        erasable(connection)
        connection.execute("INSERT INTO erasures VALUES (1, 3)")
        connection.execute("INSERT INTO log VALUES (4, x'00', 0)")
        assert [found[0] for found in rows(connection, "erasures")] == [1, 2]
        assert [found[0] for found in rows(connection, "log")] == [1, 4]


WRONG = {name: "x'00'" if str(column.type) == "TEXT" else "'text'" for name, column in schema.events.c.items()}
REQUIRED = [name for name, column in schema.events.c.items() if not column.nullable and name != "position"]


@pytest.mark.parametrize(
    ("name", "value"), [*WRONG.items(), *((name, "NULL") for name in REQUIRED), ("v", "1.5"), ("recorded_at", "x'01'")]
)
def test_a_column_holds_what_it_says(tmp_path: Path, name: str, value: str) -> None:
    """STRICT: no text in a number, no bytes in a text, whoever writes."""
    values = {**dict(zip(COLUMNS, COLUMNS, strict=True)), "position": "4", name: value}
    with plain(tmp_path) as connection:
        refuse(
            connection,
            f"INSERT INTO events SELECT {', '.join(values.values())} FROM events WHERE position = 2",
            why="cannot store|NOT NULL constraint|datatype mismatch",
        )


# How we append


def test_positions_go_on_where_they_ended(each_engine: Path) -> None:
    """Dense from 1, over transactions, connections and reopened files."""
    with either(each_engine) as database:
        assert [appended.position for appended in add(database, b"a", b"b")] == [1, 2]
        assert [appended.position for appended in add(database, b"c")] == [3]
    with either(each_engine) as database:
        assert [appended.position for appended in add(database, b"d")] == [4]
        assert bodies(database) == [b"a", b"b", b"c", b"d"]


def fail_halfway(database: Database) -> None:
    """Append, and then do not commit."""
    with database.writing() as connection:
        append(connection, [logbook.callback(b"lost")])
        raise ZeroDivisionError


def test_a_transaction_that_fails_leaves_no_gap(each_engine: Path) -> None:
    """Positions are drawn from the head, not from a sequence."""
    with either(each_engine) as database:
        add(database, b"a")
        with pytest.raises(ZeroDivisionError):
            fail_halfway(database)
        assert [appended.position for appended in add(database, b"b")] == [2]


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 300])
def test_any_number_is_appended(each_engine: Path, count: int) -> None:
    """However the rows are grouped into statements, each is there once, in order."""
    written = [b"%d" % number for number in range(count)]
    with either(each_engine) as database:
        assert len(add(database, *written)) == count
        assert bodies(database) == written


def test_twice_in_one_transaction(each_engine: Path) -> None:
    """The head is read again: what the transaction itself appended counts."""
    with either(each_engine) as database, database.writing() as connection:
        positions = [append(connection, [logbook.callback()])[0].position for _ in range(3)]
        assert positions == [1, 2, 3]


def test_what_is_appended_is_what_is_read(each_engine: Path) -> None:
    """Byte for byte and character for character, the hostile ones too, and sealed under the log's id."""
    hostile = "\x00\x1f\x7f\x80ÿ\u2028😀'\"\\"
    said = hostile, hostile, hostile, hostile, hostile, hostile
    drafts = [Draft(kind, hostile, hostile, bytes(range(256)), *said) for kind in KINDS]
    drafts.append(Draft(CALLBACK, "", "", b""))
    with either(each_engine) as database:
        with database.writing() as connection:
            appended = append(connection, drafts)
        assert list(reader.every(database)) == appended
        with database.reading() as connection:
            log_id = reader.log_id(connection)
        assert [event.leaf_hash(event.entry_of(found, log_id)) for found in appended] == [
            each.leaf for each in appended
        ]


# Many at once

PROCESSES, THREADS, ROUNDS = 3, 2, 15


def keep_appending(folder: Path, process: int) -> None:
    """For another process: several threads that append pairs."""
    with either(folder) as database:
        failures: list[BaseException] = []

        def work(thread: int) -> None:
            try:
                for number in range(ROUNDS):
                    add(database, *(b"%d %d %d %s" % (process, thread, number, part) for part in (b"a", b"b")))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]


def test_positions_are_dense_and_in_commit_order(each_engine: Path) -> None:
    """Processes and threads append at once: no reader sees a gap or a torn pair, and nobody is locked out."""
    with either(each_engine) as database:
        processes = [logbook.spawned(keep_appending, each_engine, number) for number in range(PROCESSES)]
        total = PROCESSES * THREADS * ROUNDS * 2
        seen: list[Event] = []
        while len(seen) < total and (any(each.is_alive() for each in processes) or _head(database) > len(seen)):
            with database.reading() as connection:
                found = reader.read(connection, after=len(seen))
            # If a smaller position could be committed later, it would be missing here.
            assert [each.position for each in found] == list(range(len(seen) + 1, len(seen) + len(found) + 1))
            assert len(found) % 2 == 0
            seen += found
        assert [logbook.ended(each) for each in processes] == [0] * PROCESSES
        assert len(seen) == total
        assert_in_order([each.body or b"" for each in seen])
        assert [each.recorded_at for each in seen] == sorted(each.recorded_at for each in seen)


def _head(database: Database) -> int:
    with database.reading() as connection:
        return reader.head(connection)


def assert_in_order(written: list[bytes]) -> None:
    """Pairs stand together, and each thread's pairs in its own order."""
    pairs = [first.rsplit(b" ", 1)[0] for first in written[::2]]
    assert [each for pair in pairs for each in (pair + b" a", pair + b" b")] == written
    for process, thread in itertools.product(range(PROCESSES), range(THREADS)):
        prefix = b"%d %d " % (process, thread)
        assert [pair for pair in pairs if pair.startswith(prefix)] == [prefix + b"%d" % n for n in range(ROUNDS)]


def test_a_read_transaction_that_turns_into_a_write_is_locked_out(tmp_path: Path) -> None:
    """The counter-example to BEGIN IMMEDIATE: whoever reads the head first and then writes fails, timeout or not."""
    with opened(tmp_path) as database, database.reading() as connection:
        assert reader.head(connection) == 0
        add(database, b"somebody else's")
        with pytest.raises(DatabaseError, match="database is locked"):
            append(connection, [logbook.callback()])


def test_a_head_read_before_the_transaction_is_taken(each_engine: Path) -> None:
    """The counter-example to reading the head under the lock: maximum plus one collides with who was faster."""
    with either(each_engine) as database:
        naive = _head(database) + 1
        add(database, b"somebody else's")
        with database.reading() as connection:
            late = event.seal(logbook.callback(b"late"), reader.log_id(connection), naive, 0)
        with pytest.raises(DatabaseError, match="append-only"), database.writing() as connection:
            connection.execute(schema.events.insert().values(tuple(late)))
        assert bodies(database) == [b"somebody else's"]
