"""Which PDFs there are in what was fetched, and that one that is damaged keeps nobody from looking at the others."""

import contextlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener import errors, zips
from listener.checking import papers
from listener.demo.archive import archive
from projections import facts
from projections.facts import Paper

PDF = b"%PDF-1.4 and so on %%EOF"


def look(name: str, file: IO[bytes]) -> Paper:
    """That somebody looked, and at how much."""
    return Paper(name, facts.VALID, str(len(file.read())))


def found(content: bytes, scratch: Path) -> dict[str, str | None]:
    """What was looked at, and what came of it."""
    return {paper.name: paper.reason for paper in papers.each(io.BytesIO(content), scratch, look)}


def packed(entries: Mapping[str, bytes]) -> bytes:
    """A zip that takes less room than what is in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return out.getvalue()


def test_a_document_is_its_own_only_paper(tmp_path: Path) -> None:
    """Whatever it begins with, as long as it is no zip."""
    assert found(PDF, tmp_path) == {"": str(len(PDF))}
    assert found(b"", tmp_path) == {"": "0"}


def test_a_zip_holds_papers(tmp_path: Path) -> None:
    """By their names, or by what they begin with; nothing else is looked at, and nothing is left behind."""
    entries = {"a.pdf": PDF, "b.PDF": b"<html>", "c": PDF, "d.xml": b"<x/>", "e.pdf/": b"", "ü/f.pdf": PDF}
    assert list(found(archive(entries), tmp_path)) == ["a.pdf", "b.PDF", "c", "ü/f.pdf"]
    assert found(archive({"d.xml": b"<x/>"}), tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_damaged_is_one(tmp_path: Path) -> None:
    """The others are looked at all the same."""
    content = archive({"a.pdf": PDF, "b.pdf": PDF + b"!"}).replace(PDF + b"!", PDF + b"?")
    told = found(content, tmp_path)
    assert told["a.pdf"] == str(len(PDF))
    assert "no whole zip: Bad CRC-32" in (told["b.pdf"] or "")


def test_one_that_is_too_large_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little room it takes while it is packed."""
    monkeypatch.setattr(papers, "MOST_BYTES", 1000)
    assert found(packed({"a.pdf": bytes(1000), "b.pdf": bytes(1001)}), tmp_path) == {
        "a.pdf": "1000",
        "b.pdf": "1001 bytes unpacked, and may have 1000",
    }


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (archive({}), "the zip is empty"),
        (b"PK\x03\x04", "no whole zip"),
        (archive({f"{number}.pdf": b"" for number in range(papers.MOST_PAPERS + 1)}), "holds 201 PDFs"),
        (archive({str(number): b"" for number in range(zips.MOST_ENTRIES + 1)}), "has 1001 entries"),
    ],
    ids=["empty", "cut", "many papers", "many entries"],
)
def test_a_zip_that_is_none_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    """In one sentence."""
    with pytest.raises(errors.Hopeless, match=told):
        found(content, tmp_path)


ZIP = packed({"a.pdf": PDF, "b.txt": b"b", "c": PDF * 20})


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(ZIP) - 1), st.binary(max_size=6), st.integers(0, len(ZIP)))
def test_whatever_a_zip_is_made_of_there_is_one_error(at: int, other: bytes, keep: int) -> None:
    """Damaged or cut anywhere."""
    content = (ZIP[:at] + other + ZIP[at + len(other) :])[: max(keep, 4)]
    with contextlib.suppress(errors.Hopeless):
        assert len(found(content, Path("/tmp"))) <= 3  # noqa: S108  files without a name
