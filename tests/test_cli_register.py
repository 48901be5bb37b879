"""signlog register: what the provider tells, what is asked, what is sent, and what is never shown."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from listener.apis.onespan import EVENTS
from listener.demo import faults
from listener.demo.onespan import EVENTS as KNOWN
from listener.demo.onespan import OneSpan
from tests import description
from tests.site import Done, Site

URL = "https://your.host/callbacks/onespan"
KEY, OLD = "the-new-callback-key", "the-old-callback-key"
KEYED = f'callback_keys = ["{KEY}", "{OLD}"]\n'


@pytest.fixture
def server() -> Iterator[OneSpan]:
    """An account on which nothing is registered; what it was asked is as OneSpan describes it."""
    with OneSpan() as found:
        yield found
        assert description.in_requests(found) == []


def site(folder: Path, server: OneSpan, source: str = KEYED) -> Site:
    """A configuration with access to that account; no log is needed."""
    access = f'api_url = "{server.url}"\napi_key = "{server.api_key}"\n'
    return Site(folder, f"[sources.onespan]\n{source}{access}")


def told(done: Done) -> dict[str, Any]:
    """The answer for scripts."""
    assert done.err == ""
    found: dict[str, Any] = done.json
    assert found.keys() == {"source", "url", "key", "events", "off", "problems"}
    return found


def sent(server: OneSpan) -> list[Any]:
    """What was posted."""
    return [json.loads(asked.body) for asked in server.requests if asked.call == "callback.register"]


def calls(server: OneSpan) -> list[str]:
    """What was asked, in order."""
    return [asked.call.removeprefix("callback.") for asked in server.requests]


def test_address_key_and_all_events_are_registered(tmp_path: Path, server: OneSpan) -> None:
    """After looking, and before looking again; the first key, and never a word of it."""
    done = site(tmp_path, server).run("register", "onespan", URL, "--yes")
    assert done.code == 0
    assert sent(server) == [{"url": URL, "key": KEY, "events": list(EVENTS)}]
    assert calls(server) == ["read", "register", "read"]
    assert done.out.count("Registered now:") == 2
    assert "one of callback_keys" in done.out
    assert not any(secret in done.out + done.err for secret in (KEY, OLD, server.api_key))


def test_every_event_of_the_account_is_registered() -> None:
    """All that are known, but the one that neither the API's description nor an SDK has."""
    assert set(EVENTS) == KNOWN - {"COBROWSE_REQUEST"}
    assert len(EVENTS) == len(set(EVENTS)) == 21


@pytest.mark.parametrize(("given", "code"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1), (b"", 1)])
def test_it_asks_first(tmp_path: Path, server: OneSpan, given: bytes, code: int) -> None:
    """Only yes is yes; else nothing is changed."""
    done = site(tmp_path, server).run("register", "onespan", URL, given=given)
    assert done.code == code
    assert f"Register {URL} with all events?" in done.err
    assert len(sent(server)) == (code == 0)
    assert KEY not in done.out + done.err


def test_what_is_on_beside_stays_on(tmp_path: Path, server: OneSpan) -> None:
    """Registering replaces the whole set: what a later OneSpan knows must not be switched off by us."""
    server.registration = {"url": URL, "key": "x", "events": ["COBROWSE_REQUEST", "PACKAGE_COMPLETE"]}
    assert site(tmp_path, server).run("register", "onespan", URL, "--yes").code == 0
    assert sent(server)[0]["events"] == [*EVENTS, "COBROWSE_REQUEST"]


@pytest.mark.parametrize(
    ("registered", "key", "problems"),
    [
        ({"url": URL, "key": KEY, "events": list(EVENTS)}, "ours", []),
        ({"url": URL, "key": OLD, "events": list(EVENTS)}, "ours", []),
        ({"url": URL, "key": "********", "events": list(EVENTS)}, "another", []),
        ({"url": URL, "key": None, "events": list(EVENTS)}, "none", ["no key is registered, and callbacks"]),
        (
            {"url": URL, "events": list(EVENTS[2:])},
            "none",
            ["no key", "events are off: PACKAGE_CREATE, PACKAGE_ACTIVATE"],
        ),
        ({"url": "https://old.host/x", "key": KEY, "events": list(EVENTS)}, "ours", ["another address is registered"]),
        ({"url": "", "key": "", "events": []}, "none", ["no address is registered", "events are off: PACKAGE_CREATE"]),
        ({}, "none", ["no address is registered", "events are off: PACKAGE_CREATE"]),
        ({"url": None, "key": None, "events": None}, "none", ["no address is registered", "events are off"]),
    ],
)
def test_a_look_tells_what_is_off(
    tmp_path: Path, server: OneSpan, registered: dict[str, object], key: str, problems: list[str]
) -> None:
    """And what else would cost callbacks; exit 1 if there is anything. Nothing is changed."""
    server.registration = registered
    found = site(tmp_path, server)
    done = found.run("register", "onespan", URL, "--check", "--json")
    assert done.code == (1 if problems else 0)
    assert told(done)["key"] == key
    assert told(done)["off"] == [event for event in EVENTS if event not in (registered.get("events") or ())]  # type: ignore[operator]
    assert len(told(done)["problems"]) == len(problems)
    assert all(known.startswith(problem) for known, problem in zip(told(done)["problems"], problems, strict=True))
    shown = found.run("register", "onespan", URL, "--check")
    assert shown.code == done.code
    assert [line[2:] for line in shown.out.splitlines() if line.startswith("! ")] == told(done)["problems"]
    assert all(shown.out.split().count(event) + shown.out.split().count(f"{event},") == 1 for event in EVENTS)
    assert set(calls(server)) == {"read"}
    assert not any(secret in done.out + shown.out for secret in (KEY, OLD, "********"))


def test_a_look_needs_no_address(tmp_path: Path, server: OneSpan) -> None:
    """Whatever is registered is shown."""
    server.registration = {"url": "https://old.host/x", "key": KEY, "events": list(EVENTS)}
    done = site(tmp_path, server).run("register", "onespan", "--check", "--json")
    assert (done.code, told(done)["url"]) == (0, "https://old.host/x")


def test_the_result_is_what_the_provider_says_then(tmp_path: Path, server: OneSpan) -> None:
    """An event that it did not take is off, and that is no success."""
    done = site(tmp_path, server).run("register", "onespan", URL, "--yes", "--json")
    assert (done.code, told(done)["off"], told(done)["events"]) == (0, [], list(EVENTS))
    server.faults.add("callback.register", faults.Status(200, body=b"{}"))
    server.registration = {"url": URL, "key": KEY, "events": ["PACKAGE_COMPLETE"]}
    done = site(tmp_path, server).run("register", "onespan", URL, "--yes", "--json")
    assert done.code == 1
    assert len(told(done)["off"]) == len(EVENTS) - 1


HEADER = f'callback_header = "X-Key"\n{KEYED}'
OPEN = 'path_secret = "abcdefghijklmn"\n'
CLIENT = 'callback_client_id = "c"\ncallback_client_secrets = ["abcdefghijklmn"]\n'


@pytest.mark.parametrize(
    ("source", "key"),
    [(KEYED, KEY), (HEADER, None), (OPEN, None), (KEYED + CLIENT, KEY)],
    ids=["key", "header", "path", "both"],
)
def test_a_key_is_registered_where_one_is_shown_in_the_usual_place(
    tmp_path: Path, server: OneSpan, source: str, key: str | None
) -> None:
    """Not where it comes in a header of its own: that is set up in the provider's pages."""
    assert site(tmp_path, server, source).run("register", "onespan", f"{URL}/abcdefghijklmn", "--yes").code == 0
    assert sent(server)[0].get("key") == key


def test_oauth2_is_not_taken_away(tmp_path: Path, server: OneSpan) -> None:
    """It cannot be registered by API; to look does no harm."""
    found = site(tmp_path, server, CLIENT)
    done = found.run("register", "onespan", URL, "--yes")
    assert (done.code, sent(server)) == (2, [])
    assert "OAuth 2.0 for callbacks is set up in the provider's own pages" in done.err
    server.registration = {"url": URL, "key": "", "events": list(EVENTS)}
    assert found.run("register", "onespan", URL, "--check").code == 0


@pytest.mark.parametrize(
    ("url", "note"),
    [
        (URL, None),
        ("https://your.host//callbacks/onespan/", None),
        ("https://your.host/callback", None),
        ("https://your.host/", "The door takes no callbacks of onespan at /, but at /callbacks/onespan."),
        ("https://your.host/callbacks/onspan", "The door takes no callbacks of onespan at /callbacks/onspan"),
        ("https://your.host/oauth/onespan/token", "The door takes no callbacks of onespan at"),
    ],
)
def test_an_address_that_the_door_does_not_know_is_said(
    tmp_path: Path, server: OneSpan, url: str, note: str | None
) -> None:
    """Said, not refused: a proxy may change the path."""
    done = site(tmp_path, server).run("register", "onespan", url, "--yes")
    assert done.code == 0
    assert done.err.startswith(note) if note else done.err == ""
    assert sent(server)[0]["url"] == url


def test_the_secret_in_the_path_belongs_into_the_address_and_not_onto_the_screen(
    tmp_path: Path, server: OneSpan
) -> None:
    """Without it all callbacks would be refused."""
    found = site(tmp_path, server, OPEN)
    assert "is not where it should be" in found.run("register", "onespan", URL, "--yes").err
    done = found.run("register", "onespan", f"{URL}/abcdefghijklmn", given=b"y\n")
    assert sent(server)[-1]["url"] == f"{URL}/abcdefghijklmn"
    assert "is not where it should be" not in done.err
    assert "abcdefghijklmn" not in done.out + done.err
    assert f"{URL}/…" in done.out


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://your.host/callbacks/onespan",
            "your.host/callbacks/onespan",
            "https:///x",
            "ftp://your.host/",
            "https://[",
        ),
        *(
            "https://u:p@your.host/",
            "https://your.host/#x",
            "https://your.host/a b",
            "https://yöur.host/",
            "https://x/\n",
        ),
    ],
)
def test_what_no_provider_could_call_is_refused(tmp_path: Path, server: OneSpan, url: str) -> None:
    """Before anything is asked."""
    done = site(tmp_path, server).run("register", "onespan", url, "--yes")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("signlog: URL: ")
    assert server.requests == ()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Missing argument 'SOURCE'"),
        (["onespan"], "name the URL to register, or say --check"),
        (["onespan", URL, "--json"], "--json asks nothing; add --yes, or --check"),
        (["--chek"], "No such option: --chek"),
    ],
)
def test_wrong_usage(tmp_path: Path, server: OneSpan, arguments: list[str], told: str) -> None:
    """Exit 2, and what to type."""
    done = site(tmp_path, server).run("register", *arguments)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert server.requests == ()


@pytest.mark.parametrize(
    ("config", "name", "code", "told"),
    [
        (
            "[sources.onespan]\n" + KEYED,
            "onespan",
            2,
            "sources.onespan.api_key: required to ask onespan; or set a client",
        ),
        ("[sources.onespan]\n" + KEYED, "other", 1, "there is no source other; configured: onespan"),
        ("", "onespan", 1, "there is no source onespan; configured: none"),
        ("[sources.evrotrust]\nunauthenticated = true", "evrotrust", 1, "evrotrust registers nothing: each request"),
    ],
)
def test_without_a_registration_to_ask_for(tmp_path: Path, config: str, name: str, code: int, told: str) -> None:
    """A sentence that says why."""
    done = Site(tmp_path, config).run("register", name, URL, "--yes")
    assert (done.code, done.out) == (code, "")
    assert told in done.err


@pytest.mark.parametrize("call", ["callback.read", "callback.register"])
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (faults.Status(401), "the provider refused the API key"),
        (faults.Status(403), "HTTP 403"),
        (faults.Status(400, body=b'{"code":400,"message":"no"}'), "HTTP 400"),
        (faults.Status(500), "HTTP 500"),
        (faults.Dropped(), "no whole answer"),
    ],
    ids=repr,
)
def test_what_the_provider_answers_instead(
    tmp_path: Path, server: OneSpan, call: str, fault: faults.Fault, told: str
) -> None:
    """Exit 1, and what it was."""
    server.faults.stand(call, fault)
    done = site(tmp_path, server).run("register", "onespan", URL, "--yes", "--json")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("signlog: onespan: the provider's API did not do it: ")
    assert told in done.err


@pytest.mark.parametrize("body", [b"<html>", b"[7]", b'{"events":7}', b'{"events":[7]}', b'{"url":{}}', b"[" * 100_000])
def test_an_answer_that_is_none(tmp_path: Path, server: OneSpan, body: bytes) -> None:
    """Nothing is registered over what nobody could read."""
    server.faults.add("callback.read", faults.Status(200, body=body))
    done = site(tmp_path, server).run("register", "onespan", URL, "--yes")
    assert done.code == 1
    assert "that is no registration" in done.err
    assert sent(server) == []
