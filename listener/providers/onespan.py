"""OneSpan Sign, and its white labels (ValidSign, Conga Sign).

Callbacks: https://docs.onespan.com/docs/setting-up-callback-notifications
API: https://docs.onespan.com/reference (OpenAPI 11.51)
"""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import msgspec

from listener import errors
from listener.log import event
from listener.log.event import Readable
from listener.provider import Whole, answer_of, as_json
from projections import facts
from projections.facts import Answer, Fact, Named

NOUN: Final = "package"
SENDS_KEY: Final = True
KINDS: Final[Mapping[str, str]] = {}
CONSENT: Final = "default-consent"  # the id of the consent, which is signed like a document and is none


class _Meaning(NamedTuple):
    """What an event's name means. The rank orders names within one millisecond."""

    what: str
    rank: int
    status: str | None = None
    stage: str | None = None
    only_from: str | None = None


# The 22 names on the wire and the SDK's alias. Names that only happen to a sent package imply SENT.
_MEANINGS: Final[Mapping[str, _Meaning]] = {
    "PACKAGE_CREATE": _Meaning(facts.STATUS, 10, "DRAFT", facts.DRAFT),
    "TEMPLATE_CREATE": _Meaning(facts.TEMPLATE, 10),
    "PACKAGE_DEACTIVATE": _Meaning(facts.STATUS, 20, "DRAFT", facts.DRAFT),
    "PACKAGE_ACTIVATE": _Meaning(facts.STATUS, 30, "SENT", facts.IN_PROGRESS),
    "EMAIL_BOUNCE": _Meaning(facts.MAIL_BOUNCED, 31, "SENT"),
    "KBA_FAILURE": _Meaning(facts.IDENTITY_CHECK_FAILED, 32, "SENT"),
    "SIGNER_LOCKED": _Meaning(facts.SIGNER_LOCKED, 33, "SENT"),
    "ROLE_REASSIGN": _Meaning(facts.SIGNER_REASSIGNED, 34, "SENT"),
    "COBROWSE_REQUEST": _Meaning(facts.HELP_REQUESTED, 35, "SENT"),
    "DOCUMENT_VIEWED": _Meaning(facts.DOCUMENT_VIEWED, 36, "SENT"),
    "PACKAGE_ATTACHMENT": _Meaning(facts.ATTACHMENT_UPLOADED, 37, "SENT"),
    "DOCUMENT_SIGNED": _Meaning(facts.DOCUMENT_SIGNED, 38, "SENT"),
    "SIGNER_COMPLETE": _Meaning(facts.SIGNER_COMPLETED, 39, "SENT"),
    "PACKAGE_READY_FOR_COMPLETE": _Meaning(facts.READY_TO_COMPLETE, 40, "SENT"),
    "PACKAGE_READY_FOR_COMPLETION": _Meaning(facts.READY_TO_COMPLETE, 40, "SENT"),
    "PACKAGE_EXPIRE": _Meaning(facts.STATUS, 50, "EXPIRED", facts.EXPIRED),
    "PACKAGE_OPT_OUT": _Meaning(facts.STATUS, 51, "OPTED_OUT", facts.DECLINED),
    "PACKAGE_DECLINE": _Meaning(facts.STATUS, 52, "DECLINED", facts.DECLINED),
    "PACKAGE_COMPLETE": _Meaning(facts.STATUS, 60, "COMPLETED", facts.COMPLETED),
    "PACKAGE_ARCHIVE": _Meaning(facts.STATUS, 70, "ARCHIVED", facts.COMPLETED),
    "PACKAGE_TRASH": _Meaning(facts.TRASHED, 80),
    # From the trash the status stays; from the archive it is COMPLETED again.
    "PACKAGE_RESTORE": _Meaning(facts.RESTORED, 81, "COMPLETED", facts.COMPLETED, "ARCHIVED"),
    "PACKAGE_DELETE": _Meaning(facts.DELETED, 90, None, facts.GONE),
}
_UNKNOWN: Final = _Meaning(facts.OTHER, 0)

STAGES: Final[Mapping[str | None, str]] = {
    "DRAFT": facts.DRAFT,
    "SENT": facts.IN_PROGRESS,
    "COMPLETED": facts.COMPLETED,
    "ARCHIVED": facts.COMPLETED,
    "DECLINED": facts.DECLINED,
    "OPTED_OUT": facts.DECLINED,
    "EXPIRED": facts.EXPIRED,
}
_RANKS: Final = {meaning.status: meaning.rank for meaning in _MEANINGS.values() if meaning.what == facts.STATUS}


def presented(headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """The callback key. `Basic` is followed by the raw key, not by base64 of a user and a password (KB0014510)."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, key = value.strip().partition(b" ")
            return key.strip() if scheme.lower() == b"basic" else None
    return None


def recognises(path: str, body: bytes) -> bool:
    """Whether the body is a JSON object with an event's name and a package."""
    try:
        called = as_json(body, _decode)
    except errors.Fault:
        return False
    return _text(called.name) in _MEANINGS and _text(called.packageId) is not None


def interpret(found: Readable) -> list[Fact]:
    """What a callback or an answer of the API says."""
    return [_observed(found) if found.kind == event.OBSERVATION else _called_back(found)]


def _called_back(found: Readable) -> Fact:
    called = as_json(found.body or b"", _decode)
    subject = _text(called.packageId)
    if subject is None:
        raise errors.Fault("no packageId")
    name = _text(called.name) or ""
    meaning = _MEANINGS.get(name, _UNKNOWN)
    document, what = _text(called.documentId), meaning.what
    if document == CONSENT:
        document, what = None, facts.CONSENTED if what == facts.DOCUMENT_SIGNED else what
    return Fact(
        found.position,
        found.recorded_at,
        found.source,
        found.provider,
        subject,
        what,
        name,
        _time(called.createdDate),
        meaning.rank,
        meaning.status,
        meaning.stage,
        meaning.only_from,
        _text(called.sessionUser),
        document,
        _text(called.newRoleId if what == facts.SIGNER_REASSIGNED else called.message) or _text(called.comment),
    )


class _Callback(msgspec.Struct, gc=False):
    """What of a callback is read. The types are not theirs to promise: anything may stand anywhere."""

    name: Any = None
    packageId: Any = None  # noqa: N815  their spelling
    documentId: Any = None  # noqa: N815
    sessionUser: Any = None  # noqa: N815
    createdDate: Any = None  # noqa: N815
    newRoleId: Any = None  # noqa: N815
    message: Any = None
    comment: Any = None


_decode = msgspec.json.Decoder(_Callback).decode


def _observed(found: Readable) -> Fact:
    """The allow-listed answer that `Api.ask` wrote. The subject is the one we asked for."""
    kept, code = answer_of(found, Kept)
    return Fact(
        position=found.position,
        recorded_at=found.recorded_at,
        source=found.source,
        provider=found.provider,
        subject=unquote((found.path or "").rpartition("/")[2]),
        what=facts.OBSERVED,
        name=f"GET {code}",
        rank=_RANKS.get(kept.status, 0),
        status=kept.status,
        stage=STAGES.get(kept.status, facts.IN_PROGRESS) if kept.status else None,
        message=kept.reason if kept.status else f"HTTP {code}",
        answer=Answer(code, kept.trashed, kept.signers, kept.documents, kept.attachments),
    )


def _text(value: Any) -> str | None:
    """A field as text. Hand replays write "" for null, and one real capture the string "null"."""
    if value is None:
        return None
    if type(value) is str:
        return value if value and value != "null" else None
    return None if isinstance(value, bool | dict | list) else str(value)


def _time(value: Any) -> int | None:
    """`createdDate` (ISO 8601, UTC unless it says otherwise) in microseconds; None if it is not there or not a time."""
    try:
        moment = _moment(value)
        since = moment - (_EPOCH if moment.tzinfo else _NAIVE_EPOCH)
    except (TypeError, ValueError, OverflowError):
        return None
    micros = (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
    return micros if _FIRST <= micros <= _LAST else None


_moment = datetime.datetime.fromisoformat
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_NAIVE_EPOCH: Final = _EPOCH.replace(tzinfo=None)  # for times that are UTC without saying so
_FIRST, _LAST = (
    (moment - _NAIVE_EPOCH) // datetime.timedelta(microseconds=1)
    for moment in (datetime.datetime.min, datetime.datetime.max)
)


class Plain(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What is kept of an answer as it is."""

    status: str | None = None
    id: str | None = None
    trashed: bool | None = None
    created: str | None = None
    updated: str | None = None
    completed: str | None = None
    due: str | None = None


class Kept(Plain):
    """What of an answer is kept in the log."""

    documents: tuple[Named, ...] = ()
    signers: tuple[Named, ...] = ()
    attachments: tuple[Named, ...] = ()  # the roles of those who uploaded some
    reason: str | None = None
    answer: Whole | None = None
