"""The documents of a case: what the log says was stored, and whether it still lies there."""

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from listener import errors, files
from listener.audit import documents
from listener.audit.documents import Document
from listener.cabinet import Cabinet
from listener.log.event import Event
from projections import facts

_ODD: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST: Final = 80
_LONGEST_SUFFIX: Final = 12


class Paper(NamedTuple):
    """A document that was stored: its name, the outcome that says so, and the newest verdict on its signatures.

    The outcome has that verdict, or `checked` is the position of the event that has it.

    `file` is its name in the evidence; where it is None, `why` says why the document is not in there.
    """

    name: str
    stored: Document
    verdict: dict[str, Any] | None
    file: str | None
    why: str | None = None
    checked: int | None = None


class Told(msgspec.Struct):
    """What the page tells of an outcome, beyond the document: its name, and what was found of its signatures."""

    name: str = ""
    verdict: dict[str, Any] | None = None


def paper(outcome: Event) -> Paper | None:
    """The document that an event says was stored, or checked again. It is not known yet whether it lies there."""
    stored, again = documents.told(outcome), documents.told(outcome, facts.CHECKED)
    if stored is None and again is None:
        return None
    try:
        told = msgspec.json.decode(outcome.body or b"", type=Told)
    except (msgspec.MsgspecError, ValueError):  # of a later version: the document is none the less one
        told = Told()
    if stored is not None:
        return Paper(told.name, stored, told.verdict, None)
    return again and Paper(told.name, again, told.verdict, None, checked=again.position)


def found(cabinet: Cabinet, papers: Iterable[Paper]) -> list[Paper]:
    """Each place once, and whether what lies there is what was stored."""
    once = dict[str, Paper]()
    for paper in papers:
        before = once.get(paper.stored.path)
        if paper.checked is None:
            once[paper.stored.path] = paper
        elif before is not None and before.stored.sha256 == paper.stored.sha256:
            once[paper.stored.path] = before._replace(verdict=paper.verdict, checked=paper.checked)
    return [_found(cabinet, paper, number) for number, paper in enumerate(once.values(), 1)]


def _found(cabinet: Cabinet, paper: Paper, number: int) -> Paper:
    stored = paper.stored
    try:
        sha256, size = files.hashed(cabinet.chunks(stored.path))
    except FileNotFoundError:
        return paper._replace(why="it is not there any more")
    except (OSError, errors.CopyRefused) as error:
        return paper._replace(why=f"it cannot be read: {getattr(error, 'strerror', None) or error}")
    if (sha256, size) != (stored.sha256, stored.size):
        return paper._replace(why=f"what lies there now is another one, of {size} bytes, with SHA-256 {sha256}")
    return paper._replace(file=f"documents/{number}-{plain(paper.name)}")


def plain(name: str) -> str:
    """A name as part of a file name: letters that every system takes, no folders, not long. Not unique."""
    whole = _ODD.sub("_", name)
    stem, _, suffix = whole.rpartition(".")
    if not stem or not 0 < len(suffix) <= _LONGEST_SUFFIX:
        return whole[:_LONGEST].rstrip(".") or "document"
    return f"{stem[:_LONGEST]}.{suffix}"
