"""Asking Evrotrust: signed over the bytes sent, valid by the vendor's description; and what is kept of an answer."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from listener import errors
from listener.api import Access, Api, Known, Observation
from listener.apis import evrotrust as asking
from listener.demo import faults
from listener.demo.evrotrust import Evrotrust
from listener.demo.transactions import Transaction, package
from listener.demo.wire import Asked
from listener.log import event
from listener.providers import evrotrust
from projections import facts
from projections.facts import Fact, Named
from tests.evro import ID, account, signed

DESCRIPTION = json.loads((Path(__file__).parent / "evrotrust_api.json").read_text())["calls"]
SURE = {kind: Known(kind, certain=True) for kind in evrotrust.KINDS}
# The kinds of the imitation, and where transactions of theirs are asked for.
PLACES = {
    "doc": ("/document/status", "/document/download"),
    "offline": ("/document/status", "/document/download"),
    "group": ("/document/group/status", "/document/group/download"),
    "hash": ("/hash/offline/check", "/hash/offline/download"),
    "hash-group": ("/hash/group/offline/check", "/hash/group/offline/download"),
}


@pytest.fixture
def server() -> Iterator[Evrotrust]:
    """An account without transactions."""
    with account() as found:
        yield found


@contextlib.contextmanager
def api(server: Evrotrust, **access: Any) -> Iterator[Api]:
    """Its API, with the right key and number unless others are given."""
    right = Access(server.url, server.api_key, vendor_number=server.vendor_number)
    with contextlib.closing(asking.connect(right._replace(**access))) as found:
        yield found


def ask(server: Evrotrust, known: Known = Known(), subject: str = ID, **access: Any) -> Observation:  # noqa: B008  a value
    """What the API answers about a transaction."""
    with api(server, **access) as found:
        return found.ask(subject, known)


def observed(answer: Observation) -> Fact:
    """The fact that an answer means, once it stands in the log."""
    headers = event.written([(":status", str(answer.code))])
    draft = event.Draft(event.OBSERVATION, "evrotrust", "evrotrust", answer.body, headers, answer.method, answer.path)
    (fact,) = evrotrust.interpret(event.seal(draft, bytes(16), 7, 1))
    return fact


def asked(server: Evrotrust) -> list[str]:
    """Where it was asked, in order."""
    return [one.path.removeprefix("/vendor") for one in server.requests]


def assert_valid(one: Asked) -> None:
    """What we sent is what the vendor's description of the call has: method, path, header, and body to the field."""
    described = DESCRIPTION[one.path.removeprefix("/vendor")]
    assert one.method == described["method"]
    assert one.query == ""
    assert {name.lower() for name in described["headers"]} <= one.headers.keys()
    assert one.headers["content-type"].partition(";")[0] in described["consumes"]
    body = json.loads(one.body)
    assert body.keys() == described["body"].keys()
    assert all(described["body"][name] == "string" and isinstance(body[name], str) for name in body)


def test_the_header_is_as_the_vendor_published_it() -> None:
    """Key, body and header of its own example; one byte, or another key, and it is another."""
    key, content = (
        "7f4b9ef3-298d-4ced-8656-a5d8b7f96666",
        (b'{"vendorNumber":"ahZsmRHbDHL6TeED","user":{"identificationNumber":"8611048980"}}'),
    )
    told = "5a90fc151ff466434e615f1a6aac28228e8607d900b8f9129e8bfa919cff5140"
    assert asking.authorization(key, content) == told
    assert asking.authorization(key, content + b" ") != told
    assert asking.authorization(key + " ", content) != told


@pytest.mark.parametrize("kind", PLACES)
def test_every_request_is_valid(server: Evrotrust, kind: str) -> None:
    """Status, download and thread, wherever they are asked for; and signed over the very bytes that went out."""
    server.api_key, server.vendor_number = "ключ", "число"  # their bytes are those of UTF-8
    member = server.add(Transaction("1", 2, thread_id="AA"))
    signed(server, kind=kind, members=[member.id] if "group" in kind else (), thread_id="AA")
    with api(server) as found:
        answer = found.ask(ID, Known(thread="AA"))
        with found.fetch(ID, "encrypted.zip", answer) as stream:
            assert b"".join(stream.chunks).startswith(b"PK")
    *others, status, thread, download = server.requests
    for one in server.requests:
        assert_valid(one)
        assert one.headers["authorization"] == asking.authorization(server.api_key, one.body)
    assert (asked(server)[-3], asked(server)[-1]) == PLACES[kind]
    assert all(one.status == 443 for one in others)
    assert json.loads(thread.body)["threadID"] == "AA"
    assert json.loads(status.body) == json.loads(download.body) == {"transactionID": ID, "vendorNumber": "число"}


def test_an_invalid_request_would_be_noticed(server: Evrotrust) -> None:
    """The check above is able to fail: a field too many, another type, another method, an address that is none."""
    signed(server)
    ask(server)
    (sound,) = server.requests
    assert_valid(sound)
    fields: dict[str, Any] = json.loads(sound.body)
    for body in ({**fields, "more": "x"}, {**fields, "transactionID": 1}, {"transactionID": ID}):
        with pytest.raises(AssertionError):
            assert_valid(replaced(sound, body=json.dumps(body).encode()))
    changes: list[dict[str, Any]] = [{"method": "GET"}, {"query": "a=b"}, {"headers": {}}]
    for change in changes:
        with pytest.raises(AssertionError):
            assert_valid(replaced(sound, **change))
    with pytest.raises(KeyError):
        assert_valid(replaced(sound, path="/vendor/document/offline/status"))


def replaced(one: Asked, **changes: Any) -> Asked:
    """The request, with something else in it."""
    return Asked(**{**vars(one), **changes})


@pytest.mark.parametrize("kind", evrotrust.KINDS)
def test_a_kind_that_is_sure_is_asked_for_in_its_place_only(server: Evrotrust, kind: str) -> None:
    """443 is "not yet" there, and no reason to look elsewhere."""
    answer = ask(server, SURE[kind])
    assert (answer.code, answer.complete) == (443, False)
    hashed = kind.startswith("otp-hash")
    group = "group" in kind
    assert asked(server) == [PLACES[("hash-group" if group else "hash") if hashed else "group" if group else "doc"][0]]


def test_a_kind_that_is_a_guess_is_looked_for_everywhere(server: Evrotrust) -> None:
    """In the likeliest place first. An account that may not ask somewhere is not refused altogether."""
    signed(server, kind="hash-group")
    server.faults.stand("hash.status", faults.Status(401))
    assert ask(server, Known("group")).complete
    assert asked(server) == [PLACES[kind][0] for kind in ("group", "doc", "hash", "hash-group")]
    server.faults.clear()
    assert ask(server, subject="000000000000").path == "/document/status?transactionID=000000000000"


PATIENCE = faults.Status(429, headers={"Retry-After": "60"})


@pytest.mark.parametrize("code", [400, 401, 403, 404, 443])
def test_a_guess_that_is_refused_says_nothing(server: Evrotrust, code: int) -> None:
    """Where an account may not ask, its transactions are not: the likeliest place has answered."""
    server.faults.stand("hash.status", faults.Status(code))
    answer = ask(server)
    assert (answer.code, answer.path.partition("?")[0]) == (443, "/document/status")
    assert len(asked(server)) == 4


@pytest.mark.parametrize("fault", [faults.Status(500), faults.Status(429), faults.Dropped()], ids=str)
def test_a_place_that_does_not_answer_may_have_it(server: Evrotrust, fault: faults.Fault) -> None:
    """Then nobody says that it is not known; but who does know it is heard, whoever does not answer."""
    server.faults.stand("group.status", fault)
    with pytest.raises(errors.Unusable):
        ask(server)
    assert len(asked(server)) == 4
    signed(server, kind="hash-group")
    assert ask(server).complete


def test_a_place_that_names_a_time_to_wait_is_the_last_one_asked(server: Evrotrust) -> None:
    """It speaks for all of them; and the wait is told, so that the source pauses."""
    signed(server, kind="hash-group")
    server.faults.stand("group.status", PATIENCE)
    with pytest.raises(errors.Unusable, match="HTTP 429") as raised:
        ask(server)
    assert (raised.value.retry_after, len(asked(server))) == (60, 2)
    server.faults.stand("group.status", faults.Status(469))
    with pytest.raises(errors.NotReady):
        ask(server)


@pytest.mark.parametrize(
    ("status", "processing", "stage", "complete", "message"),
    [
        (2, False, facts.COMPLETED, True, "signed"),
        (2, True, facts.COMPLETED, False, "signed, the file is not made yet"),
        (1, False, facts.IN_PROGRESS, False, "pending"),
        (99, True, facts.IN_PROGRESS, False, "on hold"),
        (3, False, facts.DECLINED, False, None),
        (4, False, facts.EXPIRED, False, None),
        (8, False, facts.ENDED_IN_FAILURE, False, "face recognition failed"),
        (12, False, facts.IN_PROGRESS, False, None),
    ],
)
def test_signed_is_complete_once_the_file_is_made(
    server: Evrotrust, status: int, processing: bool, stage: str, complete: bool, message: str | None
) -> None:
    """Whether isProcessing is a boolean or a number."""
    server.add(Transaction(ID, status, processing))
    for as_number in (False, True):
        server.processing_as_number = as_number
        answer = ask(server)
        fact = observed(answer)
        assert answer.complete is complete
        assert (fact.what, fact.subject, fact.status, fact.stage) == (facts.OBSERVED, ID, str(status), stage)
        assert (fact.message, fact.kind) == (message, "document")


def test_a_thread_tells_who_signs_and_what_of_a_group_was_rejected(server: Evrotrust) -> None:
    """A group may be signed as a whole while one of its documents is not: only the thread tells."""
    for subject, status in (("1", 2), ("2", 3), ("3", 1), ("4", 1)):
        server.add(Transaction(subject, status, thread_id="AA"))
    signed(server, kind="group", members=["1", "2"], thread_id="AA", reject_reason="Не е нужно")
    server.add(Transaction("9", 1, kind="group", members=["3", "4"], thread_id="AA"))
    fact = observed(ask(server, Known("group", certain=True, thread="AA")))
    assert fact.answer is not None
    assert fact.answer.signers == (
        Named(ID, stage=facts.COMPLETED, documents=("1",)),
        Named("9", stage=facts.IN_PROGRESS),
    )
    assert fact.answer.documents == (Named("1", stage=facts.COMPLETED), Named("2", stage=facts.DECLINED))
    assert fact.message == "Не е нужно"


def test_a_thread_that_names_a_time_to_wait_is_heard(server: Evrotrust) -> None:
    """The source is to pause, whatever was asked for."""
    signed(server)
    server.faults.stand("thread.status", PATIENCE)
    with pytest.raises(errors.Unusable, match="HTTP 429") as raised:
        ask(server, Known(thread="AA"))
    assert raised.value.retry_after == 60


@pytest.mark.parametrize("fault", [*map(faults.Status, (443, 469, 500, 429, 401)), faults.Page()], ids=str)
def test_a_thread_that_cannot_be_had_holds_nothing_up(server: Evrotrust, fault: faults.Fault) -> None:
    """It was only told to us; the transaction stands where it stands."""
    signed(server)
    server.faults.stand("thread.status", fault)
    answer = ask(server, Known(thread="typo"))
    assert (answer.code, answer.complete, server.count("thread.status")) == (200, True, 1)
    assert observed(answer).answer == facts.Answer(200)


def test_only_what_is_on_the_list_is_kept(server: Evrotrust) -> None:
    """Of all that an answer might hold one day; size and hash stand for the rest."""
    whole = b'{"status":2,"isProcessing":0,"rejectReason":"","personalNumber":"8611048980","users":[{"phone":"1"}]}'
    server.faults.add("document.status", faults.Status(200, body=whole))
    kept = json.loads(ask(server).body)
    assert kept.keys() == {"status", "answer"}
    assert (kept["status"], kept["answer"][0]["size"]) == ("2", len(whole))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"7", b"{}", b'{"status":null}', b'{"status":{}}', b"[" * 9999]
)
def test_200_with_something_else_is_unusable(server: Evrotrust, body: bytes) -> None:
    """A firewall's page is no answer."""
    server.faults.stand("document.status", faults.Status(200, body=body))
    with pytest.raises(errors.Unusable, match="HTTP 200 with something that"):
        ask(server)


@pytest.mark.parametrize(
    ("code", "error", "seconds"),
    [
        (401, errors.Unauthorized, None),
        (403, errors.NotAccessible, None),
        (404, errors.NotAccessible, None),
        (469, errors.NotReady, 60),
        (400, errors.Unusable, None),
        (438, errors.Unusable, None),
        (487, errors.Unusable, None),
        (599, errors.Unusable, None),
    ],
)
def test_a_number_says_what_to_do(server: Evrotrust, code: int, error: type[Exception], seconds: float | None) -> None:
    """Theirs are real HTTP statuses, and new ones come: unknown ones are tried again."""
    signed(server)
    server.faults.stand("*", faults.Status(code))
    with pytest.raises(error) as raised:
        ask(server)
    assert getattr(raised.value, "retry_after", None) == seconds
    server.faults.clear()
    answer = ask(server)
    server.faults.stand("*", faults.Status(code))
    with pytest.raises(error), api(server) as found, found.fetch(ID, "encrypted.zip", answer):
        pass


def test_a_file_that_is_not_there_yet_is_not_ready(server: Evrotrust) -> None:
    """443 on a download too, though the status was fine a moment ago."""
    kept = signed(server)
    answer = ask(server)
    with api(server) as found:
        kept.is_processing = True
        with pytest.raises(errors.NotReady, match="HTTP 443"), found.fetch(ID, "encrypted.zip", answer):
            pass
        kept.is_processing = False
        with found.fetch(ID, "encrypted.zip", answer) as stream:
            assert b"".join(stream.chunks) == package(kept)


@pytest.mark.parametrize("access", [{"key": "wr0ng"}, {"vendor_number": "wr0ng"}])
def test_a_wrong_key_or_number_is_refused(server: Evrotrust, access: dict[str, Any]) -> None:
    """And neither shows."""
    signed(server)
    with pytest.raises(errors.Unauthorized) as raised:
        ask(server, **access)
    assert "wr0ng" not in str(raised.value) + repr(Access("https://x", "wr0ng", vendor_number="wr0ng"))


def test_what_is_missing_is_named() -> None:
    """First the key; with it the number, without which nothing can be asked."""
    assert asking.missing(Access("https://x", vendor_number="v")) == "api_key"
    assert asking.missing(Access("https://x", "k")) == "vendor_number"
    assert asking.missing(Access("https://x", "k", vendor_number="v")) is None
