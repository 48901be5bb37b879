"""Questions about the past, and lists by pages: status --as-of, explain, events and their filters, CSV."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from listener import fingerprint, times
from tests.site import DASHED, ID, ONESPAN, Site, abandoned, callback, failed, shapes, stored
from tests.test_cli_reading import ARTIFACT, EVENT, FACT, SUBJECT

EXPLAINED = {"field", "value", "position", "kind", "name", "text", "recorded_at"}
AS_OF = {"position", "recorded_at", "occurred_at", "code_then", "code_now", "faults"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One log for all of them, because none changes it."""
    return Site(tmp_path_factory.mktemp("site"), ONESPAN).filled(
        callback("PACKAGE_CREATE", at="2026-11-20T09:00:00.000Z"),  # 2
        callback("PACKAGE_ACTIVATE", at="2026-11-20T09:01:00.000Z"),  # 3
        callback("SIGNER_COMPLETE", at="2026-11-20T09:03:00.000Z", sessionUser="s1"),  # 4
        callback("PACKAGE_CREATE", "other", "2026-11-20T09:00:00.000Z"),  # 5
        callback("PACKAGE_COMPLETE", at="2026-11-20T09:04:00.000Z"),  # 6
        stored("documents.zip"),  # 7
        failed("evidence.pdf"),  # 8
        callback("PACKAGE_DECLINE", DASHED, "2026-11-20T10:00:00.000Z", message="=HYPERLINK(1)"),  # 9
        callback("PACKAGE_COMPLETE", "other", "2026-11-20T11:00:00.000Z"),  # 10
        abandoned("evidence.pdf", "other"),  # 11
    )


# signlog status --as-of


def test_status_as_of_a_position(site: Site) -> None:
    """What was known there, and what the answer goes by."""
    found = site.run("status", "onespan", ID, "--as-of", "4", "--json").json
    assert set(found) == SUBJECT | {"as_of"}
    assert set(found["as_of"]) == AS_OF
    assert (found["stage"], found["last_position"], found["artifacts"]) == ("in_progress", 4, [])
    assert (found["as_of"]["position"], found["as_of"]["faults"]) == (4, [])
    assert found["as_of"]["code_then"]["fingerprint"] == fingerprint.fingerprint()
    later = site.run("status", "onespan", ID, "--as-of", "8", "--json").json
    today = site.run("status", "onespan", ID, "--json").json
    assert {**later, "as_of": None} == {**today, "as_of": None}
    assert shapes(later["artifacts"]) == {frozenset(ARTIFACT)}


def test_status_as_of_a_time(site: Site) -> None:
    """By our clock; before the first event nothing was known."""
    assert site.run("status", "onespan", ID, "--as-of", "2999-01-01", "--json").json["stage"] == "completed"
    done = site.run("status", "onespan", ID, "--as-of", "1h", "--json")
    assert (done.code, done.out) == (1, "")
    assert "nothing is known of" in done.err


def test_status_as_of_the_provider(site: Site) -> None:
    """By its clock."""
    done = site.run("status", "onespan", ID, "--as-of-provider", "2026-11-20T09:02:00Z", "--json")
    assert done.json["stage"] == "in_progress"
    assert done.json["as_of"]["occurred_at"] == "2026-11-20T09:02:00.000000Z"


def test_status_as_of_for_people(site: Site) -> None:
    """How far the log was read, and that the code is the same."""
    out = site.run("status", "onespan", ID, "--as-of", "4").out
    assert "known up to  4, 2" in out
    assert f"{fingerprint.fingerprint()[:12]}, the same" in out
    assert "kept in event 1" in out


def test_status_as_of_lists(site: Site) -> None:
    """Those that were known, as they stood, those first that had last moved."""
    found = site.run("status", "--as-of", "8", "--json").json
    assert [(one["id"], one["stage"]) for one in found] == [(ID, "completed"), ("other", "draft")]
    assert shapes(found) == {frozenset(SUBJECT | {"as_of"})}
    assert [one["id"] for one in site.run("status", "--as-of", "8", "--stage", "draft", "--json").json] == ["other"]
    assert [one["id"] for one in site.run("status", "--as-of", "8", "--before", "6", "--json").json] == ["other"]


def test_a_list_by_the_clock_of_the_provider_is_refused(site: Site) -> None:
    """The sentence says why, and what there is."""
    done = site.run("status", "--as-of-provider", "2026-11-20")
    assert (done.code, done.out) == (2, "")
    assert "name a SOURCE and an ID" in done.err


def test_status_goes_on_before_a_position(site: Site) -> None:
    """A page ends with the position to go on from."""
    first = site.run("status", "--limit", "1", "--json").json
    assert [one["id"] for one in first] == ["other"]
    rest = site.run("status", "--before", str(first[-1]["last_position"]), "--json").json
    assert [one["id"] for one in rest] == [DASHED, ID]


# signlog explain


def test_explain_is_one_json_value(site: Site) -> None:
    """The field, its value, and the event that made it so; as it is, and as it was."""
    found = site.run("explain", "onespan", ID, "stage", "--json").json
    assert set(found) == EXPLAINED
    assert {**found, "recorded_at": ""} == {
        "field": "stage",
        "value": "completed",
        "position": 6,
        "kind": "callback",
        "name": "PACKAGE_COMPLETE",
        "text": "completed",
        "recorded_at": "",
    }
    assert found["recorded_at"] == times.written(times.read(found["recorded_at"]))
    before = site.run("explain", "onespan", ID, "stage", "--as-of", "5", "--json").json
    assert (before["value"], before["position"]) == ("in_progress", 3)


@pytest.mark.parametrize(
    ("field", "value", "position"),
    [
        ("signers.s1.completed", True, 4),
        ("artifacts.documents.zip.state", "stored", 7),
        ("artifacts.documents.zip.sha256", "ab" * 32, 7),
        ("first_position", 2, 2),
        ("trashed", False, 2),
        ("reason", None, None),
    ],
)
def test_explain_fields(site: Site, field: str, value: Any, position: int | None) -> None:
    """Those in lists by the id of their member."""
    found = site.run("explain", "onespan", ID, field, "--json").json
    assert (found["value"], found["position"]) == (value, position)


def test_explain_for_people(site: Site) -> None:
    """And what shows the event, if there is one; an id may begin with a dash."""
    done = site.run("explain", "onespan", DASHED, "reason")
    assert "PACKAGE_DECLINE" in done.out
    assert done.err == "'signlog show 9' shows the event.\n"
    assert site.run("explain", "onespan", ID, "reason").err == "No event has set it.\n"


def test_explain_what_is_not_there(site: Site) -> None:
    """Exit 1: the fields that there are, or whom nobody knows."""
    done = site.run("explain", "onespan", ID, "stages", "--json")
    assert (done.code, done.out) == (1, "")
    assert "no field 'stages'; near it: stage" in done.err
    assert "it has: source, id, provider, status, stage, " in site.run("explain", "onespan", ID, "colour").err
    assert site.run("explain", "onespan", "nobody", "stage").code == 1


# signlog events


@pytest.mark.parametrize(
    ("options", "positions"),
    [
        (["--contains", '"s1"'], [4]),
        (["--contains", "no such text"], []),
        (["--subject", ID, "--name", "PACKAGE_CREATE"], [2]),
        (["--subject", "other", "--kind", "outcome"], [11]),
        (["--before", "4"], [1, 2, 3]),
        (["--before", "4", "--limit", "2"], [2, 3]),
        (["--after", "3", "--before", "6"], [4, 5]),
        (["--name", "PACKAGE_CREATE", "--after", "2", "--limit", "1"], [5]),
        (["--since", "1h", "--until", "2999-01-01", "--limit", "1"], [11]),
        (["--kind", "decision"], [1]),
        (["--kind", "import"], []),
    ],
)
def test_events_that_fit(site: Site, options: list[str], positions: list[int]) -> None:
    """Each option narrows the list, and they go together."""
    done = site.run("events", "--json", *options)
    assert (done.code, [line["position"] for line in done.lines]) == (0, positions)


def test_events_from_and_until_a_time(site: Site) -> None:
    """One time parts the log in two: what is until it is not since it."""
    every = site.run("events", "--json").lines
    for line in every[::4]:
        before = site.run("events", "--json", "--until", line["recorded_at"]).lines
        behind = site.run("events", "--json", "--since", line["recorded_at"]).lines
        assert before + behind == every
        assert all(one["recorded_at"] < line["recorded_at"] for one in before)


def test_a_list_for_people_says_where_to_go_on(tmp_path: Path) -> None:
    """Where it was cut, and only there."""
    site = Site(tmp_path).filled(*[callback("PACKAGE_CREATE", str(number)) for number in range(60)])
    assert "go on with --before 12," in site.run("events").err
    assert "go on with --after 51," in site.run("events", "--after", "1").err
    assert "go on with --before 12," in site.run("status").err
    for command in (["events", "--limit", "50"], ["events", "--before", "12"], ["status", "--before", "12"]):
        assert site.run(*command).err == ""
    assert len(site.run("events", "--before", "12").out.splitlines()) == 12


@pytest.mark.parametrize("option", ["--until", "--before"])
def test_what_is_followed_has_no_end(site: Site, option: str) -> None:
    """Exit 2, at once."""
    done = site.run("events", "--follow", option, "1")
    assert (done.code, done.out) == (2, "")
    assert "--follow goes on" in done.err


# CSV


def rows(text: str) -> list[dict[str, str]]:
    """The rows of a sheet."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_events_as_a_sheet(site: Site) -> None:
    """The same as JSON Lines: all of them, with the same columns."""
    found, lines = rows(site.run("events", "--csv").out), site.run("events", "--json").lines
    assert set(found[0]) == EVENT | {"body_base64"}
    assert [row["position"] for row in found] == [str(line["position"]) for line in lines]
    assert [row["body"] for row in found[1:]] == [line["body"] for line in lines[1:]]
    assert found[8]["subject"] == f"'{DASHED}"


def test_a_timeline_as_a_sheet(site: Site) -> None:
    """With the columns of its JSON; what a stranger wrote is no formula."""
    found = rows(site.run("timeline", "onespan", DASHED, "--csv").out)
    assert set(found[0]) == FACT
    assert found[0]["text"] == "declined: =HYPERLINK(1)"


@pytest.mark.parametrize("command", [["events"], ["timeline", "onespan", ID]])
def test_one_form_at_a_time(site: Site, command: list[str]) -> None:
    """Exit 2."""
    done = site.run(*command, "--csv", "--json")
    assert (done.code, done.out) == (2, "")
    assert "one of --json and --csv at a time" in done.err


# signlog downloads, signlog faults


def test_downloads_and_faults_by_pages(site: Site) -> None:
    """At most so many, those first that last moved; faults behind a position."""
    found = site.run("downloads", "--limit", "2", "--json").json
    assert [(one["subject"], one["name"]) for one in found] == [("other", "evidence.pdf"), ("other", "documents.zip")]
    assert site.run("faults", "--after", "1", "--limit", "1", "--json").json == []
