"""Signed documents against the hashes that the log keeps of them."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from listener import errors, files
from listener.audit import findings
from listener.audit.findings import Findings
from listener.cabinet import Cabinet
from listener.log import event, reader, schema
from listener.log.database import Readable
from listener.log.event import Event
from projections import facts


class Document(NamedTuple):
    """A document that was stored, as the log says it: where, below the folder of documents, and what was in it."""

    position: int
    path: str
    sha256: str
    size: int


class _Said(msgspec.Struct):
    """What of an outcome names a document. Whatever else it says, in words of a later version: the document is one."""

    action: str = ""
    path: str | None = None
    sha256: str | None = None
    size: int | None = None


_decode: Final = msgspec.json.Decoder(_Said).decode


def stored(database: Readable) -> Iterator[Document]:
    """Every document that the log says is stored, in order."""
    for outcome in reader.every(database, 0, 500, schema.events.c.kind == event.OUTCOME):
        document = told(outcome)
        if document is not None:
            yield document


def told(outcome: Event, action: str = facts.STORED) -> Document | None:
    """The document that an event says was stored (or what else is named), None if it says no such thing."""
    if outcome.kind != event.OUTCOME:
        return None
    try:
        said = _decode(outcome.body or b"")
    except (ValueError, RecursionError):
        return None
    if said.action != action or said.path is None or said.sha256 is None or said.size is None:
        return None
    return Document(outcome.position, said.path, said.sha256, said.size)


def check(papers: Cabinet, document: Document, found: Findings) -> None:
    """Read it once more, whole. Raises StoreAway."""
    wrong = _wrong(papers, document)
    if wrong is not None:
        found.problem(findings.DOCUMENTS, document.position, f"{document.path} {wrong}")


def _wrong(papers: Cabinet, document: Document) -> str | None:
    try:
        sha256, size = files.hashed(papers.chunks(document.path))
    except FileNotFoundError:
        return "is gone"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except errors.CopyRefused:
        return "is no place for a document"
    if size != document.size:
        return f"has {size} bytes, and {document.size} were stored"
    return None if sha256 == document.sha256 else "is another document than the one that was stored"
