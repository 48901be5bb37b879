"""signlog faults: what could not be taken in, what waits behind it, and how a replay with mended code takes it in."""

import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from listener import bootstrap, fingerprint
from listener.shelf import shelf
from listener.worker.projector import Projector
from projections import course
from tests.site import Site, callback

ME = pwd.getpwuid(os.getuid()).pw_name
COLUMNS = {"position", "source", "subject", "error", "attempts", "tried_with", "this_code", "waiting"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Five steps are too many for the code that folded; another package, and a body that nobody can read."""
    found = Site(tmp_path)
    flood = [callback("PACKAGE_ACTIVATE", "-flooded", f"2026-11-20T09:0{minute}:00Z") for minute in range(6)]
    found.append(*flood, callback("PACKAGE_CREATE", "fine"), callback("", "")._replace(body=b"{"))
    fold(found, fingerprint.fingerprint())
    return found


def fold(site: Site, code: str) -> None:
    """As a worker does whose code takes three steps for too many."""
    with pytest.MonkeyPatch.context() as patched, bootstrap.log(site.settings) as database:
        patched.setattr(course, "MOST_STEPS", 3)
        projector = Projector(database, shelf(database), code)
        projector.catch_up()
        projector.close()


def test_faults_are_listed_with_what_waits_behind_them(site: Site) -> None:
    """In the order of the log; whoever cannot be named has nobody behind it."""
    found = site.run("faults", "--json").json
    assert [set(fault) for fault in found] == [COLUMNS] * 2
    assert [(fault["position"], fault["subject"], fault["waiting"]) for fault in found] == [
        (5, "-flooded", 2),
        (9, None, 0),
    ]
    tried = {(fault["attempts"], fault["tried_with"], fault["this_code"]) for fault in found}
    assert tried == {(1, fingerprint.fingerprint(), True)}
    assert "-flooded" in site.run("faults").out
    assert "signlog faults skip N --reason" in site.run("faults").err


def test_one_is_shown_or_is_none(site: Site) -> None:
    """With what to type next; exit 1 where there is no fault."""
    done = site.run("faults", "show", "5")
    assert (done.code, "3 changes" in done.out, "signlog show 5" in done.err) == (0, True, True)
    assert site.run("faults", "show", "5", "--json").json[0]["position"] == 5
    assert site.run("faults", "show", "1").code == 1


def test_a_replay_with_mended_code_takes_them_in(site: Site) -> None:
    """The plan tells it as a difference; what nobody can read stays a fault, and is no new one."""
    plan = site.run("replay", "--plan", "--json").json
    assert plan["different"] is True
    assert [(fault["position"], fault["new"]) for fault in plan["faults"]] == [(9, False)]
    assert site.run("replay", "--apply", plan["digest"]).code == 0
    assert [fault["position"] for fault in site.run("faults", "--json").json] == [9]


def test_without_faults_there_is_nothing_to_list(tmp_path: Path) -> None:
    """An empty list for scripts, a sentence for people."""
    site = Site(tmp_path).filled(callback("PACKAGE_CREATE"))
    assert site.run("faults", "--json").json == []
    assert site.run("faults").err == "There are no faults.\n"


WHY = ("--reason", "because I say so")


def newest(site: Site) -> dict[str, Any]:
    """The event that was appended last."""
    found: dict[str, Any] = site.run("events", "--limit", "1", "--json").lines[0]
    return found


def test_a_fault_is_skipped(site: Site) -> None:
    """By a decision that names it; the worker obeys, and what waited is taken in."""
    done = site.run("faults", "skip", "5", "9", *WHY, "--json")
    named = [
        {"position": 5, "source": "onespan", "subject": "-flooded"},
        {"position": 9, "source": "onespan", "subject": None},
    ]
    assert (done.code, done.json) == (0, {"positions": [10], "faults": named})
    decided = newest(site)
    body = {"action": "skip", "positions": [5, 9], "reason": "because I say so", "operator": ME}
    assert (decided["kind"], decided["path"], json.loads(decided["body"])) == ("decision", "/faults", body)
    site.fold()
    assert site.run("faults", "--json").json == []
    told = site.run("timeline", "onespan", "-flooded", "--json").lines
    assert [fact["position"] for fact in told] == [2, 3, 4, 6, 7]


def test_faults_are_tried_again(site: Site) -> None:
    """Those that are named, or all; no reason is asked for."""
    done = site.run("faults", "retry", "9", *WHY, "--json")
    assert [fault["position"] for fault in done.json["faults"]] == [9]
    assert json.loads(newest(site)["body"])["reason"] == "because I say so"
    done = site.run("faults", "retry")
    assert (done.code, "-flooded" in done.out, "'signlog faults' shows what is left" in done.err) == (0, True, True)
    body = {"action": "retry", "positions": [5, 9], "operator": ME}
    assert json.loads(newest(site)["body"]) == body
    site.fold()
    assert [(fault["position"], fault["attempts"]) for fault in site.run("faults", "--json").json] == [(9, 3)]


def test_mended_code_tries_faults_again_by_itself(site: Site) -> None:
    """Until it has, they were tried with other code; then what is left was tried with this one."""
    fold(site, "old")
    found = site.run("faults", "--json").json
    assert {(fault["attempts"], fault["tried_with"], fault["this_code"]) for fault in found} == {(2, "old", False)}
    site.fold()
    [left] = site.run("faults", "--json").json
    assert (left["position"], left["attempts"], left["this_code"]) == (9, 3, True)


@pytest.mark.parametrize("which", [["1"], ["5", "6"], ["99"], ["5", "99"], [str(2**63)], [str(10**30)]])
@pytest.mark.parametrize("command", ["skip", "retry"])
def test_what_is_no_fault_is_refused(site: Site, command: str, which: list[str]) -> None:
    """Exit 1, and nothing is decided, not even about those that are."""
    done = site.run("faults", command, *which, *WHY, "--json")
    assert (done.code, done.out) == (1, "")
    assert f"no faults, so nothing was decided: {which[-1]};" in done.err
    assert newest(site)["position"] == 9


@pytest.mark.parametrize("arguments", [[], ["5"], ["5", "--reason", " "], ["x", *WHY], ["0", *WHY], ["-5", *WHY], WHY])
def test_what_to_skip_and_why_must_be_said(site: Site, arguments: list[str]) -> None:
    """Exit 2, and nothing is decided."""
    done = site.run("faults", "skip", *arguments)
    assert (done.code, done.out) == (2, "")
    assert newest(site)["position"] == 9


def test_there_is_nothing_to_try_again(tmp_path: Path) -> None:
    """Exit 1."""
    done = Site(tmp_path).filled(callback("PACKAGE_CREATE")).run("faults", "retry")
    assert (done.code, done.err) == (1, "signlog: nothing to try again: there are no faults\n")
