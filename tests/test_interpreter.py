"""Bytes to facts, with what was in force where the event stands."""

import base64
import hashlib
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from listener import acts, errors, fingerprint
from listener.acts import Act, Artifact, InForce, SourceInForce
from listener.interpreter import MOST_LETTERS, Interpreter
from listener.log import event
from listener.log.event import Draft, Event
from listener.providers import evrotrust
from projections import facts
from projections.facts import Fact

BOTH = ("documents.zip", "evidence.pdf")


def recorded(draft: Draft, position: int = 7) -> Event:
    """The event that a draft becomes."""
    return event.seal(draft, bytes(16), position, 1_795_348_800_000_000 + position)


def callback(name: str = "PACKAGE_COMPLETE", source: str = "here", kind: str = event.CALLBACK) -> Event:
    """A callback of OneSpan's."""
    body = json.dumps({"name": name, "packageId": "p="}).encode()
    return recorded(Draft(kind, source, "onespan", body, path=f"/callbacks/{source}"))


def answer(status: str) -> Event:
    """An answer of OneSpan's API."""
    headers = event.written([(":status", "200")])
    body = json.dumps({"status": status}).encode()
    return recorded(Draft(event.OBSERVATION, "here", "onespan", body, headers, "GET", "/api/packages/p%3D"))


def declaration(**sources: tuple[str, ...]) -> Event:
    """From here on these artifacts are wanted of these sources."""
    known = {name: SourceInForce("onespan", artifacts) for name, artifacts in sources.items()}
    return recorded(acts.in_force(InForce(acts.IN_FORCE, "1", "ab", "", known)))


def erased(found: Event) -> Event:
    """As it stands in the log afterwards."""
    return found._replace(body=None, headers=None, salt=None)


def wants(interpreter: Interpreter, found: Event) -> tuple[str, ...]:
    """What the only fact of an event wants."""
    (fact,) = interpreter.facts(found)
    return fact.wants


# What is in force


def test_what_is_in_force_counts_from_its_position_on() -> None:
    """Not before: an old completion is read as it was read then."""
    interpreter = Interpreter()
    assert wants(interpreter, callback()) == ()
    assert interpreter.facts(declaration(here=BOTH)) == []
    assert wants(interpreter, callback()) == BOTH
    interpreter.facts(declaration(here=("evidence.pdf",)))
    assert wants(interpreter, callback()) == ("evidence.pdf",)
    interpreter.facts(declaration())
    assert wants(interpreter, callback()) == ()


def test_reading_may_begin_in_the_middle() -> None:
    """With the declaration before the first event, the same facts come out as from the beginning."""
    begun = Interpreter()
    begun.facts(declaration(here=BOTH))
    assert Interpreter(begun.in_force).facts(callback()) == begun.facts(callback())
    assert Interpreter().facts(callback()) != begun.facts(callback())


def test_only_the_sources_in_force_want_anything() -> None:
    """Each its own artifacts."""
    interpreter = Interpreter()
    interpreter.facts(declaration(here=BOTH, there=()))
    assert wants(interpreter, callback(source="here")) == BOTH
    assert wants(interpreter, callback(source="there")) == ()
    assert wants(interpreter, callback(source="gone")) == ()


@pytest.mark.parametrize(
    ("found", "wanting"),
    [
        (callback("PACKAGE_COMPLETE"), True),
        (callback("PACKAGE_COMPLETE", kind=event.IMPORT), True),
        (callback("PACKAGE_ARCHIVE"), True),
        (answer("COMPLETED"), True),
        (answer("ARCHIVED"), True),
        (answer("SENT"), False),
        (answer("DECLINED"), False),
        (callback("PACKAGE_RESTORE"), False),
        (callback("PACKAGE_READY_FOR_COMPLETE"), False),
        (callback("SIGNER_COMPLETE"), False),
        (callback("PACKAGE_DELETE"), False),
        (callback("package_complete"), False),
    ],
)
def test_a_completion_wants_and_nothing_else_does(found: Event, wanting: bool) -> None:
    """Told by a callback, an import or the API. A draft may come back from the trash: that completes nothing."""
    interpreter = Interpreter()
    interpreter.facts(declaration(here=BOTH))
    assert wants(interpreter, found) == (BOTH if wanting else ())


def test_an_unreadable_declaration_is_a_fault_and_changes_nothing() -> None:
    """What was in force stays in force."""
    interpreter = Interpreter()
    interpreter.facts(declaration(here=BOTH))
    broken = Draft(event.DECISION, acts.SIGNLOG, acts.SIGNLOG, b'{"action":"in force"}', path=acts.IN_FORCE_PATH)
    with pytest.raises(errors.Fault, match="unreadable decision"):
        interpreter.facts(recorded(broken))
    assert wants(interpreter, callback()) == BOTH


def test_only_a_decision_declares() -> None:
    """A callback posted to a path of that name does not, nor does anything else."""
    interpreter = Interpreter()
    assert interpreter.facts(declaration(here=BOTH)._replace(kind=event.OUTCOME)) == []
    body = declaration(here=BOTH).body or b""
    forged = Draft(event.CALLBACK, "here", "onespan", body, path=acts.IN_FORCE_PATH)
    with pytest.raises(errors.Fault, match="no packageId"):
        interpreter.facts(recorded(forged))
    assert interpreter.in_force is None


# Who reads what


def test_acts_are_read_as_acts() -> None:
    """By their kind, whatever provider they name."""
    artifact = Artifact("here", "p=", "evidence.pdf")
    done = recorded(acts.outcome(artifact, "onespan", Act(facts.FAILED, reason="HTTP 500")))
    decided = recorded(acts.decision(Act(facts.RETRY, artifacts=(artifact,)), "ana", acts.RETRY_PATH))
    for found, what in ((done, facts.FAILED), (decided, facts.RETRY)):
        (fact,) = Interpreter().facts(found)
        assert (fact.what, fact.source, fact.subject, fact.artifact) == (what, "here", "p=", "evidence.pdf")


@pytest.mark.parametrize("found", [callback(), answer("COMPLETED"), declaration(here=BOTH)])
def test_an_erased_event_says_nothing(found: Event) -> None:
    """It is no fault: it was decided."""
    interpreter = Interpreter()
    assert interpreter.facts(erased(found)) == []
    assert interpreter.in_force is None


def test_an_empty_body_is_not_an_erased_one() -> None:
    """Somebody sent nothing, and that is shown."""
    with pytest.raises(errors.Fault, match="not JSON"):
        Interpreter().facts(callback()._replace(body=b""))


@pytest.mark.parametrize("name", ["docusign", "signlog", ""])
def test_an_unknown_provider_is_a_fault(name: str) -> None:
    """A newer version wrote the log; its events wait, the others go on."""
    with pytest.raises(errors.Fault, match="knows no provider"):
        Interpreter().facts(callback()._replace(provider=name))
    assert Interpreter().facts(callback())


def test_a_providers_bug_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not stop everybody else's events; the message says where to look."""

    def broken(_: Event) -> list[Fact]:
        nothing: dict[str, Any] = {}
        return [nothing["fact"]]

    monkeypatch.setattr(evrotrust, "interpret", broken)
    with pytest.raises(errors.Fault, match="KeyError: 'fact'"):
        Interpreter().facts(callback()._replace(provider="evrotrust"))
    assert Interpreter().facts(callback())


# The code in force


def test_the_code_in_force_can_be_given_again() -> None:
    """Everything between the bytes of an event and the state it leads to, as it is, under its digest."""
    texts = lzma.decompress(base64.b64decode(fingerprint.code()))
    assert hashlib.sha256(texts).hexdigest() == fingerprint.fingerprint()
    found = json.loads(texts)
    root = Path(fingerprint.__file__).parents[1]
    assert {path: (root / path).read_text(encoding="utf-8") for path in found} == found
    meaning = [*root.glob("projections/*.py"), *root.glob("listener/providers/*.py")]
    assert {path.relative_to(root).as_posix() for path in meaning} < found.keys()
    assert {"listener/interpreter.py", "listener/acts.py", "listener/provider.py"} <= found.keys()


def test_code_that_only_moves_bytes_is_not_in_force() -> None:
    """The door may change without a replay."""
    found = json.loads(lzma.decompress(base64.b64decode(fingerprint.code())))
    assert not [path for path in found if path.startswith(("listener/door", "listener/log", "listener/worker"))]


# Who was erased


def decided_to_erase(subject: str = "p=", source: str = "here") -> Event:
    """From here on nothing of it is wanted."""
    act = Act(facts.ERASED, source=source, subject=subject, positions=(1,))
    return recorded(acts.decision(act, "somebody", acts.about(acts.ERASED_PATH, source, subject)))


def test_who_was_erased_wants_nothing() -> None:
    """From the decision on; others do."""
    interpreter = Interpreter()
    interpreter.facts(declaration(here=BOTH))
    assert wants(interpreter, callback()) == BOTH
    interpreter.facts(decided_to_erase("another"))
    interpreter.facts(decided_to_erase(source="elsewhere"))
    assert wants(interpreter, callback()) == BOTH
    interpreter.facts(decided_to_erase())
    assert wants(interpreter, callback()) == ()
    assert wants(interpreter, answer("COMPLETED")) == ()


def test_who_was_erased_before_is_asked_for_once_and_late() -> None:
    """When something completes: most events do not."""
    asked = []

    def erased_before() -> frozenset[tuple[str, str]]:
        asked.append(1)
        return frozenset({("here", "p=")})

    interpreter = Interpreter(None, erased_before)
    interpreter.facts(declaration(here=BOTH))
    interpreter.facts(callback("PACKAGE_CREATE"))
    assert asked == []
    assert wants(interpreter, callback()) == ()
    assert wants(interpreter, callback()) == ()
    assert asked == [1]


def named(subject: str) -> Event:
    """A callback about a package of that name."""
    body = json.dumps({"name": "PACKAGE_COMPLETE", "packageId": subject}).encode()
    return recorded(Draft(event.CALLBACK, "here", "onespan", body, path="/callbacks/here"))


def listing(document: str) -> Event:
    """An answer of OneSpan's API that lists a document."""
    headers = event.written([(":status", "200")])
    body = json.dumps({"status": "COMPLETED", "documents": [{"id": document, "name": "Lease"}]}).encode()
    return recorded(Draft(event.OBSERVATION, "here", "onespan", body, headers, "GET", "/api/packages/p%3D"))


def decided(name: str) -> Event:
    """What became of a document of that name."""
    return recorded(acts.outcome(Artifact("here", "p=", name), "onespan", Act(facts.FAILED, attempt=1)))


@pytest.mark.parametrize("said", [named, listing, decided])
def test_an_id_is_no_longer_than_a_key_may_be(said: Callable[[str], Event]) -> None:
    """A stranger chose it: what no database could find again is a fault, of nobody, and stops nobody."""
    assert Interpreter().facts(said("😀" * MOST_LETTERS)) != []
    with pytest.raises(errors.Fault, match="more than 300 letters"):
        Interpreter().facts(said("x" * (MOST_LETTERS + 1)))
