"""What Evrotrust answers about a transaction or a thread, and what of that is kept."""

from typing import Any

import msgspec

from listener import errors, wire
from listener.provider import Whole
from listener.providers import evrotrust
from listener.providers.evrotrust import Kept, Member, Signing


def kept(answer: bytes) -> Kept:
    """What of an answer about a transaction may be kept. Raises Unusable for what is none."""
    status = wire.decoded(answer, _Status, "answer")
    text = evrotrust.text(status.status)
    if text is None:
        raise errors.Unusable("HTTP 200 with something that has no status")
    return Kept(text, _truth(status.isProcessing), evrotrust.text(status.rejectReason), (), (Whole.of(answer),))


def signings(answer: bytes) -> tuple[Signing, ...]:
    """Who signs in a thread. Raises Unusable for what is no answer about one."""
    return tuple(_signing(known) for known in wire.decoded(answer, _Thread, "answer").statuses)


def _signing(known: "_Signing") -> Signing:
    whole = _member(known.groupTransactionID, known.groupStatus, known.groupIsProcessing)
    members = (_member(each.transactionID, each.status, each.isProcessing) for each in known.documents)
    return Signing(whole, tuple(member for member in members if member), evrotrust.text(known.rejectReason))


def _member(transaction: Any, status: Any, processing: Any) -> Member | None:
    text = evrotrust.text(transaction)
    return None if text is None else Member(text, evrotrust.text(status), _truth(processing))


def _truth(value: Any) -> bool:
    """A boolean in the description, 0 or 1 in recorded answers."""
    return str(value).lower() not in ("false", "0", "0.0", "none", "")


class _Status(msgspec.Struct):
    """The types are not theirs to promise."""

    status: Any = None
    isProcessing: Any = False  # noqa: N815  their spelling
    rejectReason: Any = None  # noqa: N815


class _Document(msgspec.Struct):
    transactionID: Any = None  # noqa: N815
    status: Any = None
    isProcessing: Any = False  # noqa: N815


class _Signing(msgspec.Struct):
    groupTransactionID: Any = None  # noqa: N815
    groupStatus: Any = None  # noqa: N815
    groupIsProcessing: Any = False  # noqa: N815
    rejectReason: Any = None  # noqa: N815
    documents: tuple[_Document, ...] = ()


class _Thread(msgspec.Struct):
    statuses: tuple[_Signing, ...] = ()
