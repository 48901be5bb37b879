"""signlog expect: what somebody says of a transaction, found again, overdue, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from listener import times
from listener.log.append import now
from tests.evro import ID, callback
from tests.site import ONESPAN, Site

EVROTRUST = '[sources.evrotrust]\nallow = ["192.0.2.1"]\nartifacts = []\n'
HOUR = 3600 * 1_000_000


def site(tmp_path: Path) -> Site:
    """One with a source of each provider, and a worker's heart that has beaten."""
    return Site(tmp_path, EVROTRUST + ONESPAN).filled()


def expect(found: Site, *arguments: str) -> int:
    """Say it, and fold it; the position of the decision."""
    done = found.run("expect", *arguments, "--json")
    assert (done.code, done.err) == (0, "")
    found.fold()
    position: int = done.json["position"]
    return position


def listed(found: Site, *options: str) -> list[dict[str, Any]]:
    """What `signlog status` lists."""
    rows: list[dict[str, Any]] = found.run("status", *options, "--json").json
    return rows


def overdue(found: Site) -> list[str]:
    """Alarms about deadlines."""
    return [alarm for alarm in found.run("health", "--json").json["alarms"] if "should have ended" in alarm]


def test_what_was_said_is_shown(tmp_path: Path) -> None:
    """All of it, before any callback; it is a decision in the log, with who made it and why."""
    found = site(tmp_path)
    options = ["--kind", "group", "--thread", "1F40", "--key", "2026", "--reference", "order-17", "--reason", "by hand"]
    position = expect(found, "evrotrust", ID, *options, "--deadline", "2126-12-24T12:00:00Z")
    shown = found.run("status", "evrotrust", ID, "--json").json
    assert {name: shown[name] for name in ("kind", "thread", "key", "reference", "deadline", "expected", "stage")} == {
        "kind": "group",
        "thread": "1F40",
        "key": "2026",
        "reference": "order-17",
        "deadline": "2126-12-24T12:00:00.000000Z",
        "expected": True,
        "stage": "in_progress",
    }
    event = found.run("show", str(position), "--json").json
    assert (event["kind"], event["source"], event["provider"]) == ("decision", "evrotrust", "evrotrust")
    assert (event["subject"], event["name"]) == (ID, "expected")
    assert event["credential"].startswith("operator:")
    assert '"reason":"by hand"' in event["body"]
    assert "expected: order-17 group by hand" in found.run("timeline", "evrotrust", ID).out


def test_it_is_found_by_what_it_is_called(tmp_path: Path) -> None:
    """Several may be called the same; what nobody called so is not found."""
    found = site(tmp_path)
    for subject, reference in (("1", "order-17"), ("2", "order-18"), ("3", "order-17")):
        expect(found, "evrotrust", subject, "--reference", reference)
    assert [row["id"] for row in listed(found, "--reference", "order-17")] == ["3", "1"]
    assert listed(found, "--reference", "order-1") == []
    assert "order-18" in found.run("status", "--reference", "order-18").out


def test_the_unexpected_is_shown_as_such_and_refused_nothing(tmp_path: Path) -> None:
    """In a source of which somebody expects something; elsewhere nobody knows."""
    found = site(tmp_path)
    found.append(callback("other"))
    found.fold()
    assert [row["expected"] for row in listed(found)] == [None]
    expect(found, "evrotrust", ID)
    expect(found, "onespan", "-package=")
    found.append(callback(ID))
    found.fold()
    rows = {row["id"]: (row["expected"], row["stage"]) for row in listed(found)}
    assert rows == {"other": (False, "completed"), ID: (True, "completed"), "-package=": (True, "in_progress")}


def test_a_deadline_that_has_passed_is_an_alarm_until_it_ended(tmp_path: Path) -> None:
    """By our clock, when somebody looks; whatever the end was."""
    found = site(tmp_path)
    expect(found, "evrotrust", "future", "--deadline", "+1d")
    assert overdue(found) == []
    expect(found, "evrotrust", "late", "--deadline", "1h")
    expect(found, "evrotrust", "later", "--deadline", times.written(now() - HOUR // 2) or "")
    told = "subjects that should have ended by now: 2; the first: 'signlog status evrotrust late'"
    assert overdue(found) == [told]
    health = found.run("health", "--json")
    assert (health.code, health.json["anomalies"]) == (1, 2)
    found.append(callback("late", 1), callback("later", 3))
    found.fold()
    assert overdue(found) == [told.replace("2;", "1;")]
    expect(found, "evrotrust", "late", "--deadline", "+1d")
    assert overdue(found) == []


def test_people_are_told_what_comes_next(tmp_path: Path) -> None:
    """With an id that a shell would take for something else."""
    found = site(tmp_path)
    done = found.run("expect", "onespan", "-a b=", "--reference", "order-17")
    assert (done.code, done.out) == (0, "")
    assert done.err == "Noted at position 2. Where it stands: signlog status onespan '-a b='\n"


def test_a_deadline_that_has_passed_already_is_told(tmp_path: Path) -> None:
    """An age is easily written for a time from now on; it counts all the same."""
    found = site(tmp_path)
    assert "passed" not in found.run("expect", "evrotrust", ID, "--deadline", "+14d").err
    done = found.run("expect", "evrotrust", ID, "--deadline", "14d")
    assert (done.code, done.out) == (0, "")
    assert "has passed already; a time from now on has a plus: +14d.\n" in done.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", ID], "there is no source nowhere; configured: evrotrust, onespan"),
        (["evrotrust", " "], "the id is empty"),
        (
            ["evrotrust", ID, "--kind", "fax"],
            "--kind: evrotrust has no such kind; write one of: document, group, hash, ",
        ),
        (["onespan", ID, "--kind", "document"], "--kind: onespan has no such kind; leave it out"),
        (["evrotrust", ID, "--deadline", "soon"], "'soon' is no time; write "),
        (["evrotrust", "--kind", "otp"], "Missing argument 'ID'"),
        (["-x", ID], "no such option: -x"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, arguments: list[str], told: str) -> None:
    """Exit status 2, a sentence that says what to write, and nothing in the log."""
    found = site(tmp_path)
    done = found.run("expect", *arguments)
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert len(found.run("events", "--json").lines) == 1
