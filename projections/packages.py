"""Where each package or transaction stands: a fold over its facts that does not depend on their order of arrival."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text

from projections import facts
from projections.facts import Fact, Key

TABLE: Final = Table(
    "packages",
    MetaData(),
    Column("source", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("confirmed", Text, nullable=False),
    Column("trashed", Boolean, nullable=False),
    Column("first_position", Integer, nullable=False),
    Column("last_position", Integer, nullable=False),
    Column("recorded_at", Integer, nullable=False),
    Column("state", LargeBinary, nullable=False),
)
Index("packages_stage", TABLE.c.stage, TABLE.c.last_position)
Index("packages_last", TABLE.c.last_position)

NO: Final = "no"
YES: Final = "yes"
CONTRADICTED: Final = "contradicted"

MOST_STEPS: Final = 1000  # a real life cycle has about ten; more is a flood, and folding it again and again is not free
_ABOUT_STATUS: Final = frozenset({facts.STATUS, facts.RESTORED, facts.TRASHED, facts.DELETED, facts.OBSERVED})
_ABOUT_SOMETHING_ELSE: Final = frozenset({facts.TEMPLATE, facts.STORED, facts.FAILED, facts.ABANDONED, facts.RETRY})


class Step(msgspec.Struct, frozen=True, array_like=True):
    """A fact about the status, as the state keeps it."""

    clock: int | None
    rank: int
    position: int
    what: str
    name: str
    status: str | None = None
    stage: str | None = None
    only_from: str | None = None
    trashed: bool | None = None

    @property
    def observed(self) -> bool:
        """Whether the provider's API said so, and not a callback."""
        return self.what == facts.OBSERVED


class Signer(msgspec.Struct, frozen=True):
    """Somebody who signs, and which documents they have signed."""

    name: str | None = None
    completed: bool = False
    documents: tuple[str, ...] = ()


class Document(msgspec.Struct, frozen=True):
    """Something that is signed."""

    name: str | None = None
    viewed: bool = False
    signed: bool = False


class Reason(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Why it was declined; what the API says outranks a callback, then the later one stands."""

    observed: bool
    clock: int
    text: str


class Standing(msgspec.Struct, frozen=True):
    """What the steps add up to."""

    status: str = ""
    stage: str = facts.IN_PROGRESS
    trashed: bool = False
    confirmed: str = NO
    rank: int = -1
    set_by: int | None = None


class State(msgspec.Struct, frozen=True):
    """Everything known of one subject."""

    provider: str = ""
    standing: Standing = Standing()
    steps: tuple[Step, ...] = ()
    implied: str = ""  # what the status must be while no step is known: a document is signed only when it was sent
    signers: dict[str, Signer] = {}
    documents: dict[str, Document] = {}
    reason: Reason | None = None
    first_position: int = 0
    last_position: int = 0
    occurred_at: int | None = None
    recorded_at: int = 0


def keys(fact: Fact) -> Sequence[Key]:
    """The row a fact touches: (source, subject)."""
    return () if fact.what in _ABOUT_SOMETHING_ELSE else ((fact.source, fact.subject),)


def initial(_key: Key) -> State:
    """Before the first fact."""
    return State()


def apply(state: State, _key: Key, fact: Fact) -> State:
    """Take one fact in. Every part is a set, a maximum or a minimum, so arrival order and repetition change nothing."""
    steps = _with_step(state.steps, fact)
    implied = max(state.implied, fact.status or "" if fact.what not in _ABOUT_STATUS else "")
    unmoved = steps is state.steps and implied == state.implied
    return State(
        provider=fact.provider,
        standing=state.standing if unmoved else stand(steps, implied),
        steps=steps,
        implied=implied,
        signers=_signers(state.signers, fact),
        documents=_documents(state.documents, fact),
        reason=_reason(state.reason, fact),
        first_position=min(state.first_position or fact.position, fact.position),
        last_position=max(state.last_position, fact.position),
        occurred_at=max((at for at in (state.occurred_at, fact.clock) if at is not None), default=None),
        recorded_at=max(state.recorded_at, fact.recorded_at),
    )


def row(key: Key, state: State) -> tuple[Any, ...]:
    """The state as a row of TABLE."""
    standing = state.standing
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
        msgspec.json.encode(state),
    )


def load(row: Sequence[Any]) -> State:
    """The state that `row` was made of."""
    return _decode(row[-1])


_decode = msgspec.json.Decoder(State).decode


def _with_step(steps: tuple[Step, ...], fact: Fact) -> tuple[Step, ...]:
    if fact.what not in _ABOUT_STATUS or (fact.what == facts.OBSERVED and fact.status is None):
        return steps
    clock = fact.recorded_at if fact.what == facts.OBSERVED else fact.clock
    trashed = fact.answer.trashed if fact.answer else None
    new = Step(clock, fact.rank, fact.position, fact.what, fact.name, fact.status, fact.stage, fact.only_from, trashed)
    same = [step for step in steps if _sense(step) == _sense(new)]
    others = tuple(step for step in steps if step not in same)
    kept = _first_and_last((*same, new))
    if len(others) + len(kept) > MOST_STEPS:
        raise ValueError(f"more than {MOST_STEPS} changes of status for one subject")
    changed = tuple(sorted((*others, *kept), key=_place))
    return steps if changed == steps else changed


def _first_and_last(same: Sequence[Step]) -> tuple[Step, ...]:
    """A repeated callback says nothing new, but one without a clock may say again what an answer denied in between."""
    first = min(same, key=lambda step: step.position)
    last = max(same, key=lambda step: step.position)
    return (first,) if first.clock is not None or first is last else (first, last)


def _sense(step: Step) -> tuple[Any, ...]:
    """What a step says, wherever it stands in the log: a repeated callback says nothing new."""
    return (step.clock, step.what, step.name, step.status, step.trashed, step.position if step.observed else 0)


def _place(step: Step) -> tuple[Any, ...]:
    """Clocked steps by their clock, an observation last among equals; those without a clock behind, by rank."""
    return (step.clock is None, step.clock or 0, step.observed, step.rank, step.position)


def stand(steps: Sequence[Step], implied: str = "") -> Standing:
    """Fold the sorted steps. Without any, whatever happens to a package happens while it is in progress."""
    standing = claim = Standing(status=implied)
    asked = max((step.position for step in steps if step.observed), default=0)
    for step in _in_order(steps, asked):
        if step.observed:
            standing = _observe(standing, claim, step)
            continue
        if step.clock is not None or step.rank > claim.rank:
            claim = _advance(claim, step)
        if step.clock is not None or (step.rank > standing.rank and step.position > asked):
            standing = _advance(standing, step)
    return standing


def _in_order(steps: Sequence[Step], asked: int) -> Iterator[Step]:
    """Sorted steps; one without a clock that came before the last observation stands before it, else at the end.

    The provider was asked after it had sent that callback, so its answer is the newer word.
    """
    clocked = [step for step in steps if step.clock is not None]
    without = [step for step in steps if step.clock is None]
    for step in clocked:
        if step.position == asked:
            yield from (other for other in without if other.position < asked)
        yield step
    yield from (other for other in without if other.position > asked)


def _advance(standing: Standing, step: Step) -> Standing:
    """What a callback makes of it."""
    if step.what == facts.TRASHED:
        return msgspec.structs.replace(standing, trashed=True)
    if step.what == facts.RESTORED and standing.trashed:
        return msgspec.structs.replace(standing, trashed=False)
    if step.what == facts.RESTORED and standing.status != step.only_from:
        return standing
    return _moved(standing, step)


def _moved(standing: Standing, step: Step) -> Standing:
    status = standing.status if step.status is None else step.status
    stage = step.stage or standing.stage
    confirmed = standing.confirmed
    if (status, stage) != (standing.status, standing.stage):
        two_ends = stage in facts.TERMINAL and _conflict(standing, status, stage)
        confirmed = CONTRADICTED if two_ends else NO
    return Standing(status, stage, standing.trashed, confirmed, step.rank, step.position)


def _observe(standing: Standing, claim: Standing, step: Step) -> Standing:
    """An authenticated answer confirms or contradicts what the callbacks before it claimed, and stands."""
    status, stage = step.status or "", step.stage or facts.IN_PROGRESS
    trashed = standing.trashed if step.trashed is None else step.trashed
    confirmed = CONTRADICTED if _conflict(claim, status, stage) else YES
    return Standing(status, stage, trashed, confirmed, step.rank, step.position)


def _conflict(standing: Standing, status: str, stage: str) -> bool:
    """Whether an end was claimed that this is not: two different ends, or an end that the API knows nothing of."""
    if standing.stage not in facts.TERMINAL or standing.status == status:
        return False
    return standing.stage != facts.COMPLETED or stage != facts.COMPLETED


def _signers(signers: dict[str, Signer], fact: Fact) -> dict[str, Signer]:
    for named in fact.answer.signers if fact.answer else ():
        known = signers.get(named.id, Signer())
        signers = {**signers, named.id: msgspec.structs.replace(known, name=named.name)}
    if fact.signer is None or fact.what not in _SIGNERS_ACTS:
        return signers
    known = signers.get(fact.signer, Signer())
    documents = known.documents
    if fact.what == facts.DOCUMENT_SIGNED and fact.document is not None:
        documents = tuple(sorted({*documents, fact.document}))
    completed = known.completed or fact.what == facts.SIGNER_COMPLETED
    return {**signers, fact.signer: Signer(known.name, completed, documents)}


_SIGNERS_ACTS: Final = frozenset(
    {
        facts.DOCUMENT_SIGNED,
        facts.CONSENTED,
        facts.DOCUMENT_VIEWED,
        facts.SIGNER_COMPLETED,
        facts.SIGNER_LOCKED,
        facts.SIGNER_REASSIGNED,
        facts.ATTACHMENT_UPLOADED,
        facts.IDENTITY_CHECK_FAILED,
    }
)


def _documents(documents: dict[str, Document], fact: Fact) -> dict[str, Document]:
    for named in fact.answer.documents if fact.answer else ():
        known = documents.get(named.id, Document())
        documents = {**documents, named.id: msgspec.structs.replace(known, name=named.name)}
    if fact.document is None or fact.what not in (facts.DOCUMENT_SIGNED, facts.DOCUMENT_VIEWED):
        return documents
    known = documents.get(fact.document, Document())
    signed = known.signed or fact.what == facts.DOCUMENT_SIGNED
    viewed = known.viewed or fact.what == facts.DOCUMENT_VIEWED
    return {**documents, fact.document: Document(known.name, viewed, signed)}


def _reason(reason: Reason | None, fact: Fact) -> Reason | None:
    if fact.message is None or fact.stage not in (facts.DECLINED, facts.ENDED_IN_FAILURE):
        return reason
    told = Reason(fact.what == facts.OBSERVED, fact.clock or 0, fact.message)
    return told if reason is None else max(reason, told)
