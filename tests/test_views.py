"""A generation, in a file or a schema: made once, read when it is there and whole, moved in one step, thrown away."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import URL, Connection, inspect
from sqlalchemy.exc import IntegrityError

from listener import bookkeeping, errors, rows, views
from listener.interpreter import Interpreter
from listener.log import reader
from listener.projection import PROJECTIONS
from listener.shelf import Shelf
from listener.views import Views
from listener.views_file import FileShelf
from listener.worker import difference, plan
from listener.worker.fold import Fold
from projections import packages
from projections.facts import Key
from tests.rig import Log, add, history

LOG_ID = bytes(16)
_POSTGRES = URL.create("postgresql+psycopg").get_dialect()()


@pytest.fixture
def shelf(each_engine: Path) -> Iterator[Shelf]:
    """Of a log of either kind."""
    with Log(each_engine) as log:
        yield log.shelf


@pytest.fixture
def made(shelf: Shelf) -> Iterator[Views]:
    """An empty generation."""
    found = shelf.generation(1)
    found.create(LOG_ID, bookkeeping.FIRST)
    yield found
    found.close()


def test_an_empty_generation_stands_before_the_first_event(made: Views) -> None:
    """It knows its log, its shape and why it was made, and no beat yet."""
    with made.reading() as connection:
        assert bookkeeping.checkpoint(connection) == (LOG_ID, 0, b"", bookkeeping.shape(), bookkeeping.FIRST)
        assert bookkeeping.made_of(connection) == bookkeeping.shape()
        assert connection.scalar(sqlalchemy.select(bookkeeping.heartbeat.c.at)) is None


def test_making_it_again_changes_nothing(made: Views) -> None:
    """The first one made it; a second comes to the same file, and its log is not asked for."""
    with made.writing() as connection:
        bookkeeping.move(connection, 5, b"leaf")
    made.create(bytes(range(16)), bookkeeping.PARTED)
    with made.reading() as connection:
        assert bookkeeping.checkpoint(connection)[:3] == (LOG_ID, 5, b"leaf")


def test_views_that_are_not_there_say_so(shelf: Shelf) -> None:
    """Reading makes none, and names what to do; nor does discarding what is not there."""
    missing = shelf.generation(3)
    with pytest.raises(errors.ViewsError, match="signlog serve"), missing.reading():
        pass
    missing.discard()
    assert (missing.exists(), missing.is_half(), shelf.numbers(), shelf.halves()) == (False, False, set(), set())


def beat_and_move(made: Views, position: int) -> None:
    """Two writes in one transaction."""
    with made.writing() as connection:
        bookkeeping.beat(connection, 1)
        bookkeeping.move(connection, position, b"other")


def test_the_checkpoint_only_moves_forward(made: Views) -> None:
    """Neither back nor on the spot; what was written beside it goes with it."""
    with made.writing() as connection:
        bookkeeping.move(connection, 5, b"leaf")
    for position in (4, 5, 0, -1):
        with pytest.raises(errors.ViewsError, match="forward"):
            beat_and_move(made, position)
    with made.reading() as connection:
        assert bookkeeping.checkpoint(connection).position == 5
        assert connection.scalar(sqlalchemy.select(bookkeeping.heartbeat.c.at)) is None


def test_a_beat_replaces_the_last_and_moves_nothing(made: Views) -> None:
    """One row, whatever the clock does."""
    for at in (7, 9, 8):
        with made.writing() as connection:
            bookkeeping.beat(connection, at)
    with made.reading() as connection:
        assert connection.scalars(sqlalchemy.select(bookkeeping.heartbeat.c.at)).all() == [8]
        assert bookkeeping.checkpoint(connection).position == 0


def test_every_state_comes_back_as_it_was_saved(made: Views, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of each projection, over a history that has everything; more keys than one query takes."""
    with Log(tmp_path_factory.mktemp("history")) as log:
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
            missing = [(*key[:-1], "nobody") for key in states]
            assert rows.load(connection, projection, [*missing * 5, *states]) == states
            assert rows.load(connection, projection, []) == {}


def test_a_state_that_cannot_be_read_is_a_matter_of_the_views(made: Views) -> None:
    """Other code wrote it, or the disk did."""
    with made.writing() as connection:
        rows.save(connection, packages, {("onespan", "a"): packages.State()})
        connection.execute(packages.TABLE.update().values(fold=b'{"'))
    with made.reading() as connection, pytest.raises(errors.ViewsError, match="a row of packages"):
        rows.load(connection, packages, [("onespan", "a")])


def move_and_note(made: Views, faults: int) -> None:
    """A step, with the same fault so many times."""
    with made.writing() as connection:
        bookkeeping.move(connection, 5, b"leaf")
        for _ in range(faults):
            connection.execute(bookkeeping.faults.insert().values((1, "onespan", "a", "x", 1, "code")))


def test_a_write_that_fails_leaves_nothing(made: Views) -> None:
    """Rows, faults and the checkpoint move together or not at all."""
    for faults, position in ((2, 0), (1, 5)):
        with contextlib.suppress(IntegrityError):
            move_and_note(made, faults)
        with made.reading() as connection:
            assert bookkeeping.checkpoint(connection).position == position
            assert len(connection.execute(bookkeeping.faults.select()).all()) == (position > 0)


def test_one_event_may_be_a_fault_of_several_subjects(made: Views) -> None:
    """A decision names many; also an event of nobody stands beside them."""
    with made.writing() as connection:
        for subject in ("a", "b", None):
            connection.execute(bookkeeping.faults.insert().values((1, "onespan", subject, "x", 1, "code")))
        connection.execute(bookkeeping.parked.insert().values(("onespan", "c", 2)))
    with made.reading() as connection:
        stopped = sorted(tuple(row) for row in connection.execute(bookkeeping.STOPPED))
    assert stopped == [("onespan", "a"), ("onespan", "b"), ("onespan", "c")]


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


def moved(views: Views, position: int) -> None:
    """A sign in it, to know it by."""
    with views.writing() as connection:
        bookkeeping.move(connection, position, b"leaf")


def position(views: Views) -> int:
    """What stands there."""
    with views.reading() as connection:
        return bookkeeping.checkpoint(connection).position


def test_what_is_discarded_is_not_there(made: Views, shelf: Shelf) -> None:
    """And can be made again, from the first event; what is half built goes with it."""
    moved(made, 5)
    with pytest.raises(KeyError), shelf.generation(2).building(LOG_ID, bookkeeping.REPLAYED):
        raise KeyError
    assert (shelf.numbers(), shelf.halves()) == ({1}, {2})
    for number in (1, 2):
        shelf.generation(number).discard()
    assert (shelf.numbers(), shelf.halves()) == (set(), set())
    again = shelf.generation(1)
    again.create(LOG_ID, bookkeeping.FIRST)
    assert position(again) == 0


def test_nobody_sees_half_a_generation(shelf: Shelf) -> None:
    """While it is built there is none of that number; whole, it takes the place of what was there before."""
    found = shelf.generation(2)
    found.create(LOG_ID, bookkeeping.FIRST)
    moved(found, 5)
    found.close()
    with found.building(LOG_ID, bookkeeping.REPLAYED) as connection:
        bookkeeping.move(connection, 7, b"leaf")
        assert (found.exists(), found.is_half()) == (False, True)
        with pytest.raises(errors.ViewsError, match="is not there"), shelf.generation(2).reading():
            pytest.fail("it was seen")
    assert (found.exists(), found.is_half()) == (True, False)
    assert position(found) == 7


def test_what_it_is_built_from_is_gone_with_the_end(shelf: Shelf) -> None:
    """From the beginning on it is half, and nothing is there of what was before."""
    found = shelf.generation(2)
    found.create(LOG_ID, bookkeeping.FIRST)
    found.close()
    with found.workshop() as folder:
        assert (found.exists(), found.is_half()) == (False, True)
        (folder / "part").touch()
        with found.building(LOG_ID, bookkeeping.REPLAYED):
            assert (folder / "part").exists()
    assert (found.exists(), found.is_half(), folder.exists()) == (True, False, False)


def test_who_fails_to_build_leaves_half_and_no_parts(shelf: Shelf) -> None:
    """So that whoever comes next knows; and who throws it away leaves nothing."""
    found = shelf.generation(2)
    with pytest.raises(KeyError), found.workshop() as folder:
        raise KeyError
    assert (found.exists(), found.is_half(), folder.exists()) == (False, True, False)
    found.discard()
    assert (shelf.numbers(), shelf.halves()) == (set(), set())


def test_what_a_killed_builder_leaves_is_thrown_away_with_the_generation(tmp_path: Path) -> None:
    """Its parts, too: they say of packages what may have been erased since."""
    found = FileShelf(tmp_path).generation(2)
    begun = found.workshop()
    folder = begun.__enter__()
    (folder / "part").touch()
    found.discard()
    assert list(tmp_path.iterdir()) == []


def test_what_was_built_anew_is_what_everybody_finds(made: Views, shelf: Shelf) -> None:
    """Under the number that it had: whoever had opened it before goes on in the new one, not in what was removed."""
    moved(made, 5)
    other = shelf.generation(1)
    with other.building(LOG_ID, bookkeeping.REPLAYED) as connection:
        bookkeeping.move(connection, 7, b"leaf")
    assert position(made) == 7
    other.discard()
    other.create(LOG_ID, bookkeeping.REPLAYED)
    moved(made, 3)
    assert position(other) == position(made) == 3
    other.close()


def test_what_was_built_has_all_indexes(shelf: Shelf) -> None:
    """They are made at its end, and are those of one that was made empty."""
    built, empty = shelf.generation(1), shelf.generation(2)
    with built.building(LOG_ID, bookkeeping.REPLAYED) as connection:
        assert not indexes(connection, "timeline")
    empty.create(LOG_ID, bookkeeping.REPLAYED)
    with built.reading() as one, empty.reading() as other:
        for table in bookkeeping._TABLES:
            assert indexes(one, table.name) == indexes(other, table.name)
        assert indexes(one, "timeline") == {"timeline_subject"}


def indexes(connection: Connection, table: str) -> set[str | None]:
    """Of a table, but for those that come with it."""
    return {found["name"] for found in inspect(connection).get_indexes(table) if "duplicates_constraint" not in found}


def test_sorting_needs_no_other_folder(tmp_path: Path) -> None:
    """What SQLite writes meanwhile lies beside the file: nothing else need be writable, and its room is reserved."""
    folder = tmp_path / "somebody's"
    folder.mkdir()
    with FileShelf(folder).generation(1).building(LOG_ID, bookkeeping.REPLAYED):
        pass
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        assert connection.execute("PRAGMA temp_store_directory").fetchone() == (str(folder),)


def test_two_generations_lie_side_by_side(made: Views, shelf: Shelf) -> None:
    """The one is written, the other read as it was at the first look, whatever others do to it meanwhile."""
    other = shelf.generation(2)
    other.create(LOG_ID, bookkeeping.REPLAYED)
    moved(other, 5)
    with made.beside(other) as both:
        assert bookkeeping.checkpoint(both, views.beside).position == 5
        moved(other, 6)
        bookkeeping.move(both, 3, b"leaf")
        assert bookkeeping.checkpoint(both, views.beside).position == 5
    assert (position(made), position(other)) == (3, 6)


def test_one_is_built_beside_another(made: Views, shelf: Shelf) -> None:
    """And reads it as it was at the first look."""
    moved(made, 5)
    new = shelf.generation(2)
    with new.building(LOG_ID, bookkeeping.REPLAYED, made) as connection:
        seen = bookkeeping.checkpoint(connection, views.beside)
        moved(made, 6)
        bookkeeping.move(connection, bookkeeping.checkpoint(connection, views.beside).position, seen.leaf)
    assert (position(new), position(made)) == (5, 6)


def test_one_that_nobody_is_shown_leaves_nothing(shelf: Shelf) -> None:
    """Whether all goes well in it or not."""
    for error in (None, KeyError):
        with contextlib.suppress(KeyError), shelf.scratch() as found:
            with found.building(LOG_ID, bookkeeping.REPLAYED):
                pass
            assert position(found) == 0
            assert shelf.numbers() == set()
            if error is not None:
                raise error
        assert not found.exists()
    assert shelf.leave_no_trace()


def test_who_writes_shuts_others_out(made: Views) -> None:
    """What one wrote, the next one sees before it writes: the checkpoint tells that there is nothing left to do."""
    seen: list[int] = []

    def second() -> None:
        with made.writing() as connection:
            seen.append(bookkeeping.checkpoint(connection).position)

    with made.writing() as connection:
        thread = threading.Thread(target=second)
        thread.start()
        bookkeeping.move(connection, 5, b"leaf")
        assert thread.is_alive()
    thread.join(60)
    assert seen == [5]


def test_large_numbers_and_any_letter_are_kept(made: Views) -> None:
    """Microseconds, positions behind four bytes, and what a stranger calls a package: in the order of its letters."""
    ids = ["", "A", "B", "a", "a\x00", "a\x00b", "a\x01", "a\x01\x01", "a\x02", "a b", "a-b", "é", "\uffff", "😀"]
    large: dict[Key, packages.State] = {
        ("onespan", name): packages.State(last_position=2**40, recorded_at=2**60) for name in ids
    }
    with made.writing() as connection:
        rows.save(connection, packages, large)
        connection.execute(bookkeeping.heartbeat.insert().values(id=1, at=2**60))
    table = packages.TABLE.c
    with made.reading() as connection:
        assert rows.load(connection, packages, list(large)) == large
        assert connection.scalars(sqlalchemy.select(table.id).order_by(table.id)).all() == sorted(ids)
        assert (
            connection.scalar(sqlalchemy.select(table.last_position).where(table.recorded_at > 2**59).limit(1)) == 2**40
        )


def test_every_column_holds_what_it_must() -> None:
    """No plain number or text: PostgreSQL's are too small, and in another order."""
    for table in (*bookkeeping._TABLES, *plan._metadata.sorted_tables, difference._differing):
        for column in table.columns:
            written = column.type.compile(_POSTGRES)
            assert written in ("BIGINT", 'TEXT COLLATE "C"', "BYTEA", "BOOLEAN"), column


def test_whoever_is_killed_between_parts_and_whole_leaves_nothing_that_is_not_found(tmp_path: Path) -> None:
    """Parts by themselves are a half, too: purging and erasing discard them, and sweeping does."""
    shelf = FileShelf(tmp_path)
    begun = shelf.generation(2).workshop()
    folder = begun.__enter__()
    (folder / "part").touch()
    shelf.generation(2).half.unlink()
    assert shelf.halves() == {2}
    assert shelf.leave_no_trace()
    assert (shelf.halves(), list(tmp_path.iterdir())) == (set(), [])
