"""What a worker's store promises, whether it is a folder or a bucket: a document appears whole or not at all, once."""

import hashlib
import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from listener import errors
from listener.acts import Artifact
from listener.api import Stream
from listener.demo import pdf
from listener.demo.archive import archive
from listener.worker import drafts
from listener.worker.places import place
from projections.facts import Stored
from tests import homes
from tests.homes import Home
from tests.test_worker_places import HOSTILE

PDF = pdf.document("Lease", ["signed"])
PACKED = archive({"Lease.pdf": PDF})
LEASE = Artifact("onespan", "LWsUTvGgE4WpOvaQPT16idnxNj8=", "documents.zip")
EVIDENCE = Artifact("onespan", "LWsUTvGgE4WpOvaQPT16idnxNj8=", "evidence.pdf")
AUDIT = Artifact("onespan", "LWsUTvGgE4WpOvaQPT16idnxNj8=", "audit.json")
PLACE = "onespan/LWsUTvGgE4WpOvaQPT16idnxNj8=.103955b/documents.zip"


@pytest.fixture(params=homes.KINDS)
def home(request: pytest.FixtureRequest, tmp_path: Path, s3_url: str) -> Home:
    """Where documents lie, of either kind."""
    return homes.home(request.param, tmp_path, s3_url, tmp_path.name)


def stream(content: bytes, length: int | None = None, size: int = 100) -> Stream:
    """A document on its way, in pieces."""
    return Stream((content[at : at + size] for at in range(0, len(content), size)), length)


def breaking(content: bytes) -> Iterator[bytes]:
    """Half a document, and then the connection is gone."""
    yield content[: len(content) // 2]
    raise errors.Unusable("no whole answer: ReadError")


def test_a_document_lies_in_its_place_with_its_hash(home: Home) -> None:
    """What was streamed is there, and nothing else is."""
    stored = home.store().store(LEASE, stream(PACKED, len(PACKED)))
    assert stored == Stored(hashlib.sha256(PACKED).hexdigest(), len(PACKED), PLACE)
    assert home.read(PLACE) == PACKED
    assert home.paths() == [PLACE]


def test_what_is_there_is_never_written_over(home: Home) -> None:
    """Other bytes are refused, whoever put the first ones there."""
    store = home.store()
    for content in (PACKED, b"", b"not ours"):
        home.write(PLACE, content)
        with pytest.raises(errors.Unusable, match="appeared meanwhile"):
            store.store(LEASE, stream(archive({"Lease.pdf": PDF, "more": b""})))
        assert home.read(PLACE) == content
        assert home.paths() == [PLACE]


def test_what_was_stored_is_shown_as_a_file(home: Home) -> None:
    """To who looks at signatures, and to who makes another document of it."""
    store = home.store()
    stored = store.store(LEASE, stream(PACKED))
    with store.lying(stored) as path:
        assert path.read_bytes() == PACKED
    with store.material(LEASE) as material:
        assert material.path.read_bytes() == PACKED
        assert material.scratch.is_dir()
    assert home.paths() == [PLACE]


def test_what_is_gone_makes_nothing(home: Home) -> None:
    """No further try would find it: a person must put it back."""
    store = home.store()
    with pytest.raises(errors.Hopeless, match="put it back"), store.material(LEASE):
        pytest.fail("went on")


def test_a_length_that_nobody_announced_is_no_problem(home: Home) -> None:
    """Chunked answers have none."""
    assert home.store().store(EVIDENCE, stream(PDF)).size == len(PDF)


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
def test_what_is_no_document_leaves_nothing(home: Home, artifact: Artifact, content: bytes, length: int | None) -> None:
    """Bytes that begin or end like something else, or are not as many as announced, are refused, and gone."""
    files = home.store()
    with pytest.raises(errors.Unusable):
        files.store(artifact, stream(content, length))
    assert home.paths() == []
    assert files.adopt(artifact) is None


@pytest.mark.parametrize("content", [b'{"audit-events":[{"type":"Login"}]}\n', b"[]", b"{}\r\n \n"])
def test_json_is_a_document(home: Home, content: bytes) -> None:
    """An object or a list, as it came."""
    files = home.store()
    stored = files.store(AUDIT, stream(content))
    assert home.read(stored.path) == content
    assert files.adopt(AUDIT) == stored


def test_an_empty_archive_is_a_zip(home: Home) -> None:
    """A zip without entries begins with its own end."""
    assert home.store().store(LEASE, stream(archive({}))).size == 22


def test_a_connection_that_breaks_leaves_nothing(home: Home) -> None:
    """Half a document is never in its place, and the next try finds it free."""
    files = home.store()
    with pytest.raises(errors.Unusable, match="no whole answer"):
        files.store(LEASE, Stream(breaking(PACKED), None))
    assert home.paths() == []
    assert files.store(LEASE, stream(PACKED)).size == len(PACKED)


def test_more_than_a_document_can_be_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream without end is left, and what came of it is dropped."""
    monkeypatch.setattr(drafts, "MOST_BYTES", 1000)
    with pytest.raises(errors.Unusable, match="more than 1000 bytes"):
        home.store().store(LEASE, Stream(iter([bytes(100)] * 100), None))
    assert home.paths() == []


def test_what_lies_there_is_adopted_and_nothing_when_nothing_does(home: Home) -> None:
    """The outcome was lost: the file is found, checked, and told as if it had just been stored."""
    files = home.store()
    assert files.adopt(LEASE) is None
    stored = files.store(LEASE, stream(PACKED))
    assert files.adopt(LEASE) == stored
    assert files.adopt(EVIDENCE) is None


@pytest.mark.parametrize("content", [b"", b"<html>", PACKED[:-1], PDF])
def test_what_lies_there_and_is_no_document_is_not_adopted(home: Home, content: bytes) -> None:
    """It is neither believed nor overwritten: a person must look."""
    files = home.store()
    home.write(PLACE, content)
    with pytest.raises(errors.Unusable):
        files.adopt(LEASE)
    with pytest.raises(errors.Unusable):
        files.store(LEASE, stream(PACKED))
    assert home.read(PLACE) == content


@pytest.mark.parametrize("subject", HOSTILE)
def test_hostile_ids_are_stored_and_adopted(home: Home, subject: str) -> None:
    """Under names that a real file system takes, and a real bucket."""
    files = home.store()
    artifact = Artifact("onespan", subject, "documents.zip")
    stored = files.store(artifact, stream(PACKED))
    assert files.adopt(artifact) == stored
    assert home.paths() == [stored.path]


def test_below_the_reserve_nothing_is_written(home: Home, tmp_path: Path) -> None:
    """Before the first byte, and for an announced length that would not leave enough."""
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(errors.DiskReserve):
        home.store(reserve=2 * free).store(LEASE, stream(PACKED))
    with pytest.raises(errors.DiskReserve):
        home.store(reserve=free // 2).store(LEASE, stream(PACKED, free))
    assert home.paths() == []
    home.store(reserve=free // 2).store(LEASE, stream(PACKED, len(PACKED)))


def test_a_long_stream_watches_the_reserve(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A document whose length nobody announced stops when the room goes out meanwhile."""
    monkeypatch.setattr(drafts, "_CHECK_DISK_EVERY", 1000)
    files = home.store()

    def filling() -> Iterator[bytes]:
        yield PACKED
        files.drafts._disk_reserve = 2 * shutil.disk_usage(tmp_path).total
        yield bytes(1001)
        yield pytest.fail("read on")

    with pytest.raises(errors.DiskReserve):
        files.store(LEASE, Stream(filling(), None))
    assert home.paths() == []


def test_starting_drops_what_an_interrupted_fetch_left(home: Home) -> None:
    """Half a file of the last process is gone, documents stay."""
    files = home.store()
    files.store(LEASE, stream(PACKED))
    (files.scratch / "fetch-x").write_bytes(PACKED[:100])
    files.prepare()
    assert home.paths() == [PLACE]


def test_all_documents_of_a_subject_are_removed(home: Home) -> None:
    """Those of others stay, though their id differs only in case. A second time there is nothing."""
    known = home.store()
    for subject in ("a", "A", "a=", "aa"):
        for name in ("documents.zip", "evidence.pdf"):
            home.write(place(Artifact("onespan", subject, name)), b"x")
    assert known.remove("onespan", "A") == ["onespan/A.1/documents.zip", "onespan/A.1/evidence.pdf"]
    assert {path.rpartition("/")[0] for path in home.paths()} == {"onespan/a", "onespan/a=", "onespan/aa"}
    assert known.remove("onespan", "A") == []
    assert known.remove("onespan", "a") == ["onespan/a/documents.zip", "onespan/a/evidence.pdf"]


def test_zip_entries_are_never_unpacked(home: Home) -> None:
    """A zip whose entries climb out of the folder is a file like any other."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("../../escaped", "gotcha")
    home.store().store(LEASE, stream(out.getvalue()))
    assert home.paths() == [PLACE]


def test_a_zip_whose_end_contradicts_itself_is_no_document(home: Home) -> None:
    """Python's own check raises on it; a hostile end must be an unusable answer like any other."""
    store = home.store()
    locator = b"PK\x06\x07" + bytes(4) + bytes(8) + (2).to_bytes(4, "little")
    content = b"PK\x03\x04" + bytes(30) + locator + b"PK\x05\x06" + bytes(18)
    with pytest.raises(errors.Unusable):
        store.store(Artifact("onespan", "p", "documents.zip"), Stream(iter([content]), len(content)))
    assert store.adopt(Artifact("onespan", "p", "documents.zip")) is None
