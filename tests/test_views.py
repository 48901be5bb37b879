"""A generation's file: made once, read only when it is there and whole, moved forward in one step, thrown away."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from listener import bookkeeping, errors, rows
from listener.interpreter import Interpreter
from listener.log import reader
from listener.log.sqlite import sqlite_engine
from listener.projection import PROJECTIONS
from listener.views_file import FileViews
from listener.worker.fold import Fold
from projections import packages
from tests.rig import Log, add, history

LOG_ID = bytes(16)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[FileViews]:
    """An empty generation."""
    found = FileViews(tmp_path, 1)
    found.create(LOG_ID, bookkeeping.FIRST)
    yield found
    found.close()


def test_an_empty_generation_stands_before_the_first_event(made: FileViews) -> None:
    """It knows its log, its shape and why it was made, and no beat yet."""
    with made.reading() as connection:
        assert bookkeeping.checkpoint(connection) == (LOG_ID, 0, b"", bookkeeping.shape(), bookkeeping.FIRST)
        assert bookkeeping.made_of(connection) == bookkeeping.shape()
        assert connection.scalar(sqlalchemy.select(bookkeeping.heartbeat.c.at)) is None


def test_making_it_again_changes_nothing(made: FileViews) -> None:
    """The first one made it; a second comes to the same file, and its log is not asked for."""
    with made.writing() as connection:
        bookkeeping.move(connection, 5, b"leaf")
    made.create(bytes(range(16)), bookkeeping.PARTED)
    with made.reading() as connection:
        assert bookkeeping.checkpoint(connection)[:3] == (LOG_ID, 5, b"leaf")


def test_views_that_are_not_there_say_so(tmp_path: Path) -> None:
    """Reading makes no file, and names what to do; nor does discarding what is not there."""
    missing = FileViews(tmp_path, 3)
    with pytest.raises(errors.ViewsError, match="signlog serve"), missing.reading():
        pass
    missing.discard()
    assert list(tmp_path.iterdir()) == []


def beat_and_move(made: FileViews, position: int) -> None:
    """Two writes in one transaction."""
    with made.writing() as connection:
        bookkeeping.beat(connection, 1)
        bookkeeping.move(connection, position, b"other")


def test_the_checkpoint_only_moves_forward(made: FileViews) -> None:
    """Neither back nor on the spot; what was written beside it goes with it."""
    with made.writing() as connection:
        bookkeeping.move(connection, 5, b"leaf")
    for position in (4, 5, 0, -1):
        with pytest.raises(errors.ViewsError, match="forward"):
            beat_and_move(made, position)
    with made.reading() as connection:
        assert bookkeeping.checkpoint(connection).position == 5
        assert connection.scalar(sqlalchemy.select(bookkeeping.heartbeat.c.at)) is None


def test_a_beat_replaces_the_last_and_moves_nothing(made: FileViews) -> None:
    """One row, whatever the clock does."""
    for at in (7, 9, 8):
        with made.writing() as connection:
            bookkeeping.beat(connection, at)
    with made.reading() as connection:
        assert connection.scalars(sqlalchemy.select(bookkeeping.heartbeat.c.at)).all() == [8]
        assert bookkeeping.checkpoint(connection).position == 0


def test_every_state_comes_back_as_it_was_saved(made: FileViews, tmp_path: Path) -> None:
    """Of each projection, over a history that has everything; more keys than one query takes."""
    with Log(tmp_path) as log:
        add(log.database, *history())
        fold = Fold(lambda _projection, _keys: {})
        fold.take(list(reader.every(log.database)), Interpreter())
    with made.writing() as connection:
        for projection, states in zip(PROJECTIONS, fold.states, strict=True):
            assert len(states) > 1
            rows.save(connection, projection, states)
            rows.save(connection, projection, {})
    with made.reading() as connection:
        for projection, states in zip(PROJECTIONS, fold.states, strict=True):
            missing = [("nobody", *key[1:]) for key in states]
            assert rows.load(connection, projection, [*missing * 5, *states]) == states
            assert rows.load(connection, projection, []) == {}


def test_a_state_that_cannot_be_read_is_a_matter_of_the_views(made: FileViews) -> None:
    """Other code wrote it, or the disk did."""
    with made.writing() as connection:
        rows.save(connection, packages, {("onespan", "a"): packages.State()})
        connection.exec_driver_sql("UPDATE packages SET state = x'7b22'")
    with made.reading() as connection, pytest.raises(errors.ViewsError, match="a row of packages"):
        rows.load(connection, packages, [("onespan", "a")])


def move_and_note(made: FileViews, faults: int) -> None:
    """A step, with the same fault so many times."""
    with made.writing() as connection:
        bookkeeping.move(connection, 5, b"leaf")
        for _ in range(faults):
            connection.execute(bookkeeping.faults.insert().values((1, "onespan", "a", "x", 1, "code")))


def test_a_write_that_fails_leaves_nothing(made: FileViews) -> None:
    """Rows, faults and the checkpoint move together or not at all."""
    for faults, position in ((2, 0), (1, 5)):
        with contextlib.suppress(IntegrityError):
            move_and_note(made, faults)
        with made.reading() as connection:
            assert bookkeeping.checkpoint(connection).position == position
            assert len(connection.execute(bookkeeping.faults.select()).all()) == (position > 0)


def test_one_event_may_be_a_fault_of_several_subjects(made: FileViews) -> None:
    """A decision names many; also an event of nobody stands beside them."""
    with made.writing() as connection:
        for subject in ("a", "b", None):
            connection.execute(bookkeeping.faults.insert().values((1, "onespan", subject, "x", 1, "code")))
        connection.execute(bookkeeping.parked.insert().values(("onespan", "c", 2)))
    with made.reading() as connection:
        stopped = sorted(tuple(row) for row in connection.execute(bookkeeping.STOPPED))
    assert stopped == [("onespan", "a"), ("onespan", "b"), ("onespan", "c")]


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


def test_the_shape_is_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same each time; another column, or another index, is another shape."""
    before = bookkeeping.shape()
    assert bookkeeping.shape() == before
    shapes = {before}
    other = sqlalchemy.Table(
        "parked",
        sqlalchemy.MetaData(),
        *(column._copy() for column in bookkeeping.parked.columns),
        sqlalchemy.Column("more"),
    )
    for table in (other, sqlalchemy.Table("parked", sqlalchemy.MetaData(), sqlalchemy.Column("source"))):
        monkeypatch.setattr(bookkeeping, "_TABLES", (*bookkeeping._TABLES[:-1], table))
        shapes.add(bookkeeping.shape())
        sqlalchemy.Index("by_source", table.c.source)
        shapes.add(bookkeeping.shape())
    assert len(shapes) == 5


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
