"""The log behind a pooler that gives each transaction another connection."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from listener.log import erase, heads, migrate, reader
from listener.log.postgres import Postgres
from tests import postgres
from tests.logbook import add, aside, bodies
from tests.pooler import CONNECTIONS, Pooler, pooled


@pytest.fixture
def pooler(on_postgres: Path) -> Iterator[Pooler]:
    """In front of a database of its own."""
    url = postgres.url(on_postgres)
    assert url is not None
    with pooled(url) as found:
        yield found


def test_the_log_works_behind_a_pooler(pooler: Pooler) -> None:
    """Made, appended to by two at once, read in pages, looked through and erased, over all of its connections."""
    with contextlib.closing(Postgres(pooler.url)) as one, contextlib.closing(Postgres(pooler.url)) as other:
        migrate.migrate(one)
        one.assert_suitable()
        with aside(lambda: [add(other, b"other") for _ in range(20)]):
            for _ in range(20):
                add(one, b"one")
        assert sorted(body or b"" for body in bodies(one)) == [b"one"] * 20 + [b"other"] * 20
        assert [event.position for event in reader.every(one, page=7)] == list(range(1, 41))
        with one.writing() as connection:
            erase.erase(connection, [3], 4)
            assert heads.add(connection, None, 40, "note") is not None
        assert one.leave_no_trace()
        with one.reading() as connection:
            assert migrate.fresh(one).keys() >= {("table", "events"), ("trigger", "events_refuse_truncate")}
            assert reader.head(connection) == 40
        assert len(set(pooler.used)) == CONNECTIONS


FRESH = (0, "0", "0", "read committed", '"$user", public', 0)


def test_nothing_of_ours_is_left_in_a_session(pooler: Pooler) -> None:
    """Neither a lock, nor a prepared statement, nor a setting: whoever gets the connection next finds it as it was."""
    with contextlib.closing(Postgres(pooler.url)) as database:
        migrate.migrate(database)
        for _ in range(20):  # a driver that prepares does so from the fifth time on
            add(database, b"one")
        migrate.fresh(database)
    left = (
        "SELECT (SELECT count(*) FROM pg_prepared_statements), current_setting('lock_timeout'), "
        "current_setting('idle_in_transaction_session_timeout'), current_setting('transaction_isolation'), "
        "current_setting('search_path'), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
    )
    with psycopg.connect(postgres.plain(pooler.url), autocommit=True) as connection:
        for _ in range(2 * CONNECTIONS):
            assert connection.execute(left, prepare=False).fetchone() == (
                0,
                "0",
                "0",
                "read committed",
                '"$user", public',
                0,
            )


def test_a_pooler_tells_who_keeps_a_session(pooler: Pooler) -> None:
    """The counter-example: statements that are prepared, and a setting for the session, are gone with the next one."""
    prepares = psycopg.connect(postgres.plain(pooler.url), autocommit=True, prepare_threshold=0)
    with prepares, pytest.raises(psycopg.errors.InvalidSqlStatementName):
        prepares.execute("SELECT 1 + %s", (1,))  # prepared here, executed there
    with psycopg.connect(postgres.plain(pooler.url), autocommit=True) as connection:
        connection.execute("SET lock_timeout = 7")
        shown = [connection.execute("SHOW lock_timeout").fetchone() for _ in range(CONNECTIONS)]
        assert ("0",) in shown
