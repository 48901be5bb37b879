"""What holds for every provider: its golden callbacks mean what stands beside them, and no bytes can hurt it.

A new provider brings `tests/golden/NAME/`: callbacks byte for byte (`*.body`) and `facts.json`, which says of each
the facts it means (what is left out has its default) or how the fault begins, and whether the door recognises it.
"""

import contextlib
import datetime
import json
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, Protocol, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener import api, errors, provider
from listener.api import Access
from listener.log import event
from listener.log.event import Event
from projections import artifacts, facts
from projections.facts import Fact

GOLDEN: Final = Path(__file__).parent / "golden"
POSITION: Final = 7
RECORDED_AT: Final = 1_795_341_600_000_000  # 2026-11-22T10:00:00Z
EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
KINDS: Final = (event.CALLBACK, event.IMPORT, event.OBSERVATION)
EVERY_PROVIDER: Final = pytest.mark.parametrize("name", provider.names())


class Interprets(Protocol):
    """The part of a provider that the rules below are about."""

    def interpret(self, event: Event) -> list[Fact]:
        """What it says."""

    def recognises(self, path: str, body: bytes) -> bool:
        """Whether it looks like one of its callbacks."""


class Golden(NamedTuple):
    """One golden callback, and what stands beside it."""

    provider: str
    name: str
    body: bytes
    told: dict[str, Any]

    @property
    def path(self) -> str:
        """Where it was posted."""
        return str(self.told.get("path", "/callbacks/golden"))

    def event(self) -> Event:
        """As it would stand in the log."""
        headers = event.written(self.told.get("headers", []))
        return recorded(self.provider, self.body, self.told.get("kind", event.CALLBACK), self.path, headers)

    def expected(self) -> list[Fact] | str:
        """The facts, or how the fault begins."""
        if "fault" in self.told:
            return str(self.told["fault"])
        return [self._fact(told) for told in self.told["facts"]]

    def _fact(self, told: dict[str, Any]) -> Fact:
        where = {"position": POSITION, "recorded_at": RECORDED_AT, "source": "golden", "provider": self.provider}
        when = {"occurred_at": micros(told["occurred_at"])} if "occurred_at" in told else {}
        named = {**where, **told, **when}
        return Fact(**{name: msgspec.convert(value, _TYPES[name]) for name, value in named.items()})


_TYPES: Final = get_type_hints(Fact)


def micros(text: str) -> int:
    """Microseconds of a time."""
    return (datetime.datetime.fromisoformat(text) - EPOCH) // datetime.timedelta(microseconds=1)


def recorded(
    provider: str, body: bytes, kind: str = event.CALLBACK, path: str = "/callbacks/golden", headers: str = "[]"
) -> Event:
    """An event with that body, as the log would give it back."""
    draft = event.Draft(kind, "golden", provider, body, headers, "POST", path)
    return event.seal(draft, bytes(16), POSITION, RECORDED_AT)


def told_of(folder: Path) -> dict[str, dict[str, Any]]:
    """What stands beside the callbacks of a folder."""
    found: dict[str, dict[str, Any]] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    return found


def goldens() -> Iterator[Golden]:
    """All golden callbacks of all providers."""
    for name in provider.names():
        for key, told in told_of(GOLDEN / name).items():
            yield Golden(name, key, (GOLDEN / name / f"{key}.body").read_bytes(), told)


ALL: Final = list(goldens())
EVERY_GOLDEN: Final = pytest.mark.parametrize("golden", ALL, ids=lambda golden: f"{golden.provider}-{golden.name}")


def means(golden: Golden, expected: list[Fact] | str) -> bool:
    """Whether the provider reads it so."""
    try:
        return provider.named(golden.provider).interpret(golden.event()) == expected
    except errors.Fault as fault:
        return isinstance(expected, str) and str(fault).startswith(expected)


@EVERY_GOLDEN
def test_a_golden_callback_means_what_stands_beside_it(golden: Golden) -> None:
    """Every field of every fact, or the fault."""
    assert means(golden, golden.expected())


@EVERY_GOLDEN
def test_a_golden_callback_means_nothing_else(golden: Golden) -> None:
    """The comparison notices another subject, a fact too many, and facts where there is a fault."""
    expected = golden.expected()
    other = (
        [Fact(POSITION, RECORDED_AT, "golden", golden.provider, "x", facts.OTHER, "")]
        if isinstance(expected, str)
        else [*expected[1:], msgspec.structs.replace(expected[0], subject="x")]
    )
    assert not means(golden, other)
    assert not means(golden, [] if isinstance(expected, str) else [*expected, *expected])


@EVERY_GOLDEN
def test_the_door_recognises_the_golden_callbacks_that_are_the_providers_own(golden: Golden) -> None:
    """An unknown event and a body that cannot be read are not recognised."""
    known = provider.named(golden.provider)
    assert known.recognises(golden.path, golden.body) is golden.told["recognised"]


@EVERY_PROVIDER
def test_every_golden_body_has_its_facts(name: str) -> None:
    """No callback lies in the folder without being tested."""
    bodies = {path.stem for path in (GOLDEN / name).glob("*.body")}
    assert bodies == told_of(GOLDEN / name).keys()
    assert len(bodies) > 10


@EVERY_PROVIDER
def test_a_provider_says_what_it_is(name: str) -> None:
    """The constants that settings, door and desk read are there and fit together."""
    known = provider.named(name)
    assert known.NOUN
    assert isinstance(known.SENDS_KEY, bool)
    assert all(known.KINDS.values())


@EVERY_PROVIDER
def test_an_api_says_what_it_has(name: str) -> None:
    """There is one for each provider, and what it is asked for by default is among what it can be asked for."""
    speaker = api.named(name)
    assert speaker.ARTIFACTS
    assert set(speaker.DEFAULT_ARTIFACTS) <= speaker.ARTIFACTS.keys()
    assert all(artifact.endswith((".pdf", ".zip", ".json")) for artifact in speaker.ARTIFACTS)
    assert all(artifact in artifacts.EACH for artifact in speaker.ARTIFACTS if "*" in artifact)
    assert all(name in speaker.ARTIFACTS and recipe.of in speaker.ARTIFACTS for name, recipe in speaker.RECIPES.items())
    assert speaker.DEFAULT_URL is None or speaker.DEFAULT_URL.startswith("https://")
    assert all(url.startswith("https://") for url in speaker.URLS.values())
    assert "api_key" in speaker.TAKES
    assert speaker.missing(Access("https://example.test")) == "api_key"


def test_an_unknown_provider_is_a_fault() -> None:
    """A log may be older or newer than this version; a name is never taken for a path to a module."""
    for name in ("docusign", "", "onespan.json", "../onespan", "__init__"):
        with pytest.raises(errors.Fault, match="knows no provider"):
            provider.named(name)


# Any bytes at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WORDS = [
    *("name", "sessionUser", "packageId", "message", "documentId", "createdDate", "newRoleId", "comment", "status"),
    *("transactionID", "rejectReason", "automatedSignError", "trashed", "documents", "signers", "reason", "answer"),
    *("processing", "thread", "group", "id"),
]
VALUES = JSON | st.sampled_from(["PACKAGE_COMPLETE", "DOCUMENT_SIGNED", "default-consent", "null", "2", 2, 99, 2.0])
OBJECTS = st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=8).map(lambda fields: json.dumps(fields).encode())


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A golden callback with a few bytes taken out and others put in."""
    body: bytes = draw(st.sampled_from(ALL)).body
    start = draw(st.integers(0, len(body)))
    return body[:start] + draw(st.binary(max_size=4)) + body[start + draw(st.integers(0, 8)) :]


BODIES = st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()) | OBJECTS | damaged()
PATHS = st.sampled_from(["", "/", "/document/ready", "/callbacks/a//document//ready?x", "/%2e%2e/%00"]) | st.text()
HEADERS = st.sampled_from(["[]", '[[":status","200"]]', '[[":status","x"]]', "{}", '[["a"]]', ""])
EVENTS = st.builds(recorded, st.just(""), BODIES, st.sampled_from(KINDS), PATHS, HEADERS)


def said(known: Interprets, found: Event) -> list[Fact] | str:
    """What an event says, or its fault. Anything else that is raised gets out."""
    try:
        return known.interpret(found)
    except errors.Fault as fault:
        return f"fault: {fault}"


def keeps_the_rules(known: Interprets, found: Event) -> None:
    """Faults at worst, the same answer each time, every fact about this event, and a door that agrees."""
    first = said(known, found)
    assert first == said(known, found)
    assert first, "an event that says nothing at all should be a fault"
    read = [] if isinstance(first, str) else first
    assert all((fact.position, fact.recorded_at, fact.source) == (POSITION, RECORDED_AT, "golden") for fact in read)
    assert all(fact.subject or found.kind == event.OBSERVATION for fact in read)
    if found.kind != event.OBSERVATION:
        recognised = known.recognises(found.path or "", found.body or b"")
        assert recognised is any(fact.what != facts.OTHER for fact in read)


@EVERY_PROVIDER
@settings(max_examples=250, deadline=None)
@given(found=EVENTS)
def test_any_bytes_are_facts_or_a_fault(name: str, found: Event) -> None:
    """Whatever is posted, the worker goes on."""
    keeps_the_rules(provider.named(name), found._replace(provider=name))


HOSTILE: Final = {
    "deep list": b"[" * 500_000,
    "deep object": b'{"packageId":' * 100_000,
    "deep field": b'{"packageId":"p=","name":' + b"[" * 100_000,
    "closed nesting": b'{"packageId":"p=","message":' + b"[" * 90_000 + b"]" * 90_000 + b"}",
    "huge integer": b'{"packageId":1' + b"0" * 5000 + b',"transactionID":1' + b"0" * 5000 + b',"status":2}',
    "integer of 20 digits": b'{"packageId":99999999999999999999,"transactionID":99999999999999999999,"status":2}',
    "huge exponent": b'{"packageId":1e999999,"transactionID":-1e999999,"status":1e400}',
    "large float": b'{"name":1e308,"packageId":1e308,"transactionID":1e308,"status":1e308}',
    "not a number": b'{"packageId":NaN,"transactionID":Infinity,"status":-Infinity}',
    "1 MB of id": b'{"name":"PACKAGE_COMPLETE","packageId":"' + b"p" * 1_048_576 + b'"}',
    "1 MB of zeros": bytes(1_048_576),
    "1 MB of fields": b'{"packageId":"p=",' + b",".join(b'"%d":0' % number for number in range(100_000)) + b"}",
    "1 MB of escapes": b'{"packageId":"' + b"\\u0000" * 170_000 + b'"}',
}


@EVERY_PROVIDER
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("kind", KINDS)
def test_hostile_bytes_are_facts_or_a_fault(name: str, body: bytes, kind: str) -> None:
    """Nesting without end, numbers without end, and as much as the door lets in."""
    keeps_the_rules(provider.named(name), recorded(name, body, kind))


def careless(found: Event) -> list[Fact]:
    """What a first draft of a provider looks like."""
    subject = json.loads(found.body or b"")["packageId"]
    return [Fact(found.position, found.recorded_at, found.source, "", subject, facts.STATUS, "")]


def test_a_careless_provider_breaks_the_rules() -> None:
    """Negative control: a provider that indexes into what it hopes is an object does not get through."""
    known = SimpleNamespace(interpret=careless, recognises=lambda path, body: True)
    keeps_the_rules(known, recorded("", b'{"packageId":"p="}'))
    with pytest.raises(KeyError):
        keeps_the_rules(known, recorded("", b"{}"))
    with pytest.raises(RecursionError):
        keeps_the_rules(known, recorded("", HOSTILE["deep list"]))
    forgetful = SimpleNamespace(interpret=lambda found: [object()], recognises=lambda path, body: True)
    with pytest.raises(AssertionError):
        keeps_the_rules(forgetful, recorded("", b"{}"))
    stranger = SimpleNamespace(interpret=careless, recognises=lambda path, body: False)
    with pytest.raises(AssertionError):
        keeps_the_rules(stranger, recorded("", b'{"packageId":"p="}'))


# No files, no sockets, no imports

_touched: dict[int, list[str]] = {}  # by thread: others may go on with their own


def _watch(name: str, _arguments: tuple[Any, ...]) -> None:
    if _touched and name.startswith(("open", "import", "socket.", "subprocess.", "os.", "shutil.")):
        _touched.get(threading.get_ident(), []).append(name)


sys.addaudithook(_watch)  # for good: it cannot be taken away again


@contextlib.contextmanager
def touching() -> Iterator[list[str]]:
    """What Python's audit events say was opened, imported or connected meanwhile, by this thread."""
    found = _touched[threading.get_ident()] = list[str]()
    try:
        yield found
    finally:
        del _touched[threading.get_ident()]


@EVERY_PROVIDER
def test_reading_an_event_touches_nothing_outside(name: str) -> None:
    """No file, socket, process or import: a replay of a million events is arithmetic."""
    known = provider.named(name)
    events: Sequence[Event] = [golden.event() for golden in ALL if golden.provider == name]
    with touching() as found:
        for one in events:
            said(known, one)
            known.recognises("/callbacks/golden", one.body or b"")
            known.presented([(b"authorization", b"Basic key")])
    assert found == []


def test_what_is_touched_outside_is_noticed() -> None:
    """Negative control: a file, a socket and an import show."""
    with touching() as found:
        Path(__file__).read_bytes()
        socket.socket().close()
        sys.modules.pop("colorsys", None)
        import colorsys  # noqa: F401
    assert {"open", "socket.__new__", "import"} <= set(found)
