"""What a replay would change, kept beside the generation that it built: so that whoever applies it finds it there."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Connection, LargeBinary, MetaData, Table, select

from listener import acts, bookkeeping, views
from listener.acts import Artifact
from listener.bookkeeping import Checkpoint
from listener.log import event, reader
from listener.views import Views
from listener.worker.difference import (
    ADDED,
    CHANGED,
    REMOVED,
    REPEATED,
    UNCHANGED,
    UNWANTED,
    WANTED,
    Change,
    Difference,
)
from projections.columns import Number, Words

COUNTED: Final = frozenset({"status", "stage", "confirmed", "trashed"})  # fields whose transitions are counted
_ARTIFACT: Final = "artifacts."
_AT_ONCE: Final = 1000

_metadata = MetaData()
_plan = Table("plan", _metadata, Column("id", Number, primary_key=True), Column("body", LargeBinary, nullable=False))
_changes = Table(
    "plan_changes",
    _metadata,
    Column("number", Number, primary_key=True),
    Column("source", Words, nullable=False),
    Column("id", Words, nullable=False),
    Column("field", Words, nullable=False),
    Column("before", LargeBinary, nullable=False),
    Column("after", LargeBinary, nullable=False),
)
_documents = Table(
    "plan_documents",
    _metadata,
    Column("how", Words, primary_key=True),
    Column("source", Words, primary_key=True),
    Column("subject", Words, primary_key=True),
    Column("name", Words, primary_key=True),
)


class Fault(msgspec.Struct, frozen=True, order=True):
    """An event that could not be taken in. `new`: the live generation took it."""

    position: int
    source: str
    subject: str | None
    error: str
    new: bool


class Transition(msgspec.Struct, frozen=True):
    """So many subjects went from one value of a field to another."""

    field: str
    before: Any
    after: Any
    count: int


class Binding(msgspec.Struct, frozen=True):
    """What a plan is about: this log up to a position, this live generation, this code. Hashes in hex."""

    log: str
    position: int
    leaf: str
    live: int
    segments: tuple[tuple[int, str], ...]
    fingerprint: str
    in_force: str


class Plan(msgspec.Struct, frozen=True):
    """The difference as a whole; its changes one by one stand in tables beside it."""

    digest: str
    generation: int
    binding: Binding
    summary: dict[str, int]
    transitions: tuple[Transition, ...]
    faults: tuple[Fault, ...]
    documents: dict[str, int]
    different: bool


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(Plan).decode


class Draft:
    """A plan while it is written: takes one subject after the other, and keeps few of them in memory."""

    def __init__(self, connection: Connection) -> None:
        _metadata.create_all(connection)
        self._connection = connection
        self._hash = hashlib.sha256()
        self._pending: dict[Table, list[dict[str, Any]]] = {_changes: [], _documents: []}
        self._summary = Counter[str]()
        self._documents = Counter[str]()
        self._transitions = Counter[tuple[str, bytes, bytes]]()

    def take(self, found: Difference) -> None:
        """One more subject."""
        self._summary[found.how] += 1
        if found.how == REMOVED or found.changes or found.documents:
            self._hash.update(_encode(found))
        subject = {"source": found.source, "id": found.id}
        for change in found.changes if found.how != ADDED else ():
            before, after = _encode(change.before), _encode(change.after)
            self._put(_changes, {**subject, "field": change.field, "before": before, "after": after})
            self._count(change.field, before, after)
        for how, name in found.documents:
            self._documents[how] += 1
            self._put(_documents, {"how": how, "source": found.source, "subject": found.id, "name": name})

    def _count(self, field: str, before: bytes, after: bytes) -> None:
        if field in COUNTED:
            self._transitions[field, before, after] += 1
        elif field.startswith(_ARTIFACT):
            self._transitions["artifact", before, after] += 1

    def _put(self, table: Table, row: dict[str, Any]) -> None:
        rows = self._pending[table]
        rows.append(row)
        if len(rows) >= _AT_ONCE:
            self._flush(table)

    def _flush(self, table: Table) -> None:
        if self._pending[table]:
            self._connection.execute(table.insert(), self._pending[table])
            self._pending[table] = []

    def finish(self, generation: int, binding: Binding, after: int, faults: tuple[Fault, ...], mended: bool) -> Plan:
        """Write it down. `after`: packages of the new one; `mended`: the live one has faults that are gone."""
        for table in self._pending:
            self._flush(table)
        self._summary[UNCHANGED] = after - self._summary[ADDED] - self._summary[CHANGED]
        summary = {how: self._summary[how] for how in (ADDED, REMOVED, CHANGED, UNCHANGED)}
        documents = dict(sorted(self._documents.items()))
        self._hash.update(_encode([binding, summary, faults, mended]))
        different = any(summary[how] for how in (ADDED, REMOVED, CHANGED)) or self._told_elsewhere()
        plan = Plan(
            self._hash.hexdigest(),
            generation,
            binding,
            summary,
            self._counted(),
            faults,
            documents,
            different or bool(documents) or mended or any(fault.new for fault in faults),
        )
        self._connection.execute(_plan.insert().values((1, _encode(plan))))
        return plan

    def _told_elsewhere(self) -> bool:
        return self._connection.execute(select(_changes.c.number).limit(1)).first() is not None

    def _counted(self) -> tuple[Transition, ...]:
        most_first = sorted(self._transitions.items(), key=lambda item: (-item[1], item[0]))
        decoded = msgspec.json.decode
        return tuple(
            Transition(field, decoded(before), decoded(after), count) for (field, before, after), count in most_first
        )


def bind(log: Connection, checkpoint: Checkpoint, live: int, both: Connection, fingerprint: str) -> Binding:
    """What a plan at the checkpoint of the live generation, which lies beside, is about."""
    table = views.beside(bookkeeping.segments)
    segments = tuple((row.after, row.fingerprint) for row in both.execute(select(table).order_by(table.c.number)))
    return Binding(
        checkpoint.log_id.hex(),
        checkpoint.position,
        checkpoint.leaf.hex(),
        live,
        segments,
        fingerprint,
        _in_force(log, checkpoint.position),
    )


def _in_force(log: Connection, position: int) -> str:
    found = reader.acts(log, event.DECISION, acts.IN_FORCE_PATH, until=position, last=1)
    return found[0].leaf.hex() if found else ""


def faults(both: Connection) -> tuple[tuple[Fault, ...], bool]:
    """The new generation's faults, and whether the live one, which lies beside, has any that are gone."""
    known = {(row.position, row.source, row.subject) for row in both.execute(select(views.beside(bookkeeping.faults)))}
    found = [
        Fault(row.position, row.source, row.subject, row.error, (row.position, row.source, row.subject) not in known)
        for row in both.execute(select(bookkeeping.faults))
    ]
    mended = known - {(fault.position, fault.source, fault.subject) for fault in found}
    return tuple(sorted(found, key=lambda fault: (fault.position, fault.subject or ""))), bool(mended)


def read(generation: Views) -> Plan | None:
    """The plan of a generation; None if it has none, or was not finished."""
    if not generation.exists():
        return None
    with generation.reading() as connection:
        if not connection.dialect.has_table(connection, _plan.name):
            return None
        body = connection.scalar(select(_plan.c.body))
    return None if body is None else _decode(body)


def changes(
    connection: Connection, source: str | None = None, id: str | None = None
) -> Iterator[tuple[str, str, Change]]:
    """Source, id and change, sorted; of everything or of one subject."""
    query = select(_changes).order_by(_changes.c.number)
    if source is not None:
        query = query.where(_changes.c.source == source, _changes.c.id == id)
    for row in connection.execute(query.execution_options(yield_per=_AT_ONCE)):
        yield row.source, row.id, Change(row.field, msgspec.json.decode(row.before), msgspec.json.decode(row.after))


def documents(connection: Connection, how: str) -> Iterator[Artifact]:
    """Those newly WANTED, UNWANTED or REPEATED, sorted."""
    order = (_documents.c.source, _documents.c.subject, _documents.c.name)
    query = select(*order).where(_documents.c.how == how).order_by(*order)
    for row in connection.execute(query.execution_options(yield_per=_AT_ONCE)):
        yield Artifact(*row)


def report(plan: Plan, connection: Connection, source: str | None = None, id: str | None = None) -> dict[str, Any]:
    """The plan as scripts get it; of one subject, only its changes. What may be long is an iterator."""

    def named(how: str) -> Iterator[dict[str, str]]:
        return (msgspec.structs.asdict(one) for one in documents(connection, how))

    return {
        "digest": plan.digest,
        "generation": plan.generation,
        "events": plan.binding.position,
        "different": plan.different,
        "faults": [msgspec.structs.asdict(fault) for fault in plan.faults],
        "changes": (
            {"source": of, "id": subject, **change._asdict()} for of, subject, change in changes(connection, source, id)
        ),
        "summary": plan.summary,
        "transitions": [msgspec.structs.asdict(known) for known in plan.transitions],
        "artifacts": {
            "wanted": named(WANTED),
            "unwanted": named(UNWANTED),
            "repeated": plan.documents.get(REPEATED, 0),
        },
    }
