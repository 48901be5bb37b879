"""A door that is killed at any step of spooling and draining loses nothing and appends nothing twice."""

import contextlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from listener.log.drain import Drain, Known
from listener.log.spool import Spool
from listener.log.spooled import Spooled, read
from tests.logbook import bodies, callback, either
from tests.serving import ROOT
from tests.spool_crash import TOLD

KILLED = -9
MOST_STEPS = 200


class Lives:
    """Lives of a door, each in a folder of its own, each a step longer than the last."""

    def __init__(self, folder: Path, blind: bool = False) -> None:
        self.folder = folder
        self.blind = blind
        command = [sys.executable, "-m", "tests.spool_crash"]
        self.process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def each(self) -> Iterator[Path]:
        """The folder of each life that was killed, one step later each time, and of the one that ended by itself."""
        for last in range(1, MOST_STEPS):
            folder = self.folder / str(last)
            folder.mkdir()
            with either(folder):
                pass
            code = self.live(folder, last)
            yield folder
            if code == 0:
                return
            assert code == KILLED
        raise AssertionError("it does not end")

    def live(self, folder: Path, last: int) -> int:
        """One; how it ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([str(folder), last, self.blind]), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def close(self) -> None:
        """No more."""
        self.process.communicate(timeout=60)


def afterwards(folder: Path) -> list[bytes | None]:
    """What the log holds once the next door has drained what the last one left."""
    with either(folder) as database, closing(Spool(folder / "spool")) as spool:
        Drain(database, spool).run()
        assert spool.waiting == 0
        return bodies(database)


def told(folder: Path) -> list[bytes]:
    """What was acknowledged."""
    return (folder / TOLD).read_bytes().split()


def test_killed_at_any_step_each_callback_is_there_once(tmp_path: Path) -> None:
    """In order; and the steps are all there are: opening, writing half and whole, syncing, appending, removing."""
    with closing(Lives(tmp_path)) as lives:
        for folder in lives.each():
            found = afterwards(folder)
            assert found == sorted(set(found), key=lambda body: body or b"")
            assert set(told(folder)) <= set(found)
        steps = Counter(json.loads((folder / "steps").read_text()))
    assert found == [b"0", b"1", b"2", b"3"]
    assert steps.keys() >= {"open", "half a write", "write", "fdatasync", "fsync", "INSERT", "commit", "unlink"}


def test_blindly_some_would_be_there_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above is able to fail."""
    monkeypatch.setattr(Known, "has", lambda *_: False)
    with closing(Lives(tmp_path, blind=True)) as lives:
        twice = [folder for folder in lives.each() if len(found := afterwards(folder)) > len(set(found))]
    assert len(twice) > 1


# A power cut


class Disk:
    """What a disk has of files whose bytes and names were synced, beside what the system shows of them."""

    def __init__(self) -> None:
        self.synced: dict[str, bytes] = {}
        self.named: set[str] = set()

    @contextlib.contextmanager
    def watching(self, syncs: bool) -> Iterator[None]:
        """Note what is synced; or that nothing is, as if nobody had asked for it."""
        with pytest.MonkeyPatch.context() as patched:
            for name in ("fsync", "fdatasync"):
                patched.setattr(os, name, self.noting(getattr(os, name)) if syncs else lambda _fd: None)
            yield

    def noting(self, call: Callable[[int], None]) -> Callable[[int], None]:
        """The call, and what it makes last."""

        def sync(fd: int) -> None:
            call(fd)
            path = Path(os.readlink(f"/proc/self/fd/{fd}"))
            if path.is_dir():
                self.named |= {str(each) for each in path.iterdir()}
            else:
                self.synced[str(path)] = path.read_bytes()

        return sync

    def cut(self, folder: Path) -> None:
        """Leave of a folder what a power cut may leave, at the worst."""
        for path in [each for each in folder.rglob("*") if each.is_file()]:
            if str(path) in self.named and str(path) in self.synced:
                path.write_bytes(self.synced[str(path)])
            else:
                path.unlink()


def kept_over_a_cut(folder: Path, syncs: bool) -> list[Spooled]:
    """What the spool has of three callbacks that were acknowledged before the power was cut."""
    disk = Disk()
    (folder / "data").mkdir()
    records = [Spooled(0, callback(b"%d" % number)._replace(salt=bytes([number] * 16))) for number in range(3)]
    with disk.watching(syncs):
        spool = Spool(folder / "data/spool")
        for record in records:
            spool.keep([record])
        spool.close()
    if str(folder / "data/spool") not in disk.named:
        return []
    disk.cut(folder / "data/spool")
    with closing(Spool(folder / "data/spool")) as spool:
        segment = spool.oldest()
        return read(segment.content())[0] if segment else []


def test_a_power_cut_costs_nothing(tmp_path: Path) -> None:
    """Bytes, the name of the file, and that of the folder were synced before anything was acknowledged."""
    assert [record.draft.body for record in kept_over_a_cut(tmp_path, syncs=True)] == [b"0", b"1", b"2"]


def test_without_syncs_it_would(tmp_path: Path) -> None:
    """The test above is able to fail."""
    assert kept_over_a_cut(tmp_path, syncs=False) == []
