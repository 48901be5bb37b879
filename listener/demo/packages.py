"""OneSpan packages as the imitation keeps them: who signs what, how far it is, and the moves between states.

The moves follow the life cycle in https://www.onespan.com/blog/onespan-sign-developer-lifecycle-package and
https://www.onespan.com/blog/onespan-sign-developer-archive-trash-and-delete; they do not check that a move is allowed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

CONSENT = "default-consent"  # the id under which signers accept the disclosures; no document of the package
LONG_AGO = datetime(2026, 11, 2, 8, 30, tzinfo=UTC)


def iso(moment: datetime) -> str:
    """Return `moment` the way OneSpan writes it: UTC, milliseconds, Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class Signer:
    """One signer, alone in a role of their own."""

    id: str
    first_name: str
    last_name: str
    role: str

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}"

    @property
    def email(self) -> str:
        """An address under a domain that cannot exist (RFC 2606)."""
        return f"{self.first_name}.{self.last_name}@example.test".lower()


@dataclass(frozen=True)
class Document:
    """One document of a package; its id is 48 hex digits unless the sender chose another."""

    id: str
    name: str


@dataclass(frozen=True)
class Message:
    """What a signer wrote when declining or opting out."""

    sender: Signer
    content: str
    created: datetime


TWO_SIGNERS = (
    Signer("30ba8506-9819-46aa-a22d-c0114ba34cd0", "Ana", "Petrova", "Signer1"),
    Signer("7b6e1c54-0b7e-4b5a-9a39-0a5be0b8f7ad", "Boris", "Ivanov", "Signer2"),
)
ONE_DOCUMENT = (Document("83bb52503092b368c6f227f790a8a7f566da8da3d6495cb5", "Lease agreement"),)


@dataclass
class Package:
    """One package; `status` is one of OneSpan's seven, `trashed` and `deleted` stand beside it."""

    id: str
    name: str = "Lease agreement"
    signers: Sequence[Signer] = TWO_SIGNERS
    documents: Sequence[Document] = ONE_DOCUMENT
    created: datetime = LONG_AGO
    updated: datetime = LONG_AGO
    completed: datetime | None = None
    due: datetime | None = None
    status: str = "DRAFT"
    trashed: bool = False
    deleted: bool = False
    autocomplete: bool = True
    messages: list[Message] = field(default_factory=list)
    consents: dict[str, datetime] = field(default_factory=dict)  # by signer id
    signatures: dict[tuple[str, str], datetime] = field(default_factory=dict)  # by (document id, signer id)
    attachments: dict[tuple[str, str], bytes] = field(default_factory=dict)  # by (role, file name)

    def move(self, status: str, at: datetime) -> None:
        """Set the status; COMPLETED also sets the date of completion, once."""
        self.status, self.updated = status, at
        if status == "COMPLETED" and self.completed is None:
            self.completed = at

    def consent(self, signer: Signer, at: datetime) -> None:
        """Accept the disclosures."""
        self.consents[signer.id] = self.updated = at

    def sign(self, document: Document, signer: Signer, at: datetime) -> None:
        """Put one signature on one document."""
        self.signatures[document.id, signer.id] = self.updated = at

    def attach(self, signer: Signer, name: str, content: bytes, at: datetime) -> None:
        """Upload an attachment that was asked for."""
        self.attachments[signer.role, name] = content
        self.updated = at

    def refuse(self, signer: Signer, reason: str, at: datetime, status: str = "DECLINED") -> None:
        """Decline (or with OPTED_OUT, opt out) with a reason, which becomes the package's first message."""
        self.messages.insert(0, Message(signer, reason, at))
        self.move(status, at)

    def trash(self, at: datetime, trashed: bool = True) -> None:
        """Move to the trash, or with False back from it; the status stays."""
        self.trashed, self.updated = trashed, at

    def delete(self, at: datetime) -> None:
        """Delete for good: the API does not know it any more."""
        self.deleted, self.updated = True, at

    def finish(self, at: datetime = LONG_AGO) -> None:
        """Let every signer consent and sign everything, and complete, all at one moment."""
        for signer in self.signers:
            self.consent(signer, at)
            for document in self.documents:
                self.sign(document, signer, at)
        self.move("COMPLETED", at)

    def signed_by(self, signer: Signer) -> bool:
        """Say whether this signer has nothing left to sign."""
        return all((document.id, signer.id) in self.signatures for document in self.documents)

    def signing_status(self) -> str:
        """Return the answer of GET /signingStatus for the whole package."""
        if self.status == "DRAFT":
            return "INACTIVE"
        if self.status != "SENT":
            return self.status
        return "SIGNING_COMPLETE" if all(map(self.signed_by, self.signers)) else "SIGNING_PENDING"
