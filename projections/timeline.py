"""Every fact of every subject, in order: the audit view. Repetitions are marked when read, never dropped."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Index, LargeBinary, MetaData, Table

from projections import facts
from projections.columns import Number, Words
from projections.facts import ALONE, Answer, Beside, Fact, Key

# The rows lie in the order of the log, so that a replay only ever adds at the end.
TABLE: Final = Table(
    "timeline",
    MetaData(),
    Column("position", Number, primary_key=True),
    Column("source", Words, primary_key=True),
    Column("subject", Words, primary_key=True),
    Column("artifact", Words, primary_key=True),
    Column("what", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("said", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
# What tells most rows apart stands first: to sort them so takes two thirds of the time.
Index("timeline_subject", TABLE.c.subject, TABLE.c.source, TABLE.c.position)
ONCE: Final = True

_TEXTS: Final = {
    facts.TRASHED: "moved to the trash",
    facts.RESTORED: "restored",
    facts.DELETED: "deleted",
    facts.TEMPLATE: "template created",
    facts.READY_TO_COMPLETE: "signed by all; waits for the sender to complete it",
    facts.DOCUMENT_SIGNED: "{signer} signed {document}",
    facts.CONSENTED: "{signer} consented to sign electronically",
    facts.DOCUMENT_VIEWED: "{signer} opened {document}",
    facts.SIGNER_COMPLETED: "{signer} finished signing",
    facts.SIGNER_LOCKED: "{signer} was locked out",
    facts.SIGNER_REASSIGNED: "{signer} passed the role to {message}",
    facts.ATTACHMENT_UPLOADED: "{signer} uploaded {message}",
    facts.IDENTITY_CHECK_FAILED: "{signer} failed the identity check",
    facts.MAIL_BOUNCED: "an invitation mail bounced: {message}",
    facts.HELP_REQUESTED: "{signer} asked for help: {message}",
    facts.STORED: "{artifact} stored: {message}",
    facts.FAILED: "{artifact} not fetched: {message}",
    facts.ABANDONED: "{artifact} abandoned: {message}",
    facts.LISTED: "{artifact}: the provider said which there are",
    facts.RETRY: "{artifact} to be tried again: {message}",
    facts.ABANDON: "{artifact} abandoned by decision: {message}",
    facts.CHECKED: "{artifact} checked again: {message}",
    facts.HELD: "{artifact} held: {message}",
    facts.RELEASED: "{artifact} released: {message}",
    facts.ERASED: "erased: {message}",
    facts.ON_HOLD: "put on legal hold: {message}",
    facts.LIFTED: "legal hold lifted: {message}",
    facts.EXPECTED: "expected: {message}",
}


class State(msgspec.Struct, frozen=True, gc=False):
    """A fact as it is told; times in microseconds UTC."""

    recorded_at: int = 0
    occurred_at: int | None = None
    what: str = facts.OTHER
    name: str = ""
    artifact: str | None = None
    status: str | None = None
    stage: str | None = None
    signer: str | None = None
    document: str | None = None
    message: str | None = None
    answer: Answer | None = None

    @property
    def text(self) -> str:
        """The fact as a person would say it."""
        if self.what == facts.OBSERVED:
            return f"the provider's API says: {self._status or self.message or 'no status'}"
        if self.what == facts.STATUS:
            return f"{self._status}: {self.message}" if self.message else self._status
        if self.what == facts.STORED and self.message is None:
            return f"{self.artifact} stored"
        return _TEXTS.get(self.what, "{name}").format(
            signer=self.signer or "somebody",
            document=self.document or "a document",
            message=self.message or "no more is known",
            artifact=self.artifact,
            name=self.name or "an event without a name",
        )

    @property
    def _status(self) -> str:
        """Stage and status, where the status says more than the stage does."""
        if self.status is None:
            return ""
        stage = (self.stage or "").replace("_", " ")
        return stage if self.status.lower() == stage else f"{stage} ({self.status})"

    @property
    def sense(self) -> "State | None":
        """What two rows share that say the same: all but when we heard of it. None for what we did: always news."""
        return None if self.artifact is not None else msgspec.structs.replace(self, recorded_at=0)

    def named(self, names: Mapping[str, str]) -> "State":
        """With the names of signers and documents instead of their ids, where they are known."""
        signer, document = names.get(self.signer or "", self.signer), names.get(self.document or "", self.document)
        return msgspec.structs.replace(self, signer=signer, document=document)


def keys(fact: Fact) -> Sequence[Key]:
    """Every fact is a row of its own. A decision may name several artifacts of one subject."""
    return ((fact.position, fact.source, fact.subject, fact.artifact or ""),)


def initial(_key: Key) -> State:
    """Nothing yet."""
    return _NOTHING


_NOTHING: Final = State()


def apply(_state: State, _key: Key, fact: Fact, _beside: Beside = ALONE) -> State:
    """The fact as it is told."""
    return State(
        fact.recorded_at,
        fact.occurred_at,
        fact.what,
        fact.name,
        fact.artifact,
        fact.status,
        fact.stage,
        fact.signer,
        fact.document,
        fact.message,
        fact.answer,
    )


def row(key: Key, state: State) -> tuple[Any, ...]:
    """The state as a row of TABLE."""
    said = (
        state.recorded_at,
        state.occurred_at,
        state.artifact,
        state.status,
        state.stage,
        state.signer,
        state.document,
        state.message,
        state.answer,
    )
    return (*key, state.what, state.name, _encode(said))


def load(row: Sequence[Any]) -> State:
    """The state that `row` was made of."""
    what, name, said = row[4:]
    recorded_at, occurred_at, artifact, status, stage, signer, document, message, answer = _decode(said)
    return State(recorded_at, occurred_at, what, name, artifact, status, stage, signer, document, message, answer)


_encode = msgspec.msgpack.Encoder().encode
_Text = str | None
_decode = msgspec.msgpack.Decoder(
    tuple[int, int | None, _Text, _Text, _Text, _Text, _Text, _Text, Answer | None]
).decode
