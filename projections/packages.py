"""Where each package or transaction stands: a fold over its facts that does not depend on their order of arrival."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text

from projections import facts
from projections.facts import Answer, Fact, Key

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
_REFUSED: Final = frozenset({facts.DECLINED, facts.ENDED_IN_FAILURE})
_NEVER: Final = 2**63  # behind every time


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
    """Why it was declined or failed; what the API says outranks a callback, then the later one stands."""

    observed: bool
    clock: int
    text: str


class Standing(msgspec.Struct, frozen=True):
    """What the steps add up to. The ranks say how far status and trash came: without a clock there is no way back."""

    status: str = ""
    stage: str = facts.IN_PROGRESS
    trashed: bool = False
    confirmed: str = NO
    rank: int = -1
    trash_rank: int = -1


class State(msgspec.Struct, frozen=True):
    """Everything known of one subject."""

    provider: str = ""
    standing: Standing = Standing()
    steps: tuple[Fact, ...] = ()
    implied: str = ""  # what the status must be while no step is known: a document is signed only when it was sent
    signers: dict[str, Signer] = {}
    documents: dict[str, Document] = {}
    told: Reason | None = None
    first_position: int = 0
    last_position: int = 0
    occurred_at: int | None = None
    recorded_at: int = 0

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


def apply(state: State, _key: Key, fact: Fact) -> State:
    """Take one fact in. Every part is a set, a maximum or a minimum, so arrival order and repetition change nothing."""
    steps = _steps(state.steps, fact)
    implied = max(state.implied, fact.status or "" if fact.what not in _ABOUT_STATUS else "")
    unmoved = steps == state.steps and implied == state.implied
    return State(
        provider=fact.provider,
        standing=state.standing if unmoved else stand(steps, implied),
        steps=steps,
        implied=implied,
        signers=_signers(state.signers, fact),
        documents=_documents(state.documents, fact),
        told=_told(state.told, fact),
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


def _steps(steps: tuple[Fact, ...], fact: Fact) -> tuple[Fact, ...]:
    if fact.what not in _ABOUT_STATUS or (fact.observed and fact.status is None):
        return steps
    new = msgspec.structs.replace(fact, answer=_short(fact.answer))
    same = [step for step in steps if _sense(step) == _sense(new)]
    kept = {*steps}.difference(same) | _first_and_last([*same, new])
    if len(kept) > MOST_STEPS:
        raise ValueError(f"more than {MOST_STEPS} changes of status for one subject")
    return tuple(sorted(kept, key=lambda step: step.heard))


def _short(answer: Answer | None) -> Answer | None:
    return answer and msgspec.structs.replace(answer, signers=(), documents=(), attachments=())


def _sense(step: Fact) -> tuple[Any, ...]:
    """What a step says, wherever it stands in the log: a repeated callback says nothing new, an answer always does."""
    return (step.what, step.name, step.occurred_at, step.status, step.heard if step.observed else None)


def _first_and_last(same: Sequence[Fact]) -> set[Fact]:
    """Of a repeated callback the first; the last too if it has no clock: an answer in between may have denied it."""
    first = min(same, key=lambda step: step.heard)
    last = max(same, key=lambda step: step.heard)
    return {first} if first.occurred_at is not None else {first, last}


def in_order(steps: Sequence[Fact]) -> list[Fact]:
    """The steps as they happened, as far as anybody can know.

    A callback stands at its clock. An answer of the API stands when it was asked, and behind callbacks heard before
    whose clock is a little ahead of ours. A callback without a clock stands before the next answer, if there is one,
    else behind everything; there only the ranks order.
    """
    ahead = [(step.heard, step.clock) for step in steps if step.clock is not None and step.clock > step.recorded_at]
    asked = [
        (answer.heard, max([answer.recorded_at, *(clock for heard, clock in ahead if heard < answer.heard)]))
        for answer in sorted((step for step in steps if step.observed), key=lambda step: step.heard)
    ]

    def place(step: Fact) -> tuple[Any, ...]:
        at = step.clock
        if at is None:
            at = next((time for heard, time in asked if heard >= step.heard), _NEVER)
        if step.observed:
            return (at, True, step.heard)
        return (at, False, step.clock is None, step.rank, step.name, step.status or "", step.position)

    return sorted(steps, key=place)


def stand(steps: Sequence[Fact], implied: str = "") -> Standing:
    """Fold the steps. Without any, whatever happens to a package happens while it is in progress."""
    standing = claim = Standing(status=implied)  # what is so, and what the callbacks alone say
    for step in in_order(steps):
        if step.observed:
            standing = _observe(standing, claim, step)
        else:
            standing, claim = _advance(standing, step), _advance(claim, step)
    return standing


def _advance(standing: Standing, step: Fact) -> Standing:
    """What a callback makes of it."""
    if step.what not in (facts.TRASHED, facts.RESTORED):
        return _move(standing, step)
    if step.clock is None and step.rank <= standing.trash_rank:
        return standing
    if step.what == facts.RESTORED and not standing.trashed and standing.status == step.only_from:
        standing = _move(standing, step)
    trash_rank = max(standing.trash_rank, step.rank)
    return msgspec.structs.replace(standing, trashed=step.what == facts.TRASHED, trash_rank=trash_rank)


def _move(standing: Standing, step: Fact) -> Standing:
    """Another status or stage. A callback without a clock may contradict what stands, but does not take it back."""
    status, stage = step.status or standing.status, step.stage or standing.stage
    two_ends = _two_ends(standing, status, stage)
    if step.clock is None and step.rank <= standing.rank:
        return msgspec.structs.replace(standing, confirmed=CONTRADICTED) if two_ends else standing
    unchanged = (status, stage) == (standing.status, standing.stage)
    confirmed = CONTRADICTED if two_ends else standing.confirmed if unchanged else NO
    return Standing(status, stage, standing.trashed, confirmed, max(standing.rank, step.rank), standing.trash_rank)


def _observe(standing: Standing, claim: Standing, step: Fact) -> Standing:
    """An authenticated answer stands, and settles what the callbacks claim: an end that it does not know is none."""
    status, stage = step.status or "", step.stage or facts.IN_PROGRESS
    trashed = step.answer.trashed if step.answer else None
    trashed = standing.trashed if trashed is None else trashed
    denied = claim.stage in facts.TERMINAL and _differ(claim, status, stage)
    return Standing(status, stage, trashed, CONTRADICTED if denied else YES, step.rank)


def _two_ends(standing: Standing, status: str, stage: str) -> bool:
    """Whether one end follows another, or did before: nobody but the API can tell which of them is true."""
    if standing.stage not in facts.TERMINAL or stage not in facts.TERMINAL:
        return False
    return standing.confirmed == CONTRADICTED or _differ(standing, status, stage)


def _differ(standing: Standing, status: str, stage: str) -> bool:
    """Whether the status is another one; archived is what completed has become."""
    return standing.status != status and not standing.stage == stage == facts.COMPLETED


def _signers(signers: dict[str, Signer], fact: Fact) -> dict[str, Signer]:
    if fact.answer:
        return signers | {
            named.id: msgspec.structs.replace(signers.get(named.id, Signer()), name=named.name)
            for named in fact.answer.signers
        }
    if fact.signer is None or fact.what not in facts.BY_SIGNERS:
        return signers
    known = signers.get(fact.signer, Signer())
    documents = known.documents
    if fact.what == facts.DOCUMENT_SIGNED and fact.document is not None:
        documents = tuple(sorted({*documents, fact.document}))
    completed = known.completed or fact.what == facts.SIGNER_COMPLETED
    return {**signers, fact.signer: Signer(known.name, completed, documents)}


def _documents(documents: dict[str, Document], fact: Fact) -> dict[str, Document]:
    if fact.answer:
        return documents | {
            named.id: msgspec.structs.replace(documents.get(named.id, Document()), name=named.name)
            for named in fact.answer.documents
        }
    if fact.document is None or fact.what not in (facts.DOCUMENT_SIGNED, facts.DOCUMENT_VIEWED):
        return documents
    known = documents.get(fact.document, Document())
    signed = known.signed or fact.what == facts.DOCUMENT_SIGNED
    viewed = known.viewed or fact.what == facts.DOCUMENT_VIEWED
    return {**documents, fact.document: Document(known.name, viewed, signed)}


def _told(reason: Reason | None, fact: Fact) -> Reason | None:
    if fact.message is None or fact.stage not in _REFUSED:
        return reason
    told = Reason(fact.observed, fact.clock or 0, fact.message)
    return told if reason is None else max(reason, told)
