"""Evrotrust transactions as the imitation keeps them, and the encrypted zips that a download answers with."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from listener.demo.archive import archive

SIGNED = 2
# The bytes of one piece of `.enc`: 4 096 of the file become 5 464 in base64, padded to 5 472 for the cipher, and 7 296
# characters when that is base64 again. Every piece is encoded by itself.
PIECE = 5472


@dataclass
class Transaction:
    """One transaction, and the thread of the submission that it came with.

    `kind` is doc, group or offline (one-time signing). `members` names the documents of a group by transaction id.
    `is_processing` beside status 2 means signed, but the file is not made yet.
    """

    id: str
    status: int = 1
    is_processing: bool = False
    reject_reason: str | None = None
    thread_id: str = ""
    kind: str = "doc"
    file_name: str = "contract.pdf"
    members: Sequence[str] = ()

    @property
    def ready(self) -> bool:
        """Whether there is a signed file to download."""
        return self.status == SIGNED and not self.is_processing


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
    # The shape is the real one (names, sizes, base64 by piece). The bytes are noise, the same for the same transaction:
    # they are encrypted for nobody, and nobody can decrypt them.
    name = f"{transaction.id}_OUT.enc"
    pieces = [_noise(transaction, "first", PIECE), _noise(transaction, "last", 1184)]
    return {
        name: b"".join(map(base64.b64encode, pieces)),
        f"{name}.key": base64.b64encode(_noise(transaction, "key", 256)),
        f"{name}.iv": _noise(transaction, "iv", 32),
        f"{name}.filename": transaction.file_name.encode(),
    }


def _noise(transaction: Transaction, purpose: str, size: int) -> bytes:
    return hashlib.shake_256(f"{transaction.id} {purpose}".encode()).digest(size)
