"""The words of the meaning: what an event says, in terms that no provider owns."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

# What a fact says. Unknown events are facts too: OTHER.
STATUS: Final = "status"  # the subject has a new status
RESTORED: Final = "restored"  # back from the trash, or from `only_from`
TRASHED: Final = "trashed"
DELETED: Final = "deleted"
OBSERVED: Final = "observed"  # an authenticated answer of the provider's API
TEMPLATE: Final = "template"  # about a template: makes no package
READY_TO_COMPLETE: Final = "ready_to_complete"  # all signed, the sender must finish it
DOCUMENT_SIGNED: Final = "document_signed"
CONSENTED: Final = "consented"
DOCUMENT_VIEWED: Final = "document_viewed"
SIGNER_COMPLETED: Final = "signer_completed"
SIGNER_LOCKED: Final = "signer_locked"
SIGNER_REASSIGNED: Final = "signer_reassigned"
ATTACHMENT_UPLOADED: Final = "attachment_uploaded"
IDENTITY_CHECK_FAILED: Final = "identity_check_failed"
MAIL_BOUNCED: Final = "mail_bounced"
HELP_REQUESTED: Final = "help_requested"
STORED: Final = "stored"  # what we did with an artifact
FAILED: Final = "failed"
ABANDONED: Final = "abandoned"
LISTED: Final = "listed"  # the provider said which there are of a kind
RETRY: Final = "retry"  # what an operator decided about it: to try it again …
ABANDON: Final = "abandon"  # … or never, unless somebody decides otherwise
CHECKED: Final = "checked"  # its signatures were looked at once more
HELD: Final = "held"  # only a replay wants it: it waits for a person
RELEASED: Final = "released"
ERASED: Final = "erased"  # what was known of the subject was erased: it wants nothing any more
ON_HOLD: Final = "hold"  # the law wants it kept: nothing of it may be erased
LIFTED: Final = "lift"
EXPECTED: Final = "expected"  # somebody said that there is, or will be, such a subject
OTHER: Final = "other"

# What we did, and decided: it says nothing of where a subject stands.
OURS: Final = frozenset(
    {STORED, FAILED, ABANDONED, LISTED, RETRY, ABANDON, CHECKED, HELD, RELEASED, ERASED, ON_HOLD, LIFTED}
)

# Where a subject stands.
DRAFT: Final = "draft"
IN_PROGRESS: Final = "in_progress"
COMPLETED: Final = "completed"
DECLINED: Final = "declined"
EXPIRED: Final = "expired"
ENDED_IN_FAILURE: Final = "failed"
GONE: Final = "deleted"
STAGES: Final = (DRAFT, IN_PROGRESS, COMPLETED, DECLINED, EXPIRED, ENDED_IN_FAILURE, GONE)
TERMINAL: Final = frozenset({COMPLETED, DECLINED, EXPIRED, ENDED_IN_FAILURE})
ENDED: Final = TERMINAL | {GONE}  # nothing more is waited for

# What signers do, so that its signer is one of the subject's.
BY_SIGNERS: Final = frozenset(
    {
        DOCUMENT_SIGNED,
        CONSENTED,
        DOCUMENT_VIEWED,
        SIGNER_COMPLETED,
        SIGNER_LOCKED,
        SIGNER_REASSIGNED,
        ATTACHMENT_UPLOADED,
        IDENTITY_CHECK_FAILED,
    }
)

CLOCK_TOLERANCE: Final = 10 * 60 * 1_000_000  # microseconds a provider's clock may be ahead of ours


def believed(occurred_at: int | None, recorded_at: int) -> int | None:
    """The provider's clock. A time too far ahead of ours is an anomaly, and counts as the time we heard of it."""
    if occurred_at is None or occurred_at <= recorded_at + CLOCK_TOLERANCE:
        return occurred_at
    return recorded_at


class Named(msgspec.Struct, frozen=True, omit_defaults=True):
    """A signer or a document: its id, the name a person knows it by, where it stands, and what a signer signed."""

    id: str
    name: str = ""
    stage: str | None = None
    documents: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """What a provider's API said of a subject, beyond its status."""

    code: int
    trashed: bool | None = None
    signers: tuple[Named, ...] = ()
    documents: tuple[Named, ...] = ()
    attachments: tuple[Named, ...] = ()


# What was found of signatures, the worst first: of several, the worst holds for all of them.
INVALID: Final = "invalid"  # one is there, and it is not of what lies here now
UNREADABLE: Final = "unreadable"  # not to be judged: no PDF that can be read, or it takes too much
UNSIGNED: Final = "unsigned"
UNTRUSTED: Final = "untrusted"  # right in itself; but nobody whom we are to trust vouches for the signer
UNCHECKED: Final = "unchecked"  # nobody looked
VALID: Final = "valid"
FOUND: Final = (INVALID, UNREADABLE, UNSIGNED, UNTRUSTED, UNCHECKED, VALID)


class Signature(msgspec.Struct, frozen=True, omit_defaults=True):
    """A signature in a PDF. `signed_at` in microseconds UTC, by a time stamp if there is one, else by the signer.

    `intact`: what it covers is what was signed. `whole`: that is the whole file. `changed`: what came after it is more
    than proofs that it was valid; it may be the next signature. `trusted` is None where nobody told us whom to trust.
    """

    signer: str
    intact: bool
    whole: bool
    changed: bool = False
    signed_at: int | None = None
    trusted: bool | None = None
    problem: str | None = None


class Paper(msgspec.Struct, frozen=True, omit_defaults=True):
    """A PDF that was looked at; `name` is what its zip calls it, "" where it is the document itself."""

    name: str
    found: str
    reason: str | None = None
    signatures: tuple[Signature, ...] = ()


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found when the signatures of a document were checked, and whether it was due any."""

    found: str
    due: bool = False
    reason: str | None = None
    papers: tuple[Paper, ...] = ()

    @property
    def doubtful(self) -> bool:
        """Whether a person should look: a broken signature is wrong anywhere, and none found good where it is due."""
        return self.found == INVALID or (self.due and self.found != VALID)

    @property
    def text(self) -> str:
        """The verdict as a person would say it."""
        if self.found == VALID:
            trusted = all(one.trusted for paper in self.papers for one in paper.signatures)
            return f"signatures valid, by {self._signers}" + ("" if trusted else ", whom nobody was told to trust")
        if self.found == UNSIGNED and not self.due:
            return "no signatures, and none due"
        return ": ".join(filter(None, (f"signatures {_SAID[self.found]}", *self._why)))

    @property
    def _signers(self) -> str:
        """The first of them, and how many more there are."""
        first, *others = dict.fromkeys(one.signer for paper in self.papers for one in paper.signatures) or ("nobody",)
        return f"{first} and {len(others)} more" if others else first

    @property
    def _why(self) -> tuple[str | None, ...]:
        """What the first of the worst has; or why there are none."""
        bad = next((paper for paper in self.papers if paper.found == self.found), None)
        return (self.reason,) if self.reason or bad is None else (bad.name, bad.reason)


_SAID: Final = {
    INVALID: "invalid",
    UNREADABLE: "not to be judged",
    UNSIGNED: "missing",
    UNTRUSTED: "valid, but not trusted",
    UNCHECKED: "not checked",
}


class Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """A document as it lies on disk: SHA-256 in lower-case hex, size in bytes, path below the documents folder.

    `verdict` says how its signatures were found; none where it is no PDF, or nobody has looked since that was built.
    """

    sha256: str
    size: int
    path: str
    verdict: Verdict | None = None


class Expected(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What somebody told us of a subject, because no callback ever does. `deadline` in microseconds UTC.

    `kind` in the provider's words; `key` is the name of a private key; `reference` is theirs alone.
    """

    thread: str | None = None
    kind: str | None = None
    key: str | None = None
    reference: str | None = None
    deadline: int | None = None


class Fact(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing that one event says of one subject.

    `name` is the provider's own; times are microseconds UTC, `recorded_at` by our clock and `occurred_at` by theirs.
    `rank` orders names that carry the same time: a later step of a life cycle has the higher rank. `kind` is the
    provider's word for what is signed in which way, as far as this tells it.
    """

    position: int
    recorded_at: int
    source: str
    provider: str
    subject: str
    what: str
    name: str
    occurred_at: int | None = None
    rank: int = 0
    status: str | None = None
    stage: str | None = None
    only_from: str | None = None
    signer: str | None = None
    document: str | None = None
    message: str | None = None
    artifact: str | None = None
    attempt: int = 0
    next_at: int | None = None
    answer: Answer | None = None
    stored: Stored | None = None
    wants: tuple[str, ...] = ()
    kind: str | None = None
    expected: Expected | None = None

    @property
    def clock(self) -> int | None:
        """When it happened, as far as it is believed."""
        return believed(self.occurred_at, self.recorded_at)

    @property
    def heard(self) -> tuple[int, int]:
        """When we heard of it; for an answer of the API: when it was asked."""
        return self.recorded_at, self.position

    @property
    def observed(self) -> bool:
        """Whether an authenticated answer of the provider's API says so, and not a callback."""
        return self.what == OBSERVED


Key = tuple[str | int, ...]
Beside = Mapping[Key, Any]  # where rows stood before a fact: each that it touches may go by the others of these
ALONE: Final[Beside] = {}


def one_of(kind: str, known: str) -> str:
    """The artifact of a kind such as `document-*.pdf` that belongs to an id. Distinct ids have distinct ones.

    None of them is the kind itself, whatever the id.
    """
    before, _, after = kind.partition("*")
    return before + known.replace("%", "%25").replace("*", "%2A") + after


def which(kind: str, artifact: str) -> str | None:
    """The id that an artifact of a kind belongs to; None if it is not of that kind."""
    before, _, after = kind.partition("*")
    known = artifact.removeprefix(before).removesuffix(after)
    if "*" in known or before + known + after != artifact:
        return None
    return known.replace("%2A", "*").replace("%25", "%")
