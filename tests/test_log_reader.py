"""Reading the log: what stands after a position, before one, and about something."""

from pathlib import Path

import pytest
from sqlalchemy import event as listen

from listener.log import event, reader, schema
from listener.log.append import append
from listener.log.database import Database
from listener.log.event import CALLBACK, DECISION, KINDS, OUTCOME, Draft, Event
from tests.logbook import add, callback, either, opened

ONE_TO_SEVEN = [b"%d" % number for number in range(1, 8)]
EVEN = schema.events.c.position % 2 == 0


def positions(events: list[Event]) -> list[int]:
    """Where they stand."""
    return [found.position for found in events]


def test_an_empty_log_has_an_end_as_well(each_engine: Path) -> None:
    """Head 0, nothing to read in any direction, and an id already."""
    with either(each_engine) as database, database.reading() as connection:
        assert reader.head(connection) == 0
        assert reader.read(connection) == []
        assert reader.back(connection, None, 10) == []
        assert reader.one(connection, 1) is None
        assert reader.leaf(connection, 1) is None
        assert list(reader.every(database)) == []
        assert reader.acts(connection, OUTCOME, "/artifacts") == []
        assert len(reader.log_id(connection)) == 16


def test_the_head_is_the_newest_position(each_engine: Path) -> None:
    """And one more after each event."""
    with either(each_engine) as database:
        for number, body in enumerate(ONE_TO_SEVEN, 1):
            add(database, body)
            with database.reading() as connection:
                assert reader.head(connection) == number


@pytest.mark.parametrize(
    ("after", "limit", "until", "found"),
    [
        (0, 500, None, [1, 2, 3, 4, 5, 6, 7]),
        (2, 500, None, [3, 4, 5, 6, 7]),
        (2, 3, None, [3, 4, 5]),
        (2, 3, 4, [3, 4]),
        (2, 500, 2, []),
        (2, 500, 1, []),
        (6, 500, None, [7]),
        (7, 500, None, []),
        (99, 500, None, []),
        (0, 500, 0, []),
        (0, 0, None, []),
    ],
)
def test_read_gives_the_next_ones(
    each_engine: Path, after: int, limit: int, until: int | None, found: list[int]
) -> None:
    """Behind `after`, at most `limit`, none behind `until`, oldest first."""
    with either(each_engine) as database:
        add(database, *ONE_TO_SEVEN)
        with database.reading() as connection:
            assert positions(reader.read(connection, after, limit, until)) == found


@pytest.mark.parametrize(
    ("before", "limit", "found"),
    [
        (None, 3, [7, 6, 5]),
        (None, 99, [7, 6, 5, 4, 3, 2, 1]),
        (5, 2, [4, 3]),
        (1, 2, []),
        (99, 1, [7]),
        (3, 99, [2, 1]),
    ],
)
def test_back_gives_the_ones_before(each_engine: Path, before: int | None, limit: int, found: list[int]) -> None:
    """Newest first, from the head or from a position, which is not among them."""
    with either(each_engine) as database:
        add(database, *ONE_TO_SEVEN)
        with database.reading() as connection:
            assert positions(reader.back(connection, before, limit)) == found


def test_conditions_come_before_limits(each_engine: Path) -> None:
    """A page of even ones is full of even ones, in all three ways of reading."""
    with either(each_engine) as database:
        add(database, *ONE_TO_SEVEN)
        with database.reading() as connection:
            assert positions(reader.read(connection, 0, 2, None, EVEN)) == [2, 4]
            assert positions(reader.back(connection, None, 2, EVEN)) == [6, 4]
        assert positions(list(reader.every(database, 0, 2, EVEN))) == [2, 4, 6]


def test_one_is_found_by_its_position(each_engine: Path) -> None:
    """With its leaf; its neighbour and nothing are not it."""
    with either(each_engine) as database:
        added = add(database, *ONE_TO_SEVEN)
        with database.reading() as connection:
            assert reader.one(connection, 3) == added[2]
            assert reader.leaf(connection, 3) == added[2].leaf
            assert reader.one(connection, 8) is None
            assert reader.leaf(connection, 8) is None


def test_an_erased_event_is_read_without_its_content(each_engine: Path) -> None:
    """It keeps its place and its leaf, and nobody stumbles over what is not there."""
    with either(each_engine) as database:
        added = add(database, *ONE_TO_SEVEN)
        with database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO erasures VALUES (3, 8)")
            connection.exec_driver_sql("UPDATE events SET body = NULL, headers = NULL, salt = NULL WHERE position = 3")
        erased = added[2]._replace(body=None, headers=None, salt=None)
        assert list(reader.every(database)) == [*added[:2], erased, *added[3:]]


@pytest.mark.parametrize("page", [1, 2, 3, 6, 7, 8, 500])
def test_every_page_is_turned(each_engine: Path, page: int) -> None:
    """Whether the last page is full or not, nothing is missing and nothing comes twice."""
    with either(each_engine) as database:
        add(database, *ONE_TO_SEVEN)
        assert positions(list(reader.every(database, page=page))) == [1, 2, 3, 4, 5, 6, 7]
        assert positions(list(reader.every(database, 4, page))) == [5, 6, 7]


def test_every_ends_where_the_log_ended_at_the_start(each_engine: Path) -> None:
    """What is appended meanwhile is for the next time: a busy log does not keep a reader for ever."""
    with either(each_engine) as database:
        add(database, b"1", b"2", b"3")
        seen = []
        for found in reader.every(database, page=1):
            seen.append(found.position)
            add(database, b"meanwhile")
        assert seen == [1, 2, 3]


def test_every_keeps_no_transaction_open(each_engine: Path) -> None:
    """Between two events all that was overwritten can be removed: a slow reader does not make the database grow."""
    with either(each_engine) as database:
        add(database, *ONE_TO_SEVEN)
        for _ in reader.every(database, page=2):
            add(database, b"meanwhile")
            assert database.leave_no_trace()


def about(kind: str, path: str, body: bytes = b"{}") -> Draft:
    """An act, filed under a path."""
    return Draft(kind, "onespan", "onespan", body, path=path)


def write(database: Database, *drafts: Draft) -> None:
    """Append these."""
    with database.writing() as connection:
        append(connection, drafts)


def test_acts_are_found_by_kind_and_path(each_engine: Path) -> None:
    """Newest first; another kind, another path and a path that only begins the same are not among them."""
    with either(each_engine) as database:
        write(
            database,
            about(OUTCOME, "/a"),
            about(DECISION, "/a"),
            about(OUTCOME, "/b"),
            about(OUTCOME, "/a/b"),
            about(OUTCOME, "/a"),
            callback(),
            about(OUTCOME, "/a"),
        )
        with database.reading() as connection:
            assert positions(reader.acts(connection, OUTCOME, "/a")) == [7, 5, 1]
            assert positions(reader.acts(connection, OUTCOME, "/a", until=6)) == [5, 1]
            assert positions(reader.acts(connection, OUTCOME, "/a", last=1)) == [7]
            assert positions(reader.acts(connection, OUTCOME, "/a", until=5, last=1)) == [5]
            assert positions(reader.acts(connection, DECISION, "/a")) == [2]
            assert reader.acts(connection, OUTCOME, "/") == []


@pytest.mark.parametrize("kind", KINDS)
def test_callbacks_are_no_acts(each_engine: Path, kind: str) -> None:
    """Whatever path a stranger calls, it is never taken for what we did or decided."""
    with either(each_engine) as database:
        write(database, about(kind, "/in-force"))
        with database.reading() as connection:
            assert len(reader.acts(connection, kind, "/in-force")) == (kind != CALLBACK)


def test_acts_behind_a_position(each_engine: Path) -> None:
    """And up to another."""
    with either(each_engine) as database:
        write(database, *[about(OUTCOME, "/a") for _ in range(5)])
        with database.reading() as connection:
            assert positions(reader.acts(connection, OUTCOME, "/a", until=4, after=2)) == [4, 3]


def test_acts_that_are_filed_below_a_path(each_engine: Path) -> None:
    """In the order of the log; neither the path itself nor what only begins like it."""
    with either(each_engine) as database:
        below = ("/a/z", "/a", "/a0", "/ab/c", "/a/b/c", "/a/b", "/A/b", "/a/")
        write(database, *[about(DECISION, path) for path in below], about(OUTCOME, "/a/x"))
        with database.reading() as connection:
            assert reader.filed(connection, DECISION, "/a") == [(1, "/a/z"), (5, "/a/b/c"), (6, "/a/b")]
            assert reader.filed(connection, DECISION, "/a", until=5) == [(1, "/a/z"), (5, "/a/b/c")]


def test_events_at_positions(each_engine: Path) -> None:
    """In order, each once, more than fit into one question; what is not there is left out."""
    with either(each_engine) as database:
        add(database, *[b"%d" % number for number in range(1200)])
        with database.reading() as connection:
            found = reader.at(connection, [*range(1200, 0, -1), 5000])
    assert positions(found) == list(range(1, 1201))


def plan(database: Database) -> str:
    """How SQLite finds what `acts` asks for: the very statement, explained."""
    asked: list[tuple[str, tuple[object, ...]]] = []
    with database.reading() as connection:
        listen.listen(
            connection,
            "before_cursor_execute",
            lambda _connection, _cursor, statement, parameters, *_: asked.append((statement, parameters)),
        )
        reader.acts(connection, OUTCOME, "/a", until=5, last=1)
        found = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0][0]}", asked[0][1])
        return "\n".join(row.detail for row in found)


def test_acts_are_found_through_the_index(tmp_path: Path) -> None:
    """Among millions of callbacks, without a scan and without sorting."""
    with opened(tmp_path) as database:
        assert plan(database) == "SEARCH events USING INDEX events_acts (kind=? AND path=? AND rowid<?)"


def test_without_the_index_acts_would_be_a_scan(tmp_path: Path) -> None:
    """The counter-example: nothing else helps."""
    with opened(tmp_path) as database:
        with database.writing() as connection:
            connection.exec_driver_sql("DROP INDEX events_acts")
        assert "events_acts" not in plan(database)


def test_an_epoch_has_an_id_of_its_own(each_engine: Path) -> None:
    """The newest one is that of the next event, and its leaf commits to it."""
    with either(each_engine) as database:
        add(database, b"before")
        with database.writing() as connection:
            connection.execute(schema.log.insert().values((2, bytes(16), 0)))
            assert reader.log_id(connection) == bytes(16)
        (after,) = add(database, b"after")
        assert after.leaf == event.leaf_hash(event.entry_of(after, bytes(16)))


def test_a_page_of_contents_has_so_many_bytes(each_engine: Path) -> None:
    """A few large bodies are as much as many small ones; one that is larger than a page is a page."""
    bodies = [b"x" * 1024**2] * 3 + [b"y" * 3 * 1024**2, b"z"]
    with either(each_engine) as database:
        add(database, *bodies)
        with database.reading() as connection:
            pages, after = [], 0
            while page := reader.contents(connection, after, 500):
                pages.append([found.position for found in page])
                after = page[-1].position
    assert pages == [[1, 2], [3, 4], [5]]
