"""Draining the spool: each callback once, in order, whatever became of the commit that nobody heard of."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from listener import errors
from listener.log import drain, reader
from listener.log.append import BULK_ROWS, append
from listener.log.database import Database
from listener.log.drain import Drain, Known
from listener.log.event import Draft
from listener.log.reader import Tip
from listener.log.spool import DAMAGED, Spool, segments, standing
from listener.log.spooled import Spooled, line
from tests.logbook import add, another, aside, bodies, callback, connected, either, is_waited_for, until

SPOOLED_AT = 1_790_000_000_000_000


def drafts(*contents: bytes) -> list[Draft]:
    """Callbacks with salts, as the writer makes them."""
    return [callback(body)._replace(salt=bytes([number] * 16)) for number, body in enumerate(contents, 1)]


def spooled(wanted: list[Draft], head: int = 0) -> list[Spooled]:
    """The same in the spool."""
    return [Spooled(head, draft._replace(spooled_at=SPOOLED_AT)) for draft in wanted]


@contextlib.contextmanager
def site(folder: Path) -> Iterator[tuple[Database, Spool]]:
    """A log, and a spool beside it."""
    with either(folder) as database, contextlib.closing(Spool(folder / "spool")) as found:
        yield database, found


def appended(database: Database, wanted: list[Draft]) -> None:
    """A commit whose answer nobody heard."""
    with database.writing() as connection:
        append(connection, wanted)


def test_another_log_gets_nothing(each_engine: Path) -> None:
    """One of another id, by a slip in the address, or none at all, as while it is restored; it waits for its own."""
    with site(each_engine) as (database, found):
        found.belong(bytes(16), Tip())
        found.keep(spooled(drafts(b"a")))
        with pytest.raises(errors.UnsuitableDatabase, match=r"belongs to the log 0{32}, and this is "):
            Drain(database, found).run()
        assert (bodies(database), standing(each_engine / "spool").callbacks) == ([], 1)
        (each_engine / "spool/log").unlink()
        Drain(database, found).run()
        assert bodies(database) == [b"a"]
        found.belong(bytes(16), Tip())  # nothing waits: it is this one's from now on
    (each_engine / "empty").mkdir()
    database = connected(each_engine / "empty")
    with contextlib.closing(database), contextlib.closing(Spool(each_engine / "empty/spool")) as found:
        found.keep(spooled(drafts(b"a")))
        with pytest.raises(errors.UnsuitableDatabase, match=r"there is no log in .*; is it being restored"):
            Drain(database, found).run()
        assert standing(each_engine / "empty/spool").callbacks == 1


def test_a_log_that_came_back_shorter_gets_each_once(each_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head that was noted is not there any more; killed amid the drain, what it appended is found all the same."""
    with site(each_engine) as (database, found):
        add(database, b"before")
        wanted = drafts(*(b"%d" % number for number in range(2 * BULK_ROWS)))
        found.keep(spooled(wanted, head=1000))
        appended(database, [draft._replace(spooled_at=SPOOLED_AT) for draft in wanted[:BULK_ROWS]])
        Drain(database, found).run()
        assert bodies(database) == [b"before", *(draft.body for draft in wanted)]


@pytest.mark.parametrize("leaf", [b"of the log that is gone", None])
def test_a_log_that_was_cut_and_grew_is_told_by_its_leaf(each_engine: Path, leaf: bytes | None) -> None:
    """It has another event where the head was noted; what we appended below that, before we were killed, is found.

    With the leaf that stands there the log is believed: nothing below can be ours, and nobody reads it.
    """
    with site(each_engine) as (database, found):
        doubtful = [draft._replace(spooled_at=SPOOLED_AT) for draft in drafts(b"a", b"b")]
        appended(database, doubtful[:1])
        (_, last) = add(database, b"others", b"others")
        tip = Tip(last.position, leaf or last.leaf)
        found.keep([Spooled(tip.position, draft, tip.leaf) for draft in doubtful])
        Drain(database, found).run()
        again = [] if leaf else [b"a"]
        assert bodies(database) == [b"a", b"others", b"others", *again, b"b"]


def test_a_clock_that_was_set_back_hides_nothing(each_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a log that was cut: what we appended before that is looked for by its time, which came twice."""
    with site(each_engine) as (database, found):
        doubtful = [draft._replace(spooled_at=SPOOLED_AT) for draft in drafts(b"a", b"b")]
        appended(database, doubtful[:1])
        with monkeypatch.context() as patch:
            patch.setattr("listener.log.append.now", lambda: SPOOLED_AT - 3600 * 1_000_000)
            *_, last = add(database, *[b"others"] * 9)
        found.keep([Spooled(last.position, draft, b"of the log that is gone") for draft in doubtful])
        Drain(database, found).run()
        assert bodies(database) == [b"a", *[b"others"] * 9, b"b"]


def test_what_waits_is_appended(each_engine: Path) -> None:
    """In order, behind what is there, with its time in the spool and ours; and nothing is left."""
    with site(each_engine) as (database, found):
        add(database, b"before")
        found.keep(spooled(drafts(b"a", b"b")))
        found.keep(spooled(drafts(b"c")))
        assert Drain(database, found).run().position == 4
        assert bodies(database) == [b"before", b"a", b"b", b"c"]
        events = list(reader.every(database))
        assert [each.spooled_at for each in events] == [None, *[SPOOLED_AT] * 3]
        assert all(each.recorded_at > SPOOLED_AT for each in events)
        assert segments(each_engine / "spool") == []
        assert Drain(database, found).run().position == 4


def test_what_stands_there_is_not_appended_again(each_engine: Path) -> None:
    """Equal bodies are two callbacks; equal contents are one."""
    with site(each_engine) as (database, found):
        doubtful = drafts(b"a", b"same", b"same")
        appended(database, doubtful[:2])
        found.keep(spooled(doubtful))
        Drain(database, found).run()
        assert bodies(database) == [b"a", b"same", b"same"]


def test_blindly_it_would_be(each_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above is able to fail."""
    monkeypatch.setattr(Known, "has", lambda *_: False)
    with site(each_engine) as (database, found):
        doubtful = drafts(b"a", b"b")
        appended(database, doubtful)
        found.keep(spooled(doubtful))
        Drain(database, found).run()
        assert bodies(database) == [b"a", b"b", b"a", b"b"]


def test_it_looks_above_the_head_and_nowhere_else(each_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page; what stands below was there before, and is not read again."""
    monkeypatch.setattr(drain, "_PAGE", 2)
    with site(each_engine) as (database, found):
        doubtful = drafts(*[b"%d" % number for number in range(9)])
        appended(database, doubtful)
        found.keep(spooled(doubtful[:3], head=9) + spooled(doubtful[3:], head=9))
        assert Drain(database, found).run().position == 18
        found.keep(spooled(doubtful, head=0))
        assert Drain(database, found).run().position == 18


def test_a_commit_that_comes_late_is_seen(each_engine: Path) -> None:
    """Somebody held the lock since before the first look, with what is in doubt, and commits."""
    with site(each_engine) as (database, found), contextlib.closing(another(database)) as other:
        doubtful = drafts(b"a", b"b")
        found.keep(spooled(doubtful))
        with contextlib.ExitStack() as draining, other.writing() as connection:
            draining.enter_context(aside(Drain(database, found).run))
            until(lambda: is_waited_for(database))
            append(connection, doubtful)
        assert bodies(database) == [b"a", b"b"]


def test_a_failure_keeps_what_waits(each_engine: Path) -> None:
    """Not one is lost or there twice when it fails in the middle; it is told, and goes on the next time."""
    contents = [b"%d" % number for number in range(2 * BULK_ROWS + 10)]
    with site(each_engine) as (database, found):
        found.keep([Spooled(0, callback(body)._replace(salt=b"%016d" % n)) for n, body in enumerate(contents)])
        for commits in (0, 1, 2):
            with failing_after(database, commits), pytest.raises(OSError, match="as the test wants it"):
                Drain(database, found).run()
            assert standing(each_engine / "spool").callbacks == len(contents)
        assert Drain(database, found).run().position == len(contents)
        assert bodies(database) == contents


@contextlib.contextmanager
def failing_after(database: Database, commits: int) -> Iterator[None]:
    """Transactions that write fail at their insert, but for the first ones."""
    left = [commits]

    def count(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.startswith("INSERT INTO events"):
            left[0] -= 2  # each batch has two statements
            if left[0] < -1:
                raise OSError("as the test wants it")

    event.listen(database.engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(database.engine, "before_cursor_execute", count)


PICKY = (
    "CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF NEW.body = 'poison' THEN RAISE 'no' USING ERRCODE = '22021'; END IF; RETURN NEW; END $$; "
    "CREATE TRIGGER picky BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION picky()"
)


def test_what_the_database_refuses_for_what_it_is_is_set_aside(on_postgres: Path) -> None:
    """Loudly, in one piece; the others of its batch are appended, and nobody waits behind it."""
    with site(on_postgres) as (database, found):
        with database.writing() as connection:
            connection.exec_driver_sql(PICKY)
        records = spooled(drafts(b"a", b"poison", b"b"))
        found.keep(records)
        Drain(database, found).run()
        assert bodies(database) == [b"a", b"b"]
        assert (on_postgres / "spool" / DAMAGED).read_bytes() == line(records[1])
        assert standing(on_postgres / "spool") == (0, None, 1)


def test_what_cannot_be_read_is_set_aside(tmp_path: Path) -> None:
    """One flipped letter costs one callback, and a person is told."""
    with site(tmp_path) as (database, found):
        records = spooled(drafts(b"a", b"b", b"c"))
        found.keep(records)
        path = segments(tmp_path / "spool")[0]
        broken = line(records[1]).replace(b"onespan", b"onespam")
        path.write_bytes(path.read_bytes().replace(line(records[1]), broken))
        Drain(database, found).run()
        assert bodies(database) == [b"a", b"c"]
        assert (tmp_path / "spool" / DAMAGED).read_bytes() == broken


def test_an_unsuitable_database_gets_nothing(tmp_path: Path) -> None:
    """The log may come back elsewhere: what cannot keep it is not given it."""
    with site(tmp_path) as (database, found):
        found.keep(spooled(drafts(b"a")))
        with database.writing() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(errors.UnsuitableDatabase, match="newer signlog"):
            Drain(database, found).run()
        assert standing(tmp_path / "spool").callbacks == 1


def test_a_database_that_takes_nothing_is_told(tmp_path: Path) -> None:
    """Though nothing waits: it is not back before it can write."""
    with site(tmp_path) as (database, found):
        with database.reading() as connection:
            reader.head(connection)
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only = 1")
        with pytest.raises(DBAPIError, match="readonly"):
            Drain(database, found).run()


# Any order of events

STEPS = st.lists(st.sampled_from(["commit", "doubt", "spool", "drain", "die", "crash"]), max_size=25)


@given(steps=STEPS)
@hypothesis_settings(max_examples=40, deadline=None)
def test_each_callback_is_there_once_and_in_order(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    """Committed, in doubt, spooled, drained, interrupted before a commit or behind it, in any order."""
    folder = tmp_path_factory.mktemp("any")
    wanted, spooling = list[bytes](), False
    with contextlib.ExitStack() as stack:
        database, found = stack.enter_context(site(folder))
        for number, step in enumerate(steps):
            (draft,) = drafts(b"%d" % number)
            draft = draft._replace(salt=number.to_bytes(16))
            with database.reading() as connection:
                head = reader.head(connection)
            if step == "commit" and not spooling:
                appended(database, [draft])
            elif step == "doubt" and not spooling:
                if number % 2:
                    appended(database, [draft])
                found.keep(spooled([draft], head))
            elif step in ("commit", "doubt", "spool"):
                found.keep(spooled([draft], head))
            elif step == "drain":
                Drain(database, found).run()
            else:
                interrupted(database, found, step)
                found.close()
                found = stack.enter_context(contextlib.closing(Spool(folder / "spool")))
            if step in ("commit", "doubt", "spool"):
                wanted.append(draft.body)
            spooling = found.waiting > 0
        Drain(database, found).run()
        assert bodies(database) == wanted


def interrupted(database: Database, found: Spool, how: str) -> None:
    """A drain that ends before its commit, or behind it: the segment is there still."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        if how == "die":
            stack.enter_context(failing_after(database, 0))
        else:
            patched = stack.enter_context(pytest.MonkeyPatch.context())
            patched.setattr(found, "remove", fail)
        Drain(database, found).run()


def fail(_segment: object) -> None:
    """Instead of the last step."""
    raise OSError("killed")
