"""Commands that decide: downloads retry, quarantine accept and drop. What is decided stands in the log, and why."""

import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from listener import bootstrap
from listener.door.gate import Gate
from listener.provider import named
from tests.site import DASHED, ID, ONESPAN, Site, abandoned, callback, failed

ME = pwd.getpwuid(os.getuid()).pw_name
BODY = b'{"name":"PACKAGE_CREATE","packageId":"q"}'
WHY = ("--reason", "because I say so")


def newest(site: Site) -> dict[str, Any]:
    """The newest event, whole."""
    position = site.run("events", "--limit", "1", "--json").lines[0]["position"]
    found: dict[str, Any] = site.run("show", str(position), "--json").json
    return found


def shown(site: Site, key: str) -> str:
    """What the door writes into quarantine of the key that a callback showed."""
    gate = Gate("onespan", site.settings.sources["onespan"], named("onespan"), bootstrap.secret(site.settings))
    return gate.ask([(b"authorization", b"Basic " + key.encode())], (), "192.0.2.7").shown


def ids(site: Site) -> list[int]:
    """The numbers that are in quarantine."""
    return [one["id"] for one in site.run("quarantine", "--json").json]


# signlog downloads retry


def test_what_failed_is_to_be_tried_again(tmp_path: Path) -> None:
    """The decision lists what it is about, who decided, and why; folded, the documents are due at once."""
    later = failed("documents.zip", DASHED, next_at=4_000_000_000_000_000)
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE", DASHED), later, abandoned("evidence.pdf", DASHED))
    done = site.run("downloads", "retry", *WHY, "--json")
    names = ("documents.zip", "evidence.pdf")
    assert done.json == {
        "positions": [5],
        "artifacts": [{"source": "onespan", "subject": DASHED, "name": name} for name in names],
    }
    decided = newest(site)
    assert (decided["kind"], decided["name"], decided["credential"]) == ("decision", "retry", f"operator:{ME}")
    assert json.loads(decided["body"]) == {
        "action": "retry",
        "reason": "because I say so",
        "operator": ME,
        "artifacts": [["onespan", DASHED, name] for name in names],
    }
    site.fold()
    assert {(one["state"], one["next_at"]) for one in site.run("downloads", "--json").json} == {("wanted", None)}


@pytest.mark.parametrize(
    ("which", "names"),
    [
        (["onespan"], ["documents.zip", "evidence.pdf", "evidence.pdf"]),
        (["onespan", DASHED], ["evidence.pdf"]),
        (["onespan", ID, "evidence.pdf"], ["evidence.pdf"]),
    ],
)
def test_only_what_is_named_is_tried_again(tmp_path: Path, which: list[str], names: list[str]) -> None:
    """A source, one of its subjects, one document."""
    acts = [failed("documents.zip"), failed("evidence.pdf"), failed("evidence.pdf", DASHED)]
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"), callback("PACKAGE_COMPLETE", DASHED), *acts)
    done = site.run("downloads", "retry", *which, *WHY, "--json")
    assert [one["name"] for one in done.json["artifacts"]] == names


def test_trying_again_for_people(tmp_path: Path) -> None:
    """What is tried again, and what shows what comes of it."""
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"), failed())
    done = site.run("downloads", "retry", *WHY)
    assert f"onespan  {ID}  evidence.pdf" in done.out
    assert "'signlog downloads' shows what comes of it" in done.err


def test_there_is_nothing_to_try_again(tmp_path: Path) -> None:
    """Exit 1, and nothing is decided: what is wanted is under way already."""
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"))
    done = site.run("downloads", "retry", "onespan", ID, *WHY, "--json")
    assert (done.code, done.out) == (1, "")
    assert done.err == "signlog: nothing to try again: no such document failed or was given up\n"
    assert newest(site)["position"] == 2


@pytest.mark.parametrize("command", [["downloads", "retry"], ["quarantine", "accept", "1"]])
def test_nothing_is_decided_without_a_reason(tmp_path: Path, command: list[str]) -> None:
    """Exit 2; an empty one is none."""
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"), failed())
    for reason in ([], ["--reason", ""], ["--reason", " "]):
        done = site.run(*command, *reason)
        assert (done.code, done.out) == (2, "")
        assert "--reason" in done.err
    assert newest(site)["position"] == 3


def test_who_decides_is_the_account_not_what_the_environment_says(tmp_path: Path) -> None:
    """An auditor must be able to rely on it."""
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"), failed())
    site.run("downloads", "retry", *WHY, env={"LOGNAME": "mallory", "USER": "mallory"})
    assert newest(site)["credential"] == f"operator:{ME}"


# signlog quarantine accept


def test_a_refused_callback_is_accepted(tmp_path: Path) -> None:
    """As an import, whole, behind the decision that says why; the quarantine has it no more."""
    site = Site(tmp_path)
    number = site.refuse(BODY, headers='[["host","x"]]')
    done = site.run("quarantine", "accept", str(number), *WHY, "--json")
    assert (done.json, ids(site)) == ({"positions": [3]}, [])
    taken = newest(site)
    known = ("kind", "source", "path", "client", "credential", "name", "subject", "body", "headers")
    assert [taken[key] for key in known] == [
        "import",
        "onespan",
        "/callbacks/onespan",
        "192.0.2.7",
        f"operator:{ME}",
        "PACKAGE_CREATE",
        "q",
        BODY.decode(),
        [["host", "x"]],
    ]
    decided = json.loads(site.run("show", "2", "--json").json["body"])
    assert (decided["action"], decided["reason"]) == ("accept", f"quarantine {number}: because I say so")


def test_an_accepted_callback_is_folded_like_any_other(tmp_path: Path) -> None:
    """Whoever vouched for it."""
    site = Site(tmp_path)
    site.run("quarantine", "accept", str(site.refuse(BODY)), *WHY)
    site.fold()
    assert site.run("status", "onespan", "q", "--json").json["stage"] == "draft"


def test_those_whose_key_is_configured_by_now_are_accepted(tmp_path: Path) -> None:
    """And no others: not a forged one, not one of which only a part was kept."""
    site = Site(tmp_path)
    site.append()
    right, wrong = shown(site, "the-new-key"), shown(site, "a-forged-key")
    for known in ({"shown": right}, {"shown": wrong}, {"shown": right, "whole": False}, {"shown": right}):
        site.refuse(BODY, **known)
    assert site.run("quarantine", "accept", "--now-valid", *WHY).code == 1
    site.configure('[sources.onespan]\ncallback_keys = ["a-callback-key", "the-new-key"]\n')
    done = site.run("quarantine", "accept", "--now-valid", *WHY)
    assert (done.code, done.out, ids(site)) == (0, "Accepted 2, as events 3, 5.\n", [2, 3])


def test_nothing_would_be_let_in_by_now(tmp_path: Path) -> None:
    """Exit 1, and nothing is decided."""
    site = Site(tmp_path)
    site.refuse(BODY)
    done = site.run("quarantine", "accept", "--now-valid", *WHY, "--json")
    assert (done.code, done.out) == (1, "")
    assert "nothing in quarantine would be let in by now" in done.err
    assert (ids(site), newest(site)["position"]) == ([1], 1)


def test_a_callback_for_an_unknown_source_is_accepted_for_a_known_one(tmp_path: Path) -> None:
    """A typo in a configured address must not cost a callback."""
    site = Site(tmp_path)
    number = site.refuse(BODY, source="onespn", status=404, reason="unknown source", path="/callbacks/onespn")
    done = site.run("quarantine", "accept", str(number), *WHY)
    assert (done.code, done.out, ids(site)) == (2, "", [number])
    assert done.err == "signlog: onespn is no configured source; name one with --source: onespan\n"
    assert site.run("quarantine", "accept", str(number), "--source", "onespan", *WHY).code == 0
    assert newest(site)["source"] == "onespan"


def test_nothing_is_accepted_without_a_source(tmp_path: Path) -> None:
    """With none configured there is none to name."""
    site = Site(tmp_path, "")
    done = site.run("quarantine", "accept", str(site.refuse(BODY)), *WHY)
    assert (done.code, done.err) == (2, "signlog: onespan is no configured source; none is yet: configure one first\n")


def test_a_part_of_a_callback_is_not_accepted(tmp_path: Path) -> None:
    """Bytes in, bytes out: never a body cut short."""
    site = Site(tmp_path)
    done = site.run("quarantine", "accept", str(site.refuse(BODY, whole=False)), *WHY)
    assert (done.code, done.out, ids(site)) == (1, "", [1])
    assert "1 is not whole: only its first 41 bytes were kept" in done.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name one number, or --now-valid"),
        (["1", "--now-valid"], "name one number, or --now-valid"),
        (["--now-valid", "--source", "onespan"], "--source is for one number"),
        (["x"], "N"),
        (["0"], "N"),
    ],
)
def test_what_to_accept_must_be_clear(tmp_path: Path, arguments: list[str], told: str) -> None:
    """Exit 2, and nothing is accepted."""
    site = Site(tmp_path)
    site.refuse(BODY)
    done = site.run("quarantine", "accept", *arguments, *WHY)
    assert (done.code, done.out, ids(site)) == (2, "", [1])
    assert told in done.err


def test_a_number_that_is_not_there(tmp_path: Path) -> None:
    """Exit 1."""
    site = Site(tmp_path, ONESPAN).filled()
    assert site.run("quarantine", "accept", "7", *WHY).code == 1


# signlog quarantine drop


def test_a_refused_callback_is_dropped(tmp_path: Path) -> None:
    """For good, and once; the log does not change."""
    site = Site(tmp_path)
    number = site.refuse(BODY)
    assert site.run("quarantine", "drop", str(number), "--json").json == {"dropped": number}
    assert (ids(site), newest(site)["position"]) == ([], 1)
    assert site.run("quarantine", "drop", str(number)).code == 1
    assert site.run("quarantine", "drop", str(site.refuse(BODY))).out == f"Dropped {number + 1}.\n"
