"""Views in schemas of the log's database: who may make them, who reads what is thrown away, what no session keeps."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, select
from sqlalchemy.exc import ProgrammingError

from listener import acts, bookkeeping, errors, leases
from listener.acts import Act
from listener.fenced import Fenced
from listener.interpreter import MOST_LETTERS
from listener.leases import DatabaseLease
from listener.log import reader
from listener.log.migrate import migrate
from listener.log.postgres import Postgres
from listener.shelf import Shelf, shelf
from listener.views import Views
from listener.views_file import FileShelf
from listener.worker.projector import Projector
from listener.worker.replay import Replay
from projections import facts, packages
from tests import postgres
from tests.pooler import CONNECTIONS, Pooler, pooled
from tests.rig import Log, add, artifact, callback, fresh, history, tables, until
from tests.test_worker_replay import fold, locks, replay, wrong_handler

LOG_ID = bytes(16)


@pytest.fixture
def log(on_postgres: Path) -> Iterator[Log]:
    """One in a server."""
    with Log(on_postgres) as found:
        yield found


def schemas(log: Log) -> set[str]:
    """Those of ours."""
    with log.database.reading() as connection:
        named = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'signlog')"
        return set(connection.exec_driver_sql(named).scalars())


def strays(log: Log) -> set[str]:
    """Tables of views that stand where the log's are."""
    with log.database.reading() as connection:
        named = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        return {table.name for table in bookkeeping._TABLES} & set(connection.exec_driver_sql(named).scalars())


def made(log: Log, number: int = 1) -> Views:
    """An empty generation."""
    found = log.shelf.generation(number)
    found.create(LOG_ID, bookkeeping.FIRST)
    return found


def test_generations_are_schemas_and_there_is_no_file(log: Log) -> None:
    """Of the log's database; the folder has nothing of them."""
    add(log.database, *history())
    fold(log, "code")
    replay(log).plan()
    assert schemas(log) == {"signlog_views_1", "signlog_views_2"}
    assert not list(log.settings.folder.glob("*views*"))
    assert strays(log) == set()


def test_another_machine_sees_the_same(log: Log, tmp_path: Path) -> None:
    """With a folder of its own: it needs nothing but the address."""
    add(log.database, *history())
    fold(log, "code")
    with contextlib.closing(Postgres(log.database.address)) as elsewhere:
        assert tables(shelf(elsewhere).generation(1)) == tables(log.shelf.generation(1))


def test_who_may_make_no_schemas_is_told_what_to_type(log: Log) -> None:
    """The role, the database, the words; and when they were typed, it works."""
    url = make_url(log.database.address)
    with log.database.writing() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS weak")
        connection.exec_driver_sql("CREATE ROLE weak LOGIN")
    address = url.set(username="weak").render_as_string()
    grant = f"GRANT CREATE ON DATABASE {url.database} TO weak"
    with contextlib.closing(Postgres(address)) as weak:
        found = shelf(weak).generation(1)
        with pytest.raises(errors.UnsuitableDatabase, match=grant):
            found.create(LOG_ID, bookkeeping.FIRST)
        with pytest.raises(errors.UnsuitableDatabase, match=grant), found.building(LOG_ID, bookkeeping.FIRST):
            pytest.fail("it was built")
        postgres.tell(log.database.address, grant)
        found.create(LOG_ID, bookkeeping.FIRST)
        assert found.exists()
    postgres.tell(log.database.address, "DROP OWNED BY weak CASCADE", "DROP ROLE weak")


def test_a_reader_of_what_is_thrown_away_keeps_nobody_waiting(log: Log) -> None:
    """Nobody finds it from then on, nor does the reader at its next question; it goes when the reader does."""
    found = made(log)
    with found.reading() as connection:
        assert bookkeeping.checkpoint(connection).position == 0
        found.discard()
        assert log.shelf.numbers() == set()
        assert not log.shelf.leave_no_trace()
        with pytest.raises(errors.ViewsError, match="not there"):
            bookkeeping.checkpoint(connection)
    assert log.shelf.leave_no_trace()
    assert schemas(log) == set()


def test_whoever_writes_can_ask_the_log_in_the_same_transaction(log: Log) -> None:
    """Whether it still may; who builds or reads cannot, and finds no table of the log in the place of its own."""
    found = made(log)
    with found.writing() as connection:
        assert reader.head(connection) == 1
    for use in (found.reading, lambda: found.building(LOG_ID, bookkeeping.FIRST)):
        with pytest.raises(errors.ViewsError, match="not there, or damaged"), use() as connection:
            reader.head(connection)


def test_an_error_of_the_log_is_not_blamed_on_the_views(log: Log) -> None:
    """Nor a wrong statement; a table that is not there is."""
    found = made(log)
    missing = "SELECT * FROM nowhere"
    with pytest.raises(ProgrammingError, match="nowhere"), found.reading(), log.database.reading() as connection:
        connection.exec_driver_sql(missing)
    with pytest.raises(ProgrammingError, match="syntax"), found.reading() as connection:
        connection.exec_driver_sql("not even SQL")
    with pytest.raises(errors.ViewsError, match="schema signlog_views_1"), found.reading() as connection:
        connection.exec_driver_sql(missing)


def test_what_is_thrown_away_while_it_is_built_does_not_appear(log: Log) -> None:
    """Nor does any table of it stand elsewhere."""
    new = log.shelf.generation(2)
    with pytest.raises(errors.ViewsError), new.building(LOG_ID, bookkeeping.FIRST):
        log.shelf.generation(2).discard()
    with pytest.raises(errors.ViewsError), new.beside(made(log)) as connection:
        bookkeeping.create(connection, LOG_ID, bookkeeping.FIRST)
    assert log.shelf.leave_no_trace()
    assert (schemas(log), strays(log)) == ({"signlog_views_1"}, set())


def test_what_looks_like_ours_and_is_not_stays(log: Log) -> None:
    """Of other names nobody throws anything away."""
    postgres.tell(log.database.address, "CREATE SCHEMA signlog_views_x", "CREATE SCHEMA signlog_views_1_old")
    made(log)
    assert log.shelf.numbers() == {1}
    log.shelf.generation(1).discard()
    assert schemas(log) == {"signlog_views_x", "signlog_views_1_old"}


def test_damage_is_told_and_mended(tmp_path: Path) -> None:
    """A page that the server cannot read: the worker folds the next generation, from the log."""
    with postgres.server() as server:
        postgres.mark(tmp_path, server)
        with Log(tmp_path) as log:
            add(log.database, *history())
            fold(log, "code")
            before = tables(log.shelf.generation(1))
            with log.shelf.generation(1).reading() as connection:
                path = connection.exec_driver_sql("SELECT pg_relation_filepath('packages')").scalar_one()
            server.stop()
            (server.folder / "data" / path).write_bytes(b"\xff" * 8192)
            server.start()
            with contextlib.closing(Projector(log.database, log.shelf, "code")) as found:
                add(log.database, callback("PACKAGE_TRASH"))
                with pytest.raises(errors.ViewsError, match="is damaged") as caught:
                    found.catch_up()
                found.mend(caught.value)
                assert (found.views.generation, log.shelf.numbers()) == (3, {3})
                assert len(tables(found.views)[0]) == len(before[0])


# Behind a pooler that gives each transaction another connection


@pytest.fixture
def pooler(on_postgres: Path) -> Iterator[Pooler]:
    """In front of a database of its own."""
    url = postgres.url(on_postgres)
    assert url is not None
    with pooled(url) as found:
        yield found


def test_views_work_behind_a_pooler(pooler: Pooler, tmp_path: Path) -> None:
    """Folded, planned, applied, taken back, purged; and no session keeps anything of it."""
    with contextlib.closing(Postgres(pooler.url)) as database:
        migrate(database)
        add(database, *history())
        found = shelf(database)
        with wrong_handler(), contextlib.closing(Projector(database, found, "wrong")) as projector:
            projector.catch_up()
        right, wrong = (Replay(database, found, tmp_path, code, *locks(tmp_path)) for code in ("right", "wrong"))
        right.apply(right.plan().digest, "somebody", accept_faults=True)
        assert wrong.roll_back("somebody") == 1
        assert right.plan().summary["changed"] > 0
        assert right.purge() == [2]
        assert found.numbers() == {1}
    left = (
        "SELECT current_setting('search_path'), current_setting('synchronous_commit'), "
        "(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), "
        "(SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relname = 'differing')"
    )
    with psycopg.connect(postgres.plain(pooler.url), autocommit=True) as connection:
        for _ in range(2 * CONNECTIONS):
            assert connection.execute(left, prepare=False).fetchone() == ('"$user", public', "on", 0, 0)
    assert len(set(pooler.used)) == CONNECTIONS


def test_what_a_killed_builder_left_on_this_machine_goes(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the generation that it was for, and with all traces; never what another one is built from."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = shelf(log.database)
    for go in (found.generation(1).discard, found.leave_no_trace):
        begun, other = found.generation(1).workshop(), found.generation(11).workshop()
        folder, kept = begun.__enter__(), other.__enter__()
        (folder / "part").touch()
        found.generation(2).discard()
        assert folder.exists()
        go()
        assert not folder.exists()
        assert kept.exists() == (go != found.leave_no_trace)
        found.generation(11).discard()


# The same as in files


def test_a_plan_is_the_same_as_with_files(log: Log, tmp_path: Path) -> None:
    """To the last letter of its digest: rows, their order, and what differs; whatever strangers call their packages."""
    odd = ("a\x00b", "a\x01", "a\x00", "a b", "A", "é", "😀")
    add(log.database, *history(), *(callback("PACKAGE_CREATE", name) for name in odd))
    add(log.database, *(callback("PACKAGE_COMPLETE", name) for name in odd))
    files = FileShelf(tmp_path / "files")
    with wrong_handler():
        fold(log, "wrong")
        with contextlib.closing(fresh(log.database, tmp_path / "files", "wrong")) as projector:
            projector.catch_up()
    plans = [
        Replay(log.database, kept, log.settings.folder, "right", *locks(log.settings.folder)).plan()
        for kept in (files, log.shelf)
    ]
    assert plans[0] == plans[1]
    assert plans[0].summary["changed"] >= len(odd)
    for number in (1, 2):
        assert tables(files.generation(number)) == tables(log.shelf.generation(number))


def test_ids_of_any_length_stop_nobody(log: Log) -> None:
    """The longest that are taken in fit into every index, whatever letters they have; longer ones are faults."""
    letters = [chr(0x20000 + number * 97) for number in range(MOST_LETTERS)]  # four bytes each, and no two alike
    longest, longer = "".join(letters), "".join(letters) * 30
    name = facts.one_of("document-*.pdf", longest)[:MOST_LETTERS]
    add(log.database, *(callback("PACKAGE_COMPLETE", of) for of in (longest, longer, "\x00" * MOST_LETTERS)))
    add(log.database, acts.outcome(artifact(longest, name), "onespan", Act(facts.FAILED, attempt=1, reason="why")))
    add(log.database, callback("PACKAGE_COMPLETE", "other"))
    fold(log, "code")
    with log.shelf.generation(1).reading() as connection:
        assert bookkeeping.checkpoint(connection).position == len(log.events())
        [fault] = connection.execute(bookkeeping.faults.select()).all()
        assert (fault.subject, fault.error) == (None, "an id has more than 300 letters")
        assert set(connection.scalars(select(packages.TABLE.c.id))) == {longest, "\x00" * MOST_LETTERS, "other"}


# Whoever was frozen, and thaws


@contextlib.contextmanager
def overtaken(log: Log, how: str) -> Iterator[tuple[Shelf, Callable[[], None]]]:
    """Schemas of one who has a lease, by the log that it was given or by the schemas alone; and how it is lost.

    Whoever takes it is at work on generation 2.
    """
    assert isinstance(log.database, Postgres)
    ours, other = (DatabaseLease(log.database, "worker", holder) for holder in ("frozen", "other"))
    with contextlib.closing(Fenced(log.database.address, ours)) as fenced:
        database, fence = (fenced, None) if how == "the log" else (log.database, ours)
        assert ours.take()

        def lose() -> None:
            postgres.tell(fenced.address, f"UPDATE leases SET until = {leases.CLOCK}")
            until(other.take)

        try:
            yield shelf(database, fence), lose
        finally:
            ours.let_go()
            other.let_go()


HOW = pytest.mark.parametrize("how", ["the log", "the schemas"])


@HOW
def test_whoever_was_taken_over_throws_nothing_away(log: Log, how: str) -> None:
    """What has that name is another's by now, whole or half; before, it was his to throw away."""
    with overtaken(log, how) as (frozen, lose):
        made(log, 2)
        frozen.generation(2).discard()
        assert schemas(log) == set()
        lose()
        made(log, 2)
        with pytest.raises(errors.LeaseLost):
            frozen.generation(2).discard()
        assert schemas(log) == {"signlog_views_2"}
        with log.shelf.generation(3).building(LOG_ID, bookkeeping.FIRST):
            with pytest.raises(errors.LeaseLost):
                frozen.generation(3).discard()
            assert log.shelf.halves() == {3}


@HOW
def test_whoever_was_taken_over_builds_nothing(log: Log, how: str) -> None:
    """It is refused before it has touched anything; before, it built."""
    with overtaken(log, how) as (frozen, lose):
        with frozen.generation(1).building(LOG_ID, bookkeeping.FIRST):
            pass
        lose()
        with pytest.raises(errors.LeaseLost), frozen.generation(2).building(LOG_ID, bookkeeping.FIRST):
            pytest.fail("it was begun")
        assert schemas(log) == {"signlog_views_1"}


@HOW
def test_whoever_freezes_while_it_builds_shows_nothing(log: Log, how: str) -> None:
    """Another one builds under the same name when it thaws: what stands there is the other's, as that made it."""
    with overtaken(log, how) as (frozen, lose):
        half = frozen.generation(2).building(LOG_ID, "frozen")
        half.__enter__()
        lose()
        with log.shelf.generation(2).building(LOG_ID, "other"):
            with pytest.raises(errors.LeaseLost):
                half.__exit__(None, None, None)
            assert (log.shelf.numbers(), log.shelf.halves()) == (set(), {2})
        with log.shelf.generation(2).reading() as connection:
            assert bookkeeping.checkpoint(connection).origin == "other"
        assert log.shelf.leave_no_trace()
        assert schemas(log) == {"signlog_views_2"}
