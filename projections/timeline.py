"""Every fact of every subject, in order: the audit view. Repetitions are marked when read, never dropped."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, Table, Text

from projections import facts
from projections.facts import Fact, Key

TABLE: Final = Table(
    "timeline",
    MetaData(),
    Column("source", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("artifact", Text, primary_key=True),
    Column("recorded_at", Integer, nullable=False),
    Column("occurred_at", Integer),
    Column("what", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("sense", LargeBinary, nullable=False),
)
Index("timeline_position", TABLE.c.position)

State = tuple[Any, ...]

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
    facts.STORED: "{artifact} stored",
    facts.FAILED: "{artifact} not fetched: {message}",
    facts.ABANDONED: "{artifact} abandoned: {message}",
    facts.LISTED: "{artifact}: the provider said which there are",
    facts.RETRY: "{artifact} to be tried again: {message}",
    facts.HELD: "{artifact} held: {message}",
    facts.RELEASED: "{artifact} released: {message}",
    facts.OTHER: "{name}",
}


def keys(fact: Fact) -> Sequence[Key]:
    """Every fact is a row of its own. A decision may name several artifacts of one subject."""
    return ((fact.source, fact.subject, fact.position, fact.artifact or ""),)


def initial(_key: Key) -> State:
    """Nothing yet."""
    return ()


def apply(_state: State, _key: Key, fact: Fact) -> State:
    """The fact as it is told."""
    return (fact.recorded_at, fact.occurred_at, fact.what, fact.name, text(fact), sense(fact))


def row(key: Key, state: State) -> tuple[Any, ...]:
    """The state as a row of TABLE."""
    return (*key, *state)


def load(row: Sequence[Any]) -> State:
    """The state that `row` was made of."""
    return tuple(row[4:])


def text(fact: Fact) -> str:
    """The fact as a person would say it."""
    if fact.what == facts.OBSERVED:
        return f"the provider's API says: {_status(fact) or fact.message or 'no status'}"
    if fact.what == facts.STATUS:
        return f"{_status(fact)}: {fact.message}" if fact.message else _status(fact)
    return _TEXTS[fact.what].format(
        signer=fact.signer or "somebody",
        document=fact.document or "a document",
        message=fact.message or "no more is known",
        artifact=fact.artifact,
        name=fact.name or "an event without a name",
    )


def _status(fact: Fact) -> str:
    """Stage and status, where the status says more than the stage does."""
    if fact.status is None:
        return ""
    stage = (fact.stage or "").replace("_", " ")
    return stage if fact.status.lower() == stage else f"{stage} ({fact.status})"


def sense(fact: Fact) -> bytes:
    """What two facts share that say the same: all but where and when we heard of it. What we did is always new."""
    said = (fact.what, fact.name, fact.occurred_at, fact.status, fact.signer, fact.document, fact.message, fact.answer)
    act = (fact.artifact, fact.position) if fact.artifact is not None else None
    return hashlib.sha256(msgspec.json.encode((said, act))).digest()[:12]
