"""A document appears whole or not at all, once, under a name that nothing else has, whatever stands in the way."""

import contextlib
import hashlib
import io
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener import errors
from listener.acts import Artifact
from listener.api import Stream
from listener.demo import pdf
from listener.demo.archive import archive
from listener.worker import filestore
from listener.worker.filestore import FileStore, safe
from tests.rig import paths

PDF = pdf.document("Lease", ["signed"])
PACKED = archive({"Lease.pdf": PDF})
LEASE = Artifact("onespan", "LWsUTvGgE4WpOvaQPT16idnxNj8=", "documents.zip")
EVIDENCE = Artifact("onespan", "LWsUTvGgE4WpOvaQPT16idnxNj8=", "evidence.pdf")
AUDIT = Artifact("onespan", "LWsUTvGgE4WpOvaQPT16idnxNj8=", "audit.json")
PLACE = "onespan/LWsUTvGgE4WpOvaQPT16idnxNj8=.103955b/documents.zip"
HOSTILE = (
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "-rf",
    "a=b",
    "=",
    "a\0b",
    "~root",
    "%2E%2E",
    "C:\\con",
    "żółw/é",
    "a" * 300,
    "/" * 300,
    ".incoming",
)
names = st.one_of(st.text(), st.text("aA.%-=/~\0", max_size=12), st.sampled_from(HOSTILE))


def store(folder: Path, reserve: int = 0) -> FileStore:
    """A store that is ready."""
    made = FileStore(folder / "documents", reserve)
    made.prepare()
    return made


def stream(content: bytes, length: int | None = None, size: int = 100) -> Stream:
    """A document on its way, in pieces."""
    return Stream((content[at : at + size] for at in range(0, len(content), size)), length)


def breaking(content: bytes) -> Iterator[bytes]:
    """Half a document, and then the connection is gone."""
    yield content[: len(content) // 2]
    raise errors.Unusable("no whole answer: ReadError")


def test_a_document_lies_in_its_place_with_its_hash(tmp_path: Path) -> None:
    """What was streamed is on disk, read-only, and nothing else is."""
    files = store(tmp_path)
    stored = files.store(LEASE, stream(PACKED, len(PACKED)))
    assert (stored.sha256, stored.size) == (hashlib.sha256(PACKED).hexdigest(), len(PACKED))
    assert files.path(LEASE) == files.folder / stored.path
    assert (files.folder / stored.path).read_bytes() == PACKED
    assert stat.S_IMODE((files.folder / stored.path).stat().st_mode) == 0o440
    assert paths(files.folder) == [stored.path]


def test_a_length_that_nobody_announced_is_no_problem(tmp_path: Path) -> None:
    """Chunked answers have none."""
    assert store(tmp_path).store(EVIDENCE, stream(PDF)).size == len(PDF)


@pytest.mark.parametrize(
    ("artifact", "content", "length"),
    [
        pytest.param(LEASE, b"<!DOCTYPE html><html>Try later.</html>", None, id="page for a zip"),
        pytest.param(EVIDENCE, b"<!DOCTYPE html>%PDF-1.4 %%EOF", None, id="page for a PDF"),
        pytest.param(LEASE, PDF, len(PDF), id="PDF for a zip"),
        pytest.param(EVIDENCE, PACKED, len(PACKED), id="zip for a PDF"),
        pytest.param(LEASE, b"", None, id="empty zip file"),
        pytest.param(EVIDENCE, b"", 0, id="empty PDF file"),
        pytest.param(LEASE, PACKED[:-23], None, id="zip without its end"),
        pytest.param(LEASE, PACKED[: len(PACKED) // 2], None, id="half a zip"),
        pytest.param(EVIDENCE, PDF[:-7], None, id="PDF without its end"),
        pytest.param(AUDIT, b"<!DOCTYPE html>{}", None, id="page for JSON"),
        pytest.param(AUDIT, b'{"audit-events":[{"type"', None, id="JSON without its end"),
        pytest.param(AUDIT, b'{"audit-events":[]', None, id="JSON with the end of a list"),
        pytest.param(AUDIT, b"", None, id="empty JSON file"),
        pytest.param(LEASE, PACKED, len(PACKED) - 1, id="a byte more than announced"),
        pytest.param(LEASE, PACKED, len(PACKED) + 1, id="a byte less than announced"),
    ],
)
def test_what_is_no_document_leaves_nothing(
    tmp_path: Path, artifact: Artifact, content: bytes, length: int | None
) -> None:
    """Bytes that begin or end like something else, or are not as many as announced, are refused, and gone."""
    files = store(tmp_path)
    with pytest.raises(errors.Unusable):
        files.store(artifact, stream(content, length))
    assert paths(files.folder) == []
    assert files.adopt(artifact) is None


@pytest.mark.parametrize("content", [b'{"audit-events":[{"type":"Login"}]}\n', b"[]", b"{}\r\n \n"])
def test_json_is_a_document(tmp_path: Path, content: bytes) -> None:
    """An object or a list, as it came."""
    files = store(tmp_path)
    stored = files.store(AUDIT, stream(content))
    assert (files.folder / stored.path).read_bytes() == content
    assert files.adopt(AUDIT) == stored


def test_an_empty_archive_is_a_zip(tmp_path: Path) -> None:
    """A zip without entries begins with its own end."""
    assert store(tmp_path).store(LEASE, stream(archive({}))).size == 22


def test_a_connection_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    """Half a document is never in its place, and the next try finds it free."""
    files = store(tmp_path)
    with pytest.raises(errors.Unusable, match="no whole answer"):
        files.store(LEASE, Stream(breaking(PACKED), None))
    assert paths(files.folder) == []
    assert files.store(LEASE, stream(PACKED)).size == len(PACKED)


def test_more_than_a_document_can_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream without end is left, and what came of it is dropped."""
    monkeypatch.setattr(filestore, "MOST_BYTES", 1000)
    with pytest.raises(errors.Unusable, match="more than 1000 bytes"):
        store(tmp_path).store(LEASE, Stream(iter([bytes(100)] * 100), None))
    assert paths(tmp_path) == []


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


def test_what_lies_there_is_adopted_and_nothing_when_nothing_does(tmp_path: Path) -> None:
    """The outcome was lost: the file is found, checked, and told as if it had just been stored."""
    files = store(tmp_path)
    assert files.adopt(LEASE) is None
    stored = files.store(LEASE, stream(PACKED))
    assert files.adopt(LEASE) == stored
    assert files.adopt(EVIDENCE) is None


@pytest.mark.parametrize("content", [b"", b"<html>", PACKED[:-1], PDF])
def test_what_lies_there_and_is_no_document_is_not_adopted(tmp_path: Path, content: bytes) -> None:
    """It is neither believed nor overwritten: a person must look."""
    files = store(tmp_path)
    files.path(LEASE).parent.mkdir(parents=True)
    files.path(LEASE).write_bytes(content)
    with pytest.raises(errors.Unusable):
        files.adopt(LEASE)
    with pytest.raises(errors.Unusable):
        files.store(LEASE, stream(PACKED))
    assert files.path(LEASE).read_bytes() == content


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


@given(st.sets(names, min_size=2, max_size=30))
def test_distinct_ids_have_distinct_names_where_case_is_ignored_too(ids: set[str]) -> None:
    """No two ids share a file name, on no file system."""
    assert len({safe(known).casefold() for known in ids}) == len(ids)


@given(st.text("aAbBzZ09.%=-", max_size=250))
def test_ids_that_differ_only_in_case_stay_apart(id: str) -> None:
    """OneSpan's ids are base64: their letters' case is all that tells some of them apart."""
    if id != id.swapcase():
        assert safe(id).casefold() != safe(id.swapcase()).casefold()


@given(names)
def test_a_name_is_a_harmless_file_name(id: str) -> None:
    """It is one element, in printable ASCII, short enough, no option, not hidden, and no way up or out."""
    name = safe(id)
    assert 0 < len(name) <= 255
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set('/\\\0:*?"<>| ')
    assert name[0] not in "-.~"


@given(names, st.sampled_from(["documents.zip", "evidence.pdf", "Evidence.pdf", "a.b.zip", "-.zip"]))
def test_a_path_stays_in_the_folder(subject: str, name: str) -> None:
    """Whatever the id is, the document lies exactly three levels below, and resolving the path changes nothing."""
    files = FileStore(Path("/documents"), 0)
    path = files.path(Artifact("onespan", subject, name))
    assert Path(os.path.normpath(path)) == path
    assert path.relative_to("/documents/onespan").parts == (safe(subject), path.name)
    assert path.suffix in {".zip", ".pdf"}


@given(st.sets(st.tuples(names, st.from_regex(r"[a-zA-Z.]{0,6}[a-z]\.(zip|pdf)", fullmatch=True)), min_size=2))
def test_distinct_artifacts_have_distinct_paths(keys: set[tuple[str, str]]) -> None:
    """Subject and name together, where case is ignored too."""
    files = FileStore(Path("/documents"), 0)
    found = {str(files.path(Artifact("onespan", *key))).casefold() for key in keys}
    assert len(found) == len(keys)


@pytest.mark.parametrize("subject", HOSTILE)
def test_hostile_ids_are_stored_and_adopted(tmp_path: Path, subject: str) -> None:
    """Real files under names that a real file system takes."""
    files = store(tmp_path)
    artifact = Artifact("onespan", subject, "documents.zip")
    stored = files.store(artifact, stream(PACKED))
    assert files.adopt(artifact) == stored
    assert paths(tmp_path) == [f"documents/{stored.path}"]


@pytest.mark.parametrize("name", ["documents", "documents.exe", "..", "zip", ".zip", "a.zip/../../b"])
def test_a_kind_that_cannot_be_checked_has_no_place(tmp_path: Path, name: str) -> None:
    """Only what is known by its first bytes is put on disk."""
    with pytest.raises(errors.Unusable, match="no kind of document"):
        store(tmp_path).adopt(Artifact("onespan", "id", name))


def test_below_the_reserve_nothing_is_written(tmp_path: Path) -> None:
    """Before the first byte, and for an announced length that would not leave enough."""
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(errors.DiskReserve):
        store(tmp_path, reserve=2 * free).store(LEASE, stream(PACKED))
    with pytest.raises(errors.DiskReserve):
        store(tmp_path, reserve=free // 2).store(LEASE, stream(PACKED, free))
    assert paths(tmp_path) == []
    store(tmp_path, reserve=free // 2).store(LEASE, stream(PACKED, len(PACKED)))


def test_a_long_stream_watches_the_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document whose length nobody announced stops when the room goes out meanwhile."""
    monkeypatch.setattr(filestore, "_CHECK_DISK_EVERY", 1000)
    files = store(tmp_path)

    def filling() -> Iterator[bytes]:
        yield PACKED
        files._disk_reserve = 2 * shutil.disk_usage(tmp_path).total
        yield bytes(1001)
        yield pytest.fail("read on")

    with pytest.raises(errors.DiskReserve):
        files.store(LEASE, Stream(filling(), None))
    assert paths(tmp_path) == []


def test_starting_drops_what_an_interrupted_fetch_left(tmp_path: Path) -> None:
    """Half a file of the last process is gone, documents stay."""
    files = store(tmp_path)
    files.store(LEASE, stream(PACKED))
    (files.folder / ".incoming/fetch-x").write_bytes(PACKED[:100])
    files.prepare()
    assert paths(files.folder) == [PLACE]


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


def test_all_documents_of_a_subject_are_removed(tmp_path: Path) -> None:
    """And its folder; those of others stay, though their id differs only in case. A second time there is nothing."""
    known = store(tmp_path)
    for subject in ("a", "A"):
        for name in ("documents.zip", "evidence.pdf"):
            path = known.path(Artifact("onespan", subject, name))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    assert known.remove("onespan", "A") == ["onespan/A.1/documents.zip", "onespan/A.1/evidence.pdf"]
    assert not (known.folder / "onespan" / "A.1").exists()
    assert len(list((known.folder / "onespan" / "a").iterdir())) == 2
    assert known.remove("onespan", "A") == []


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


def test_zip_entries_are_never_unpacked(tmp_path: Path) -> None:
    """A zip whose entries climb out of the folder is a file like any other."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("../../escaped", "gotcha")
    store(tmp_path).store(LEASE, stream(out.getvalue()))
    assert paths(tmp_path) == [f"documents/{PLACE}"]


def test_a_zip_whose_end_contradicts_itself_is_no_document(tmp_path: Path) -> None:
    """Python's own check raises on it; a hostile end must be an unusable answer like any other."""
    store = FileStore(tmp_path, 0)
    store.prepare()
    locator = b"PK\x06\x07" + bytes(4) + bytes(8) + (2).to_bytes(4, "little")
    content = b"PK\x03\x04" + bytes(30) + locator + b"PK\x05\x06" + bytes(18)
    with pytest.raises(errors.Unusable):
        store.store(Artifact("onespan", "p", "documents.zip"), Stream(iter([content]), len(content)))
    assert store.adopt(Artifact("onespan", "p", "documents.zip")) is None


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
    assert not first.scratch.exists()
    first.store(LEASE, stream(PACKED))
    assert paths(tmp_path) == [PLACE]
