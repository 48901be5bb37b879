"""Makes the evidence about one subject: a zip that is checked before it gets its name."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from listener import __version__, backup, errors, times
from listener.cabinet import Cabinet
from listener.desk.reading import reading
from listener.evidence import case, covering, page, papers, verify
from listener.evidence.case import Case
from listener.evidence.covering import Covered, Proofs
from listener.evidence.papers import Paper
from listener.evidence.parcel import Parcel
from listener.log import reader
from listener.log.database import Database
from listener.log.event import Event
from listener.signing.signer import Signer

FORMAT: Final = 1
_BODIES: Final = 20  # at once in memory: each may be as long as the door lets in


class Made(NamedTuple):
    """What is in the evidence: how many events and documents, and which are not: documents that are not what was
    stored, and events that no signed head covers, with the reason.
    """

    file: Path
    events: int
    documents: int
    missing: list[Paper]
    uncovered: list[int]
    why: str | None


class Row(NamedTuple):
    """An event in the evidence, as the page lists it; `stem` is what the names of its files begin with."""

    event: Event
    stem: str
    size: int
    covered: bool
    about: bool


class Evidence:
    """Reads the log, the views and the documents, and may have a head signed."""

    def __init__(self, database: Database, folder: Path, documents: Cabinet, disk_reserve: int, signer: Signer) -> None:
        self._database = database
        self._folder = folder
        self._documents = documents
        self._disk_reserve = disk_reserve
        self._signer = signer

    def make(self, source: str, subject: str, file: Path, head: str | None = None) -> Made:
        """Put it into a file that is not there yet; `head` is one that was kept elsewhere, under which to prove it.

        Raises NotFoundError, CopyRefused or DiskReserve: then there is no file.
        """
        if not file.parent.is_dir():
            raise errors.CopyRefused(f"{file.parent} is no folder")
        backup.refuse_occupied(file)
        self._assert_room(file.parent, 0)
        with reading(self._database) as at:
            found = case.case(at, source, subject)
        covered = self._covered(found.positions[-1], head)
        found = found.with_key(covered.by.named_at if covered.by else None)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".evidence-") as folder:
            draft = Path(folder, "evidence.zip")
            draft.touch(mode=0o600)
            made = self._fill(draft, file, found, covered)
            _assert_right(draft, file)
            backup.appear(draft, file)
        return made

    def _covered(self, position: int, head: str | None) -> Covered:
        if head is not None:
            return covering.kept(self._database, self._signer.tree, head)
        return covering.covered(self._database, self._signer, position)

    def _assert_room(self, folder: Path, size: int) -> None:
        ours = {path.stat().st_dev for path in (self._folder, self._documents.folder) if path.exists()}
        backup.assert_room(folder, size, self._disk_reserve if folder.stat().st_dev in ours else 0)

    def _fill(self, draft: Path, file: Path, found: Case, covered: Covered) -> Made:
        with draft.open("wb") as raw, Parcel(raw) as parcel:
            rows, told = self._put_events(parcel, found, covered)
            stored = papers.found(self._documents, told)
            self._put_documents(parcel, file.parent, stored)
            if covered.by is not None:
                parcel.put(verify.HEAD, covered.by.note.encode())
                parcel.put(verify.KEY, f"{covered.by.key}\n{covered.by.key.pem}".encode())
            parcel.put(verify.PROGRAM, Path(verify.__file__).read_bytes())
            parcel.put(verify.FACTS, _written(_facts(found, covered, rows, stored)))
            parcel.put(verify.INDEX, page.page(found, covered, rows, stored))
        missing = [paper for paper in stored if paper.file is None]
        uncovered = [row.event.position for row in rows if not row.covered]
        return Made(file, len(rows), len(stored) - len(missing), missing, uncovered, covered.why)

    def _put_events(self, parcel: Parcel, found: Case, covered: Covered) -> tuple[list[Row], list[Paper]]:
        """Rows without their bodies, and the documents that they tell of."""
        rows, told, about = list[Row](), list[Paper](), {*found.about}
        with covering.proofs(self._database, self._signer.tree, covered) as proofs:
            for one in self._events(found.positions):
                row = _put_event(parcel, one, proofs)
                rows.append(row._replace(about=one.position in about))
                told += filter(None, [papers.paper(one)])
        return rows, told

    def _events(self, positions: Sequence[int]) -> Iterator[Event]:
        for start in range(0, len(positions), _BODIES):
            with self._database.reading() as log:
                page = reader.at(log, positions[start : start + _BODIES])
            yield from page

    def _put_documents(self, parcel: Parcel, folder: Path, stored: Sequence[Paper]) -> None:
        inside = [paper for paper in stored if paper.file is not None]
        self._assert_room(folder, sum(paper.stored.size for paper in inside))
        for paper in inside:
            chunks = self._documents.chunks(paper.stored.path)
            if parcel.copy(paper.file or "", chunks, paper.stored.size) != paper.stored.sha256:
                raise errors.CopyRefused(f"{paper.stored.path} was changed just now; see 'signlog verify --documents'")


def _put_event(parcel: Parcel, one: Event, proofs: Proofs) -> Row:
    """Its columns as JSON, headers and body as they are: what its leaf can be worked out from."""
    stem = f"events/{one.position:09}-{one.kind}"
    proof = proofs.of(one.position)
    parcel.put(f"{stem}.json", _written(_columns(one, proofs.epoch(one.position), proof)))
    if one.headers is not None and one.body is not None:
        parcel.put(f"{stem}-headers.txt", one.headers.encode())
        parcel.put(f"{stem}-body.txt", one.body)
    size = len(one.body or b"")
    return Row(one._replace(body=one.body and b"", headers=None), stem, size, proof is not None, False)


def _columns(one: Event, log_id: str, proof: list[str] | None) -> dict[str, Any]:
    """What the leaf covers, then what else it takes to work it out, and to find it under the signed head."""
    known = one._asdict()
    del known["headers"], known["body"]
    hashes = {name: None if known[name] is None else known.pop(name).hex() for name in ("content", "salt", "leaf")}
    return {**known, "log": log_id, **hashes, "proof": proof}


def _facts(found: Case, covered: Covered, rows: Sequence[Row], stored: Sequence[Paper]) -> dict[str, Any]:
    """What the page tells, for programs."""
    by = covered.by
    return {
        "format": FORMAT,
        "signlog": __version__,
        "source": found.source,
        "id": found.id,
        "as_of": found.going_by,
        "status": found.known,
        "timeline": found.history,
        "hold": None
        if found.hold is None
        else {**found.hold._asdict(), "recorded_at": times.written(found.hold.recorded_at)},
        "head": by and {"origin": by.key.name, "size": by.size, "root": by.root.hex(), "key": str(by.key)},
        "not_covered": [row.event.position for row in rows if not row.covered],
        "events": [
            {"position": row.event.position, "file": f"{row.stem}.json", "speaks_of_it": row.about} for row in rows
        ],
        "documents": [_document(paper) for paper in stored],
    }


def _document(paper: Paper) -> dict[str, Any]:
    return {
        "name": paper.name,
        "event": paper.stored.position,
        "file": paper.file,
        "why_not": paper.why,
        "sha256": paper.stored.sha256,
        "size": paper.stored.size,
        "signatures": paper.verdict,
        "checked": paper.checked,
    }


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"


def _assert_right(draft: Path, file: Path) -> None:
    """Raise CopyRefused unless the program in it finds nothing wrong with it."""
    check = verify.Check(verify.Zip(str(draft)))
    for name, said in sorted(check.problems.items()):
        raise errors.CopyRefused(
            f"{file} would prove nothing: {name} {said}; see what 'signlog verify' says of the log"
        )
