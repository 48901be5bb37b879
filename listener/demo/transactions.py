"""Evrotrust transactions as the imitation keeps them, and the encrypted zips that a download answers with."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from listener.demo import pdf
from listener.demo.archive import archive
from listener.demo.sealing import Seal
from listener.demo.seals import sealer

SEALER = "Imitation of Evrotrust"
SIGNED_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
SIGNED = 2
DOCUMENTS = ("doc", "offline")
GROUPS = ("group",)
HASHES = ("hash",)
HASH_GROUPS = ("hash-group",)


@dataclass
class Transaction:
    """One transaction, and the thread of the submission that it came with.

    `kind` is doc, group, offline (one-time signing), hash or hash-group (both one-time). `members` names the documents
    of a group by transaction id. `is_processing` beside status 2 means signed, but the file is not made yet.
    `content` is what was signed, if it is to be something else than a small PDF.
    """

    id: str
    status: int = 1
    is_processing: bool = False
    reject_reason: str | None = None
    thread_id: str = ""
    kind: str = "doc"
    file_name: str = "contract.pdf"
    members: Sequence[str] = ()
    content: bytes | None = None
    seal: Seal = field(default_factory=Seal)

    @property
    def ready(self) -> bool:
        """Whether there is a signed file to download."""
        return self.status == SIGNED and not self.is_processing


def signed(transaction: Transaction) -> bytes:
    """Return the zip of what was signed, before it is encrypted: of a hash, the signature under an odd name."""
    stem, _, kind = transaction.file_name.rpartition(".")
    if transaction.kind == "hash":
        signature = hashlib.shake_256(f"{transaction.id} signature".encode()).digest(256)
        return archive({f"{stem}_OUT_SIGNED_HASH.xml": signature})
    return archive({f"{stem}_OUT_SIGNED.{kind}": paper(transaction)})


def paper(transaction: Transaction) -> bytes:
    """Return the signed document itself."""
    if transaction.content is not None:
        return transaction.content
    clauses = [
        f"Clause {number}: what both sides agreed on, which is number {number}, and signed." for number in range(1, 43)
    ]
    made = pdf.document(transaction.file_name, [f"Transaction {transaction.id}", "", *clauses])
    return sealer(SEALER).sealed(made, SIGNED_AT) if transaction.file_name.endswith(".pdf") else made


def package(transaction: Transaction) -> bytes:
    """Return the zip that /document/download answers with: four entries, named after the transaction."""
    return archive(_entries(transaction))


def group_package(members: Sequence[Transaction], *, flat: bool) -> bytes:
    """Return the zip of a group: one zip per document inside, or with `flat` all entries side by side.

    Two integrations in production expect the first, a mock of the vendor makes the second; a client should take both.
    """
    if flat:
        return archive({name: content for member in members for name, content in _entries(member).items()})
    return archive({f"{member.id}.zip": package(member) for member in members})


def _entries(transaction: Transaction) -> dict[str, bytes]:
    return transaction.seal.entries(f"{transaction.id}_OUT.enc", signed(transaction), transaction.file_name)
