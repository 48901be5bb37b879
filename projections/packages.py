"""Where each package or transaction stands: a fold over its facts that does not depend on their order of arrival."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Boolean, Column, Index, LargeBinary, MetaData, Table

from projections import course, facts
from projections.columns import Number, Words
from projections.course import Course, Standing
from projections.facts import ALONE, Beside, Expected, Fact, Key, Named

TABLE: Final = Table(
    "packages",
    MetaData(),
    Column("source", Words, primary_key=True),
    Column("id", Words, primary_key=True),
    Column("provider", Words, nullable=False),
    Column("status", Words, nullable=False),
    Column("stage", Words, nullable=False),
    Column("confirmed", Words, nullable=False),
    Column("trashed", Boolean, nullable=False),
    Column("first_position", Number, nullable=False),
    Column("last_position", Number, nullable=False),
    Column("recorded_at", Number, nullable=False),
    Column("expected", Number),
    Column("reference", Words),
    Column("deadline", Number),
    Column("missed", Number),
    Column("fold", LargeBinary, nullable=False),
)
Index("packages_stage", TABLE.c.stage, TABLE.c.last_position)
Index("packages_last", TABLE.c.last_position)
for _column in (
    TABLE.c.expected,
    TABLE.c.reference,
    TABLE.c.deadline,
    TABLE.c.missed,
):  # few rows have them: it costs no other anything
    _there = _column.is_not(None)
    Index(f"packages_{_column.name}", _column, sqlite_where=_there, postgresql_where=_there)
ONCE: Final = False

_REFUSED: Final = frozenset({facts.DECLINED, facts.ENDED_IN_FAILURE})


class Signer(msgspec.Struct, frozen=True, gc=False):
    """Somebody who signs, and which documents they have signed."""

    name: str | None = None
    completed: bool = False
    documents: tuple[str, ...] = ()
    declined: bool = False


class Document(msgspec.Struct, frozen=True, gc=False):
    """Something that is signed."""

    name: str | None = None
    viewed: bool = False
    signed: bool = False
    declined: bool = False


class Reason(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Why it was declined or failed; what the API says outranks a callback, then the later one stands."""

    observed: bool
    clock: int
    text: str


class Way(msgspec.Struct, frozen=True, array_like=True, order=True, gc=False):
    """In which way it is signed. A callback's path tells more of that than where the API was asked for it."""

    called_back: bool
    kind: str


class Expectation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What somebody told us of it; said again, the later word stands as a whole."""

    position: int
    expected: Expected


class State(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Everything known of one subject."""

    provider: str = ""
    course: Course = Course()
    signers: dict[str, Signer] = {}
    documents: dict[str, Document] = {}
    told: Reason | None = None
    first_position: int = 0
    last_position: int = 0
    occurred_at: int | None = None
    recorded_at: int = 0
    way: Way | None = None
    expectation: Expectation | None = None

    @property
    def kind(self) -> str | None:
        """In which way it is signed, in the provider's words, as far as anybody told."""
        told = self.expected.kind if self.expected else None
        return told or (self.way.kind if self.way else None)

    @property
    def expected(self) -> Expected | None:
        """What somebody told us of it."""
        return self.expectation.expected if self.expectation else None

    @property
    def standing(self) -> Standing:
        """Where it stands."""
        return self.course.standing

    @property
    def missed(self) -> int | None:
        """When the API told of a completion that no callback told of (microseconds, ours)."""
        return course.missed(self.course)

    @property
    def reason(self) -> Reason | None:
        """Why it stands there; the reason of a decline that was taken back explains nothing."""
        return self.told if self.standing.stage in _REFUSED else None


def keys(fact: Fact) -> Sequence[Key]:
    """The row a fact touches: (source, subject). A template is no package, and our own acts say nothing of one."""
    return () if fact.what == facts.TEMPLATE or fact.artifact is not None else ((fact.source, fact.subject),)


def initial(_key: Key) -> State:
    """Before the first fact."""
    return State()


def apply(state: State, _key: Key, fact: Fact, _beside: Beside = ALONE) -> State:
    """Take one fact in. Every part is a set, a maximum or a minimum, so arrival order and repetition change nothing."""
    position, heard = fact.position, fact.recorded_at
    return State(
        fact.provider,
        course.take(state.course, fact),
        _signers(state.signers, fact),
        _documents(state.documents, fact),
        state.told if fact.message is None else _told(state.told, fact),
        position if not 0 < state.first_position < position else state.first_position,
        position if position > state.last_position else state.last_position,
        _latest(state.occurred_at, fact.clock),
        heard if heard > state.recorded_at else state.recorded_at,
        state.way if fact.kind is None else _way(state.way, fact.observed, fact.kind),
        state.expectation if fact.expected is None else _expectation(state.expectation, fact.position, fact.expected),
    )


def _latest(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return one if one > other else other


def _way(way: Way | None, observed: bool, kind: str) -> Way:
    told = Way(not observed, kind)
    return told if way is None else max(way, told)


def _expectation(known: Expectation | None, position: int, expected: Expected) -> Expectation:
    return known if known is not None and known.position >= position else Expectation(position, expected)


def row(key: Key, state: State) -> tuple[Any, ...]:
    """The state as a row of TABLE."""
    standing, expected = state.standing, state.expected
    return (
        *key,
        state.provider,
        standing.status,
        standing.stage,
        standing.confirmed,
        standing.trashed,
        state.first_position,
        state.last_position,
        state.recorded_at,
        state.expectation.position if state.expectation else None,
        expected.reference if expected else None,
        expected.deadline if expected else None,
        state.missed,
        _encode(state),
    )


def load(row: Sequence[Any]) -> State:
    """The state that `row` was made of."""
    return _decode(row[-1])


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(State).decode


def _signers(signers: dict[str, Signer], fact: Fact) -> dict[str, Signer]:
    if fact.answer:
        all_signed = fact.stage == facts.COMPLETED  # but for those of whom the answer says otherwise
        return signers | {
            named.id: _named_signer(signers.get(named.id, _NOBODY), named, all_signed) for named in fact.answer.signers
        }
    if fact.signer is None or fact.what not in facts.BY_SIGNERS:
        return signers
    known = signers.get(fact.signer, _NOBODY)
    documents = known.documents
    if fact.what == facts.DOCUMENT_SIGNED and fact.document is not None and fact.document not in documents:
        documents = tuple(sorted((*documents, fact.document)))
    completed = known.completed or fact.what == facts.SIGNER_COMPLETED
    return {**signers, fact.signer: Signer(known.name, completed, documents, known.declined)}


def _named_signer(known: Signer, named: Named, all_signed: bool) -> Signer:
    """With what an answer says of one. Nobody unsigns: what was so once stays, whatever order answers come in."""
    return Signer(
        named.name or known.name,
        known.completed or named.stage == facts.COMPLETED or (named.stage is None and all_signed),
        tuple(sorted({*known.documents, *named.documents})) if named.documents else known.documents,
        known.declined or named.stage == facts.DECLINED,
    )


def _documents(documents: dict[str, Document], fact: Fact) -> dict[str, Document]:
    if fact.answer:
        return documents | {
            named.id: _named_document(documents.get(named.id, _NOTHING), named) for named in fact.answer.documents
        }
    if fact.document is None or fact.what not in (facts.DOCUMENT_SIGNED, facts.DOCUMENT_VIEWED):
        return documents
    known = documents.get(fact.document, _NOTHING)
    signed = known.signed or fact.what == facts.DOCUMENT_SIGNED
    viewed = known.viewed or fact.what == facts.DOCUMENT_VIEWED
    return {**documents, fact.document: Document(known.name, viewed, signed, known.declined)}


def _named_document(known: Document, named: Named) -> Document:
    """With what an answer says of one."""
    return Document(
        named.name or known.name,
        known.viewed,
        known.signed or named.stage == facts.COMPLETED,
        known.declined or named.stage == facts.DECLINED,
    )


def _told(reason: Reason | None, fact: Fact) -> Reason | None:
    if fact.message is None or fact.stage not in _REFUSED:
        return reason
    told = Reason(fact.observed, fact.clock or 0, fact.message)
    return told if reason is None else max(reason, told)


_NOBODY: Final = Signer()
_NOTHING: Final = Document()
