"""The PDFs in what was fetched: itself, or what its zip holds."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final
from zipfile import ZipFile, ZipInfo

from listener import errors, zips
from projections import facts
from projections.facts import Paper

MOST_BYTES: Final = 512 * 1024**2  # of one PDF in a zip: unpacked it must find room
MOST_PAPERS: Final = 200  # OneSpan's limit for a package; Evrotrust's is 20 for a group
_LONGEST_NAME: Final = 200
_ENDING: Final = ".pdf"
_HEAD: Final = b"%PDF-"
_ZIP: Final = b"PK"

Look = Callable[[str, IO[bytes]], Paper]


def each(document: IO[bytes], scratch: Path, look: Look) -> Iterator[Paper]:
    """What `look` finds in each PDF. Raises Hopeless for a zip that cannot be read."""
    is_zip = document.read(len(_ZIP)) == _ZIP
    document.seek(0)
    if not is_zip:
        yield look("", document)
        return
    with zips.opened(document, "the zip") as archive:
        if not archive.infolist():
            raise errors.Hopeless("the zip is empty")
        found = [info for info in archive.infolist() if _is_pdf(archive, info)]
        if len(found) > MOST_PAPERS:
            raise errors.Hopeless(f"the zip holds {len(found)} PDFs, and may hold {MOST_PAPERS}")
        for info in found:
            yield _unpacked(archive, info, scratch, look)


def _is_pdf(archive: ZipFile, info: ZipInfo) -> bool:
    """By its name, or by what it begins with."""
    if info.is_dir() or info.filename.lower().endswith(_ENDING):
        return not info.is_dir()
    try:
        with zips.readable(info.filename), archive.open(info) as entry:
            return entry.read(len(_HEAD)) == _HEAD
    except errors.Hopeless:
        return False


def _unpacked(archive: ZipFile, info: ZipInfo, scratch: Path, look: Look) -> Paper:
    """What is found in an entry; one that is damaged keeps nobody from looking at the others."""
    name = info.filename[:_LONGEST_NAME]
    if info.file_size > MOST_BYTES:
        return Paper(name, facts.UNREADABLE, f"{info.file_size} bytes unpacked, and may have {MOST_BYTES}")
    try:
        with tempfile.TemporaryFile(dir=scratch) as file:
            for piece in zips.pieces(archive, info, "the zip"):
                file.write(piece)
            file.seek(0)
            return look(name, file)
    except errors.Hopeless as error:
        return Paper(name, facts.UNREADABLE, str(error))
