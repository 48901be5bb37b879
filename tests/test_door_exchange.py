"""A provider's client at the door: given a token for its secret, let in with it, and bounded in everything."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest

from listener import bootstrap_door, settings
from listener.door import exchange
from listener.door.exchange import Strangers
from tests.echo import Answer
from tests.test_door import Signlog, head, post, via

ID, SECRET, OLD = "one span", "s3cret+%41:with/all=", "yesterday's secret"
KEY = "a-callback-key"
CONFIG = f"""
trusted_proxies = ["127.0.0.0/8"]
[sources.onespan]
callback_client_id = "{ID}"
callback_client_secrets = ["{SECRET}", "{OLD}"]
[sources.both]
provider = "onespan"
callback_keys = ["{KEY}"]
callback_client_id = "{ID}"
callback_client_secrets = ["{SECRET}"]
[sources.strict]
provider = "onespan"
callback_client_id = "{ID}"
callback_client_secrets = ["{SECRET}"]
allow = ["198.51.100.0/24"]
[sources.header]
provider = "onespan"
callback_header = "X-Signlog-Key"
callback_keys = ["{KEY}", "a-key-of-tomorrow"]
"""
FORM = b"content-type: application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signlog]:
    """With clients, and with a header of its own."""
    with Signlog(tmp_path_factory.mktemp("exchange"), CONFIG) as door:
        yield door


def basic(client_id: str, secret: str) -> bytes:
    """The header of RFC 7617."""
    return b"authorization: Basic " + base64.b64encode(f"{client_id}:{secret}".encode())


def form(**fields: str) -> bytes:
    """The body of RFC 6749."""
    return urlencode({"grant_type": "client_credentials", **fields}).encode()


def ask(
    door: Signlog, *headers: bytes, body: bytes = b"", source: str = "onespan", client: str = "192.0.2.1"
) -> Answer:
    """Ask for a token, from an address of one's own."""
    target = f"/oauth/{source}/token".encode()
    return door.ask(post(target, FORM, via(client), *headers, body=body or form()))


def given(answer: Answer) -> str:
    """The token that was given."""
    assert answer.status == 200
    told: dict[str, Any] = json.loads(answer.body)
    assert (told["token_type"], told["expires_in"]) == ("Bearer", 300)
    return str(told["access_token"])


def token(door: Signlog, source: str = "onespan", client: str = "192.0.2.1") -> str:
    """A good one."""
    return given(ask(door, basic(ID, SECRET), source=source, client=client))


def bearer(value: str) -> bytes:
    """As RFC 6750 shows it."""
    return f"authorization: Bearer {value}".encode()


@pytest.mark.parametrize("secret", [SECRET, OLD])
def test_a_client_is_given_a_token_and_let_in_with_it(door: Signlog, secret: str) -> None:
    """The log says for which secret, whichever token it was; the token stands nowhere."""
    shown = [given(ask(door, basic(ID, secret))) for _ in range(2)]
    labels = {door.sends(post(b"/callbacks/onespan", bearer(value))).event.credential or "" for value in shown}
    (label,) = labels
    assert re.fullmatch("token:[0-9a-f]{12}", label)
    kept = b"".join(path.read_bytes() for path in door.data.iterdir() if path.is_file())
    assert not any(value.encode() in kept for value in (*shown, secret))


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((basic(ID, SECRET),), form()),
        ((basic(quote_plus(ID), quote_plus(SECRET)),), form()),
        ((), form(client_id=ID, client_secret=SECRET)),
        ((), form(client_id=ID, client_secret=SECRET, scope="callbacks")),
        ((basic(ID, SECRET),), form(scope="")),
    ],
    ids=["header", "header as the standard encodes it", "form", "form with a scope", "empty scope"],
)
def test_the_secret_may_be_shown_in_the_header_or_in_the_form(
    door: Signlog, headers: tuple[bytes, ...], body: bytes
) -> None:
    """Whichever is chosen at OneSpan."""
    answer = ask(door, *headers, body=body)
    assert given(answer)
    assert (answer.headers["cache-control"], answer.headers["content-type"]) == ("no-store", "application/json")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((), b"x"),
        ((basic(ID, "wrong"),), form()),
        ((basic("wrong", SECRET),), form()),
        ((b"authorization: Basic " + SECRET.encode(),), form()),
        ((b"authorization: Basic \xff\xfe",), form()),
        ((b"authorization: Bearer " + SECRET.encode(),), form()),
        ((), form(client_id=ID)),
        ((), form(client_id=ID, client_secret="")),
        ((), b"\xff\xfe%%%&&&==;;"),
        ((), b"a=b&" * 20 + form(client_id=ID, client_secret=SECRET)),
        ((), json.dumps({"client_id": ID, "client_secret": SECRET}).encode()),
    ],
)
def test_anything_else_is_refused(door: Signlog, headers: tuple[bytes, ...], body: bytes) -> None:
    """The same answer for all."""
    client = f"203.0.113.{abs(hash((headers, body))) % 250}"
    answer = ask(door, *headers, body=body, client=client)
    assert (answer.status, answer.body) == (401, b'{"error":"invalid_client"}')
    assert answer.headers["www-authenticate"] == "Basic"


@pytest.mark.parametrize("body", [b"grant_type=password", b"scope=x", b"grant_type=client_credentials%20"])
def test_another_grant_is_none_that_we_give(door: Signlog, body: bytes) -> None:
    """Said only to who showed the secret."""
    answer = ask(door, basic(ID, SECRET), body=body)
    assert (answer.status, answer.body) == (400, b'{"error":"unsupported_grant_type"}')


@pytest.mark.parametrize("value", ["", "x", "A" * 64, KEY, SECRET])
def test_a_token_that_we_did_not_give_is_refused_and_kept(door: Signlog, value: str) -> None:
    """Like a wrong key."""
    refused = door.sends(post(b"/callbacks/onespan", bearer(value))).refused
    assert (refused.status, refused.reason) == (401, "wrong token" if value else "no token")
    assert door.sends(post(b"/callbacks/onespan")).refused.reason == "no token"


def test_a_token_is_for_one_source(door: Signlog) -> None:
    """Though both have the same client."""
    value = token(door, "both")
    assert door.sends(post(b"/callbacks/both", bearer(value))).event
    assert door.sends(post(b"/callbacks/onespan", bearer(value))).refused.status == 401


def test_a_source_may_take_keys_and_tokens(door: Signlog) -> None:
    """While somebody changes from one to the other: each alone is enough."""
    assert (door.sends(post(b"/callbacks/both", bearer(token(door, "both")))).event.credential or "").startswith(
        "token:"
    )
    shown = f"authorization: Basic {KEY}".encode()
    assert (door.sends(post(b"/callbacks/both", shown)).event.credential or "").startswith("key:")
    assert door.sends(post(b"/callbacks/both")).refused.reason == "no callback key or token"
    assert door.sends(post(b"/callbacks/onespan", shown)).refused.status == 401


def test_addresses_are_required_of_clients_too(door: Signlog) -> None:
    """For a token as for a callback."""
    assert ask(door, basic(ID, SECRET), source="strict").status == 403
    value = token(door, "strict", client="198.51.100.7")
    found = door.sends(post(b"/callbacks/strict", bearer(value), via("198.51.100.7"))).event
    assert re.fullmatch(r"token:[0-9a-f]{12} address:198\.51\.100\.0/24", found.credential or "")
    assert door.sends(post(b"/callbacks/strict", bearer(value), via("192.0.2.1"))).refused.status == 403


@pytest.mark.parametrize("source", ["header", "nobody", "..", ""])
def test_where_there_is_no_client_there_are_no_tokens(door: Signlog, source: str) -> None:
    """A source without one, or none at all."""
    assert ask(door, basic(ID, SECRET), source=source).status == 404


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT"])
def test_tokens_are_posted_for(door: Signlog, method: bytes) -> None:
    """405 says so."""
    answer = door.ask(head(b"/oauth/onespan/token", method=method))
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_a_form_is_bounded(door: Signlog) -> None:
    """Announced or not; nothing of it is kept."""
    body = form(client_id=ID, client_secret=SECRET) + b"&x=" + b"y" * exchange.MOST_BYTES
    rows = door.last_kept()
    assert ask(door, body=body).status == 413
    chunks = head(b"/oauth/onespan/token", b"transfer-encoding: chunked") + b"4000\r\n" + b"y" * 0x4000 + b"\r\n"
    assert door.ask(chunks).status == 413
    assert door.last_kept() == rows


def test_guesses_are_bounded_and_shut_nobody_out(door: Signlog) -> None:
    """Ten wrong ones, and a stranger waits; who showed the right one before never does."""
    stranger, friend = "203.0.113.251", "203.0.113.252"
    assert token(door, client=friend)
    for client, last in ((stranger, 429), (friend, 401)):
        told = [ask(door, basic(ID, "wrong"), client=client).status for _ in range(exchange.MOST_FAILURES + 1)]
        assert told == [*[401] * exchange.MOST_FAILURES, last]
    answer = ask(door, basic(ID, SECRET), client=stranger)
    assert (answer.status, answer.headers["retry-after"]) == (429, "60")
    assert token(door, client=friend)
    assert token(door, client="203.0.113.253")


def test_a_stranger_may_try_again_after_a_while() -> None:
    """And nobody is remembered for ever."""
    at = 100.0
    strangers = Strangers(lambda: at)
    for _ in range(exchange.MOST_FAILURES):
        assert strangers.may_try("a")
        strangers.failed("a")
    assert not strangers.may_try("a")
    assert strangers.may_try("b")
    at += exchange.WINDOW_SECONDS - 1
    assert not strangers.may_try("a")
    at += 1
    assert strangers.may_try("a")


def test_strangers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many addresses somebody has; the oldest are forgotten."""
    monkeypatch.setattr(exchange, "_MOST_CLIENTS", 5)
    strangers = Strangers(lambda: 100.0)
    for number in range(50):
        strangers.failed(f"{number}")
        strangers.right(f"friend {number}")
    assert (len(strangers._failures), len(strangers._known)) == (5, 5)
    assert strangers.may_try("49")


# A header of one's own


def own(value: str, name: str = "x-signlog-key") -> bytes:
    """The header that was agreed on."""
    return f"{name}: {value}".encode()


@pytest.mark.parametrize("key", [KEY, "a-key-of-tomorrow"])
@pytest.mark.parametrize("name", ["x-signlog-key", "X-SIGNLOG-KEY"])
def test_a_key_may_come_in_a_header_of_its_own(door: Signlog, key: str, name: str) -> None:
    """Raw, any of those configured; the log says which, and does not keep it."""
    found = door.sends(post(b"/callbacks/header", own(key, name))).event
    assert re.fullmatch("key:[0-9a-f]{12}", found.credential or "")
    assert '["x-signlog-key","redacted"]' in (found.headers or "").lower()


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (own(""),),
        (own("wrong"),),
        (own(f"Basic {KEY}"),),
        (own(KEY, "x-signlog-keys"),),
        (f"authorization: Basic {KEY}".encode(),),
        (own("wrong"), own(KEY)),
    ],
)
def test_there_nothing_else_is_the_key(door: Signlog, headers: tuple[bytes, ...]) -> None:
    """Nor is it where OneSpan's usual key stands; of two lines the first counts."""
    assert door.sends(post(b"/callbacks/header", *headers)).refused.status == 401


def test_what_was_shown_in_its_place_is_not_kept(door: Signlog) -> None:
    """In no line of that header, short as it may be, here or at an address that is nobody's."""
    for target in (b"/callbacks/header", b"/callbacks/headr"):
        refused = door.sends(post(target, own("abc"), own("mistyped-key"), b"x-copy: abc mistyped-key")).refused
        assert "abc" not in refused.headers
        assert "mistyped-key" not in refused.headers


def test_a_key_that_was_refused_there_can_still_be_accepted(tmp_path: Path) -> None:
    """Once it is configured."""
    with Signlog(tmp_path, CONFIG) as door:
        shown = door.sends(post(b"/callbacks/header", own("the-new-key-of-today"))).refused.shown
        text = door.config.read_text().replace("a-key-of-tomorrow", "the-new-key-of-today")
        door.config.write_text(text)
        gate = bootstrap_door.gates(settings.load(door.config, {}))["header"]
        assert gate.would_admit(shown, "192.0.2.1")
        assert not gate.would_admit("", "192.0.2.1")
        assert not bootstrap_door.gates(settings.load(door.config, {}))["onespan"].would_admit("", "192.0.2.1")
