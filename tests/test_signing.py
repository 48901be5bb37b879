"""Heads are signed over a tree that begins with every head before; where it does not, signing stops."""

import contextlib
import os
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from listener import errors
from listener.log import heads, note, reader
from listener.log.append import append
from listener.log.database import Database
from listener.log.event import DECISION, Event
from listener.log.heads import Head
from listener.log.merkle import Frontier
from listener.log.note import Note, PublicKey
from listener.log.tree import Tree
from listener.only import OnlyOne
from listener.signing import decided
from listener.signing.keyfile import KeyFile
from listener.signing.signer import EVERY_EVENTS, EVERY_SECONDS, Signer
from tests.logbook import add, aside, callback, locked, opened

COPY = "outside/head"


@contextlib.contextmanager
def signing(folder: Path, origin: str | None = None, copy: str | None = COPY) -> Iterator[tuple[Database, Signer]]:
    """A log, and who signs it; the copy lies outside."""
    (folder / "data").mkdir(exist_ok=True)
    (folder / COPY).parent.mkdir(exist_ok=True)
    with opened(folder / "data") as database:
        tree, key = Tree(folder / "data"), KeyFile(folder / "data/checkpoint.key")
        rotation = OnlyOne(folder / "data", "rotation")
        yield database, Signer(database, tree, key, rotation, None if copy is None else folder / copy, origin)
        tree.close()


def decisions(database: Database, path: str) -> list[Event]:
    """What was decided, in order."""
    with database.reading() as connection:
        return reader.acts(connection, DECISION, path)[::-1]


def keys(database: Database) -> list[PublicKey]:
    """The keys that the log names."""
    with database.reading() as connection:
        return [named.key for named in decided.named(connection)]


def root(database: Database, size: int) -> bytes:
    """The root over the first events, from nothing but their leaves."""
    frontier = Frontier()
    for event in list(reader.every(database))[:size]:
        frontier.push(event.leaf)
    return frontier.root()


def true(database: Database, head: Head) -> Note:
    """The note of a head, which is what the log says, signed by the key that it names last."""
    found = note.read(head.note)
    assert (found.head.size, found.head.root) == (head.size, root(database, head.size))
    assert keys(database)[-1] in found.signers(keys(database))
    return found


def forget(folder: Path, size: int, *more: bytes) -> None:
    """A backup of the first `size` events and its heads is put back behind our back, and others come after them."""
    with opened(folder / "data") as database, database.writing() as connection:
        guards = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all()
        for name, _ in guards:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql("DELETE FROM events WHERE position > ?", (size,))
        connection.exec_driver_sql("DELETE FROM heads WHERE size > ?", (size,))
        for _, sql in guards:
            connection.exec_driver_sql(sql)
        append(connection, [callback(body) for body in more])


# Signing


def test_the_first_head(tmp_path: Path) -> None:
    """A key is made and named in the log, and the head is signed over its decision too."""
    with signing(tmp_path) as (database, signer):
        (event,) = add(database, b"one")
        head = signer.sign()
        assert (head.number, head.size) == (1, 2)
        assert true(database, head).head.origin == f"signlog/{database_id(database)}"
        (decision,) = decisions(database, decided.KEY_PATH)
        assert (decision.position, decision.kind, decision.credential) == (event.position + 1, DECISION, None)
        assert str(keys(database)[0]).encode() in (decision.body or b"")
        assert (tmp_path / COPY).read_text() == head.note


def database_id(database: Database) -> str:
    """The id of its newest epoch, as origins have it."""
    with database.reading() as connection:
        return reader.log_id(connection).hex()


def test_each_head_goes_on_from_the_last(tmp_path: Path) -> None:
    """With one key, named once; without anything new there is no new head."""
    with signing(tmp_path) as (database, signer):
        found = []
        for bodies in ((b"one",), (b"two", b"three"), ()):
            add(database, *bodies)
            found.append(signer.sign())
        assert [head.size for head in found] == [2, 4, 4]
        assert found[1] == found[2]
        assert len({true(database, head).head.origin for head in found}) == 1
        assert len(keys(database)) == 1


def test_the_key_is_ours_alone(tmp_path: Path) -> None:
    """Nobody else may read it, and openssl can; the public part is what the log names."""
    with signing(tmp_path) as (database, signer):
        signer.sign()
        path = tmp_path / "data/checkpoint.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        told = subprocess.run(["openssl", "pkey", "-in", path, "-pubout"], capture_output=True, check=True).stdout
        assert told.decode() == keys(database)[0].pem
        assert list(path.parent.glob(".checkpoint*")) == []


def test_a_key_of_the_operators_own_is_used(tmp_path: Path) -> None:
    """Made with openssl, and put there before the first start."""
    (tmp_path / "data").mkdir()
    path = tmp_path / "data/checkpoint.key"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", path], check=True, capture_output=True)
    before = path.read_bytes()
    with signing(tmp_path) as (database, signer):
        true(database, signer.sign())
    assert path.read_bytes() == before


@pytest.mark.parametrize("algorithm", ["x25519", "rsa", None])
def test_what_is_no_key_is_refused(tmp_path: Path, algorithm: str | None) -> None:
    """With the name of the setting; nothing is written over."""
    (tmp_path / "data").mkdir()
    path = tmp_path / "data/checkpoint.key"
    if algorithm is None:
        path.write_text("a key")
    else:
        subprocess.run(["openssl", "genpkey", "-algorithm", algorithm, "-out", path], check=True, capture_output=True)
    before = path.read_bytes()
    with signing(tmp_path) as (_, signer), pytest.raises(errors.ConfigurationError, match="holds no Ed25519 key"):
        signer.sign()
    assert path.read_bytes() == before


def test_a_configured_origin_is_the_name(tmp_path: Path) -> None:
    """Of the log, and of the key."""
    with signing(tmp_path, "example.com/signlog") as (database, signer):
        found = true(database, signer.sign())
        assert (found.head.origin, keys(database)[0].name) == ("example.com/signlog",) * 2


def test_two_may_sign(tmp_path: Path) -> None:
    """The worker and a command: whoever comes second looks again, and no head stands beside another."""
    with signing(tmp_path) as (database, one), signing(tmp_path) as (_, other):
        one.sign()
        with locked(tmp_path / "data"), aside(one.sign), aside(other.sign):
            pass
        add(database, b"two")
        assert one.sign() == other.sign()
        found = list(heads.by_size(database, 9))
        assert [head.size for head in found] == [1, 2]


# When


@pytest.mark.parametrize(
    ("events", "seconds", "due"),
    [
        (0, 10 * EVERY_SECONDS, False),
        (1, 0, False),
        (1, EVERY_SECONDS - 60, False),
        (1, EVERY_SECONDS + 1, True),
        (1, -60, True),
        (EVERY_EVENTS, 0, True),
    ],
)
def test_when_a_head_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: int, seconds: int, due: bool
) -> None:
    """After so many events, or so long with any; a clock that was set back makes nobody wait for ever."""
    with signing(tmp_path) as (database, signer):
        assert not signer.due()
        add(database, b"one")
        assert signer.grow(60)
        assert signer.due()
        signed = signer.sign()
        for start in range(0, events, 50):
            add(database, *[b""] * min(50, events - start))
        assert signer.grow(60)
        monkeypatch.setattr("listener.signing.signer.now", lambda: signed.signed_at + seconds * 1_000_000)
        assert signer.due() == due


# When the log is not what was signed


def test_a_log_that_is_shorter_is_not_signed(tmp_path: Path) -> None:
    """The head outside tells how long it was; the sentence says what to type, and nothing is written over."""
    with signing(tmp_path) as (database, signer):
        signer.sign()
        add(database, b"one", b"two", b"three")
        signed = signer.sign()
    forget(tmp_path, 3)
    with signing(tmp_path) as (database, signer):
        with pytest.raises(errors.SigningStopped) as stopped:
            signer.sign()
        assert str(stopped.value) == (
            f"the head in {tmp_path / COPY} was signed over 4 events, and the log has 3. Restore a backup that has "
            "everything, or go on without: 'signlog restore --accept --reason …'"
        )
        assert (tmp_path / COPY).read_text() == signed.note
        assert [head.size for head in heads.by_size(database, 9)] == [1]


def test_a_log_with_another_history_is_not_signed(tmp_path: Path) -> None:
    """It is longer than what was signed by now, and not the same."""
    with signing(tmp_path) as (database, signer):
        signer.sign()
        add(database, b"one", b"two", b"three")
        signer.sign()
    forget(tmp_path, 3, *[b"other"] * 5)
    with signing(tmp_path) as (_, signer):
        for _ in range(2):
            with pytest.raises(errors.SigningStopped, match="over other events than the first 4 of the log"):
                signer.sign()
        with pytest.raises(errors.SigningStopped, match="over other events"):
            signer.rotate("somebody", "a try")


def test_a_tree_that_lies_is_worked_out_again_each_time(tmp_path: Path) -> None:
    """It is a copy; that it was wrong once, and then right, is no reason to believe it later."""
    with signing(tmp_path) as (database, signer):
        add(database, b"one", b"two", b"three")
        signer.sign()
        for _ in range(2):
            with contextlib.closing(sqlite3.connect(signer.tree.path, isolation_level=None)) as tree:
                tree.execute("UPDATE nodes SET hash = zeroblob(32) WHERE ordinal IN (3, 7)")
            assert signer.unmet() == []


def test_the_head_in_the_database_is_enough(tmp_path: Path) -> None:
    """Without one outside, what the log's own database keeps of heads is compared as well."""
    with signing(tmp_path, copy=None) as (database, signer):
        signer.sign()
        add(database, b"one", b"two", b"three")
        signer.sign()
        with database.writing() as connection:
            connection.exec_driver_sql("DROP TRIGGER events_refuse_delete")
            connection.exec_driver_sql("DELETE FROM events WHERE position = 4")
    stopped = pytest.raises(errors.SigningStopped, match="the newest signed head was signed over 4 events, and")
    with signing(tmp_path, copy=None) as (_, signer), stopped:
        signer.sign()


def test_without_any_head_nobody_can_tell(tmp_path: Path) -> None:
    """The counter-example: with the heads gone from the database, and none outside, another history is signed."""
    with signing(tmp_path, copy=None) as (database, signer):
        signer.sign()
        add(database, b"one", b"two", b"three")
        signer.sign()
    forget(tmp_path, 0, b"forged")
    with signing(tmp_path, copy=None) as (database, signer):
        true(database, signer.sign())


def test_a_tree_that_is_wrong_is_not_believed(tmp_path: Path) -> None:
    """The tree says that the log is another one; it is worked out again, and the log is what it was."""
    with signing(tmp_path) as (database, signer):
        signer.sign()
        add(database, b"one", b"two", b"three")
        signer.sign()
        with signer.tree._writing() as connection:
            connection.exec_driver_sql("UPDATE nodes SET hash = zeroblob(32) WHERE ordinal = 2")
        add(database, b"four")
        assert true(database, signer.sign()).head.size == 5


def test_a_head_of_another_log_is_not_written_over(tmp_path: Path) -> None:
    """As when the whole folder was lost, and a new log begins beside the head of the old one."""
    with signing(tmp_path) as (database, signer):
        add(database, b"one")
        old = signer.sign().note
    for path in (tmp_path / "data").iterdir():
        path.unlink()
    stopped = pytest.raises(errors.SigningStopped, match="over 2 events, signed with a key that this log does not")
    with signing(tmp_path) as (_, signer), stopped:
        signer.sign()
    assert (tmp_path / COPY).read_text() == old


@pytest.mark.parametrize("content", [b"garbage", b"\xff" * 100, b"x" * 1_000_000])
def test_what_is_no_head_is_not_written_over(tmp_path: Path, content: bytes) -> None:
    """Perhaps somebody named the wrong file."""
    (tmp_path / COPY).parent.mkdir()
    (tmp_path / COPY).write_bytes(content)
    with (
        signing(tmp_path) as (_, signer),
        pytest.raises(errors.SigningStopped, match=rf"the head in {tmp_path}.* is none: "),
    ):
        signer.sign()
    assert (tmp_path / COPY).read_bytes() == content


def test_a_forged_head_stops_signing(tmp_path: Path) -> None:
    """A changed number in a note of ours: its signature is wrong."""
    with signing(tmp_path) as (database, signer):
        add(database, b"one")
        (tmp_path / COPY).write_text(signer.sign().note.replace("\n2\n", "\n9\n"))
        with pytest.raises(errors.SigningStopped, match="is none: the signature of signlog/"):
            signer.sign()


def test_a_copy_that_cannot_be_read_stops_signing(tmp_path: Path) -> None:
    """It may hold a head that the log does not live up to; a link leads to something that is not ours."""
    (tmp_path / COPY).parent.mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / COPY)
    with signing(tmp_path) as (_, signer), pytest.raises(errors.SigningStopped, match=r"head cannot be read: Too many"):
        signer.sign()


def test_an_empty_file_is_a_place_for_a_head(tmp_path: Path) -> None:
    """Somebody made it, to say who may read it."""
    (tmp_path / COPY).parent.mkdir()
    (tmp_path / COPY).touch()
    with signing(tmp_path) as (_, signer):
        assert signer.sign().note == (tmp_path / COPY).read_text()


def test_a_copy_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The head is in the log's database, and goes out once the folder is there."""
    with signing(tmp_path) as (database, signer):
        (tmp_path / COPY).parent.rmdir()
        with pytest.raises(errors.SigningStopped, match=r"but not copied to .*/outside/head \(No such file"):
            signer.sign()
        assert len(list(heads.by_size(database, 9))) == 1
        (tmp_path / COPY).parent.mkdir()
        assert signer.sign().note == (tmp_path / COPY).read_text()


# Accepted


@pytest.mark.parametrize("origin", [None, "example.com/signlog"])
def test_an_accepted_log_goes_on_under_another_origin(tmp_path: Path, origin: str | None) -> None:
    """In an epoch of its own, whose first event says who decided, why, and which head was left behind."""
    with signing(tmp_path, origin) as (database, signer):
        signer.sign()
        add(database, b"one", b"two", b"three")
        old = true(database, signer.sign())
    forget(tmp_path, 3)
    with signing(tmp_path, origin) as (database, signer):
        before = database_id(database)
        position = signer.accept("somebody", "the disk broke")
        assert (position, database_id(database) == before) == (4, False)
        (decision,) = decisions(database, decided.RESTORED_PATH)
        assert (decision.position, decision.credential) == (4, "operator:somebody")
        assert b"the disk broke" in (decision.body or b"")
        new = true(database, signer.sign())
        assert new.head.origin == f"{origin or 'signlog'}/{database_id(database)}"
        assert new.head.origin != old.head.origin
        assert note.read((tmp_path / COPY).read_text()) == new
        add(database, b"four")
        assert true(database, signer.sign()).head.origin == new.head.origin


def test_what_was_left_behind_stays_so(tmp_path: Path) -> None:
    """The head outside could not be replaced yet: it is the one that somebody accepted, and stops nothing."""
    with signing(tmp_path) as (database, signer):
        signer.sign()
        add(database, b"one", b"two", b"three")
        left = signer.sign().note
    forget(tmp_path, 3)
    with signing(tmp_path) as (_, signer):
        signer.accept("somebody", "the disk broke")
        signer.sign()
        (tmp_path / COPY).write_text(left)
        assert signer.sign().note == (tmp_path / COPY).read_text()


def test_only_what_was_accepted_is(tmp_path: Path) -> None:
    """Another head of before, which nobody saw when it was decided, stops signing as before."""
    with signing(tmp_path) as (database, signer):
        signer.sign()
        add(database, b"one", b"two", b"three")
        seen = signer.sign().note
        add(database, b"four")
        unseen = signer.sign().note
        (tmp_path / COPY).write_text(seen)
    forget(tmp_path, 3)
    with signing(tmp_path) as (_, signer):
        signer.accept("somebody", "the disk broke")
        (tmp_path / COPY).write_text(unseen)
        with pytest.raises(errors.SigningStopped, match=r"over 5 events, and the log has 4"):
            signer.sign()


def test_a_log_may_be_accepted_though_nothing_speaks_against_it(tmp_path: Path) -> None:
    """Somebody restored it by other means, and no head is known that it lacks."""
    with signing(tmp_path) as (database, signer):
        first = true(database, signer.sign())
        signer.accept("somebody", "restored with another tool")
        assert true(database, signer.sign()).head.origin != first.head.origin


# Another key


def test_a_key_is_replaced_by_one_that_both_vouch_for(tmp_path: Path) -> None:
    """The decision names the new one; one head is signed by both, the next by the new one alone."""
    with signing(tmp_path) as (database, signer):
        signer.sign()
        head = signer.rotate("somebody", "a new year")
        old, new = keys(database)
        assert true(database, head).signers([old, new]) == [old, new]
        (_, decision) = decisions(database, decided.KEY_PATH)
        assert (decision.position, decision.credential) == (head.size, "operator:somebody")
        add(database, b"one")
        assert true(database, signer.sign()).signers([old, new]) == [new]
        assert sorted(path.name for path in (tmp_path / "data").glob("*key*")) == ["checkpoint.key"]
        assert stat.S_IMODE((tmp_path / "data/checkpoint.key").stat().st_mode) == 0o600


def test_a_change_of_keys_that_broke_off_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed behind the decision, or behind the head: whoever signs next does the rest, once."""
    with signing(tmp_path) as (database, signer):
        signer.sign()
        monkeypatch.setattr(Signer, "sign", lambda _: None)
        signer.rotate("somebody", "a new year")
        monkeypatch.undo()
        monkeypatch.setattr(KeyFile, "settle", lambda *_: None)
        head = signer.sign()
        monkeypatch.undo()
        old, new = keys(database)
        assert true(database, head).signers([old, new]) == [old, new]
        assert (tmp_path / "data/checkpoint.key.next").exists()
        assert signer.sign() == head
        assert not (tmp_path / "data/checkpoint.key.next").exists()
        add(database, b"one")
        assert true(database, signer.sign()).signers([old, new]) == [new]


def test_one_change_of_keys_at_a_time(tmp_path: Path) -> None:
    """The second would remove the next key of the first, which the log may name by then."""
    with signing(tmp_path) as (database, signer):
        signer.sign()
        with OnlyOne(tmp_path / "data", "rotation"), pytest.raises(errors.ConfigurationError, match="rotation already"):
            signer.rotate("somebody", "a new year")
        assert len(keys(database)) == 1
        signer.rotate("somebody", "a new year")
        assert len(keys(database)) == 2


def test_a_key_that_was_only_begun_is_not_used(tmp_path: Path) -> None:
    """Killed before the decision: the old one goes on."""
    with signing(tmp_path) as (database, signer):
        signer.sign()
        KeyFile(tmp_path / "data/checkpoint.key").stage()
        add(database, b"one")
        assert true(database, signer.sign()).signers(keys(database)) == keys(database)
        assert len(keys(database)) == 1


@pytest.mark.parametrize("lost", [True, False])
def test_another_key_than_the_one_that_is_named_signs_nothing(tmp_path: Path, lost: bool) -> None:
    """Gone, or replaced behind signlog's back: it says what to type; the new one then signs alone."""
    path = tmp_path / "data/checkpoint.key"
    with signing(tmp_path) as (database, signer):
        signer.sign()
        path.unlink()
        if not lost:
            KeyFile(path).make()
        add(database, b"one")
        what = "is gone" if lost else "or the origin is another one"
        with pytest.raises(errors.SigningStopped, match=rf"checkpoint\.key {what}: the log names signlog/.*--rotate"):
            signer.sign()
        assert path.exists() != lost
        old, new = keys(database)[0], note.read(signer.rotate("somebody", "it was lost").note)
        assert [key.public for key in new.signers(keys(database))] == [keys(database)[-1].public]
        assert old not in new.signers([old])


def test_another_origin_is_another_name_for_both(tmp_path: Path) -> None:
    """It was configured later: a decision names it, and the old name vouches for the new one."""
    with signing(tmp_path) as (_, signer):
        signer.sign()
    with signing(tmp_path, "example.com/signlog") as (database, signer):
        add(database, b"one")
        with pytest.raises(errors.SigningStopped, match="or the origin is another one"):
            signer.sign()
        found = true(database, signer.rotate("somebody", "a name of our own"))
        assert found.head.origin == "example.com/signlog"
        assert [key.name for key in found.signers(keys(database))] == [key.name for key in keys(database)]


def test_decisions_that_cannot_be_read_decide_nothing(tmp_path: Path) -> None:
    """Whoever appended them."""
    with signing(tmp_path) as (database, signer):
        for body in (b"", b"{}", b'{"action":"checkpoint key","key":"x"}', b'{"action":"restored","heads":5}'):
            for filed in (decided.KEY_PATH, decided.RESTORED_PATH):
                with database.writing() as connection:
                    append(connection, [callback(body)._replace(kind=DECISION, path=filed)])
        true(database, signer.sign())
        with database.reading() as connection:
            assert decided.accepted(connection) == frozenset()
