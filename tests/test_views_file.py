"""A generation's file: what lies beside it, and what is told when it is damaged."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import DatabaseError, OperationalError

from listener import bookkeeping, errors, rows
from listener.log.sqlite import sqlite_engine
from listener.views_file import FileViews
from projections import packages

LOG_ID = bytes(16)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[FileViews]:
    """An empty generation."""
    found = FileViews(tmp_path, 1)
    found.create(LOG_ID, bookkeeping.FIRST)
    yield found
    found.close()


def test_discarding_leaves_no_file(made: FileViews, tmp_path: Path) -> None:
    """Nor what SQLite keeps beside it; and it can be made again, from the first event."""
    with made.writing() as connection:
        bookkeeping.move(connection, 5, b"leaf")
    assert {path.name for path in tmp_path.iterdir()} >= {"signlog-views-1.db", "signlog-views-1.db-wal"}
    made.close()
    made.discard()
    assert list(tmp_path.iterdir()) == []
    made.create(LOG_ID, bookkeeping.FIRST)
    with made.reading() as connection:
        assert bookkeeping.checkpoint(connection).position == 0


def test_a_write_ahead_log_that_lost_its_file_is_no_harm(made: FileViews) -> None:
    """Who removes only the file removes the views: the rest is not replayed into the next one."""
    with made.writing() as connection:
        bookkeeping.move(connection, 5, b"leaf")
    wal = made.path.with_name(made.path.name + "-wal")
    kept = wal.read_bytes()
    made.close()
    made.path.unlink()
    wal.write_bytes(kept)
    made.create(LOG_ID, bookkeeping.FIRST)
    with made.reading() as connection:
        assert bookkeeping.checkpoint(connection).position == 0


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"\0" * 4096, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_file_is_told_as_such(tmp_path: Path, content: bytes) -> None:
    """Whoever reads or writes hears of damage, in words that name the file."""
    found = FileViews(tmp_path, 1)
    found.path.write_bytes(content)
    for use in (found.reading, found.writing):
        with pytest.raises(errors.ViewsError, match=r"signlog-views-1\.db is damaged"), use() as connection:
            bookkeeping.checkpoint(connection)
    with pytest.raises(errors.ViewsError, match="damaged"):
        found.create(LOG_ID, bookkeeping.FIRST)
    found.close()


def test_damage_amid_the_file_is_told_as_such(made: FileViews) -> None:
    """Pages that SQLite cannot make sense of."""
    with made.writing() as connection:
        large = packages.State(provider="x" * 1000)
        rows.save(connection, packages, {("onespan", str(number)): large for number in range(200)})
    made.close()
    content = made.path.read_bytes()
    made.path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(errors.ViewsError, match="damaged"), made.reading() as connection:
        connection.execute(packages.TABLE.select()).all()


def test_not_every_error_is_damage(made: FileViews) -> None:
    """A wrong statement, or a lock that is not given, says nothing against the file."""
    with pytest.raises(OperationalError), made.reading() as connection:
        connection.exec_driver_sql("SELECT * FROM nothing")
    with pytest.raises(OperationalError), made.reading() as connection:
        connection.exec_driver_sql("not even SQL")


def test_an_error_of_the_log_is_not_blamed_on_the_views(made: FileViews) -> None:
    """Two databases are read side by side: only this file's damage is the views'."""
    path = made.path.with_name("signlog.db")
    path.write_bytes(b"garbage" * 1000)
    log = sqlite_engine(path, {})
    with pytest.raises(DatabaseError, match="not a database"), made.reading(), log.begin() as connection:
        connection.exec_driver_sql("SELECT * FROM events")
