"""signlog reconcile: what it says, how it ends, that it goes on after it was killed; and the rounds of the worker."""

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from listener.agenda import Agenda
from listener.demo import faults
from listener.demo.onespan import OneSpan
from listener.demo.packages import Package
from listener.log.append import now
from tests.site import DASHED, ID, ONESPAN, Site, until

EVROTRUST = '[sources.evrotrust]\nallow = ["192.0.2.1"]\n'
HOUR = 3600 * 1_000_000


@pytest.fixture
def server() -> Iterator[OneSpan]:
    """An account with two packages that were signed an hour ago."""
    with OneSpan() as found:
        for subject in (ID, DASHED):
            found.add(Package(subject)).finish(datetime.now(UTC) - timedelta(hours=1))
        yield found


def site(tmp_path: Path, server: OneSpan) -> Site:
    """A log that has heard of nothing; both sources are configured, and one may be asked."""
    access = f'api_url = "{server.url}"\napi_key = "demonstration"\n'
    return Site(tmp_path, EVROTRUST + ONESPAN + access).filled()


def missing(found: Any) -> list[str]:
    """The ids that were found only now."""
    return sorted(known["id"] for known in found["missing"])


def test_it_tells_what_was_missed_once(tmp_path: Path, server: OneSpan) -> None:
    """With exit 1; asked again, everybody agrees, and nothing is missing."""
    found = site(tmp_path, server)
    done = found.run("reconcile", "--since", "1d", "--json")
    assert (done.code, done.err, missing(done.json)) == (1, "", sorted([ID, DASHED]))
    assert {key: done.json[key] for key in ("asked", "agreed", "differed")} == {"asked": 2, "agreed": 0, "differed": 2}
    assert {"source": "onespan", "id": ID, "status": "COMPLETED"} in done.json["missing"]
    found.fold()
    again = found.run("reconcile", "onespan", "--since", "1d", "--json")
    quiet = {"differed": 0, "unknown": 0, "unanswered": 0, "missing": [], "without_answer": []}
    assert (again.code, again.json) == (0, {"asked": 2, "agreed": 2, **quiet})
    assert found.run("status", "onespan", ID, "--json").json["missed"] is True


def test_people_are_told_in_words(tmp_path: Path, server: OneSpan) -> None:
    """How many, and which; nothing, where nothing moved."""
    found = site(tmp_path, server)
    counts = ("asked", "agreed", "differed", "unknown", "unanswered")
    assert found.run("reconcile").out.split() == [word for name in counts for word in (name, "0")]
    done = found.run("reconcile", "--since", "1d")
    assert (done.code, done.err) == (1, "")
    assert "Completed, and no callback told:" in done.out
    assert DASHED in done.out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nowhere"], 1, "there is no source nowhere; configured: evrotrust, onespan"),
        (["evrotrust"], 2, "sources.evrotrust.api_key: required to ask the provider"),
        (["onespan", "evrotrust"], 2, "sources.evrotrust.api_key: required"),
        (["--since", "soon"], 2, "'soon' is no time; write "),
        (["--since", "+7d"], 2, "Z is still to come; write an age, such as 7d"),
        (["--since", "2999-01-01"], 2, "--since: 2999-01-01T00:00:00.000000Z is still to come"),
        (["--sinse", "1d"], 2, "No such option"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, server: OneSpan, arguments: list[str], code: int, told: str) -> None:
    """Before anybody is asked."""
    done = site(tmp_path, server).run("reconcile", *arguments)
    assert (done.code, done.out, told in done.err) == (code, "", True)
    assert server.requests == ()


def test_without_access_there_is_nobody_to_ask(tmp_path: Path) -> None:
    """And the sentence says what is missing."""
    done = Site(tmp_path).filled().run("reconcile")
    assert done.code == 2
    assert "no source has access to its provider's API" in done.err


def test_a_provider_that_does_not_answer_is_told(tmp_path: Path, server: OneSpan) -> None:
    """With exit 1, and what was found until then."""
    found = site(tmp_path, server)
    server.faults.add("package", faults.Fault(), faults.Status(401))
    done = found.run("reconcile", "--since", "1d", "--json")
    assert (done.code, done.json["asked"]) == (1, 1)
    assert done.err.startswith("signlog: onespan: HTTP 401")
    assert done.err.endswith("Typed again, it goes on where it was\n")


@pytest.mark.parametrize("fault", [faults.Status(500), faults.Status(406)], ids=str)
def test_what_could_not_be_asked_is_counted_and_named(tmp_path: Path, server: OneSpan, fault: faults.Status) -> None:
    """With exit 1, though the API answers about others and no completion is missing; then it is asked for again."""
    for subject in (ID, DASHED):
        server.packages[subject].status = "SENT"
    found = site(tmp_path, server)
    server.faults.add("package", fault)
    done = found.run("reconcile", "--since", "1d", "--json")
    (lacked,) = done.json["without_answer"]
    assert (done.code, done.json["asked"], done.json["unanswered"], done.json["missing"]) == (1, 1, 1, [])
    assert (lacked["source"], lacked["id"] in (ID, DASHED)) == ("onespan", True)
    assert f"HTTP {fault.code}" in lacked["error"]
    found.fold()
    server.faults.add("package", fault)
    told = found.run("reconcile", "--since", "1d")
    assert (told.code, lacked["id"] in told.out) == (1, True)
    assert "No answer about these; type the same again later:" in told.out
    found.fold()
    assert found.run("reconcile", "--since", "1d").code == 0


def test_it_goes_on_after_it_was_killed(tmp_path: Path, server: OneSpan) -> None:
    """By SIGKILL, while it waited for an answer: what was answered before is not asked for again."""
    found = site(tmp_path, server)
    server.faults.add("package", faults.Fault(), faults.Hung())
    process = found.start("reconcile", "--since", "1d")
    until(lambda: server.count("package") == 2)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    server.faults.clear()
    found.fold()
    done = found.run("reconcile", "--since", "1d", "--json")
    assert (done.json["asked"], done.json["agreed"], len(done.json["missing"])) == (2, 1, 1)
    assert server.count("package") == 3
    found.fold()
    assert found.run("reconcile", "--since", "1d").code == 0


def test_the_worker_does_it_by_itself(tmp_path: Path, server: OneSpan) -> None:
    """At its start, from where the last round ended; and health tells when."""
    found = site(tmp_path, server)
    behind(found)
    process = found.start("serve", "--worker")
    try:
        until(lambda: len(found.run("status", "--stage", "completed", "--json").json) == 2)
        reconciled = until(lambda: found.run("health", "--json").json["sources"]["onespan"]["reconciled"])
        assert (
            f"onespan     no callback yet, compared with the provider at {reconciled[:16]}" in found.run("health").out
        )
        until(lambda: len(found.run("downloads", "--state", "stored", "--json").json) == 4)
    finally:
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert said.count(b"callback_missed") == 2
    assert found.run("health", "--json").json["sources"]["evrotrust"]["reconciled"] is None


def behind(found: Site) -> None:
    """Let the worker's last round have begun some hours ago."""
    agenda = Agenda(found.data)
    agenda.begin("onespan", "worker", now() - 5 * HOUR, now() - 5 * HOUR)
    agenda.finish("onespan", "worker", now() - 5 * HOUR)
    agenda.close()


def test_a_worker_that_gets_no_answer_says_so(tmp_path: Path, server: OneSpan) -> None:
    """In its log at once; health, when it has been so for some hours."""
    found = site(tmp_path, server)
    behind(found)
    server.faults.stand("packages", faults.Status(503))
    process = found.start("serve", "--worker")
    try:
        until(lambda: server.count("packages"))
        until(lambda: trouble(found))
        assert alarms(found) == []
    finally:
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert b"reconciling_broke_off" in said
    agenda = Agenda(found.data)
    agenda.finish("onespan", "worker", now())
    agenda.troubled("onespan", "worker", now() - 3 * HOUR, "HTTP 503")
    agenda.close()
    (told,) = alarms(found)
    assert told.startswith("onespan: not compared with the provider since 2")
    assert told.endswith("Z: HTTP 503")


def trouble(found: Site) -> str | None:
    """Why it does not go on."""
    agenda = Agenda(found.data)
    state = agenda.state("onespan")
    agenda.close()
    return state.trouble


def alarms(found: Site) -> list[str]:
    """About rounds."""
    told: list[str] = found.run("health", "--json").json["alarms"]
    return [alarm for alarm in told if "not compared" in alarm]
