"""Signed heads are numbered as they come, stay as they are, and are found by the size of their tree."""

from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from listener.log import heads, schema
from listener.log.database import Database
from listener.log.heads import Epoch, Head
from tests.logbook import either, opened


def keep(database: Database, *sizes: int) -> list[Head]:
    """Heads of these sizes, one after the other."""
    found = []
    for size in sizes:
        with database.writing() as connection:
            found.append(heads.add(connection, heads.newest(connection), size, f"note {size}"))
    return [head for head in found if head is not None]


def newest(database: Database) -> Head | None:
    """The head that was signed last."""
    with database.reading() as connection:
        return heads.newest(connection)


def test_the_newest_is_the_last_one_that_was_kept(each_engine: Path) -> None:
    """Whatever its size."""
    with either(each_engine) as database:
        assert newest(database) is None
        kept = keep(database, 5, 9, 7)
        assert [head[:2] for head in kept] == [(1, 5), (2, 9), (3, 7)]
        assert newest(database) == kept[-1]


def test_who_comes_second_keeps_nothing(each_engine: Path) -> None:
    """Somebody else signed since it looked; it looks again."""
    with either(each_engine) as database:
        (first,) = keep(database, 5)
        for seen in (None, first._replace(size=4)):
            with database.writing() as connection:
                assert heads.add(connection, seen, 6, "note") is None
        assert newest(database) == first


@pytest.mark.parametrize("page", [1, 2, 500])
def test_heads_come_by_the_size_of_their_tree(each_engine: Path, page: int) -> None:
    """Of one size in the order in which they were signed, and none behind the last that is asked for."""
    with either(each_engine) as database:
        assert list(heads.by_size(database, 9)) == []
        keep(database, 5, 9, 5, 7, 9, 1)
        found = [(head.size, head.number) for head in heads.by_size(database, 5, page)]
        assert found == [(5, 1), (5, 3), (7, 4), (9, 2), (9, 5)]


REPLACE, OVER = "INSERT INTO heads VALUES", "ON CONFLICT (number) DO UPDATE SET note = excluded.note"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE heads SET note = 'x'",
        "UPDATE heads SET number = 3 WHERE number = 2",
        "DELETE FROM heads WHERE number = 2",
        "INSERT INTO heads VALUES (4, 1, 1, 'x')",
        "INSERT INTO heads VALUES (2, 1, 1, 'x')",
        "INSERT INTO heads VALUES (NULL, 1, 1, 'x')",
        f"{REPLACE} (2, 1, 1, 'x') {OVER}",
        "INSERT INTO heads VALUES (2, 1, 1, 'x') ON CONFLICT DO NOTHING",
        f"{REPLACE} (1, 1, 1, 'x') {OVER}",
    ],
)
def test_heads_only_grow(each_engine: Path, statement: str) -> None:
    """Nobody changes one, removes one, or puts one anywhere but behind the last."""
    with either(each_engine) as database:
        kept = keep(database, 5, 9)
        with pytest.raises(DatabaseError, match="append-only: heads only grow"), database.writing() as connection:
            connection.exec_driver_sql(statement)
        assert list(heads.by_size(database, 9)) == kept


@pytest.mark.parametrize("position", [1, 2])
def test_no_head_is_replaced(tmp_path: Path, position: int) -> None:
    """SQLite's own way to delete by inserting, which no trigger on DELETE sees."""
    with opened(tmp_path) as database:
        kept = keep(database, 5, 9)
        with pytest.raises(DatabaseError, match="append-only: heads only grow"), database.writing() as connection:
            connection.exec_driver_sql(f"INSERT OR REPLACE INTO heads VALUES ({position}, 1, 1, 'x')")
        assert list(heads.by_size(database, 9)) == kept


def begin(connection: Connection, position: int) -> None:
    """A new epoch."""
    connection.execute(schema.log.insert().values((position, b"%16d" % position, 0)))


def test_epochs_are_in_order(each_engine: Path) -> None:
    """A log begins with one."""
    with either(each_engine) as database, database.writing() as connection:
        first = heads.epochs(connection)
        assert [epoch.first_position for epoch in first] == [1]
        begin(connection, 9)
        assert heads.epochs(connection) == [*first, Epoch(9, b"%16d" % 9)]
