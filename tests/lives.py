"""The life of a package as its provider lives it: what is told of it, and where it stands, whoever folds it."""

import json
from typing import Any, Final, NamedTuple

import msgspec
from hypothesis import strategies as st

from listener import times
from projections.course import NO
from projections.packages import Document, Signer

ID: Final = "LWsUTvGgE4WpOvaQPT16idnxNj8="
START: Final = 1_795_341_600_000_000  # 2026-11-22T10:00:00Z
MS: Final = 1000
MINUTE: Final = 60_000 * MS
LATE: Final = START + 24 * 60 * MINUTE  # when everything has happened

STAGES: Final = {
    "": "in_progress",
    "DRAFT": "draft",
    "SENT": "in_progress",
    "COMPLETED": "completed",
    "ARCHIVED": "completed",
    "DECLINED": "declined",
    "OPTED_OUT": "declined",
    "EXPIRED": "expired",
}
NEXT: Final = {
    "DRAFT": {"PACKAGE_ACTIVATE": "SENT"},
    "SENT": {
        "PACKAGE_DEACTIVATE": "DRAFT",
        "PACKAGE_COMPLETE": "COMPLETED",
        "PACKAGE_DECLINE": "DECLINED",
        "PACKAGE_OPT_OUT": "OPTED_OUT",
        "PACKAGE_EXPIRE": "EXPIRED",
    },
    "COMPLETED": {"PACKAGE_ARCHIVE": "ARCHIVED"},
    "ARCHIVED": {"PACKAGE_RESTORE": "COMPLETED"},
    "EXPIRED": {"PACKAGE_DEACTIVATE": "DRAFT", "PACKAGE_ACTIVATE": "SENT"},
    "DECLINED": {"PACKAGE_DEACTIVATE": "DRAFT"},
    "OPTED_OUT": {"PACKAGE_DEACTIVATE": "DRAFT"},
}
ALWAYS: Final = {"PACKAGE_TRASH", "PACKAGE_DELETE"}
MOST_STEPS: Final = 10  # behind the creation


class End(NamedTuple):
    """Where a package stands, without anything that says how we came to know."""

    status: str
    stage: str
    trashed: bool = False
    confirmed: str = NO


class Life(NamedTuple):
    """A package's life: callbacks as (clock, body), where it stood since when, and who did what."""

    said: tuple[tuple[int, bytes], ...]
    stood: tuple[tuple[int, End], ...]
    signers: dict[str, Signer]
    documents: dict[str, Document]

    @property
    def end(self) -> End:
        """Where it stands at last."""
        return self.stood[-1][1]

    def at(self, time: int) -> End:
        """Where it stood at a time."""
        return [stood for since, stood in self.stood if since <= time or since == self.stood[0][0]][-1]


def body(name: str, at: int | None = None, subject: str = ID, **fields: Any) -> bytes:
    """A callback's body; `at` is the provider's clock in microseconds."""
    clock = {} if at is None else {"createdDate": times.written(at)}
    return json.dumps({"name": name, "packageId": subject, **fields, **clock}).encode()


def possible(stands: End) -> list[str]:
    """What can happen to a package that stands there (sheet: the life cycle)."""
    if stands.stage == "deleted":
        return ["PACKAGE_ACTIVATE"]
    if stands.trashed:
        return ["PACKAGE_RESTORE", "PACKAGE_DELETE"]
    return sorted(NEXT[stands.status].keys() | ALWAYS)


def after(stands: End, name: str) -> End:
    """Where it stands then."""
    if name == "PACKAGE_TRASH":
        return stands._replace(trashed=True)
    if name == "PACKAGE_RESTORE" and stands.trashed:
        return stands._replace(trashed=False)
    if name == "PACKAGE_DELETE":
        return stands._replace(stage="deleted")
    status = "SENT" if stands.stage == "deleted" else NEXT[stands.status][name]
    return stands._replace(status=status, stage=STAGES[status])


@st.composite
def lives(draw: st.DrawFn, subject: str = ID, start: int = START) -> Life:
    """A life of some steps, each some milliseconds after the one before, with signers at work in between."""
    at, stands = start, End("DRAFT", "draft")
    said, stood = [(at, body("PACKAGE_CREATE", at, subject))], [(at, stands)]
    signers: dict[str, Signer] = {}
    documents: dict[str, Document] = {}
    for _ in range(draw(st.integers(0, MOST_STEPS))):
        at += draw(st.sampled_from([1, 7, 60_000])) * MS
        if stands == End("SENT", "in_progress") and draw(st.booleans()):
            said.append((at, draw(deeds(at, subject, signers, documents))))
            continue
        name = draw(st.sampled_from(possible(stands)))
        stands = after(stands, name)
        said.append((at, body(name, at, subject, sessionUser="sender")))
        stood.append((at, stands))
    return Life(tuple(said), tuple(stood), signers, documents)


@st.composite
def deeds(draw: st.DrawFn, at: int, subject: str, signers: dict[str, Signer], documents: dict[str, Document]) -> bytes:
    """Something that a signer does, noted with signers and documents."""
    by, paper = draw(st.sampled_from(["ana", "boris"])), draw(st.sampled_from(["lease", "annex"]))
    name = draw(st.sampled_from(["DOCUMENT_VIEWED", "DOCUMENT_SIGNED", "SIGNER_COMPLETE", "KBA_FAILURE", "consent"]))
    signer, document = signers.get(by, Signer()), documents.get(paper, Document())
    signers[by] = signer
    if name == "consent":
        return body("DOCUMENT_SIGNED", at, subject, sessionUser=by, documentId="default-consent")
    if name == "SIGNER_COMPLETE":
        signers[by] = msgspec.structs.replace(signer, completed=True)
    if name == "DOCUMENT_SIGNED":
        signers[by] = msgspec.structs.replace(signer, documents=tuple(sorted({*signer.documents, paper})))
        documents[paper] = msgspec.structs.replace(document, signed=True)
    if name == "DOCUMENT_VIEWED":
        documents[paper] = msgspec.structs.replace(document, viewed=True)
    return body(name, at, subject, sessionUser=by, documentId=paper if name.startswith("DOCUMENT") else None)


@st.composite
def arrivals(draw: st.DrawFn, number: int) -> list[int]:
    """Which of so many callbacks arrives when: each at least once, in any order, some repeatedly."""
    repeated = draw(st.lists(st.integers(0, number - 1), max_size=5))
    return draw(st.permutations([*range(number), *repeated]))
