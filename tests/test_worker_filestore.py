"""Documents on disk: each step is durable before the next, whatever stands in the way."""

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from listener import errors
from listener.demo.archive import archive
from listener.worker.filestore import FileStore
from tests.rig import paths
from tests.test_worker_store import EVIDENCE, LEASE, PACKED, PDF, PLACE, stream


def store(folder: Path, reserve: int = 0) -> FileStore:
    """A store that is ready."""
    made = FileStore(folder / "documents", reserve)
    made.prepare()
    return made


def test_a_document_lies_in_its_place_with_its_hash(tmp_path: Path) -> None:
    """What was streamed is on disk, read-only, and nothing else is."""
    files = store(tmp_path)
    stored = files.store(LEASE, stream(PACKED, len(PACKED)))
    assert (stored.sha256, stored.size) == (hashlib.sha256(PACKED).hexdigest(), len(PACKED))
    assert files.path(LEASE) == files.folder / stored.path
    assert (files.folder / stored.path).read_bytes() == PACKED
    assert stat.S_IMODE((files.folder / stored.path).stat().st_mode) == 0o440
    assert paths(files.folder) == [stored.path]


def test_a_document_is_never_overwritten(tmp_path: Path) -> None:
    """Whatever lies there stays, also when the same bytes come again."""
    files = store(tmp_path)
    files.store(LEASE, stream(PACKED))
    other = archive({"Lease.pdf": PDF, "more": b""})
    for content in (PACKED, other):
        with pytest.raises(errors.Unusable, match="appeared meanwhile"):
            files.store(LEASE, stream(content))
    assert files.path(LEASE).read_bytes() == PACKED
    assert paths(files.folder) == [PLACE]


def plant_link(place: Path, elsewhere: Path) -> None:
    (elsewhere / "real.zip").write_bytes(PACKED)
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere / "real.zip")


def plant_dangling_link(place: Path, elsewhere: Path) -> None:
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere / "not there")


def plant_folder(place: Path, elsewhere: Path) -> None:
    place.mkdir(parents=True)


def plant_pipe(place: Path, elsewhere: Path) -> None:
    place.parent.mkdir(parents=True)
    os.mkfifo(place)


def plant_linked_subject(place: Path, elsewhere: Path) -> None:
    place.parent.parent.mkdir(parents=True)
    place.parent.symlink_to(elsewhere)


def plant_linked_source(place: Path, elsewhere: Path) -> None:
    place.parent.parent.symlink_to(elsewhere)


def plant_file_for_subject(place: Path, elsewhere: Path) -> None:
    place.parent.parent.mkdir(parents=True)
    place.parent.write_bytes(b"")


@pytest.mark.parametrize(
    "plant",
    [
        plant_link,
        plant_dangling_link,
        plant_folder,
        plant_pipe,
        plant_linked_subject,
        plant_linked_source,
        plant_file_for_subject,
    ],
)
def test_nothing_planted_in_the_way_is_followed(tmp_path: Path, plant: Any) -> None:
    """Links, folders and pipes where a document belongs are refused by both ways in, and nothing is written elsewhere.

    `OSError` is what the downloads take for a failed try as well.
    """
    files = store(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    plant(files.path(LEASE), elsewhere)
    before = paths(elsewhere)
    with pytest.raises(errors.Unusable):
        files.adopt(LEASE)
    with pytest.raises((errors.Unusable, OSError)):
        files.store(LEASE, stream(PACKED))
    assert paths(elsewhere) == before
    assert list((files.folder / ".incoming").iterdir()) == []


def test_the_documents_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    """An operator may keep the documents on another disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "documents").symlink_to(tmp_path / "disk")
    store(tmp_path).store(LEASE, stream(PACKED))
    assert paths(tmp_path / "disk") == [PLACE]


def test_a_file_descriptor_is_never_left_open(tmp_path: Path) -> None:
    """Neither what is adopted nor what is refused keeps its descriptor."""
    files = store(tmp_path)
    files.store(LEASE, stream(PACKED))
    files.path(EVIDENCE).mkdir()
    before = len(os.listdir("/proc/self/fd"))
    files.adopt(LEASE)
    with pytest.raises(errors.Unusable):
        files.adopt(EVIDENCE)
    assert len(os.listdir("/proc/self/fd")) == before


class Recorder:
    """The calls that make a document durable, in the order in which the kernel got them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.calls: list[str] = []
        self.root = root
        for name in ("fsync", "link", "mkdir", "fchmod"):
            monkeypatch.setattr(os, name, self.recorded(name, getattr(os, name)))

    def recorded(self, name: str, call: Any) -> Any:
        def do(*arguments: Any, **named: Any) -> Any:
            done = call(*arguments, **named)
            self.calls.append(f"{name} {self.shown(arguments[-1] if name == 'link' else arguments[0])}")
            return done

        return do

    def shown(self, what: Any) -> str:
        path = Path(os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else what)
        return "file" if ".incoming" in path.parts else str(path.relative_to(self.root))


def test_the_order_of_durability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes are synced before they have a name, and every name on the way before anybody hears of it."""
    files = store(tmp_path)
    recorder = Recorder(monkeypatch, tmp_path)
    files.store(LEASE, stream(PACKED))
    subject = PLACE.rpartition("/")[0]
    assert recorder.calls == [
        "fchmod file",
        "fsync file",
        "mkdir documents/onespan",
        f"mkdir documents/{subject}",
        f"link documents/{PLACE}",
        f"fsync documents/{subject}",
        "fsync documents/onespan",
        "fsync documents",
    ]


def test_what_is_adopted_is_synced_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who linked it may have been killed before the folders were synced."""
    files = store(tmp_path)
    files.store(LEASE, stream(PACKED))
    recorder = Recorder(monkeypatch, tmp_path)
    files.adopt(LEASE)
    assert [call.split("/")[0] for call in recorder.calls] == ["fsync documents"] * 4
    assert recorder.calls[0] == f"fsync documents/{PLACE}"


@pytest.mark.parametrize("call", ["fsync", "link", "mkdir", "fchmod"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", range(4))
def test_an_error_at_any_step_leaves_a_whole_document_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, when: str, nth: int
) -> None:
    """The disk fails before or after each step: what is in its place then is whole, and the next run ends with it."""
    files = store(tmp_path)
    real, count = getattr(os, call), iter(range(100))

    def failing(*arguments: Any, **named: Any) -> Any:
        fails = next(count) == nth
        if fails and when == "before":
            raise OSError("disk")
        done = real(*arguments, **named)
        if fails:
            raise OSError("disk")
        return done

    with monkeypatch.context() as patched:
        patched.setattr(os, call, failing)
        with contextlib.suppress(OSError):
            files.store(LEASE, stream(PACKED))
    assert paths(files.folder) in ([], [PLACE])
    found = files.adopt(LEASE) or files.store(LEASE, stream(PACKED))
    assert found.sha256 == hashlib.sha256(PACKED).hexdigest()
    assert paths(files.folder) == [PLACE]


def test_a_link_is_removed_and_never_followed(tmp_path: Path) -> None:
    """What it leads to is not ours; and a folder among the documents is somebody else's."""
    known, elsewhere = store(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_bytes(b"x")
    folder = known.folder / "onespan" / "a"
    folder.mkdir(parents=True)
    (folder / "evidence.pdf").symlink_to(elsewhere / "kept")
    assert known.remove("onespan", "a") == ["onespan/a/evidence.pdf"]
    folder.symlink_to(elsewhere)
    with pytest.raises(errors.Unusable, match="is a link"):
        known.remove("onespan", "a")
    (known.folder / "onespan" / "b" / "inner").mkdir(parents=True)
    with pytest.raises(errors.Unusable, match="is a folder"):
        known.remove("onespan", "b")
    assert (elsewhere / "kept").read_bytes() == b"x"


def test_what_others_fetch_stays(tmp_path: Path) -> None:
    """A worker that starts beside others drops what the dead left, and nothing of those who live."""

    def living() -> list[str]:
        return ["a", "b"]

    first, second = (FileStore(tmp_path, 0, name, living) for name in ("a", "b"))
    first.prepare()
    for name in ("a/fetch-x", "dead/fetch-x", "fetch-x"):
        (tmp_path / ".incoming" / name).parent.mkdir(exist_ok=True)
        (tmp_path / ".incoming" / name).write_bytes(b"half")
    second.prepare()
    assert paths(tmp_path) == [".incoming/a/fetch-x"]
    assert (first.scratch, second.scratch) == (tmp_path / ".incoming/a", tmp_path / ".incoming/b")


def test_whoever_was_taken_for_dead_makes_room_again(tmp_path: Path) -> None:
    """What it had for half is gone; what it fetches next is stored."""
    first, second = FileStore(tmp_path, 0, "a", lambda: ["a"]), FileStore(tmp_path, 0, "b", lambda: ["b"])
    first.prepare()
    second.prepare()
    assert not (tmp_path / ".incoming/a").exists()
    first.store(LEASE, stream(PACKED))
    assert paths(tmp_path) == [PLACE]
