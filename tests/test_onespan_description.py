"""What we send is valid in OneSpan's own description of its API, and what the imitation answers is, too."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from listener import api
from listener.api import CLIENT_APP, OAUTH2, Access, Registration
from listener.apis import onespan
from listener.demo.onespan import OneSpan
from listener.demo.packages import Package
from listener.demo.wire import Asked
from listener.errors import NotAccessible, Unusable
from projections import facts
from tests import description
from tests.rig import ID, NOON

CLIENT = {"client_id": "app", "client_secret": "hush"}
ACCESSES = {
    "key": ({}, {"key": "demonstration"}),
    "client app": ({}, {**CLIENT, "auth": CLIENT_APP}),
    "sender": ({}, {**CLIENT, "auth": CLIENT_APP, "sender": "ana@example.test"}),
    "oauth2": ({"oauth2": True}, {**CLIENT, "auth": OAUTH2}),
}
TOKENS = {"key": "", "client app": "token", "sender": "token", "oauth2": "oauth2"}
ARTIFACTS = [
    facts.one_of(name, "Signer1" if "attachments" in name else "d1") if "*" in name else name
    for name in onespan.ARTIFACTS
]
HOSTILE = ("-starts=", "a/../b", "..%2F", "ünï", "a b?c#d", "a\0b", "x" * 255, "a;b,c&d+e", "{id}", "*")


def everything(server: OneSpan, access: Access) -> None:
    """Ask all that we ever ask."""
    asking = onespan.connect(access)
    for subject in (ID, "nobody=", *HOSTILE):
        answer = asking.ask(subject)
        for artifact in [*ARTIFACTS, *(facts.one_of("document-*.pdf", known) for known in HOSTILE)]:
            try:
                with asking.fetch(subject, artifact, answer) as stream:
                    b"".join(stream.chunks)
            except (NotAccessible, Unusable):
                pass
    asking.register(Registration("https://your.host/callbacks/onespan", "key", onespan.EVENTS))
    now = asking.registered()
    asking.register(Registration(now.url, "", (*now.events, "COBROWSE_REQUEST")))
    told = [found.subject for page in asking.updated(0) for found in page.listed]
    assert told == [ID]
    list(asking.updated(10**15, "trashed@1800000000000000"))
    asking.close()


@pytest.mark.parametrize("way", ACCESSES)
def test_every_request_of_ours_is_one_that_onespan_describes(way: str) -> None:
    """Method, address, parameters, body and credential, whatever the ids hold."""
    account, access = ACCESSES[way]
    with OneSpan(**CLIENT, **account) as server:  # type: ignore[arg-type]
        package = server.add(Package(ID))
        package.attach(package.signers[0], "passport.pdf", b"%PDF-", NOON)
        package.finish(NOON)
        everything(server, Access(server.url)._replace(**access))  # type: ignore[arg-type]
        assert description.in_requests(server) == []
        calls = {asked.call for asked in server.requests}
    unused = {"signingStatus", "attachment.zip"}
    assert calls - {*TOKENS.values(), "unknown"} == {call.name for call in server.calls()} - {*TOKENS.values()} - unused
    assert calls & {*TOKENS.values()} == {TOKENS[way]} - {""}


def asked(method: str = "GET", path: str = f"/api/packages/{ID}", body: bytes = b"", **fields: Any) -> Asked:
    """A request that is fine, but for what is changed."""
    headers = {"authorization": "Basic key", **({"content-type": "application/json"} if body else {})}
    return Asked("x", method, path, "", {**headers, **fields.pop("headers", {})}, body, **fields)


REGISTER = {"method": "POST", "path": "/api/callback"}
WRONG = [
    (asked(path="/api/package/x"), "there is no such call"),
    (asked(path=f"/api/packages/{ID}/"), "there is no such call"),
    (asked(path="/api/packages//documents/zip"), "there is no such call"),
    (asked("POST"), "there is no such call"),
    (asked("PUT", "/api/callback", b"{}"), "there is no such call"),
    (asked(headers={"authorization": "key"}), "no key and no token"),
    (asked(headers={"authorization": "Basic "}), "no key and no token"),
    (asked(params={"raw": "true"}), "there is no raw"),
    (asked(params={"rawSignatureCapture": "yes"}), "rawSignatureCapture is no boolean"),
    (asked(path="/api/packages", params={"from": "-1"}), "from is less than 0"),
    (asked(path="/api/packages", params={"sort": "size"}), "sort is none of"),
    (asked(body=b"{}"), "a body that nobody reads"),
    (asked(**REGISTER, body=b"{}", headers={"content-type": "text/plain"}), "a body that is no application/json"),
    (asked(**REGISTER, body=b"[]"), "body is no object"),
    (asked(**REGISTER, body=b'{"uri":"x"}'), "body.uri is not described"),
    (asked(**REGISTER, body=b'{"url":7}'), "body.url is no string"),
    (asked(**REGISTER, body=b'{"events":["PACKAGE_COMPLET"]}'), "body.events[0] is none of"),
    (asked("POST", "/apitoken/clientApp/accessToken", b'{"clientId":"x","type":"ADMIN"}'), "body has no secret"),
    (asked("POST", "/oauth2/token", b"{}"), "a body that is no application/x-www-form-urlencoded"),
]


@pytest.mark.parametrize(("found", "told"), WRONG, ids=[told for _, told in WRONG])
def test_a_request_that_is_not_would_be_noticed(found: Asked, told: str) -> None:
    """Each kind of mistake."""
    problems = list(description.in_request(found))
    assert problems
    assert problems[0].startswith(told)


@pytest.mark.parametrize(
    "found",
    [
        asked(),
        asked(params={"rawSignatureCapture": "true"}),
        asked(path="/api/packages", params={"from": "0", "to": "100", "predefined": "completed", "dir": "asc"}),
        asked(**REGISTER, body=b'{"url":"https://x","events":["PACKAGE_COMPLETE"]}'),
    ],
)
def test_a_request_that_is_right_is_found_right(found: Asked) -> None:
    """Near to those above."""
    assert list(description.in_request(found)) == []


# The imitation

STATES = ("DRAFT", "SENT", "COMPLETED", "DECLINED")


def answers(server: OneSpan, path: str, **changes: Any) -> list[str]:
    """What is wrong with what the imitation answers to this."""
    call = next(
        call for call in server.calls() if matches(call.path, path) and call.method == changes.get("method", "GET")
    )
    ids = {name: "Signer1" if name == "role" else ID if name == "id" else "d1" for name in ("id", "document", "role")}
    found = replace(asked(path=path, **changes), call=call.name, ids=changes.get("ids", ids))
    return list(description.in_answer(found, server.respond(call, found)))


def matches(template: str, path: str) -> bool:
    """Whether this address is of that form."""
    parts = list(zip(template.split("/"), path.split("/"), strict=False))
    same = template.count("/") == path.count("/")
    return same and all(one == other or one.startswith("{") for one, other in parts)


PATHS = [
    *(
        f"/api/packages/{ID}{below}"
        for below in ("", "/signingStatus", "/documents/zip", "/evidence/summary", "/audit")
    ),
    *(f"/api/packages/{ID}{below}" for below in ("/fieldSummary", "/attachment/zip", "/attachment/zip/Signer1")),
    *("/api/packages", "/api/callback"),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("state", STATES)
def test_the_imitation_answers_as_described(path: str, state: str) -> None:
    """Codes, types, and of JSON each field, in every state that a package may be in, and when it is gone."""
    server = OneSpan(api_key="key", **CLIENT)  # type: ignore[arg-type]
    package = server.add(Package(ID))
    assert answers(server, path) == []
    package.attach(package.signers[0], "passport.pdf", b"%PDF-", NOON)
    package.finish(NOON)
    package.move(state, NOON)
    if state == "DECLINED":
        package.refuse(package.signers[0], "No.", NOON)
    assert answers(server, path) == []
    package.delete(NOON)
    assert answers(server, path) == []
    assert answers(server, path, headers={"authorization": "Basic wrong"}) == []


def test_the_imitation_takes_and_gives_what_is_described() -> None:
    """A registration, and tokens; and the errors of both."""
    server = OneSpan(api_key="key", **CLIENT)  # type: ignore[arg-type]
    for body in (
        {"url": "https://x", "key": "k", "events": ["PACKAGE_COMPLETE"]},
        {"url": "https://x", "events": ["X"]},
        {},
    ):
        assert answers(server, "/api/callback", method="POST", body=json.dumps(body).encode()) == []
    for secret in ("hush", "other"):
        told = json.dumps({"clientId": "app", "secret": secret, "type": "OWNER"}).encode()
        assert answers(server, "/apitoken/clientApp/accessToken", method="POST", body=told) == []
        server.oauth2 = True
        pair = base64.b64encode(f"app:{secret}".encode()).decode()
        form = {"content-type": "application/x-www-form-urlencoded", "authorization": f"Basic {pair}"}
        grant = b"grant_type=client_credentials"
        assert answers(server, "/oauth2/token", method="POST", body=grant, headers=form) == []
        server.oauth2 = False


def test_an_answer_that_is_not_described_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another type, a field too many, and a status that there is not."""
    server = OneSpan(api_key="key")
    package = server.add(Package(ID))
    package.status = "SIGNED"
    assert answers(server, f"/api/packages/{ID}")[0].startswith("answer.status is none of")
    package.status = "SENT"
    monkeypatch.setitem(description.SCHEMAS["Package"]["fields"], "trashed", {"type": "string"})
    assert answers(server, f"/api/packages/{ID}") == ["answer.trashed is no string"]
    monkeypatch.delitem(description.SCHEMAS["Package"]["fields"], "trashed")
    assert answers(server, f"/api/packages/{ID}") == ["answer.trashed is not described"]


def test_what_is_registered_is_what_the_description_has() -> None:
    """And the one event that came later."""
    described = description.SCHEMAS["Callback"]["fields"]["events"]["items"]["enum"]
    assert set(onespan.EVENTS) == {*described, "DOCUMENT_VIEWED"}


def test_every_speaker_of_tokens_is_here() -> None:
    """A third way to get one would have to be described."""
    assert {CLIENT_APP, OAUTH2} == set(api.AUTHS)
