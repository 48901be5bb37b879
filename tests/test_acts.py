"""What we did and what was decided, to the log and back."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener import acts, errors
from listener.acts import Act, Artifact, InForce, SourceInForce
from listener.log import event
from listener.log.event import Draft, Event, seal
from projections import facts
from projections.facts import Stored

PAPER = Artifact("here", "-p=", "evidence.pdf")
WORDS = st.text(max_size=12)
NAMED = st.builds(Artifact, WORDS, WORDS, WORDS)
ACTS = st.builds(
    Act,
    action=st.sampled_from([facts.FAILED, facts.ABANDONED, facts.RETRY, "hold", ""]),
    attempt=st.integers(0, 99),
    next_at=st.none() | st.integers(0, 2**60),
    reason=st.none() | WORDS,
)


def recorded(draft: Draft) -> Event:
    """The event that a draft becomes."""
    return event.seal(draft, bytes(16), 7, 1_795_348_800_000_000)


def outcome(body: bytes) -> Event:
    """An outcome with that body."""
    return recorded(Draft(event.OUTCOME, "here", "onespan", body, path="/artifacts/x"))


# There and back


@given(artifact=NAMED, act=ACTS)
def test_an_outcome_comes_back_as_it_was(artifact: Artifact, act: Act) -> None:
    """The act, its artifact, and where it is filed; nothing is computed on the way."""
    draft = acts.outcome(artifact, "onespan", act)
    assert (draft.kind, draft.source, draft.provider) == (event.OUTCOME, artifact.source, "onespan")
    assert draft.path == acts.path(artifact)
    named = msgspec.structs.replace(act, source=artifact.source, subject=artifact.subject, name=artifact.name)
    assert acts.read(recorded(draft)) == named
    (fact,) = acts.interpret(recorded(draft))
    assert (fact.source, fact.subject, fact.artifact) == (artifact.source, artifact.subject, artifact.name)
    assert (fact.name, fact.attempt, fact.next_at, fact.message) == (act.action, act.attempt, act.next_at, act.reason)


@given(artifacts=st.lists(NAMED, max_size=4).map(tuple), operator=WORDS, reason=WORDS)
def test_a_decision_comes_back_as_it_was(artifacts: tuple[Artifact, ...], operator: str, reason: str) -> None:
    """A fact for each artifact that it lists, who decided it, and why."""
    draft = acts.decision(Act(facts.RETRY, artifacts=artifacts, reason=reason), operator, acts.RETRY_PATH)
    assert (draft.kind, draft.source, draft.credential) == (event.DECISION, acts.SIGNLOG, f"operator:{operator}")
    assert acts.read(recorded(draft)) == Act(facts.RETRY, artifacts=artifacts, reason=reason, operator=operator)
    said = [(fact.what, fact.source, fact.subject, fact.artifact) for fact in acts.interpret(recorded(draft))]
    assert said == [(facts.RETRY, *msgspec.structs.astuple(artifact)) for artifact in artifacts]


@given(
    code=WORDS, sources=st.dictionaries(WORDS, st.builds(SourceInForce, WORDS, st.lists(WORDS, max_size=2).map(tuple)))
)
def test_what_is_in_force_comes_back_as_it_was(code: str, sources: dict[str, SourceInForce]) -> None:
    """Versions, code and sources, and the artifacts of each."""
    declared = InForce(acts.IN_FORCE, "1", "ab", code, sources)
    draft = acts.in_force(declared)
    assert (draft.kind, draft.path) == (event.DECISION, acts.IN_FORCE_PATH)
    assert acts.read_in_force(recorded(draft)) == declared
    assert all(declared.wants(name) == source.artifacts for name, source in sources.items())


def test_of_a_source_that_is_not_in_force_nothing_is_wanted() -> None:
    """It was removed, or never configured."""
    assert InForce(acts.IN_FORCE, "1", "ab", "", {}).wants("here") == ()


def test_the_same_act_is_the_same_bytes() -> None:
    """Keys in one order, and nothing that is not said."""
    body = acts.outcome(PAPER, "onespan", Act(facts.FAILED, attempt=1)).body
    assert body == b'{"action":"failed","source":"here","subject":"-p=","name":"evidence.pdf","attempt":1}'


# What an act says


def test_a_stored_document_says_where_it_lies() -> None:
    """Hash, size and path."""
    act = Act(facts.STORED, attempt=1, sha256="ab" * 32, size=9000, path="here/p/evidence.pdf")
    (fact,) = acts.interpret(recorded(acts.outcome(PAPER, "onespan", act)))
    assert (fact.what, fact.stored) == (facts.STORED, Stored("ab" * 32, 9000, "here/p/evidence.pdf"))


@pytest.mark.parametrize("left_out", ["sha256", "size", "path"])
def test_a_stored_document_without_its_place_is_a_fault(left_out: str) -> None:
    """Nobody could find or check it."""
    whole: dict[str, Any] = {"sha256": "ab" * 32, "size": 9000, "path": "here/p/evidence.pdf"}
    assert acts.interpret(recorded(acts.outcome(PAPER, "onespan", Act(facts.STORED, **whole))))
    with pytest.raises(errors.Fault, match="without its hash"):
        acts.interpret(recorded(acts.outcome(PAPER, "onespan", Act(facts.STORED, **{**whole, left_out: None}))))


def test_an_act_of_an_unknown_kind_is_no_known_one() -> None:
    """A newer version may have written it."""
    (fact,) = acts.interpret(recorded(acts.outcome(PAPER, "onespan", Act("release"))))
    assert (fact.what, fact.name) == (facts.OTHER, "release")
    (fact,) = acts.interpret(recorded(acts.outcome(PAPER, "onespan", Act(facts.RETRY))))
    assert fact.what == facts.RETRY


@pytest.mark.parametrize("body", [b"{}", b'{"action":"accept","source":"here","reason":"quarantine 3: mixed up"}'])
def test_an_act_about_no_artifact_says_nothing_of_one(body: bytes) -> None:
    """It is a decision about something else."""
    assert acts.interpret(outcome(body)) == []


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"null", b"7", b"{", b"\xff", b"[" * 100_000, b'{"attempt":"one"}', b'{"next_at":"soon"}'),
        *(b'{"artifacts":[["here","p="]]}', b'{"artifacts":[7]}', b'{"subject":7}', b'{"size":1e999}'),
    ],
)
def test_an_unreadable_act_is_a_fault(body: bytes) -> None:
    """And nothing worse."""
    with pytest.raises(errors.Fault, match="unreadable outcome"):
        acts.interpret(outcome(body))


@pytest.mark.parametrize("body", [b"", b"{}", b"7", b"[" * 100_000, b'{"action":"in force","version":"1"}'])
def test_an_unreadable_declaration_is_a_fault(body: bytes) -> None:
    """An older or newer version may have written it otherwise."""
    with pytest.raises(errors.Fault, match="unreadable decision"):
        acts.read_in_force(recorded(Draft(event.DECISION, acts.SIGNLOG, acts.SIGNLOG, body, path=acts.IN_FORCE_PATH)))


def test_a_later_versions_fields_are_passed_over() -> None:
    """Else nobody could go back a version."""
    (fact,) = acts.interpret(
        outcome(b'{"action":"failed","source":"here","subject":"p","name":"evidence.pdf","fence":7}')
    )
    assert fact.what == facts.FAILED


def test_an_erased_act_says_nothing() -> None:
    """What it was about is gone; that it was is not."""
    erased = recorded(acts.outcome(PAPER, "onespan", Act(facts.FAILED)))._replace(body=None, headers=None, salt=None)
    assert acts.read(erased) == Act()
    assert acts.interpret(erased) == []
    with pytest.raises(errors.Fault):
        acts.read_in_force(erased)


# Paths


@given(one=NAMED, other=NAMED)
def test_distinct_artifacts_have_distinct_paths(one: Artifact, other: Artifact) -> None:
    """Else an act on one would be taken for an act on the other."""
    assert (acts.path(one) == acts.path(other)) is (one == other)


@given(parts=st.lists(st.sampled_from("/%.=-ab"), min_size=2, max_size=6), cut=st.integers(1, 5))
def test_where_one_part_ends_is_seen_in_the_path(parts: list[str], cut: int) -> None:
    """The same letters cut elsewhere are another artifact."""
    text = "".join(parts)
    paths = {acts.path(Artifact("here", text[:at], text[at:])) for at in range(len(text) + 1)}
    assert len(paths) == len(text) + 1
    assert all(path.count("/") == 4 for path in paths)


def test_a_path_that_joins_the_parts_as_they_are_is_noticed() -> None:
    """Negative control: ids may hold slashes."""
    one, other = Artifact("here", "a/b", "c"), Artifact("here", "a", "b/c")
    assert "/".join(msgspec.structs.astuple(one)) == "/".join(msgspec.structs.astuple(other))
    assert acts.path(one) != acts.path(other)


def test_the_newest_readable_declaration_is_in_force() -> None:
    """One that cannot be read is a fault where it stands, and must not stop all that comes after it."""
    declared = acts.InForce(acts.IN_FORCE, "1", "f", "", {})
    readable = seal(acts.in_force(declared), bytes(16), 1, 0)
    broken = seal(acts.in_force(declared)._replace(body=b'{"action":"in force"}'), bytes(16), 2, 0)
    assert acts.newest_in_force([broken, readable]) == declared
    assert acts.newest_in_force([broken]) is None


# About a whole subject


@given(source=WORDS, subject=WORDS)
def test_where_a_decision_is_filed_says_whom_it_is_about(source: str, subject: str) -> None:
    """Whatever stands in the id, slashes included."""
    assert acts.is_about(acts.about(acts.ERASED_PATH, source, subject)) == (source, subject)


@pytest.mark.parametrize("action", [facts.ERASED, facts.ON_HOLD, facts.LIFTED])
def test_a_decision_about_a_subject_is_a_fact_of_no_artifact(action: str) -> None:
    """Its name is empty, so that no projection takes it for what happened to the subject."""
    act = Act(action, source="here", subject="-p=", reason="why")
    (fact,) = acts.interpret(recorded(acts.decision(act, "somebody", "/x")))
    assert (fact.source, fact.subject, fact.what, fact.artifact, fact.message) == ("here", "-p=", action, "", "why")


def test_a_decision_about_nobody_is_no_fact() -> None:
    """Events that were erased by their positions."""
    assert acts.interpret(recorded(acts.decision(Act(facts.ERASED, positions=(1, 2)), "somebody", "/erased"))) == []
