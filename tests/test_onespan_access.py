"""Access to OneSpan's API with a client instead of a key: tokens are got, shown, renewed, and refused once."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from listener import api, errors
from listener.api import CLIENT_APP, OAUTH2, Access, Observation
from listener.apis import onespan
from listener.demo import faults
from listener.demo.onespan import APP_SECONDS, OAUTH2_SECONDS, OneSpan
from listener.demo.packages import Package
from tests import description

ID = "LWsUTvGgE4WpOvaQPT16idnxNj8="
COMPLETE = Observation("GET", f"/api/packages/{ID}", 200, b"{}", complete=True)
CALLS = {CLIENT_APP: "token", OAUTH2: "oauth2"}
Asking = tuple[OneSpan, api.Api]
EVERY_WAY = pytest.mark.parametrize("auth", CALLS)


def account(auth: str, **fields: Any) -> OneSpan:
    """An account that takes tokens of that kind only, with a complete package."""
    server = OneSpan(client_id="app+1", client_secret="hu%sh", oauth2=auth == OAUTH2, **fields)
    server.add(Package(ID)).finish()
    return server


def access(server: OneSpan, auth: str, **changes: Any) -> Access:
    """As it is configured for that account."""
    return Access(server.url, client_id="app+1", client_secret="hu%sh", auth=auth)._replace(**changes)


def ask(server: OneSpan, auth: str, **changes: Any) -> Observation:
    """Ask once, with a token of our own."""
    asking = onespan.connect(access(server, auth, **changes))
    try:
        return asking.ask(ID)
    finally:
        asking.close()


@pytest.fixture
def asking(auth: str) -> Iterator[Asking]:
    """An account, and who asks it."""
    with account(auth) as server:
        found = onespan.connect(access(server, auth))
        yield server, found
        found.close()
        assert description.in_requests(server) == []


@EVERY_WAY
def test_one_token_serves_many_requests(asking: Asking, auth: str) -> None:
    """It is got when it is needed first, and shown as RFC 6750 says."""
    server, found = asking
    assert server.count(CALLS[auth]) == 0
    assert [found.ask(ID).code for _ in range(3)] == [200] * 3
    with found.fetch(ID, "documents.zip", COMPLETE) as stream:
        assert b"".join(stream.chunks).startswith(b"PK")
    first, *others = server.requests
    assert [first.call, *(one.call for one in others)] == [CALLS[auth], *["package"] * 3, "documents.zip"]
    (token,) = server.tokens
    assert {one.headers["authorization"] for one in others} == {f"Bearer {token}"}


@EVERY_WAY
@pytest.mark.parametrize("what", ["ask", "fetch"])
def test_a_token_that_is_refused_is_renewed_once(asking: Asking, auth: str, what: str) -> None:
    """It ended before its time; nobody but us notices."""
    server, found = asking
    found.ask(ID)
    server.tokens.update(dict.fromkeys(server.tokens, 0.0))
    if what == "ask":
        assert found.ask(ID).code == 200
    else:
        with found.fetch(ID, "evidence.pdf", COMPLETE) as stream:
            assert b"".join(stream.chunks).startswith(b"%PDF")
    assert server.count(CALLS[auth]) == 2
    assert [known.status for known in server.requests if known.call != CALLS[auth]] == [200, 401, 200]


@EVERY_WAY
def test_a_new_token_that_is_refused_too_is_an_alarm(asking: Asking, auth: str) -> None:
    """Not a circle: two requests, two tokens, and the source stops."""
    server, found = asking
    server.faults.stand("package", faults.Status(401))
    with pytest.raises(errors.Unauthorized):
        found.ask(ID)
    assert (server.count("package"), server.count(CALLS[auth])) == (2, 2)


@EVERY_WAY
def test_a_token_is_renewed_before_it_ends(auth: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As early as OneSpan's own SDK does: a request under way must not meet its end."""
    lives, leeway = (OAUTH2_SECONDS, 10) if auth == OAUTH2 else (APP_SECONDS, 60)
    with account(auth) as server:
        found = onespan.connect(access(server, auth))
        found.ask(ID)
        real = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: real() + lives - leeway - 30)
        found.ask(ID)
        assert server.count(CALLS[auth]) == 1
        monkeypatch.setattr(time, "monotonic", lambda: real() + lives - leeway + 1)
        found.ask(ID)
        found.close()
        assert server.count(CALLS[auth]) == 2


@EVERY_WAY
def test_threads_that_meet_a_refused_token_renew_it_once(asking: Asking, auth: str) -> None:
    """All of them go on with the same new one."""
    server, found = asking
    found.ask(ID)
    server.tokens.update(dict.fromkeys(server.tokens, 0.0))
    with ThreadPoolExecutor(8) as pool:
        assert {answer.code for answer in pool.map(lambda _: found.ask(ID), range(16))} == {200}
    assert server.count(CALLS[auth]) == 2


@EVERY_WAY
@pytest.mark.parametrize("wrong", [{"client_secret": "other"}, {"client_id": "other"}])
def test_a_refused_client_is_an_alarm(auth: str, wrong: dict[str, str]) -> None:
    """Nothing else is asked, and no secret is told."""
    with account(auth) as server:
        with pytest.raises(errors.Unauthorized, match="no token for client_id and client_secret") as raised:
            ask(server, auth, **wrong)
        assert [known.call for known in server.requests] == [CALLS[auth]]
    assert "hu%sh" not in str(raised.value)


def test_the_account_decides_how_it_is_asked() -> None:
    """A client of the other kind is refused, and so is a key where there is OAuth 2."""
    for auth, other in ((CLIENT_APP, OAUTH2), (OAUTH2, CLIENT_APP)):
        with account(auth) as server:
            assert ask(server, auth).code == 200
            with pytest.raises(errors.Unauthorized, match="is api_auth right"):
                ask(server, other)
    with account(OAUTH2) as server, pytest.raises(errors.Unauthorized):
        onespan.connect(Access(server.url, server.api_key)).ask(ID)


@EVERY_WAY
@pytest.mark.parametrize("code", [400, 403, 404, 406])
def test_a_refusal_of_a_token_is_never_taken_for_a_missing_document(auth: str, code: int) -> None:
    """A document must not be given up because of it."""
    with account(auth) as server:
        server.faults.add(CALLS[auth], faults.Status(code))
        with pytest.raises(errors.Unauthorized, match=f"HTTP {code}"):
            ask(server, auth)


@EVERY_WAY
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (faults.Status(503), "HTTP 503"),
        (faults.Dropped(), "no whole answer"),
        (faults.Page(), "no token"),
        (faults.Status(200, body=b"{}"), "no token"),
        (
            faults.Status(200, body=b'{"accessToken":"x","access_token":"x","expiresAt":"soon","expires_in":[]}'),
            "no token",
        ),
        (faults.Status(200, body=b'{"accessToken":"","access_token":"","expiresAt":9}'), "fits into no header"),
        (faults.Status(200, body=b"[" * 100_000), "no token"),
    ],
    ids=repr,
)
def test_what_goes_wrong_with_a_token_is_tried_again(auth: str, fault: faults.Fault, told: str) -> None:
    """It says nothing about the client; the next request asks anew."""
    with account(auth) as server:
        server.faults.add(CALLS[auth], fault)
        found = onespan.connect(access(server, auth))
        with pytest.raises(errors.Unusable, match=told):
            found.ask(ID)
        assert found.ask(ID).code == 200
        found.close()


def test_a_token_call_may_ask_for_patience() -> None:
    """Retry-After of the token's call is the API's."""
    with account(OAUTH2) as server:
        server.faults.add("oauth2", faults.Status(429, {"Retry-After": "30"}))
        with pytest.raises(errors.Unusable) as raised:
            ask(server, OAUTH2)
    assert raised.value.retry_after == 30


@pytest.mark.parametrize(("sender", "whose"), [(None, "OWNER"), ("ana@example.test", "SENDER")])
def test_a_client_app_may_speak_for_one_sender(sender: str | None, whose: str) -> None:
    """Else for the owner of the account."""
    with account(CLIENT_APP) as server:
        assert ask(server, CLIENT_APP, sender=sender).code == 200
        body = server.requests[0].body.decode()
    assert f'"type":"{whose}"' in body
    assert ('"email":"ana@example.test"' in body) is (sender is not None)


def test_secrets_never_show() -> None:
    """Neither of a client nor of a token."""
    assert "hu%sh" not in repr(Access("https://x", client_id="a", client_secret="hu%sh", auth=OAUTH2))


@pytest.mark.parametrize(("name", "url"), onespan.URLS.items())
def test_every_region_has_an_address_of_its_own(name: str, url: str) -> None:
    """Over TLS, without a path; the hyphens tell two platforms apart."""
    assert url.startswith("https://")
    assert url.count("/") == 2
    assert sum(known == url for known in onespan.URLS.values()) == 1
    assert ("sandbox" in name) == ("sandbox" in url or "try." in url)


def test_the_older_and_the_newer_platform_are_not_mixed_up() -> None:
    """US10 has the hyphen, US11 has none."""
    assert onespan.URLS["us10"] == "https://apps.e-signlive.com"
    assert onespan.URLS["us11"] == "https://apps.esignlive.com"


@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        ({}, "api_key"),
        ({"key": "k"}, None),
        ({"sender": "a@b"}, "api_key"),
        ({"client_id": "c"}, "client_secret"),
        ({"client_secret": "s"}, "client_id"),
        ({"auth": OAUTH2}, "client_id"),
        ({"client_id": "c", "client_secret": "s"}, "api_auth"),
        ({"client_id": "c", "client_secret": "s", "auth": OAUTH2}, None),
    ],
)
def test_what_is_lacking_is_named(given: dict[str, str], lacking: str | None) -> None:
    """`api_key` where nothing is there."""
    assert onespan.missing(Access("https://x")._replace(**given)) == lacking  # type: ignore[arg-type]
