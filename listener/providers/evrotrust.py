"""Evrotrust.

Callbacks: https://help.evrotrust.com/portal/en/kb/articles/receive-a-callback-from-evrotrust
Status codes: https://v.evrotrust.com/api/vendor/swagger.json, and later integrations for 7 and 8
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from listener import errors
from listener.log.event import Readable
from listener.provider import fields_of
from projections import facts
from projections.facts import Fact

NOUN: Final = "transaction"
SENDS_KEY: Final = False  # only their addresses and a secret in our address tell its callbacks from forged ones


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
    return _text(fields.get("transactionID")) is not None and _text(fields.get("status")) is not None


def interpret(found: Readable) -> list[Fact]:
    """What a callback says. The type of `transactionID` and `status` differs between the vendor's own pages."""
    fields = fields_of(found.body or b"")
    subject = _text(fields.get("transactionID"))
    if subject is None:
        raise errors.Fault("no transactionID")
    status = _text(fields.get("status"))
    meaning = _MEANINGS.get(status or "", _UNKNOWN)
    return [
        Fact(
            position=found.position,
            recorded_at=found.recorded_at,
            source=found.source,
            provider=found.provider,
            subject=subject,
            what=facts.OTHER if status is None else facts.STATUS,
            name=_name(found.path),
            rank=meaning.rank,
            status=status,
            stage=meaning.stage,
            message=_text(fields.get("rejectReason")) or _text(fields.get("automatedSignError")) or meaning.says,
        )
    ]


def _name(path: str | None) -> str:
    """The sub-path that Evrotrust appended to our address says what became ready: `document/group/ready`."""
    _, found, below = (path or "").partition("?")[0].partition("/document/")
    return "/".join(["document", *filter(None, below.split("/"))]) if found else "callback"


def _text(value: Any) -> str | None:
    """A field as text; 2 and "2" and 2.0 are the same code."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or value == "" or isinstance(value, bool | dict | list):
        return None
    return str(value).strip() or None
