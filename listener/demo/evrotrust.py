"""Evrotrust's vendor API and callbacks, imitated after the vendor's own description, version 1.0.154.

https://v.evrotrust.com/api/vendor/swagger.json. Errors are plain text under real HTTP numbers, 443 among them.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from listener.demo.imitation import Call, Imitation
from listener.demo.transactions import (
    DOCUMENTS,
    GROUPS,
    HASH_GROUPS,
    HASHES,
    Transaction,
    group_package,
    package,
)
from listener.demo.wire import Answer, Asked, json_answer

INVALID = Answer(400, b"Invalid data supplied")
UNAUTHORIZED = Answer(401, b"Unauthorized")
NO_DOCUMENT = Answer(443, b"Document not found")
NO_GROUP = Answer(443, b"Document group not found")
NO_HASHES = Answer(443, b"Group not found")


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

    `public_key` is what documents are encrypted for, in PEM, unless a transaction came with another one.
    `processing_as_number`: isProcessing is a boolean in the description, 0 or 1 in recorded answers.
    `flat_groups`: see `group_package`.
    """

    base = "/vendor"

    def __init__(
        self,
        api_key: str = "demonstration",
        vendor_number: str = "ahZsmRHbDHL6TeED",
        public_key: bytes | None = None,
        *,
        port: int = 0,
    ) -> None:
        super().__init__(port)
        self.public_key = public_key
        self.api_key = api_key
        self.vendor_number = vendor_number
        self.transactions: dict[str, Transaction] = {}
        self.processing_as_number = False
        self.flat_groups = False

    def add(self, transaction: Transaction) -> Transaction:
        """Put a transaction into the account and return it."""
        if transaction.seal.public_key is None:
            transaction.seal = replace(transaction.seal, public_key=self.public_key)
        with self.lock:
            self.transactions[transaction.id] = transaction
        return transaction

    def calls(self) -> Sequence[Call]:
        """Return the calls, named as faults and counts name them."""
        document, hashed = "/vendor/document", "/vendor/hash"
        status, one, group = self._status, self._download, self._download_group
        return [
            Call("document.status", "POST", f"{document}/status", self._found(status, DOCUMENTS, NO_DOCUMENT)),
            Call("document.download", "POST", f"{document}/download", self._found(one, DOCUMENTS, NO_DOCUMENT)),
            Call("group.status", "POST", f"{document}/group/status", self._found(status, GROUPS, NO_GROUP)),
            Call("group.download", "POST", f"{document}/group/download", self._found(group, GROUPS, NO_DOCUMENT)),
            Call("thread.status", "POST", f"{document}/thread/status", self._thread),
            Call("hash.status", "POST", f"{hashed}/offline/check", self._found(status, HASHES, NO_DOCUMENT)),
            Call("hash.download", "POST", f"{hashed}/offline/download", self._found(one, HASHES, NO_DOCUMENT)),
            Call("hashes.status", "POST", f"{hashed}/group/offline/check", self._found(status, HASH_GROUPS, NO_HASHES)),
            Call(
                "hashes.download",
                "POST",
                f"{hashed}/group/offline/download",
                self._found(group, HASH_GROUPS, NO_DOCUMENT),
            ),
        ]

    def refuse(self, asked: Asked) -> Answer | None:
        """Check the header over the bytes as received, before anything in them is read."""
        shown = asked.headers.get("authorization", "")
        if not hmac.compare_digest(shown.encode(), authorization(self.api_key, asked.body).encode()):
            return UNAUTHORIZED
        given = _field(asked, "vendorNumber")
        return INVALID if given is None else None if given == self.vendor_number else UNAUTHORIZED

    def _found(
        self, answer: Callable[[Transaction], Answer], kinds: Sequence[str], missing: Answer
    ) -> Callable[[Asked], Answer]:
        def found(asked: Asked) -> Answer:
            wanted = _field(asked, "transactionID")
            if wanted is None:
                return INVALID
            kept = self.transactions.get(wanted)
            return missing if kept is None or kept.kind not in kinds else answer(kept)

        return found

    def _status(self, kept: Transaction) -> Answer:
        shown = {"status": kept.status, "isProcessing": self._processing(kept)}
        return json_answer(shown | _reason(kept))

    def _download(self, kept: Transaction) -> Answer:
        # Integrations in production meet 443 also while a known document is still being signed or made.
        return _file(package(kept)) if kept.ready else NO_DOCUMENT

    def _download_group(self, kept: Transaction) -> Answer:
        signed = [member for member in self._members(kept) if member.ready]
        return _file(group_package(signed, flat=self.flat_groups)) if kept.ready else NO_DOCUMENT

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
