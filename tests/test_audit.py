"""What an audit notes, what it can bear, and what it says of epochs and keys."""

import os
import resource
from pathlib import Path

import pytest

from listener import bootstrap
from listener.audit import findings, verify
from listener.audit.findings import Findings
from listener.audit.verify import Report
from listener.cabinet import Folder
from listener.errors import CopyRefused
from listener.log import heads, note
from listener.log.note import SigningKey, TreeHead
from listener.log.sqlite import Copy
from listener.signing import decided
from listener.signing.keyfile import KeyFile
from tests import logbook
from tests.rig import add
from tests.sealed import Sealed, full


def notes(report: Report) -> list[tuple[str, int | None]]:
    """What is noted, and where first."""
    return [(one.kind, one.position) for one in report.notes]


def accept(sealed: Sealed) -> None:
    """Go on with the log as it is, as after a restored backup, and sign."""
    with bootstrap.signer(sealed.settings, sealed.database) as signer:
        signer.accept("somebody", "a try")
        signer.sign()


# Findings


def test_of_each_kind_the_first_is_kept() -> None:
    """And the others are counted, in no more memory."""
    found = Findings()
    for position in (5, 7, 9):
        found.problem(findings.LEAF, position, f"{position}")
    found.problem(findings.HEADS, None, "somewhere")
    found.note(findings.CLOCK, 3, "back")
    assert [(one.kind, one.position, one.said, one.more) for one in found.problems] == [
        (findings.HEADS, None, "somewhere", 0),
        (findings.LEAF, 5, "5", 2),
    ]
    assert [one.kind for one in found.notes] == [findings.CLOCK]


# Epochs


def test_an_accepted_log_is_fine(tmp_path: Path) -> None:
    """Two epochs, two origins, two keys by name; that a restore was accepted is noted."""
    with Sealed(tmp_path) as sealed:
        accept(sealed)
        add(sealed.database, full())
        sealed.sign()
        report = sealed.verify()
        assert (report.ok, notes(report)) == (True, [(findings.RESTORED, 13)])
        assert report.notes[0].said == "from here on a restored log goes on, by operator:somebody"


def test_heads_that_were_left_behind_are_noted(tmp_path: Path) -> None:
    """The log lost its tail, and somebody accepted that: what was signed over the tail is no problem any more."""
    with Sealed(tmp_path) as sealed:
        with sealed.unguarded() as connection:
            connection.exec_driver_sql("DELETE FROM events WHERE position > 9")
        assert sealed.wrong()
        accept(sealed)
        add(sealed.database, *[full()] * 5)
        sealed.sign()
        report = sealed.verify()
        assert (report.problems, notes(report)) == ([], [(findings.RESTORED, 10)])
        assert report.notes[0].more == 1


def test_a_head_outside_is_never_left_behind(tmp_path: Path) -> None:
    """Who kept it wants to know what became of the events that it was signed over."""
    with Sealed(tmp_path) as sealed:
        outside = Path(sealed.settings.checkpoint_copy or "")
        kept = outside.read_text()
        with sealed.unguarded() as connection:
            connection.exec_driver_sql("DELETE FROM events WHERE position > 9")
        accept(sealed)
        outside.write_text(kept)
        assert sealed.wrong() == [(findings.HEADS, 12)]


def test_heads_before_the_restore_count_as_before(tmp_path: Path) -> None:
    """Only what was signed over the tail is excused: the rest of the log is what it was, or it is told."""
    with Sealed(tmp_path) as sealed:
        with sealed.unguarded() as connection:
            connection.exec_driver_sql("DELETE FROM events WHERE position > 9")
        accept(sealed)
        sealed.change("leaf", "zeroblob(32)", 4)
        assert dict(sealed.wrong())[findings.HEADS] == 8


@pytest.mark.parametrize(
    ("position", "problem"),
    [
        (9, "the log gets another id, and no decision says why"),
        (13, "the log gets another id where no event is"),
    ],
)
def test_an_epoch_that_nobody_decided(tmp_path: Path, position: int, problem: str) -> None:
    """Its events would not count as those that were signed over."""
    with Sealed(tmp_path) as sealed:
        with sealed.database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO log VALUES (?, ?, 0)", (position, bytes(16)))
        assert sealed.said(findings.EPOCHS) == problem


def test_another_id_of_the_log(tmp_path: Path) -> None:
    """Each leaf commits to it."""
    with Sealed(tmp_path) as sealed:
        with sealed.unguarded() as connection:
            connection.exec_driver_sql("UPDATE log SET id = ?", (bytes(16),))
        assert sealed.wrong() == [(findings.LEAF, 1)]
        with sealed.unguarded() as connection:
            connection.exec_driver_sql("DELETE FROM log")
        assert sealed.said(findings.EPOCHS) == "the log has no id from its first event on"


# Keys


def test_another_key_is_noted_unless_both_signed(tmp_path: Path) -> None:
    """A change by the book leaves no trace here; one without the old key does."""
    with Sealed(tmp_path) as sealed, bootstrap.signer(sealed.settings, sealed.database) as signer:
        signer.rotate("somebody", "a new year")
        add(sealed.database, full())
        signer.sign()
        assert (sealed.verify().ok, sealed.verify().notes) == (True, [])
        sealed.settings.key_file.unlink()
        head = signer.rotate("somebody", "it was lost")
        add(sealed.database, full())
        signer.sign()
        report = sealed.verify()
        assert (report.ok, notes(report)) == (True, [(findings.KEYS, head.size)])


def test_heads_that_are_all_gone_are_missed(tmp_path: Path) -> None:
    """Their numbers tell nothing then, but who names a key signs with it; nobody says so while one head is left."""
    with Sealed(tmp_path) as sealed:
        for kept, noted in ((1, []), (0, [(findings.KEYS, 2)])):
            with sealed.unguarded() as connection:
                connection.exec_driver_sql("DELETE FROM heads WHERE number > ?", (kept,))
            report = sealed.verify(outside=False)
            assert (report.ok, report.heads, notes(report)) == (True, kept, noted)


def test_a_head_with_the_key_of_before(tmp_path: Path) -> None:
    """Once another one is named, the old one signs for nothing by itself: somebody kept a copy of it."""
    with Sealed(tmp_path) as sealed, bootstrap.signer(sealed.settings, sealed.database) as signer:
        old = sealed.settings.key_file.read_bytes()
        signer.rotate("somebody", "it was seen by others")
        add(sealed.database, full())
        sealed.settings.key_file.write_bytes(old)
        size = signer.tree.catch_up(sealed.database)
        with signer.tree.reading() as stored, sealed.database.writing() as connection:
            (name, _), key = decided.named(connection)[0].key, KeyFile(sealed.settings.key_file).load()
            text = TreeHead(name, size, stored.root(size)).text
            signed = note.sign(text, [SigningKey(name, key)] if key else [])
            heads.add(connection, heads.newest(connection), size, signed)
        assert sealed.wrong() == [(findings.HEADS, size)]
        assert sealed.said(findings.HEADS).endswith("is not signed with the key that the log names for it")


# What it can bear


def test_a_file_that_cannot_be_read_any_more(tmp_path: Path) -> None:
    """The disk lost a page: what is before it was looked at, and the sentence says where it ends."""
    with Sealed(tmp_path) as sealed:
        add(sealed.database, *(full(b"number %d " % number * 100) for number in range(200)))
        sealed.database.leave_no_trace()
        path = Path(sealed.database.address)
        with path.open("r+b") as file:
            file.seek(path.read_bytes().index(b"number 100 ") // 4096 * 4096)
            file.write(b"\xff" * 4096)
        copy = Copy(path)
        report = verify.verify(copy)
        copy.close()
        (reading,) = [one for one in report.problems if one.kind == findings.READING]
        assert reading.said.startswith("the database cannot be read behind position ")
        assert 100 <= report.events <= 112


def test_large_events_take_little_memory(tmp_path: Path) -> None:
    """A page is bounded in bytes, not only in rows: 100 MB of bodies, read a few at a time."""
    with Sealed(tmp_path) as sealed:
        for _ in range(12):
            add(sealed.database, full(os.urandom(8 * 1024 * 1024)))
            sealed.database.checkpoint()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert sealed.verify().ok
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_events_that_come_meanwhile_are_not_looked_at(tmp_path: Path) -> None:
    """Nor heads that are signed meanwhile: what is told is how the log was at the beginning."""
    with Sealed(tmp_path) as sealed, bootstrap.tree(sealed.settings) as tree:

        def more(*_: int) -> None:
            add(sealed.database, full())
            sealed.sign()

        report = verify.verify(sealed.database, tree, told=more)
        assert (report.ok, report.events, report.heads) == (True, 12, 3)


def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many events since, of how many."""
    monkeypatch.setattr("listener.audit.scan.ROWS", 5)
    told: list[tuple[int, int]] = []
    with Sealed(tmp_path) as sealed:
        verify.verify(sealed.database, told=lambda more, whole: told.append((more, whole)))
    assert told == [(5, 12), (5, 12), (2, 12)]


def test_an_empty_log_is_fine(tmp_path: Path) -> None:
    """There is nothing to be wrong."""
    with logbook.opened(tmp_path) as database:
        report = verify.verify(database)
        assert (report.ok, report.events, report.root.hex()[:8]) == (True, 0, "e3b0c442")


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../secret", "a/../../b", "a/\0", "/"])
def test_a_path_that_leads_elsewhere_is_no_place(tmp_path: Path, path: str) -> None:
    """The log says where a document lies, and whoever forged the log may have said anything."""
    with pytest.raises(CopyRefused, match="is no place for a document"):
        list(Folder(tmp_path).chunks(path))
    (tmp_path / "x.pdf").write_bytes(b"PDF")
    assert list(Folder(tmp_path).chunks("x.pdf")) == [b"PDF"]
