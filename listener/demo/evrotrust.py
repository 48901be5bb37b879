"""Evrotrust's vendor API and callbacks, imitated after the vendor's own description, version 1.0.154.

https://v.evrotrust.com/api/vendor/swagger.json. Errors are plain text under real HTTP numbers, 443 among them.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence

from listener.demo.imitation import Call, Imitation
from listener.demo.transactions import Transaction, group_package, package
from listener.demo.wire import Answer, Asked, json_answer

INVALID = Answer(400, b"Invalid data supplied")
UNAUTHORIZED = Answer(401, b"Unauthorized")
NO_DOCUMENT = Answer(443, b"Document not found")
NO_GROUP = Answer(443, b"Document group not found")


def callback(transaction_id: str, status: int, *, reject_reason: str | None = None) -> bytes:
    """Return a callback's body: three fields at most, no event id, no time.

    https://help.evrotrust.com/portal/en/kb/articles/receive-a-callback-from-evrotrust
    """
    fields: dict[str, object] = {"transactionID": transaction_id, "status": status}
    fields |= {} if reject_reason is None else {"rejectReason": reject_reason}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def authorization(api_key: str, body: bytes) -> str:
    """Return the Authorization header for `body`: hex HMAC-SHA256 of its bytes under the SHA-256 of the API key.

    https://help.evrotrust.com/portal/en/kb/articles/how-to-generate-the-authorization-header
    """
    return hmac.new(hashlib.sha256(api_key.encode()).digest(), body, hashlib.sha256).hexdigest()


class Evrotrust(Imitation):
    """One vendor's account: its transactions by id. `url` ends in /vendor, as the documented address does.

    `processing_as_number`: isProcessing is a boolean in the description, 0 or 1 in recorded answers.
    `flat_groups`: see `group_package`.
    """

    base = "/vendor"

    def __init__(
        self, api_key: str = "demonstration", vendor_number: str = "ahZsmRHbDHL6TeED", *, port: int = 0
    ) -> None:
        super().__init__(port)
        self.api_key = api_key
        self.vendor_number = vendor_number
        self.transactions: dict[str, Transaction] = {}
        self.processing_as_number = False
        self.flat_groups = False

    def add(self, transaction: Transaction) -> Transaction:
        """Put a transaction into the account and return it."""
        with self.lock:
            self.transactions[transaction.id] = transaction
        return transaction

    def calls(self) -> Sequence[Call]:
        """Return the calls, named as faults and counts name them."""
        at = "/vendor/document"
        return [
            Call("document.status", "POST", f"{at}/status", self._single(self._status)),
            Call("document.download", "POST", f"{at}/download", self._single(self._download)),
            Call("group.status", "POST", f"{at}/group/status", self._group(self._status)),
            Call("group.download", "POST", f"{at}/group/download", self._group(self._download_group)),
            Call("thread.status", "POST", f"{at}/thread/status", self._thread),
        ]

    def refuse(self, asked: Asked) -> Answer | None:
        """Check the header over the bytes as received, before anything in them is read."""
        shown = asked.headers.get("authorization", "")
        if not hmac.compare_digest(shown.encode(), authorization(self.api_key, asked.body).encode()):
            return UNAUTHORIZED
        given = _field(asked, "vendorNumber")
        return INVALID if given is None else None if given == self.vendor_number else UNAUTHORIZED

    def _single(self, answer: Callable[[Transaction], Answer]) -> Callable[[Asked], Answer]:
        return self._found(answer, lambda kept: kept.kind != "group", NO_DOCUMENT)

    def _group(self, answer: Callable[[Transaction], Answer]) -> Callable[[Asked], Answer]:
        return self._found(answer, lambda kept: kept.kind == "group", NO_GROUP)

    def _found(
        self, answer: Callable[[Transaction], Answer], fits: Callable[[Transaction], bool], missing: Answer
    ) -> Callable[[Asked], Answer]:
        def found(asked: Asked) -> Answer:
            wanted = _field(asked, "transactionID")
            if wanted is None:
                return INVALID
            kept = self.transactions.get(wanted)
            return missing if kept is None or not fits(kept) else answer(kept)

        return found

    def _status(self, kept: Transaction) -> Answer:
        shown = {"status": kept.status, "isProcessing": self._processing(kept)}
        return json_answer(shown | _reason(kept))

    def _download(self, kept: Transaction) -> Answer:
        # Integrations in production meet 443 also while a known document is still being signed or made.
        return _file(package(kept)) if kept.ready else NO_DOCUMENT

    def _download_group(self, kept: Transaction) -> Answer:
        signed = [member for member in self._members(kept) if member.ready]
        return _file(group_package(signed, flat=self.flat_groups)) if kept.ready else NO_GROUP

    def _thread(self, asked: Asked) -> Answer:
        wanted = _field(asked, "threadID")
        if wanted is None:
            return INVALID
        inside = {member for kept in self.transactions.values() for member in kept.members}
        found = [kept for kept in self.transactions.values() if kept.thread_id == wanted and kept.id not in inside]
        return json_answer({"statuses": [self._signer(kept) for kept in found]}) if found else NO_DOCUMENT

    def _signer(self, kept: Transaction) -> dict[str, object]:
        if kept.kind != "group":
            return {"documents": [self._member(kept)]}
        own = {"groupTransactionID": kept.id, "groupIsProcessing": self._processing(kept), "groupStatus": kept.status}
        return own | _reason(kept) | {"documents": [self._member(member) for member in self._members(kept)]}

    def _member(self, kept: Transaction) -> dict[str, object]:
        return {"transactionID": kept.id, "isProcessing": self._processing(kept), "status": kept.status}

    def _members(self, kept: Transaction) -> list[Transaction]:
        return [self.transactions[member] for member in kept.members]

    def _processing(self, kept: Transaction) -> bool | int:
        return int(kept.is_processing) if self.processing_as_number else kept.is_processing


def _field(asked: Asked, name: str) -> str | None:
    try:
        value = json.loads(asked.body)[name]
    except (ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) else None


def _reason(kept: Transaction) -> dict[str, object]:
    return {} if kept.reject_reason is None else {"rejectReason": kept.reject_reason}


def _file(content: bytes) -> Answer:
    return Answer(200, content, "application/octet-stream")
