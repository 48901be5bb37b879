"""OneSpan: the key it shows, its clock, and what its API is asked, told apart from what may be kept of the answer."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from listener import errors
from listener.api import Access, Observation
from listener.apis import onespan as asking
from listener.demo import bodies
from listener.demo.faults import Status
from listener.demo.onespan import OneSpan
from listener.demo.packages import CONSENT, Document, Package
from listener.log import event
from listener.log.event import Event
from listener.providers import onespan
from projections import facts
from projections.facts import Fact, Named

ID = "LWsUTvGgE4WpOvaQPT16idnxNj8="
COMPLETE = Observation("GET", f"/api/packages/{ID}", 200, b"{}", complete=True)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CLOCKS = st.datetimes(timezones=st.just(UTC), min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29))


def recorded(body: bytes, kind: str = event.CALLBACK, path: str = "/callbacks/onespan", headers: str = "[]") -> Event:
    """An event with that body, as the log would give it back."""
    return event.seal(event.Draft(kind, "onespan", "onespan", body, headers, "POST", path), bytes(16), 7, 1)


def read(**fields: object) -> Fact:
    """The fact that a callback with these fields means."""
    (fact,) = onespan.interpret(recorded(json.dumps({"packageId": ID, **fields}).encode()))
    return fact


def observed(answer: Observation) -> Fact:
    """The fact that an answer of the API means, once it stands in the log."""
    headers = event.written([(":status", str(answer.code))])
    (fact,) = onespan.interpret(recorded(answer.body, event.OBSERVATION, answer.path, headers))
    return fact


def ask(server: OneSpan, subject: str = ID, key: str = "demonstration") -> Observation:
    """What the API answers about a package."""
    api = asking.connect(Access(server.url, key))
    try:
        return api.ask(subject)
    finally:
        api.close()


# The key


@pytest.mark.parametrize(
    ("header", "key"),
    [
        (b"Basic s3cret", b"s3cret"),
        (b"basic s3cret", b"s3cret"),
        (b"BASIC  s3cret ", b"s3cret"),
        (b"Basic dXNlcjpwYXNz", b"dXNlcjpwYXNz"),
        (b"Basic key with spaces", b"key with spaces"),
        (b"Basic", b""),
        (b"Basic ", b""),
        (b"Bearer s3cret", None),
        (b"s3cret", None),
        (b"", None),
        (b"Basic\xa0s3cret", None),
    ],
)
def test_the_key_is_what_follows_basic_raw(header: bytes, key: bytes | None) -> None:
    """Nothing is decoded: OneSpan's `Basic` is not the one of RFC 7617."""
    assert onespan.presented([(b"host", b"x"), (b"authorization", header)]) == key


def test_without_an_authorization_header_no_key_is_shown() -> None:
    """None, not an empty key that an empty configured one could equal."""
    assert onespan.presented([(b"user-agent", b""), (b"x-authorization", b"Basic s3cret")]) is None


def test_of_two_authorization_headers_the_first_counts() -> None:
    """One answer, whatever a proxy added behind it."""
    assert onespan.presented([(b"authorization", b"Basic a"), (b"authorization", b"Basic b")]) == b"a"


# Their clock


@given(at=CLOCKS, offset=st.integers(-14 * 60, 14 * 60))
def test_a_time_is_exact_to_the_microsecond_in_any_offset(at: datetime, offset: int) -> None:
    """Computed with integers: a float loses microseconds."""
    sign = "-" if offset < 0 else "+"
    local = (at + timedelta(minutes=offset)).replace(tzinfo=None)
    written = f"{local.isoformat()}{sign}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    elapsed = at - datetime(1970, 1, 1, tzinfo=UTC)
    micros = (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds
    assert read(createdDate=written).occurred_at == micros


@pytest.mark.parametrize("written", ["yesterday", "", "2026-13-01", "2026-11-22T25:00:00Z", 1795341600, ["2026"], {}])
def test_what_is_no_time_is_no_clock(written: object) -> None:
    """A callback with a broken createdDate is a callback without one."""
    assert read(createdDate=written).occurred_at is None
    assert read(createdDate="2026-11-22").occurred_at is not None


# Names


def test_the_ranks_follow_the_life_cycle() -> None:
    """Within one millisecond, and without clocks, the order of a package's life decides."""
    sent = ["CREATE", "DEACTIVATE", "ACTIVATE", "READY_FOR_COMPLETE"]
    ended = ["EXPIRE", "OPT_OUT", "DECLINE", "COMPLETE"]
    after = ["ARCHIVE", "TRASH", "RESTORE", "DELETE"]
    ranks = [read(name=f"PACKAGE_{name}").rank for name in [*sent, *ended, *after]]
    assert ranks == sorted(set(ranks))


def test_the_alias_means_what_the_name_means() -> None:
    """PACKAGE_READY_FOR_COMPLETION is only the SDK's word."""
    alias, name = read(name="PACKAGE_READY_FOR_COMPLETION"), read(name="PACKAGE_READY_FOR_COMPLETE")
    assert msgspec.structs.replace(alias, name=name.name) == name
    assert read(name="PACKAGE_READY").what == facts.OTHER


def test_the_consent_is_signed_and_is_no_document() -> None:
    """`default-consent` is a documentId that nothing can be fetched for."""
    assert read(name="DOCUMENT_SIGNED", documentId=CONSENT).what == facts.CONSENTED
    assert read(name="DOCUMENT_SIGNED", documentId=CONSENT).document is None
    assert read(name="DOCUMENT_SIGNED", documentId=f"{CONSENT}-2").document == f"{CONSENT}-2"


# The API


def test_a_complete_package_is_asked_for_and_understood() -> None:
    """Status, documents and signers come back as a fact about the package that was asked for."""
    with OneSpan() as server:
        package = server.add(Package(ID))
        package.finish(NOON)
        answer = ask(server)
    fact = observed(answer)
    assert answer.complete
    assert (fact.subject, fact.what, fact.status, fact.stage) == (ID, facts.OBSERVED, "COMPLETED", facts.COMPLETED)
    assert fact.answer is not None
    assert fact.answer.trashed is False
    assert fact.answer.documents == tuple(Named(known.id, known.name) for known in package.documents)
    assert fact.answer.signers == tuple(Named(known.id, known.name) for known in package.signers)


@pytest.mark.parametrize("status", ["DRAFT", "SENT", "DECLINED", "OPTED_OUT", "EXPIRED", "NOTARIZED"])
def test_a_package_that_is_not_complete_is_not_fetched(status: str) -> None:
    """OneSpan would serve its documents with 200, without the signatures that are missing."""
    with OneSpan() as server:
        server.add(Package(ID, status=status))
        answer = ask(server)
    assert not answer.complete
    assert observed(answer).status == status


def test_an_archived_package_is_complete() -> None:
    """Archived is what completed has become."""
    with OneSpan() as server:
        server.add(Package(ID, status="ARCHIVED", trashed=True))
        answer = ask(server)
    fact = observed(answer)
    assert answer.complete
    assert fact.stage == facts.COMPLETED
    assert fact.answer is not None
    assert fact.answer.trashed


def test_the_reason_of_a_decline_is_kept() -> None:
    """It stands in the package's first message."""
    with OneSpan() as server:
        package = server.add(Package(ID))
        package.refuse(package.signers[0], "The notice period is too long.", NOON)
        answer = ask(server)
    assert observed(answer).message == "The notice period is too long."


def test_of_an_answer_only_the_allow_list_is_kept() -> None:
    """Answers contain addresses of people, and in real life challenge answers and callback keys."""
    documents = [Document("d1", "Lease"), Document(CONSENT, "Consent")]
    with OneSpan() as server:
        package = server.add(Package(ID, documents=documents))
        answer = ask(server)
    kept = json.loads(answer.body)
    assert set(kept) == {"answer", "id", "status", "trashed", "created", "updated", "documents", "signers"}
    assert kept["documents"] == [{"id": "d1", "name": "Lease"}]
    assert all(set(signer) == {"id", "name"} for signer in kept["signers"])
    assert package.signers[0].email.encode() not in answer.body
    assert set(kept["answer"]) == {"size", "sha256"}


def test_what_people_write_to_each_other_is_kept_only_as_the_reason_of_a_refusal() -> None:
    """Messages are free text; those of other packages are nobody's business."""
    with OneSpan() as server:
        package = server.add(Package(ID))
        package.refuse(package.signers[0], "See the other lease.", NOON, status="OPTED_OUT")
        assert observed(ask(server)).message == "See the other lease."
        for status in ("SENT", "COMPLETED", "EXPIRED"):
            package.move(status, NOON)
            assert b"See the other lease." not in ask(server).body


def test_who_uploaded_attachments_is_kept() -> None:
    """The roles of those who did; what is missing or was rejected cannot be fetched."""
    with OneSpan() as server:
        package = server.add(Package(ID))
        package.attach(package.signers[1], "passport scan.pdf", b"%PDF-", NOON)
        answer = ask(server)
        fact = observed(answer)
        assert fact.answer is not None
        assert fact.answer.attachments == (Named(package.signers[1].role, package.signers[1].role),)
        assert b"passport" not in answer.body
        body = json.dumps(with_attachment(package, "INCOMPLETE", "REJECTED")).encode()
        server.faults.add("package", Status(200, body=body))
        incomplete = observed(ask(server)).answer
        assert incomplete is not None
        assert incomplete.attachments == ()


def with_attachment(package: Package, *statuses: str) -> dict[str, Any]:
    """A package as the API tells it, whose attachments are in these states."""
    told: Any = bodies.package(package)
    for role in told["roles"]:
        role["attachmentRequirements"] = [{"id": "a", "name": "a", "status": status} for status in statuses]
    return dict(told)


def test_what_is_null_or_not_there_is_nothing() -> None:
    """Of all that is optional; a signer may have one name only."""
    signer = {"id": "s", "name": "Ana Petrova", "firstName": None}
    roles = [{"id": "r", "signers": [signer], "attachmentRequirements": None}, {"id": "q", "signers": None}]
    told = {"status": "DECLINED", "documents": None, "messages": None, "roles": roles}
    with OneSpan() as server:
        server.faults.add("package", Status(200, body=json.dumps(told).encode()))
        fact = observed(ask(server))
    assert (fact.status, fact.message) == ("DECLINED", None)
    assert fact.answer is not None
    assert (fact.answer.signers, fact.answer.documents) == ((Named("s", "Ana Petrova"),), ())


@pytest.mark.parametrize("field", ["documents", "roles", "signers"])
def test_more_than_a_package_can_have_is_no_package(field: str) -> None:
    """Each would be a row, and a request: a thousand are ten times what OneSpan allows."""
    for count in (1000, 1001):
        many = [{"id": f"{number}", "name": "x"} for number in range(count)]
        told = (
            {"status": "SENT", "roles": [{"signers": many}]} if field == "signers" else {"status": "SENT", field: many}
        )
        with OneSpan() as server:
            server.faults.add("package", Status(200, body=json.dumps(told).encode()))
            if count == 1000:
                assert ask(server).code == 200
            else:
                with pytest.raises(errors.Unusable, match="more than 1000"):
                    ask(server)


def test_a_package_that_is_gone_is_an_answer_too() -> None:
    """404 says something about the package; it has no status, and nothing of the error is kept."""
    with OneSpan() as server:
        answer = ask(server)
    fact = observed(answer)
    assert (answer.code, answer.complete, fact.status, fact.stage) == (404, False, None, None)
    assert fact.message == "HTTP 404"
    assert set(json.loads(answer.body)) == {"answer"}


def test_a_refused_key_is_no_answer() -> None:
    """401 stops the source, it says nothing about the package."""
    with OneSpan() as server:
        server.add(Package(ID))
        with pytest.raises(errors.Unauthorized):
            ask(server, key="wrong")


@pytest.mark.parametrize(
    "body", [b"<html>maintenance</html>", b"[]", b"{}", b'{"status":7}', b'{"status":"SENT","roles":7}', b"[" * 9999]
)
def test_200_with_something_else_is_unusable(body: bytes) -> None:
    """A firewall in front may answer HTML; what is no package is never taken for one."""
    with OneSpan() as server:
        server.add(Package(ID))
        server.faults.add("package", Status(200, body=body))
        with pytest.raises(errors.Unusable, match="no package"):
            ask(server)
        assert ask(server).code == 200


def test_an_observation_is_about_the_package_that_was_asked_for() -> None:
    """Whatever the id holds, slashes and percent signs too: path and back give the same id."""
    with OneSpan() as server:
        api = asking.connect(Access(server.url, "demonstration"))

        @settings(max_examples=15, deadline=None)
        @example(subject="../../x")
        @example(subject="a/b%2Fc?d#e=")
        @given(subject=st.text(min_size=1).filter(lambda text: text not in (".", "..")))
        def check(subject: str) -> None:
            assert observed(api.ask(subject)).subject == subject

        check()
        with pytest.raises(errors.NotAccessible):
            api.ask("..")
        api.close()


ASKED = {
    "documents.zip": ("documents/zip", b"PK\x03\x04"),
    "evidence.pdf": ("evidence/summary", b"%PDF-"),
    "document-d%2F1 \u00e9.pdf": ("documents/d%252F1%20%C3%A9/pdf", b"%PDF-"),
    "attachments-Signer1.zip": ("attachment/zip/Signer1", b"PK\x03\x04"),
    "audit.json": ("audit", b'{"package-id":'),
    "fields.json": ("fieldSummary", b"[{"),
}


@pytest.mark.parametrize(("artifact", "asked"), ASKED.items(), ids=ASKED)
def test_a_document_comes_as_the_api_sends_it(artifact: str, asked: tuple[str, bytes]) -> None:
    """Every kind of artifact, from its own address, byte for byte."""
    path, start = asked
    with OneSpan() as server:
        package = server.add(Package(ID, documents=[Document("d%2F1 \u00e9", "Lease")]))
        package.attach(package.signers[0], "passport.pdf", b"%PDF-", NOON)
        package.finish(NOON)
        api = asking.connect(Access(server.url, "demonstration"))
        with api.fetch(ID, artifact, COMPLETE) as stream:
            content = b"".join(stream.chunks)
        api.close()
        assert server.requests[0].path == f"/api/packages/LWsUTvGgE4WpOvaQPT16idnxNj8%3D/{path}"
    assert content.startswith(start)
    assert stream.length in (None, len(content))


def test_every_artifact_that_can_be_wanted_is_asked_for_above() -> None:
    """One of each kind."""
    assert set(asking.ARTIFACTS) == {
        next((kind for kind in asking.ARTIFACTS if facts.which(kind, artifact) and "*" in kind), artifact)
        for artifact in ASKED
    }


def test_what_this_version_does_not_know_is_not_asked_for() -> None:
    """A log may be newer than this version: what it wants is given up, with a reason."""
    with OneSpan() as server:
        api = asking.connect(Access(server.url, "demonstration"))
        for artifact in ("hologram.zip", "document-*.pdf"):
            with pytest.raises(errors.NotAccessible, match="this version knows no"):
                api.fetch(ID, artifact, COMPLETE)
        api.close()
        assert server.requests == ()


def test_a_document_of_a_package_that_is_gone_is_not_accessible() -> None:
    """An error is never handed on as a document."""
    with OneSpan() as server:
        api = asking.connect(Access(server.url, "demonstration"))
        with pytest.raises(errors.NotAccessible), api.fetch(ID, "documents.zip", COMPLETE):
            pass
        api.close()


def test_the_key_never_shows() -> None:
    """Neither in the account's text nor in an error."""
    assert "s3cret" not in repr(Access("https://example.test", "s3cret"))
    with OneSpan() as server, pytest.raises(errors.Unauthorized) as raised:
        ask(server, key="s3cret")
    assert "s3cret" not in str(raised.value)
