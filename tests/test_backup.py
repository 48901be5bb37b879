"""A backup is whole or not there; what is restored is looked through first, and goes on as an epoch of its own."""

import os
import shutil
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from listener import bootstrap, errors
from listener.audit import verify
from listener.backup import Copied
from listener.cabinet import Folder
from listener.log import note, reader
from listener.log.database import Database
from listener.log.sqlite import Copy
from listener.settings import Settings
from listener.signing import decided
from tests import logbook, rig
from tests.logbook import ended, locked, spawned
from tests.rig import add
from tests.sealed import DOCUMENT, PATH, Sealed, full, spoil
from tests.test_migrations import at

FILE = "backups/log.db"


def quiet(_more: int, _whole: int) -> None:
    """Nobody looks on."""


def back_up(sealed: Sealed, documents: bool = False) -> Copied:
    """A backup at its place, whose folder is there."""
    file = sealed.folder / FILE
    file.parent.mkdir(exist_ok=True)
    with bootstrap.tree(sealed.settings) as tree:
        return bootstrap.backup(sealed.settings, sealed.database, tree).make(file, documents, quiet)


def restore(sealed: Sealed, accept: bool = False, **changes: Any) -> Copied:
    """The backup, put into the folder `new`."""
    with bootstrap.restore(elsewhere(sealed, **changes)) as place:
        return place.make(sealed.folder / FILE, accept, "somebody", "the disk broke", quiet)


def elsewhere(sealed: Sealed, **changes: Any) -> Settings:
    """The same configuration with data in the folder `new`."""
    return msgspec.structs.replace(sealed.settings, data=str(sealed.folder / "new"), **changes)


@contextmanager
def new(sealed: Sealed) -> Iterator[Database]:
    """The restored log."""
    with bootstrap.log(elsewhere(sealed)) as database:
        yield database


def left(folder: Path) -> list[str]:
    """Everything that lies below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# Backup


def test_a_backup_is_the_log(tmp_path: Path) -> None:
    """Row by row, in one file that nobody else may read, and which needs nothing beside it."""
    with Sealed(tmp_path) as sealed:
        copied = back_up(sealed)
        assert copied == (tmp_path / FILE, 12, sealed.verify().root, 0)
        assert left(tmp_path / "backups") == ["log.db"]
        assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
        copy = Copy(tmp_path / FILE)
        assert list(reader.every(copy)) == sealed.events()
        assert verify.verify(copy).ok
        copy.close()
        assert left(tmp_path / "backups") == ["log.db"]


def test_a_backup_has_what_is_only_in_the_write_ahead_log(tmp_path: Path) -> None:
    """A copy of the file alone would lack it."""
    with Sealed(tmp_path) as sealed:
        assert sealed.database.wal_bytes() > 0
        shutil.copyfile(sealed.database.address, tmp_path / "naive.db")
        assert back_up(sealed).events == 12
        naive = Copy(tmp_path / "naive.db")
        with pytest.raises(Exception, match=r"no such table|malformed"):
            list(reader.every(naive))
        naive.close()


def test_a_backup_waits_for_nobody_and_nobody_for_it(tmp_path: Path) -> None:
    """The append lock is another's the whole time; and what is appended while it is made is in it or not, whole."""
    with Sealed(tmp_path) as sealed:
        with locked(sealed.settings.folder):
            assert back_up(sealed).events == 12
        (tmp_path / FILE).unlink()
        writer = spawned(append_until_told, sealed.settings.folder)
        logbook.until((sealed.settings.folder / "begun").exists)
        counts = []
        for _ in range(3):
            copied = back_up(sealed)
            counts.append(copied.events)
            (tmp_path / FILE).unlink()
        (sealed.settings.folder / "enough").touch()
        assert logbook.ended(writer) == 0
        assert counts == sorted(counts)
        assert counts[0] > 12
        assert sealed.verify().ok


def append_until_told(folder: Path) -> None:
    """For another process: append all the time."""
    with logbook.opened(folder) as database:
        while not (folder / "enough").exists():
            logbook.add(database, b"more")
            (folder / "begun").touch()


def dangle(path: Path) -> None:
    """A link to nowhere."""
    path.symlink_to("nowhere")


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """A file, a folder, a link to nowhere; nor the documents of an older backup."""
    with Sealed(tmp_path) as sealed:
        file = tmp_path / FILE
        file.parent.mkdir()
        for place in (file, file.with_name("log.db.documents")):
            for make, remove in ((Path.touch, Path.unlink), (Path.mkdir, Path.rmdir), (dangle, Path.unlink)):
                make(place)
                with pytest.raises(errors.CopyRefused, match=f"{place} is there already"):
                    back_up(sealed)
                remove(place)
        assert back_up(sealed).events == 12


def theirs(path: Path) -> None:
    """Somebody else's."""
    path.write_text("theirs")


def test_a_file_that_appears_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    """Somebody else made a backup of the same name."""
    with Sealed(tmp_path) as sealed, bootstrap.tree(sealed.settings) as tree:
        (tmp_path / FILE).parent.mkdir()
        known = bootstrap.backup(sealed.settings, sealed.database, tree)
        with pytest.raises(errors.CopyRefused, match="is there already"):
            known.make(tmp_path / FILE, False, lambda _more, _whole: theirs(tmp_path / FILE))
        assert left(tmp_path / "backups") == ["log.db"]
        assert (tmp_path / FILE).read_text() == "theirs"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A typo makes no folders."""
    with Sealed(tmp_path) as sealed, bootstrap.tree(sealed.settings) as tree:
        known = bootstrap.backup(sealed.settings, sealed.database, tree)
        with pytest.raises(errors.CopyRefused, match="/nowhere is no folder"):
            known.make(tmp_path / "nowhere/log.db", False, quiet)


def test_a_log_that_was_changed_is_not_copied(tmp_path: Path) -> None:
    """Nobody should find that out when it is needed; nothing is left."""
    with Sealed(tmp_path) as sealed:
        sealed.change("kind", "'x'")
        with pytest.raises(errors.CopyRefused, match=r"the log is not what was written: its columns.*signlog verify"):
            back_up(sealed)
        assert left(tmp_path / "backups") == []


def test_a_copy_with_another_root_is_refused(tmp_path: Path) -> None:
    """The tree beside the log says that it is another log: both cannot be right."""
    with Sealed(tmp_path) as sealed, bootstrap.tree(sealed.settings) as tree:
        with tree._writing() as connection:
            connection.exec_driver_sql("UPDATE nodes SET hash = zeroblob(32) WHERE ordinal = 15")
        with pytest.raises(errors.CopyRefused, match="the copy has another root than the log"):
            back_up(sealed)
        assert left(tmp_path / "backups") == []


def test_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    """What the door needs is left to it."""
    with Sealed(tmp_path, disk_reserve=1 << 60) as sealed:
        with pytest.raises(errors.DiskReserve, match="stay reserved"):
            back_up(sealed)
        assert left(tmp_path / "backups") == []


def test_documents_come_along(tmp_path: Path) -> None:
    """If asked; each is compared with what the log says was stored."""
    with Sealed(tmp_path) as sealed:
        assert back_up(sealed, documents=True).documents == 1
        copy = tmp_path / "backups/log.db.documents" / PATH
        assert (copy.read_bytes(), stat.S_IMODE(copy.stat().st_mode)) == (DOCUMENT, 0o440)
        assert [path for path in left(tmp_path / "backups") if path.startswith(".")] == []


def test_a_document_that_was_exchanged_is_not_copied(tmp_path: Path) -> None:
    """Then there is no backup with documents, and one without."""
    with Sealed(tmp_path) as sealed:
        spoil(sealed.settings.documents_folder / PATH)
        with pytest.raises(errors.CopyRefused, match="is not what was stored; see 'signlog verify --documents'"):
            back_up(sealed, documents=True)
        assert left(tmp_path / "backups") == []
        assert back_up(sealed).events == 12


# Restore


def test_a_restored_log_goes_on(tmp_path: Path) -> None:
    """All its events, and the decision that begins the next epoch; it can be appended to, signed and verified."""
    with Sealed(tmp_path) as sealed:
        shutil.copy(tmp_path / "outside", tmp_path / "outside.before")
        copied = back_up(sealed)
        assert restore(sealed) == copied
        with new(sealed) as database:
            events = list(reader.every(database))
            assert events[:-1] == sealed.events()
            assert (events[-1].path, events[-1].credential) == (decided.RESTORED_PATH, "operator:somebody")
            add(database, full())
            with bootstrap.signer(elsewhere(sealed), database) as signer:
                signed = note.read(signer.sign().note)
            assert (signed.head.size, verify.verify(database).ok) == (15, True)
            assert signed.head.origin != note.read((tmp_path / "outside.before").read_text()).head.origin
        assert [name for name in left(tmp_path / "new") if "restoring" in name] == []


def test_a_backup_that_lacks_what_was_signed_must_be_accepted(tmp_path: Path) -> None:
    """The head outside says how much is missing; nothing is restored until somebody says that it may be."""
    with Sealed(tmp_path) as sealed:
        back_up(sealed)
        add(sealed.database, full(), full())
        sealed.sign()
        with pytest.raises(errors.CopyRefused) as refused:
            restore(sealed)
        assert "was signed over 14 events, and the log has 12" in str(refused.value)
        assert str(refused.value).endswith("go on without: add --accept")
        assert [path for path in left(tmp_path / "new") if path.endswith(".db")] == []
        assert restore(sealed, accept=True).events == 12
        with new(sealed) as database, bootstrap.signer(elsewhere(sealed), database) as signer:
            signer.sign()
            assert verify.verify(database).ok


@pytest.mark.parametrize("name", ["signlog.db", "signlog.db-wal", "signlog-views-1.db", "signlog-tree.db"])
def test_a_place_that_is_not_empty_is_refused(tmp_path: Path, name: str) -> None:
    """What lies there may be needed, or would be taken for a part of the log."""
    with Sealed(tmp_path) as sealed:
        back_up(sealed)
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / name).touch()
        with pytest.raises(errors.CopyRefused, match=f"there is a log in .*/new already \\({name}\\)"):
            restore(sealed)


def test_keys_and_refused_callbacks_may_lie_there(tmp_path: Path) -> None:
    """They were brought over from the old folder."""
    with Sealed(tmp_path) as sealed:
        back_up(sealed)
        (tmp_path / "new").mkdir()
        for name in ("secret", "checkpoint.key", "quarantine.db"):
            shutil.copy(sealed.settings.folder / "checkpoint.key", tmp_path / "new" / name)
        assert restore(sealed).events == 12


def test_a_server_that_runs_there_keeps_its_place(tmp_path: Path) -> None:
    """Whoever holds the folder's lock."""
    with Sealed(tmp_path) as sealed:
        back_up(sealed)
        (tmp_path / "new").mkdir()
        lock = bootstrap.only_server(elsewhere(sealed))
        with pytest.raises(errors.ConfigurationError, match="a server already runs"):
            restore(sealed)
        os.close(lock)
        assert restore(sealed).events == 12


def cut(path: Path) -> None:
    """Half of it."""
    os.truncate(path, path.stat().st_size // 8192 * 4096)


def one_bit(path: Path) -> None:
    """Of a body."""
    content = path.read_bytes()
    at = content.index(b"PACKAGE_CREATE")
    path.write_bytes(content[:at] + b"Q" + content[at + 1 :])


def empty(path: Path) -> None:
    """Nothing in it."""
    path.write_bytes(b"")


def text(path: Path) -> None:
    """Something else."""
    path.write_text("this is no database, and long enough to be looked at" * 100)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (cut, "is damaged|is no backup of a log: database disk image is malformed"),
        (one_bit, "the backup is not what was written: body, headers, salt or their hash were changed"),
        (empty, "this is a database, and no backup of a log"),
        (text, "is no backup of a log: file is not a database"),
    ],
)
def test_a_backup_that_is_not_whole_is_refused(tmp_path: Path, harm: Any, said: str) -> None:
    """Before anything lies in its place; then the good one can be restored."""
    with Sealed(tmp_path) as sealed:
        back_up(sealed)
        good = (tmp_path / FILE).read_bytes()
        harm(tmp_path / FILE)
        with pytest.raises(errors.CopyRefused, match=said):
            restore(sealed)
        assert [path for path in left(tmp_path / "new") if path.endswith(".db")] == []
        (tmp_path / FILE).write_bytes(good)
        assert restore(sealed).events == 12


def test_a_log_that_somebody_writes_to_is_no_backup(tmp_path: Path) -> None:
    """Its newest events are in a file beside it."""
    with Sealed(tmp_path) as sealed:
        (tmp_path / "backups").mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(f"{sealed.database.address}{suffix}", f"{tmp_path / FILE}{suffix}")
        with pytest.raises(errors.CopyRefused, match=r"is a log that is being written to \(log\.db-wal\)"):
            restore(sealed)


def test_a_backup_that_is_not_there(tmp_path: Path) -> None:
    """A typo; or a folder."""
    with Sealed(tmp_path) as sealed:
        with pytest.raises(errors.NotFoundError, match=f"there is no file {tmp_path / FILE}"):
            restore(sealed)
        (tmp_path / FILE).mkdir(parents=True)
        with pytest.raises(errors.NotFoundError, match=f"there is no file {tmp_path / FILE}"):
            restore(sealed)


def test_room_is_left_for_the_door(tmp_path: Path) -> None:
    """As with a backup."""
    with Sealed(tmp_path) as sealed:
        back_up(sealed)
        with pytest.raises(errors.DiskReserve):
            restore(sealed, disk_reserve=1 << 60)


def test_documents_are_restored(tmp_path: Path) -> None:
    """From the folder beside the backup; each is compared with the log."""
    with Sealed(tmp_path) as sealed:
        back_up(sealed, documents=True)
        restored = restore(sealed)
        path = tmp_path / "new/documents" / PATH
        assert (restored.documents, path.read_bytes()) == (1, DOCUMENT)
        with new(sealed) as database:
            assert verify.verify(database, papers=Folder(tmp_path / "new/documents")).ok
        shutil.rmtree(tmp_path / "new")
        spoil(tmp_path / "backups/log.db.documents" / PATH)
        with pytest.raises(errors.CopyRefused, match="is not what was stored"):
            restore(sealed)


def test_a_document_that_lies_in_its_place_already_is_read(tmp_path: Path) -> None:
    """It stays if it is what was stored; else nothing is restored over it, and nothing claims that it is there."""
    with Sealed(tmp_path) as sealed:
        back_up(sealed, documents=True)
        path = tmp_path / "new/documents" / PATH
        path.parent.mkdir(parents=True)
        path.write_bytes(DOCUMENT)
        spoil(path)
        spoiled = path.read_bytes()
        with pytest.raises(errors.CopyRefused, match=rf"{path} is not what was stored.* or move it away"):
            restore(sealed)
        assert path.read_bytes() == spoiled
        path.unlink()
        path.write_bytes(DOCUMENT)
        assert restore(sealed).documents == 1


def test_a_backup_of_an_older_version_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no heads yet; its events are what they were."""
    with Sealed(tmp_path) as sealed:
        (tmp_path / "old").mkdir()
        (tmp_path / "backups").mkdir()
        monkeypatch.setattr("listener.log.migrate._upgrade", at("0001"))
        with logbook.opened(tmp_path / "old") as database:
            monkeypatch.undo()
            logbook.add_as_before(database, full(), full())
            database.leave_no_trace()
        shutil.copy(tmp_path / "old/signlog.db", tmp_path / FILE)
        (tmp_path / "outside").unlink()
        assert restore(sealed).events == 2


# Killed


def die_at(syncs: int) -> None:
    """Be killed at the nth time that something is made to survive a power cut."""
    real, done = os.fsync, []

    def fsync(descriptor: int) -> None:
        done.append(descriptor)
        if len(done) == syncs:
            os.kill(os.getpid(), signal.SIGKILL)
        real(descriptor)

    setattr(os, "fsync", fsync)  # noqa: B010  its type says that it takes more than numbers


def back_up_and_die(folder: Path, syncs: int) -> None:
    """For another process: a backup with documents, that is not completed."""
    with rig.Log(folder) as log, bootstrap.tree(log.settings) as tree:
        die_at(syncs)
        bootstrap.backup(log.settings, log.database, tree).make(folder / FILE, True, quiet)


def restore_and_die(folder: Path, syncs: int) -> None:
    """For another process: restore the backup, and do not complete that."""
    settings = msgspec.structs.replace(rig.settings(folder), data=str(folder / "new"))
    with bootstrap.restore(settings) as place:
        die_at(syncs)
        place.make(folder / FILE, True, "somebody", "the disk broke", quiet)


@pytest.mark.parametrize("syncs", [1, 3, 4, 5, 6])
def test_a_killed_backup_is_whole_or_not_there(tmp_path: Path, syncs: int) -> None:
    """Whatever is left has another name, but for documents that wait for their log."""
    with Sealed(tmp_path) as sealed:
        (tmp_path / "backups").mkdir()
        assert ended(spawned(back_up_and_die, tmp_path, syncs)) == (-signal.SIGKILL if syncs < 6 else 0)
        if (tmp_path / FILE).exists():
            assert syncs >= 5
            (tmp_path / "outside").unlink()
            assert restore(sealed)[1:] == (12, sealed.verify().root, 1)
        else:
            assert syncs < 5
            shutil.rmtree(tmp_path / "backups/log.db.documents", ignore_errors=True)
            assert back_up(sealed, documents=True).events == 12


@pytest.mark.parametrize("syncs", [1, 2, 3, 4])
def test_a_killed_restore_left_a_log_or_none(tmp_path: Path, syncs: int) -> None:
    """If there is one, its epoch has begun: no key can sign another history under the old origin."""
    with Sealed(tmp_path) as sealed:
        back_up(sealed)
        (tmp_path / "outside").unlink()
        assert ended(spawned(restore_and_die, tmp_path, syncs)) == (-signal.SIGKILL if syncs < 3 else 0)
        if not (tmp_path / "new/signlog.db").exists():
            assert syncs < 3
            restore(sealed)
        with new(sealed) as database:
            assert len(list(reader.every(database))) == 13
            assert verify.verify(database).ok
