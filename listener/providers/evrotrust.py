"""Evrotrust.

Callbacks: https://help.evrotrust.com/portal/en/kb/articles/receive-a-callback-from-evrotrust
Status codes: https://v.evrotrust.com/api/vendor/swagger.json, and later integrations for 7 and 8
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

import msgspec

from listener import errors
from listener.log import event
from listener.log.event import Readable
from listener.provider import Whole, answer_of, fields_of
from projections import facts
from projections.facts import Answer, Fact, Named

NOUN: Final = "transaction"
SENDS_KEY: Final = False  # only their addresses and a secret in our address tell its callbacks from forged ones
KINDS: Final[Mapping[str, str]] = {
    "document": "a document, signed in the app",
    "group": "a group of documents, signed in the app",
    "hash": "a hash, signed in the app",
    "hash-group": "a group of hashes, signed in the app",
    "otp": "a document, signed with a one-time certificate",
    "otp-group": "a group of documents, signed with a one-time certificate",
    "otp-hash": "a hash, signed with a one-time certificate",
    "otp-hash-group": "a group of hashes, signed with a one-time certificate",
}
# The words in their paths that tell a kind: https://v.evrotrust.com/api/vendor/swagger.json
_WORDS: Final = {"offline": "otp", "hash": "hash", "group": "group"}


class _Meaning(NamedTuple):
    """What a status code means, and what it says beyond its stage. Callbacks carry no time: the rank alone orders."""

    stage: str
    rank: int
    says: str | None = None


_MEANINGS: Final[Mapping[str, _Meaning]] = {
    "99": _Meaning(facts.IN_PROGRESS, 10, "on hold"),
    "1": _Meaning(facts.IN_PROGRESS, 20, "pending"),
    "8": _Meaning(facts.ENDED_IN_FAILURE, 50, "face recognition failed"),
    "7": _Meaning(facts.ENDED_IN_FAILURE, 51, "undeliverable"),
    "5": _Meaning(facts.ENDED_IN_FAILURE, 52),
    "6": _Meaning(facts.ENDED_IN_FAILURE, 53, "withdrawn"),
    "4": _Meaning(facts.EXPIRED, 54),
    "3": _Meaning(facts.DECLINED, 55),
    "2": _Meaning(facts.COMPLETED, 60, "signed"),
}
# Codes were added before (7 and 8). One we do not know is no end: the transaction is asked for again.
_UNKNOWN: Final = _Meaning(facts.IN_PROGRESS, 5)


def presented(headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """Nothing: Evrotrust's callbacks carry no credential."""
    return None


def recognises(path: str, body: bytes) -> bool:
    """Whether the body is a JSON object with a transaction and a status."""
    try:
        fields = fields_of(body)
    except errors.Fault:
        return False
    return text(fields.get("transactionID")) is not None and text(fields.get("status")) is not None


def interpret(found: Readable) -> list[Fact]:
    """What a callback or an answer of the API says."""
    return [_observed(found) if found.kind == event.OBSERVATION else _called_back(found)]


def _called_back(found: Readable) -> Fact:
    """The type of `transactionID` and `status` differs between the vendor's own pages."""
    fields = fields_of(found.body or b"")
    subject = text(fields.get("transactionID"))
    if subject is None:
        raise errors.Fault("no transactionID")
    status, name = text(fields.get("status")), _name(found.path)
    meaning = _MEANINGS.get(status or "", _UNKNOWN)
    return Fact(
        position=found.position,
        recorded_at=found.recorded_at,
        source=found.source,
        provider=found.provider,
        subject=subject,
        what=facts.OTHER if status is None else facts.STATUS,
        name=name,
        rank=meaning.rank,
        status=status,
        stage=meaning.stage,
        message=text(fields.get("rejectReason")) or text(fields.get("automatedSignError")) or meaning.says,
        kind=_kind(name),
    )


def _observed(found: Readable) -> Fact:
    """The allow-listed answer that `Api.ask` wrote. The subject is the one we asked for."""
    kept, code = answer_of(found, Kept)
    path, _, query = (found.path or "").partition("?")
    subject = parse_qs(query).get("transactionID", [""])[0]
    meaning = _MEANINGS.get(kept.status or "", _UNKNOWN)
    says = "signed, the file is not made yet" if kept.processing and meaning.stage == facts.COMPLETED else meaning.says
    return Fact(
        position=found.position,
        recorded_at=found.recorded_at,
        source=found.source,
        provider=found.provider,
        subject=subject,
        what=facts.OBSERVED,
        name=f"POST {code}",
        rank=meaning.rank if kept.status else 0,
        status=kept.status,
        stage=meaning.stage if kept.status else None,
        message=kept.reason or says if kept.status else f"HTTP {code}",
        answer=Answer(code, signers=tuple(_signers(kept.thread)), documents=tuple(_documents(kept.thread, subject))),
        kind=_kind(path) if kept.status else None,
    )


def complete(kept: "Kept") -> bool:
    """Whether its documents can be had: signed, and their file is made."""
    return stage(kept.status) == facts.COMPLETED and not kept.processing


def stage(status: str | None) -> str:
    """Where a status leaves whatever has it."""
    return _MEANINGS.get(status or "", _UNKNOWN).stage


def _signers(thread: Sequence["Signing"]) -> Iterator[Named]:
    """One for each signing: nobody tells who it is but the transaction's id."""
    for signing in thread:
        if signing.whole is not None:
            signed = [each.id for each in signing.documents if stage(each.status) == facts.COMPLETED]
            yield Named(signing.whole.id, stage=stage(signing.whole.status), documents=tuple(signed))


def _documents(thread: Sequence["Signing"], subject: str) -> Iterator[Named]:
    """Those of a group: it may be signed as a whole while one that is optional was rejected."""
    for signing in thread:
        if signing.group is not None and signing.group.id == subject:
            yield from (Named(each.id, stage=stage(each.status)) for each in signing.documents)


def _kind(path: str) -> str | None:
    """What a path of theirs, or one that they appended to our address, is about."""
    parts = path.split("/")
    if "document" not in parts and "hash" not in parts:
        return None
    return "-".join(word for part, word in _WORDS.items() if part in parts) or "document"


def _name(path: str | None) -> str:
    """The sub-path that Evrotrust appended to our address says what became ready: `document/group/ready`."""
    _, found, below = (path or "").partition("?")[0].partition("/document/")
    return "/".join(["document", *filter(None, below.split("/"))]) if found else "callback"


def text(value: Any) -> str | None:
    """A field as text; 2 and "2" and 2.0 are the same code."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or value == "" or isinstance(value, bool | dict | list):
        return None
    return str(value).strip() or None


class Member(msgspec.Struct, omit_defaults=True):
    """A transaction as a part of something else."""

    id: str
    status: str | None = None
    processing: bool = False


class Signing(msgspec.Struct, omit_defaults=True):
    """What one signer has to sign: one document, or those of a group, which has an id of its own."""

    group: Member | None = None
    documents: tuple[Member, ...] = ()
    reason: str | None = None

    @property
    def whole(self) -> Member | None:
        """What stands for it."""
        return self.group or (self.documents[0] if self.documents else None)


class Kept(msgspec.Struct, omit_defaults=True):
    """What of an answer is kept in the log; of a second one too, about the thread, if that was asked for."""

    status: str | None = None
    processing: bool = False
    reason: str | None = None
    thread: tuple[Signing, ...] = ()
    answer: tuple[Whole, ...] = ()
