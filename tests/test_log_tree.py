"""The tree beside the log: it grows with it, survives what happens to its file, and is never of another log."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event as listen

from listener import errors
from listener.log import merkle, reader, tree
from listener.log.database import Database
from listener.log.merkle import Frontier
from listener.log.tree import Tree
from tests.logbook import add, ended, locked, opened, spawned

BODIES = [b"%d" % number for number in range(40)]


def leaves(database: Database) -> list[bytes]:
    """Of all events."""
    return [event.leaf for event in reader.every(database)]


def root(database: Database, size: int) -> bytes:
    """The root over the first events, from nothing but their leaves."""
    frontier = Frontier()
    for leaf in leaves(database)[:size]:
        frontier.push(leaf)
    return frontier.root()


def roots(known: Tree) -> list[bytes]:
    """Of all sizes that it has."""
    with known.reading() as stored:
        return [stored.root(size) for size in range(stored.size + 1)]


def test_a_tree_grows_with_its_log(tmp_path: Path) -> None:
    """A few leaves at a time, and each size has the root of its leaves; nothing is done twice."""
    known = Tree(tmp_path)
    with opened(tmp_path) as database:
        for size in (0, 1, 2, 7, 8, 30):
            add(database, *BODIES[: size - len(leaves(database))])
            assert known.catch_up(database) == size
            assert not known.grow(database)
            assert roots(known) == [root(database, each) for each in range(size + 1)]
    known.close()


def test_it_grows_a_page_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that nobody waits long, and the log is never read for long."""
    monkeypatch.setattr(tree, "LEAVES_AT_ONCE", 7)
    known = Tree(tmp_path)
    with opened(tmp_path) as database:
        add(database, *BODIES)
        assert [known.grow(database) for _ in range(6)] == [True, True, True, True, True, False]
        assert roots(known)[-1] == root(database, 40)
    known.close()


def test_it_grows_while_somebody_appends(tmp_path: Path) -> None:
    """The append lock is another's the whole time: the door never waits for the tree."""
    known = Tree(tmp_path)
    with opened(tmp_path) as database:
        add(database, *BODIES)
        with locked(tmp_path):
            assert known.catch_up(database) == 40
    known.close()


def test_who_catches_up_does_not_run_after_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More comes in all the time: it is enough to have had all that there was."""
    monkeypatch.setattr(tree, "LEAVES_AT_ONCE", 7)
    known = Tree(tmp_path)
    with opened(tmp_path) as database:
        add(database, *BODIES)
        listen.listen(known._engine, "commit", lambda _: add(database, b"more"))
        assert 40 <= known.catch_up(database) < 60
    known.close()


def test_two_may_let_it_grow(tmp_path: Path) -> None:
    """Whoever comes second goes on where the first one was."""
    one, other = Tree(tmp_path), Tree(tmp_path)
    with opened(tmp_path) as database:
        for number, known in enumerate((one, other, one, other, other, one), 1):
            add(database, *BODIES[:3])
            assert known.catch_up(database) == 3 * number
        assert roots(one) == roots(other) == [root(database, size) for size in range(19)]
    one.close()
    other.close()


def test_proofs_are_read_from_it(tmp_path: Path) -> None:
    """Of inclusion by position, and of consistency; and a position that is not there has none."""
    known = Tree(tmp_path)
    with opened(tmp_path) as database:
        add(database, *BODIES[:21])
        known.catch_up(database)
        with known.reading() as stored:
            for position, leaf in enumerate(leaves(database), 1):
                path = stored.inclusion(position, 21)
                assert merkle.is_included(leaf, position - 1, 21, path, stored.root(21))
            for old in range(1, 22):
                path = stored.consistency(old, 21)
                assert merkle.is_consistent(old, 21, stored.root(old), stored.root(21), path)
            with pytest.raises(ValueError, match="no leaf 21 among 21"):
                stored.inclusion(22, 21)
    known.close()


def test_a_proof_takes_few_reads(tmp_path: Path) -> None:
    """No more than twice the height of the tree, wherever in it."""
    known = Tree(tmp_path)
    read: list[str] = []
    with opened(tmp_path) as database:
        for _ in range(25):
            add(database, *BODIES)
        known.catch_up(database)
        listen.listen(known._engine, "before_cursor_execute", lambda *arguments: read.append(arguments[2]))
        with known.reading() as stored:
            for position in (1, 500, 999, 1000):
                read.clear()
                stored.inclusion(position, 1000)
                assert 0 < len(read) <= 20
                read.clear()
                stored.consistency(position, 1000)
                assert len(read) <= 20
    known.close()


def test_a_node_costs_a_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand leaves, fewer than a thousand hashes, however they come in."""
    hashed: list[bytes] = []
    real = merkle.parent

    def parent(left: bytes, right: bytes) -> bytes:
        hashed.append(left)
        return real(left, right)

    monkeypatch.setattr(merkle, "parent", parent)
    known = Tree(tmp_path)
    with opened(tmp_path) as database:
        for _ in range(25):
            add(database, *BODIES)
            known.catch_up(database)
    assert len(hashed) < 1000
    known.close()


def test_no_tree_is_an_empty_one(tmp_path: Path) -> None:
    """Whoever looks before anybody let it grow."""
    known = Tree(tmp_path)
    assert roots(known) == [merkle.EMPTY]
    assert known.hashes(0, 10) == []
    assert known.trouble() is None
    known.close()


def test_the_tree_of_another_log_begins_anew(tmp_path: Path) -> None:
    """As beside a restored backup: shorter than it was, or as long and then another one."""
    known = Tree(tmp_path)
    for number in (30, 20, 20, 35):
        for path in tmp_path.glob("signlog.db*"):
            path.unlink()
        with opened(tmp_path) as database:
            add(database, *BODIES[:number])
            assert known.catch_up(database) == number
            assert roots(known) == [root(database, size) for size in range(number + 1)]
    known.close()


def spoil(path: Path) -> None:
    """Write over its beginning."""
    with path.open("r+b") as file:
        file.write(b"garbage" * 3000)


def spoil_the_end(path: Path) -> None:
    """Write over a page of nodes."""
    with path.open("r+b") as file:
        file.seek(-4096, os.SEEK_END)
        file.write(b"\xff" * 4096)


@pytest.mark.parametrize("harm", [spoil, spoil_the_end, Path.unlink])
def test_a_tree_that_breaks_is_made_anew(tmp_path: Path, harm: object) -> None:
    """It says nothing that the log does not; whoever only looks is told."""
    known = Tree(tmp_path)
    with opened(tmp_path) as database:
        for _ in range(20):
            add(database, *BODIES)
        known.catch_up(database)
        known.close()
        harm(known.path)  # type: ignore[operator]
        if known.path.exists():
            with pytest.raises(errors.TreeDamaged, match="damaged"):
                roots(known)
        known.close()
        assert known.catch_up(database) == 800
        assert roots(known)[-1] == root(database, 800)
    known.close()


def test_a_node_that_is_gone_is_damage(tmp_path: Path) -> None:
    """Somebody deleted a row, in the middle or at the end: the tree is made anew before anything is proved with it."""
    known = Tree(tmp_path)
    with opened(tmp_path) as database:
        add(database, *BODIES[:7])
        known.catch_up(database)
        with known._writing() as connection:
            connection.exec_driver_sql("DELETE FROM nodes WHERE ordinal = 3")
        with pytest.raises(errors.TreeDamaged, match="lacks its node 3"):
            roots(known)
        with known._writing() as connection:
            connection.exec_driver_sql("DELETE FROM nodes WHERE ordinal = 11")
            connection.exec_driver_sql("INSERT INTO nodes VALUES (12, x'00')")
        with pytest.raises(errors.TreeDamaged, match="ends amid a leaf"):
            roots(known)
        assert known.catch_up(database) == 7
        assert roots(known)[-1] == root(database, 7)
    known.close()


def test_a_gap_in_the_log_is_not_built_upon(tmp_path: Path) -> None:
    """It says which event is missing, and keeps what it has."""
    known = Tree(tmp_path)
    with opened(tmp_path) as database:
        add(database, *BODIES[:10])
        with database.writing() as connection:
            connection.exec_driver_sql("DROP TRIGGER events_refuse_delete")
            connection.exec_driver_sql("DELETE FROM events WHERE position = 6")
        with pytest.raises(errors.LogError, match="event 6 is missing from the log"):
            known.catch_up(database)
        assert roots(known) == [merkle.EMPTY]
    known.close()


def grow_and_die(folder: Path, statements: int) -> None:
    """For another process: be killed amid growing."""
    known, seen = Tree(folder), []
    with opened(folder) as database:

        @listen.listens_for(known._engine, "before_cursor_execute")
        def count(*_: object) -> None:
            seen.append(1)
            if len(seen) == statements:
                os.kill(os.getpid(), signal.SIGKILL)

        known.catch_up(database)
        known.close()


def test_killed_at_any_step_it_goes_on(tmp_path: Path) -> None:
    """What is in it is right, and the next one who lets it grow completes it."""
    known = Tree(tmp_path)
    with opened(tmp_path) as database:
        add(database, *BODIES)
        for statements in (1, 5, 7):
            assert ended(spawned(grow_and_die, tmp_path, statements)) == -signal.SIGKILL
            assert roots(known) == [root(database, size) for size in range(len(roots(known)))]
        assert known.catch_up(database) == 40
        assert roots(known)[-1] == root(database, 40)
    known.close()


def test_nodes_come_in_the_order_of_their_completion(tmp_path: Path) -> None:
    """As a frontier makes them, page by page."""
    known = Tree(tmp_path)
    with opened(tmp_path) as database:
        add(database, *BODIES)
        known.catch_up(database)
        frontier = Frontier()
        made = [node for leaf in leaves(database) for node in frontier.push(leaf)]
        assert [node for after in range(0, 90, 10) for node in known.hashes(after, 10)] == made
    known.close()


def test_trouble_is_told_until_it_is_over(tmp_path: Path) -> None:
    """One sentence, the last one."""
    known, other = Tree(tmp_path), Tree(tmp_path)
    for said in ("one", "another", None, None):
        known.tell(said)
        assert other.trouble() == said
    known.close()
    other.close()


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**12))
def test_leaves_and_nodes_are_counted_alike(size: int) -> None:
    """From one to the other and back; and no other number of nodes is a whole tree."""
    assert tree._leaves_of(tree._nodes_of(size)) == size
    following = tree._nodes_of(size + 1)
    for between in range(tree._nodes_of(size) + 1, following):
        with pytest.raises(errors.TreeDamaged):
            tree._leaves_of(between)
