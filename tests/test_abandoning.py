"""signlog downloads abandon: what a person gives up is not fetched, until a person says otherwise."""

import json
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from listener import acts, decisions
from listener.acts import Act
from listener.demo import faults
from listener.demo.onespan import OneSpan
from listener.desk import downloads
from listener.desk.downloads import Named
from listener.desk.reading import reading
from listener.settings import Source
from listener.worker import claims, schedule
from projections import artifacts, facts
from tests.rig import BOTH, EVIDENCE, SOURCE, ZIP, Worker, add, artifact, completed, fresh, tables
from tests.rig import ID as PACKAGE
from tests.rig import callback as told
from tests.site import DASHED, ID, Site, abandoned, callback, failed, stored

PDFS = "document-*.pdf"
ME = pwd.getpwuid(os.getuid()).pw_name
WHY = ("--reason", "deleted at the provider")


def states(site: Site) -> dict[tuple[str, str], str]:
    """What is shown of each document."""
    return {(one["subject"], one["name"]): one["state"] for one in site.run("downloads", "--json").json}


def held(*names: str, subject: str = ID) -> Any:
    """What a replay decides about what only it wants."""
    listed = tuple(acts.Artifact("onespan", subject, name) for name in names)
    return acts.decision(Act(facts.HELD, artifacts=listed, reason="only a replay wants it"), ME, acts.HELD_PATH)


# The command


def test_it_is_a_decision_with_a_reason(tmp_path: Path) -> None:
    """It lists each document; folded, they are shown as abandoned, and why."""
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE", DASHED), failed("documents.zip", DASHED))
    done = site.run("downloads", "abandon", "onespan", DASHED, *WHY, "--json")
    names = ("evidence.pdf", "documents.zip")
    assert done.code == 0
    assert done.json == {
        "positions": [4],
        "artifacts": [{"source": "onespan", "subject": DASHED, "name": name} for name in names],
    }
    decided = site.run("show", "4", "--json").json
    assert (decided["kind"], decided["name"], decided["credential"]) == ("decision", "abandon", f"operator:{ME}")
    assert json.loads(decided["body"]) == {
        "action": "abandon",
        "reason": "deleted at the provider",
        "operator": ME,
        "artifacts": [["onespan", DASHED, name] for name in names],
    }
    site.fold()
    assert {*states(site).values()} == {"abandoned"}
    shown = site.run("status", "onespan", DASHED)
    assert shown.out.count("abandoned: deleted at the provider") == 2
    assert "documents.zip abandoned by decision: deleted at the provider" in site.run("timeline", "onespan", DASHED).out


def test_only_what_is_named_is_abandoned(tmp_path: Path) -> None:
    """One document, a subject, a source, or all; what is held, too, and never what is stored."""
    site = Site(tmp_path).filled(
        callback("PACKAGE_COMPLETE"), callback("PACKAGE_COMPLETE", DASHED), stored(), held("documents.zip")
    )
    for which, expected in (
        (["onespan", ID, "documents.zip"], [(ID, "documents.zip")]),
        (["onespan"], [(DASHED, "documents.zip"), (DASHED, "evidence.pdf")]),
    ):
        done = site.run("downloads", "abandon", *which, *WHY, "--json")
        assert sorted((one["subject"], one["name"]) for one in done.json["artifacts"]) == expected
        site.fold()
    assert states(site)[ID, "evidence.pdf"] == "stored"
    done = site.run("downloads", "abandon", "--all", *WHY)
    assert (done.code, done.out) == (1, "")
    assert done.err == "signlog: nothing to abandon: no such document is wanted, held, failed or given up\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*WHY], "name a SOURCE (and an ID), or say --all"),
        (["onespan", "--all", *WHY], "name a SOURCE (and an ID), or say --all"),
        (["--all"], "--reason"),
        (["--all", "--reason", " "], "--reason"),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    """Exit 2, and nothing is decided."""
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"))
    done = site.run("downloads", "abandon", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert {*states(site).values()} == {"wanted"}


def test_what_was_held_stays_held_when_it_is_taken_up_again(tmp_path: Path) -> None:
    """To try again is not to release; released, it is wanted."""
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"), held("documents.zip", "evidence.pdf"))
    for command, state in (("abandon", "abandoned"), ("retry", "held"), ("release", "wanted")):
        assert site.run("downloads", command, "onespan", ID, *WHY).code == 0
        site.fold()
        assert {*states(site).values()} == {state}, command


def test_health_is_content_with_what_a_person_abandoned(tmp_path: Path) -> None:
    """It is counted; what we gave up ourselves is an alarm, which says how to end it."""
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"), failed("documents.zip"), abandoned())
    (alarm,) = [each for each in site.run("health", "--json").json["alarms"] if "given up" in each]
    assert alarm.startswith("documents given up: 1;")
    assert "signlog downloads abandon" in alarm
    assert site.run("downloads", "abandon", "onespan", ID, *WHY).code == 0
    site.fold()
    found = site.run("health", "--json").json
    assert (found["abandoned"], [each for each in found["alarms"] if "given up" in each]) == (2, [])


# The worker


@pytest.fixture
def server() -> Iterator[OneSpan]:
    """An account with one package that is signed by all."""
    with OneSpan() as found:
        completed(found)
        yield found


def abandon(worker: Worker, *names: str) -> None:
    """Decide, and fold nothing yet."""
    decisions.abandon(worker.database, [artifact(name=name) for name in names], "ana", "nobody needs it")


def test_what_is_abandoned_is_not_fetched(tmp_path: Path, server: OneSpan) -> None:
    """The other one is. No callback, no answer of the API and no restart brings it back; a replay says the same."""
    with Worker(tmp_path, server.url) as worker:
        worker.add(told("PACKAGE_COMPLETE"))
        abandon(worker, ZIP)
        worker.rest()
        worker.add(told("PACKAGE_COMPLETE"), told("PACKAGE_COMPLETE"))
        worker.restart()
        worker.rest()
        assert worker.stored() == [(PACKAGE, EVIDENCE)]
        assert server.count("documents.zip") == 0
        assert worker.artifacts()[PACKAGE, ZIP].state == artifacts.ABANDONED
        again = fresh(worker.database, tmp_path / "again", "0")
        again.catch_up()
        assert tables(again.views) == tables(worker.projector.views)
        again.close()


def test_a_person_brings_it_back(tmp_path: Path, server: OneSpan) -> None:
    """By trying it again; then it is stored once."""
    with Worker(tmp_path, server.url) as worker:
        worker.add(told("PACKAGE_COMPLETE"))
        abandon(worker, *BOTH)
        worker.rest()
        assert worker.stored() == []
        decisions.retry(worker.database, [artifact()], "ana", "somebody needs it after all")
        worker.rest()
        assert worker.stored() == [(PACKAGE, ZIP)]


def test_what_is_listed_later_of_an_abandoned_kind_is_not_fetched(tmp_path: Path, server: OneSpan) -> None:
    """Though an answer, which was asked for another document, lists it. A replay says the same; a person may retry."""
    access = {"api_url": server.url, "api_key": server.api_key}
    source = Source(provider="onespan", callback_keys=("k",), artifacts=(PDFS, ZIP), **access)  # type: ignore[arg-type]
    with Worker(tmp_path, sources={SOURCE: source}) as worker:
        worker.add(told("PACKAGE_COMPLETE"))
        abandon(worker, PDFS)
        worker.rest()
        assert (worker.stored(), server.count("document.pdf")) == ([(PACKAGE, ZIP)], 0)
        found = {name: (state.state, state.error) for (_, name), state in worker.artifacts().items()}
        given_up = (artifacts.ABANDONED, "nobody needs it")
        (one,) = found.keys() - {PDFS, ZIP}
        assert (found[PDFS], found[one]) == (given_up, given_up)
        again = fresh(worker.database, tmp_path / "again", "0")
        again.catch_up()
        assert tables(again.views) == tables(worker.projector.views)
        again.close()
        with reading(worker.database) as at:
            listed = downloads.retryable(at, worker.settings, Named(SOURCE, PACKAGE, PDFS))
            assert downloads.retryable(at, worker.settings, Named(SOURCE, PACKAGE, one)) == [artifact(name=one)]
        assert sorted(each.name for each in listed) == sorted([PDFS, one])
        decisions.retry(worker.database, listed, "ana", "somebody needs them after all")
        worker.rest()
        assert worker.stored() == sorted([(PACKAGE, ZIP), (PACKAGE, one)])


def test_views_that_have_not_heard_of_it_fetch_nothing(tmp_path: Path, server: OneSpan) -> None:
    """The decision is in the log, and whoever claims looks there."""
    with Worker(tmp_path, server.url) as worker:
        (completion,) = worker.add(told("PACKAGE_COMPLETE"))
        assert worker.downloads._claims.take(artifact(), 1, completion) == 1
        abandon(worker, ZIP)
        claims.forget(worker.database)
        assert worker.downloads._claims.take(artifact(), 1, completion) is None
        assert worker.downloads._claims.take(artifact(name=EVIDENCE), 1, completion + 1) == 1


@pytest.mark.parametrize("end", [facts.FAILED, facts.ABANDONED, facts.LISTED])
def test_a_try_that_was_under_way_changes_nothing(tmp_path: Path, end: str) -> None:
    """It fails behind the decision, and the decision stands; a document that came all the same is one."""
    with Worker(tmp_path) as worker:
        worker.add(told("PACKAGE_COMPLETE"))
        abandon(worker, ZIP)
        worker.add(acts.outcome(artifact(), SOURCE, Act(end, attempt=1, next_at=1, reason="HTTP 500")))
        state = worker.artifacts()[PACKAGE, ZIP]
        assert (state.state, state.error) == (artifacts.ABANDONED, "nobody needs it")
        worker.add(acts.outcome(artifact(), SOURCE, Act(facts.STORED, attempt=1, sha256="00", size=1, path="x")))
        assert worker.artifacts()[PACKAGE, ZIP].state == artifacts.STORED


def test_what_we_gave_up_ourselves_does_come_back(
    tmp_path: Path, server: OneSpan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter-example: with a further completion, since nobody decided that it never should."""
    monkeypatch.setattr(schedule, "RETRIES", 0)
    with Worker(tmp_path, server.url) as worker:
        server.faults.add("documents.zip", faults.Status(500))
        worker.add(told("PACKAGE_COMPLETE"))
        worker.rest()
        assert worker.artifacts()[PACKAGE, ZIP].state == artifacts.ABANDONED
        add(worker.database, told("PACKAGE_COMPLETE"))
        worker.rest()
        assert worker.stored() == sorted((PACKAGE, name) for name in BOTH)
