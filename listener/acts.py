"""Events that are not callbacks: what we did (outcomes) and what was decided, to the log and back."""

import contextlib
from collections.abc import Iterable
from typing import Final, TypeVar
from urllib.parse import quote, unquote

import msgspec

from listener import errors
from listener.log import event
from listener.log.event import Draft, Readable
from projections import facts
from projections.facts import Expected, Fact, Stored, Verdict

SIGNLOG: Final = "signlog"  # the source and provider of acts that belong to none
IN_FORCE: Final = "in force"
IN_FORCE_PATH: Final = "/in-force"
ACCEPTED: Final = "accept"
IMPORTED: Final = "import"
RETRY_PATH: Final = "/artifacts"  # where decisions about several artifacts are filed
QUARANTINE_PATH: Final = "/quarantine"
IMPORT_PATH: Final = "/imports"
EXPECTED_PATH: Final = "/expected/"  # where it is filed what somebody expects, each subject for itself
ABANDONED_PATH: Final = "/abandoned"  # what is never to be fetched
HELD_PATH: Final = "/held"  # what a replay wanted, and who let it go
ERASED_PATH: Final = "/erased"
SEALED: Final = "sealed"
SEALED_PATH: Final = "/sealed"  # where the log goes on
HOLDS_PATH: Final = "/holds"
FAULTS_PATH: Final = "/faults"  # what to do about events that could not be taken in
SKIP: Final = "skip"  # leave them out for good
LIVE: Final = "live"
LIVE_PATH: Final = "/live"  # which generation of the views was shown from when on

Subject = tuple[str, str]  # a source, and an id that its provider gave


class Artifact(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Which document: its business identity, never a position."""

    source: str
    subject: str
    name: str


class Act(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an outcome or a decision. `next_at` is in microseconds UTC, with its jitter: a fold computes none."""

    action: str = ""
    source: str | None = None
    subject: str | None = None
    name: str | None = None
    attempt: int = 0
    next_at: int | None = None
    reason: str | None = None
    sha256: str | None = None
    size: int | None = None
    path: str | None = None
    operator: str | None = None
    artifacts: tuple[Artifact, ...] = ()
    positions: tuple[int, ...] = ()
    generation: int | None = None
    previous: int | None = None
    digest: str | None = None
    expected: Expected | None = None
    verdict: Verdict | None = None


class InForce(msgspec.Struct, frozen=True):
    """What the folds go by from here on: the interpreting code, and of each source its provider and its artifacts."""

    action: str
    version: str
    fingerprint: str
    code: str
    sources: dict[str, "SourceInForce"]

    def wants(self, source: str) -> tuple[str, ...]:
        """The artifacts wanted of what completes in a source."""
        return self.sources[source].artifacts if source in self.sources else ()


class SourceInForce(msgspec.Struct, frozen=True):
    """A configured source, as far as folding may know it."""

    provider: str
    artifacts: tuple[str, ...]


_Body = TypeVar("_Body")
_encode = msgspec.json.Encoder(order="deterministic").encode
_act = msgspec.json.Decoder(Act)
_in_force = msgspec.json.Decoder(InForce)


def path(artifact: Artifact) -> str:
    """Where the acts about an artifact are filed; distinct artifacts have distinct paths."""
    return "/artifacts/" + "/".join(quote(part, safe="") for part in (artifact.source, artifact.subject, artifact.name))


def about(filed: str, source: str, subject: str) -> str:
    """Where decisions about a whole subject are filed."""
    return "/".join((filed, quote(source, safe=""), quote(subject, safe="")))


def is_about(path: str) -> Subject:
    """The subject that a decision filed by `about` is about."""
    source, subject = path.split("/")[-2:]
    return unquote(source), unquote(subject)


def outcome(artifact: Artifact, provider: str, act: Act) -> Draft:
    """What we did about an artifact, as an event to append."""
    named = msgspec.structs.replace(act, source=artifact.source, subject=artifact.subject, name=artifact.name)
    return Draft(event.OUTCOME, artifact.source, provider, _encode(named), path=path(artifact))


def decision(act: Act, operator: str, filed: str) -> Draft:
    """What a person decided, as an event to append."""
    named = msgspec.structs.replace(act, operator=operator)
    return Draft(event.DECISION, SIGNLOG, SIGNLOG, _encode(named), path=filed, credential=f"operator:{operator}")


def expectation(
    source: str, provider: str, subject: str, expected: Expected, operator: str, reason: str | None
) -> Draft:
    """What somebody told us of a subject, as an event to append: it belongs to the source."""
    act = Act(facts.EXPECTED, source, subject, reason=reason, operator=operator, expected=expected)
    filed = EXPECTED_PATH + "/".join(quote(part, safe="") for part in (source, subject))
    return Draft(event.DECISION, source, provider, _encode(act), path=filed, credential=f"operator:{operator}")


def is_expectation(found: Readable) -> bool:
    """Whether it is what somebody told us of a subject: filed as a decision, and yet about the subject itself."""
    return found.kind == event.DECISION and (found.path or "").startswith(EXPECTED_PATH)


def in_force(declared: InForce) -> Draft:
    """A declaration of what is in force, as an event to append."""
    return Draft(event.DECISION, SIGNLOG, SIGNLOG, _encode(declared), path=IN_FORCE_PATH)


def read_in_force(found: Readable) -> InForce:
    """The declaration that an event holds. Raises Fault if it cannot be read."""
    return _read(found, _in_force)


def newest_in_force(declarations: Iterable[Readable]) -> InForce | None:
    """The first of these, newest first, that can be read: an unreadable one is a fault, and was never in force."""
    for declared in declarations:
        with contextlib.suppress(errors.Fault):
            return read_in_force(declared)
    return None


def read(found: Readable) -> Act:
    """The act that an event holds; one that was erased says nothing. Raises Fault if it cannot be read."""
    return Act() if found.body is None else _read(found, _act)


def _read(found: Readable, decoder: msgspec.json.Decoder[_Body]) -> _Body:
    try:
        return decoder.decode(found.body or b"")
    except (ValueError, RecursionError) as error:
        raise errors.Fault(f"an unreadable {found.kind}: {error}") from None


def interpret(found: Readable) -> list[Fact]:
    """What an act says of artifacts, or of a subject: where that was erased or is on hold, the artifact has no name."""
    act = read(found)
    if act.expected is not None and act.subject is not None:
        return [_expected(found, act.subject, act.expected, act.reason)]
    name = "" if act.name is None and act.action in _OF_A_SUBJECT else act.name
    if act.source is not None and act.subject is not None and name is not None:
        return [_fact(found, act, Artifact(act.source, act.subject, name))]
    return [_fact(found, act, artifact) for artifact in act.artifacts]


_OF_A_SUBJECT: Final = frozenset({facts.ERASED, facts.ON_HOLD, facts.LIFTED})


def _fact(found: Readable, act: Act, artifact: Artifact) -> Fact:
    return Fact(
        position=found.position,
        recorded_at=found.recorded_at,
        source=artifact.source,
        provider=found.provider,
        subject=artifact.subject,
        what=act.action if act.action in facts.OURS else facts.OTHER,
        name=act.action,
        message=_said(act),
        artifact=artifact.name,
        attempt=act.attempt,
        next_at=act.next_at,
        stored=_stored(act) if act.action in (facts.STORED, facts.CHECKED) else None,
    )


def _said(act: Act) -> str | None:
    """The reason, and what was found of signatures."""
    if act.verdict is None:
        return act.reason
    return f"{act.reason}; {act.verdict.text}" if act.reason else act.verdict.text


def _expected(found: Readable, subject: str, expected: Expected, reason: str | None) -> Fact:
    return Fact(
        position=found.position,
        recorded_at=found.recorded_at,
        source=found.source,
        provider=found.provider,
        subject=subject,
        what=facts.EXPECTED,
        name=facts.EXPECTED,
        message=" ".join(filter(None, (expected.reference, expected.kind, reason))) or None,
        expected=expected,
    )


def _stored(act: Act) -> Stored:
    if act.sha256 is None or act.size is None or act.path is None:
        raise errors.Fault(f"a document {act.action}, without its hash, size or path")
    return Stored(act.sha256, act.size, act.path, act.verdict)
