"""Signed documents over real HTTP: asked for when complete, stored once, tried again when something went wrong."""

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
import sqlalchemy
import structlog
from sqlalchemy import Engine
from structlog.testing import capture_logs

from listener import acts, decisions, wire
from listener.acts import Artifact
from listener.demo import bodies, faults, papers
from listener.demo.onespan import OneSpan
from listener.demo.packages import Package
from listener.desk import health
from listener.log import event
from listener.settings import Source
from listener.worker import downloads, due, places, schedule
from projections import artifacts, course, facts
from tests import description
from tests.rig import (
    BOTH,
    EVIDENCE,
    ID,
    NOON,
    SOURCE,
    ZIP,
    Worker,
    artifact,
    callback,
    completed,
    holds,
    paths,
    until,
)

ASK, FETCHES = "package", ("documents.zip", "evidence")
HOSTILE = ("-starts=", "UPPER", "upper", "a/../b", "..%2F", "ünï", "a b?c#d", "a\0b", "x" * 300, "~", "a;b,c&d+e")


@pytest.fixture
def server() -> Iterator[OneSpan]:
    """An account with one package that is signed by all; what it was asked is as OneSpan describes it."""
    with OneSpan() as found:
        completed(found)
        yield found
        assert description.in_requests(found) == []


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes at once: what failed is due again."""
    monkeypatch.setattr(schedule, "SECONDS", (0,) * len(schedule.SECONDS))
    monkeypatch.setattr(schedule, "HOURLY", 0)


def content(server: OneSpan, subject: str, name: str) -> bytes:
    """What the provider hands out."""
    found = server.packages[subject]
    return papers.documents(found) if name == ZIP else papers.evidence(found)


def assert_stored(worker: Worker, server: OneSpan, *subjects: str) -> None:
    """Both documents of each are on disk as handed out, told in one outcome each, and nothing else lies there."""
    told = {(act.subject, act.name): act for act in worker.outcomes(facts.STORED)}
    assert worker.stored() == sorted((subject, name) for subject in subjects for name in BOTH)
    for (subject, name), act in told.items():
        made = content(server, subject or "", name or "")
        lies = (worker.settings.documents_folder / (act.path or "")).read_bytes()
        assert lies == made
        assert (act.sha256, act.size) == (hashlib.sha256(made).hexdigest(), len(made))
    assert paths(worker.settings.documents_folder) == sorted(act.path or "" for act in told.values())
    assert worker.states() == {artifacts.STORED: len(told)}


def alarms(worker: Worker) -> list[str]:
    """What health says, but that nobody beats a heart by hand here."""
    told: list[str] = health.health(worker.database, worker.settings, worker.quarantine())["alarms"]
    return [alarm for alarm in told if "worker does not run" not in alarm]


@pytest.fixture
def said() -> Iterator[list[MutableMapping[str, Any]]]:
    """What the worker logs."""
    with capture_logs() as found:
        yield found


def refused_aloud(said: list[MutableMapping[str, Any]]) -> int:
    """How often the log said that the key is refused."""
    return [line["event"] for line in said].count("api_key_refused")


def test_a_completion_is_asked_about_and_then_fetched(tmp_path: Path, server: OneSpan) -> None:
    """First where it stands, then both documents; what was asked, answered and done is in the log, in that order."""
    with Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(worker.stored)
        first, *others = [asked.call for asked in server.requests]
        assert (first, sorted(others)) == (ASK, sorted(FETCHES))
        kinds = [found.kind for found in worker.events()][1:]
        assert kinds == [event.CALLBACK, event.OBSERVATION, event.OUTCOME, event.OUTCOME]
        assert_stored(worker, server, ID)
        assert alarms(worker) == []


@pytest.mark.parametrize("name", ["PACKAGE_CREATE", "SIGNER_COMPLETE", "PACKAGE_DECLINE", "SIGNER_APPLAUDED"])
def test_what_is_no_completion_is_not_asked_about(tmp_path: Path, server: OneSpan, name: str) -> None:
    """Nobody is asked for documents that nobody wants."""
    with Worker(tmp_path, server.url) as worker:
        worker.add(callback(name))
        worker.rest()
        assert server.requests == ()
        assert worker.states() == {}


def test_a_source_that_wants_nothing_asks_nothing(tmp_path: Path, server: OneSpan) -> None:
    """`artifacts = []`: the operator said so."""
    access = {"api_url": server.url, "api_key": "demonstration"}
    source = Source(provider="onespan", callback_keys=("k",), artifacts=(), **access)  # type: ignore[arg-type]
    with Worker(tmp_path, sources={SOURCE: source}) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.rest()
        assert server.requests == ()


def test_without_access_it_stays_wanted(tmp_path: Path) -> None:
    """No API key yet: nothing fails, and health says what to set. Given a key, it is fetched."""
    with Worker(tmp_path) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.rest()
        assert worker.states() == {artifacts.WANTED: 2}
        assert "api_key" in " ".join(alarms(worker))
    with OneSpan() as server, Worker(tmp_path, server.url) as worker:
        completed(server)
        worker.run(worker.stored)
        assert_stored(worker, server, ID)


@pytest.mark.parametrize("status", ["DRAFT", "SENT", "DECLINED", "EXPIRED"])
def test_what_the_provider_does_not_call_complete_is_not_fetched(
    tmp_path: Path, server: OneSpan, soon: None, status: str
) -> None:
    """A callback is a hint: the API has the last word, and is asked again until it agrees."""
    server.packages[ID].move(status, NOON)
    with Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.outcomes(facts.FAILED)) >= 4)
        assert not any(server.count(call) for call in FETCHES)
        assert paths(worker.settings.documents_folder) == []
        server.packages[ID].move("COMPLETED", NOON)
        worker.run(lambda: len(worker.stored()) == 2)
        assert_stored(worker, server, ID)


def test_an_archived_package_is_complete(tmp_path: Path, server: OneSpan) -> None:
    """Archiving comes after completion."""
    server.packages[ID].move("ARCHIVED", NOON)
    with Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_ARCHIVE"))
        worker.run(worker.stored)
        assert_stored(worker, server, ID)


def test_nothing_private_is_kept_anywhere(tmp_path: Path, server: OneSpan) -> None:
    """Challenge answers, social security numbers, phone numbers and tokens: in no file of ours, nor is our API key."""
    with Worker(tmp_path, server.url, api_key=server.api_key) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(worker.stored)
        assert_stored(worker, server, ID)
    assert holds(tmp_path, [*bodies.PRIVATE, f"Basic {server.api_key}", "Authorization"]) == []
    assert holds(tmp_path, [ID, "COMPLETED"]) == [ID, "COMPLETED"]


def test_hostile_ids_reach_the_provider_as_they_are(tmp_path: Path) -> None:
    """Percent-encoded on the wire, decoded to what was signed; each has its own documents."""
    with OneSpan() as server, Worker(tmp_path, server.url) as worker:
        reachable = [subject for subject in HOSTILE if "/" not in subject]
        completed(server, *HOSTILE)
        worker.add(*(callback("PACKAGE_COMPLETE", subject) for subject in HOSTILE))
        worker.rest()
        asked = [known.path for known in server.requests if known.method == "GET"]
        assert {f"/api/packages/{quote(subject, safe='')}" for subject in HOSTILE} <= set(asked)
        assert all(unquote(path.split("/")[3]) in HOSTILE for path in asked)
        assert {subject for subject, _ in worker.stored()} == set(reachable)


@pytest.mark.parametrize("subject", ["..", "."])
def test_an_id_that_no_address_can_hold_is_given_up(tmp_path: Path, soon: None, subject: str) -> None:
    """It would be asked for as something else; nothing is sent, and a person hears of it."""
    with OneSpan() as server, Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_COMPLETE", subject))
        worker.run(lambda: len(worker.outcomes(facts.ABANDONED)) == 2)
        assert server.requests == ()
        assert "given up" in " ".join(alarms(worker))


FAULTS = [
    faults.Dropped(),
    faults.Slow(0.02, 3),
    faults.Hung(),
    faults.Truncated(),
    faults.Truncated(0),
    faults.WrongLength(1),
    faults.WrongLength(-30),
    faults.Page(),
    faults.Page(503),
    faults.Status(500),
    faults.Status(502),
    faults.Status(503),
    faults.Status(503, {"Retry-After": "0"}),
    faults.Status(429),
    faults.Status(403),
    faults.Status(404),
    faults.Status(204),
    faults.Status(302, {"Location": "http://127.0.0.1:1/"}),
    faults.Status(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
    faults.Status(200),
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_whatever_goes_wrong_once_it_ends_well(
    tmp_path: Path, server: OneSpan, monkeypatch: pytest.MonkeyPatch, soon: None, fault: faults.Fault
) -> None:
    """A fault at each call in turn: nothing of it stays, the failure is told, and the next try stores it once."""
    hangs = isinstance(fault, faults.Hung)
    monkeypatch.setattr(wire, "SECONDS", 0.5 if hangs else 30)
    calls = {"first": ASK, "second": FETCHES[0], "third": FETCHES[1]}
    completed(server, *calls)
    with Worker(tmp_path, server.url) as worker:
        for number, (subject, call) in enumerate(calls.items(), start=1):
            server.faults.add(call, fault)
            worker.add(callback("PACKAGE_COMPLETE", subject))
            worker.run(lambda: len(worker.stored()) == 2 * number)  # noqa: B023  called before the next one
        assert_stored(worker, server, *calls)
        failed = worker.outcomes(facts.FAILED)
        told = [] if isinstance(fault, faults.Slow) else ["first", "first", "second", "third"]
        assert all(act.reason and act.next_at for act in failed)
        assert [act.subject for act in failed] == told or hangs  # who is impatient may give up once too often
        assert [server.count(call) for call in FETCHES] == [4 if told else 3] * 2 or hangs
        assert alarms(worker) == []


def test_nobody_there_is_tried_again(tmp_path: Path, server: OneSpan, soon: None) -> None:
    """A refused connection, and then the provider is back."""
    with Worker(tmp_path, server.url) as worker:
        server.close()
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.outcomes(facts.FAILED)) >= 2)
        assert "ConnectError" in (worker.outcomes()[0].reason or "")
        server.start()
        worker.run(lambda: len(worker.stored()) == 2)
        assert_stored(worker, server, ID)


def test_a_fetch_that_takes_too_long_is_left(
    tmp_path: Path, server: OneSpan, monkeypatch: pytest.MonkeyPatch, soon: None
) -> None:
    """Each piece comes in time, the whole does not."""
    monkeypatch.setattr(downloads, "FETCH_SECONDS", 0.1)
    with Worker(tmp_path, server.url) as worker:
        server.faults.add("documents.zip", faults.Slow(0.03, 1000))
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.stored()) == 2)
        assert "not there within" in (worker.outcomes(facts.FAILED)[0].reason or "")
        assert_stored(worker, server, ID)


def test_one_question_serves_both_documents(tmp_path: Path, server: OneSpan) -> None:
    """Also when the answer is no: what was not complete for the first is not asked again at once for the next one."""
    server.faults.add(ASK, faults.Status(503))
    with Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.rest()
        assert [asked.call for asked in server.requests] == [ASK]
        assert len(worker.outcomes(facts.FAILED)) == 2


def test_patience_is_for_the_whole_source(tmp_path: Path, server: OneSpan) -> None:
    """Retry-After speaks of the API: nothing else is asked meanwhile, whatever a new callback says."""
    server.faults.add(ASK, faults.Status(429, {"Retry-After": "3600"}))
    with Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.rest()
        worker.add(callback("PACKAGE_COMPLETE"), callback("PACKAGE_COMPLETE", "another="))
        worker.rest()
        assert [asked.call for asked in server.requests] == [ASK]


def test_a_failure_that_comes_later_does_not_end_the_patience(
    tmp_path: Path, server: OneSpan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was under way beside it fails after it, and names no time: the time that was named still stands."""
    monkeypatch.setattr(wire, "SECONDS", 0.3)
    server.faults.add(ASK, faults.Hung(), faults.Status(429, {"Retry-After": "3600"}))
    completed(server, "another", "third")
    with Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"), callback("PACKAGE_COMPLETE", "another"))
        worker.run(lambda: len(worker.outcomes(facts.FAILED)) >= 2)
        worker.add(callback("PACKAGE_COMPLETE", "third"))
        worker.rest()
        assert server.count(ASK) == 2


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize(("header", "seconds"), [({"Retry-After": "3600"}, 3600), ({}, 1)])
def test_patience_that_was_asked_for_is_kept(
    tmp_path: Path, server: OneSpan, code: int, header: dict[str, str], seconds: int
) -> None:
    """With Retry-After no sooner than that, without it by our own schedule; until then nobody asks."""
    server.faults.stand("evidence", faults.Status(code, header))
    with Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.rest()
        [act] = worker.outcomes(facts.FAILED)
        [told] = [found for found in worker.events(event.OUTCOME) if acts.read(found) == act]
        waits = ((act.next_at or 0) - told.recorded_at) / 1_000_000
        assert seconds - 60 <= waits <= 1.2 * seconds
        if header:
            worker.restart()
            worker.rest()
            assert server.count("evidence") == 1


def test_attempts_are_counted_and_spaced(tmp_path: Path, server: OneSpan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every failure says which try it was and when the next one is, and the schedule is asked with that number."""
    monkeypatch.setattr(schedule, "SECONDS", (0, 0, 0, 7200, 0, 0))
    server.faults.stand("evidence", faults.Status(500))
    with Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.outcomes(facts.FAILED)) == 4)
        assert [act.attempt for act in worker.outcomes(facts.FAILED)] == [1, 2, 3, 4]
        assert worker.artifacts()[ID, EVIDENCE].attempts == 4
        assert server.count("evidence") == 4


@pytest.mark.parametrize("code", [403, 404])
@pytest.mark.parametrize("call", [ASK, "evidence"])
def test_what_is_not_for_us_is_given_up_after_a_few_tries(
    tmp_path: Path, server: OneSpan, soon: None, call: str, code: int
) -> None:
    """Then it is not asked for any more, and a person must decide; that decision begins anew."""
    server.faults.stand(call, faults.Status(code))
    with Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        abandoned = 2 if call == ASK else 1
        worker.run(lambda: len(worker.outcomes(facts.ABANDONED)) == abandoned)
        tries = schedule.RETRIES_NOT_ACCESSIBLE + 1
        assert server.count("evidence" if call == "evidence" else ASK) in range(tries, 2 * tries + 1)
        assert f"HTTP {code}, after {tries} tries" in [act.reason for act in worker.outcomes(facts.ABANDONED)]
        assert "given up" in " ".join(alarms(worker))
        server.faults.clear()
        asked = server.requests
        worker.rest()
        assert server.requests == asked
        decisions.retry(worker.database, [artifact(name=name) for name in BOTH[2 - abandoned :]], "me", "role mended")
        worker.run(lambda: len(worker.stored()) == 2)
        assert_stored(worker, server, ID)
        assert alarms(worker) == []


def test_what_fails_for_three_days_is_given_up(
    tmp_path: Path, server: OneSpan, monkeypatch: pytest.MonkeyPatch, soon: None
) -> None:
    """The last word in the log is that it was abandoned, after how many tries, and why."""
    monkeypatch.setattr(schedule, "RETRIES", 5)
    server.faults.stand("evidence", faults.Status(500))
    with Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: worker.outcomes(facts.ABANDONED))
        [act] = worker.outcomes(facts.ABANDONED)
        assert (act.attempt, act.next_at) == (6, None)
        assert act.reason == "HTTP 500, after 6 tries"
        assert server.count("evidence") == 6
        assert worker.states() == {artifacts.ABANDONED: 1, artifacts.STORED: 1}


def test_a_refused_key_stops_the_source_and_is_one_alarm(
    tmp_path: Path, server: OneSpan, soon: None, said: list[MutableMapping[str, Any]]
) -> None:
    """Of thirty documents only those under way meet it; then nobody asks, however often it is due."""
    subjects = [f"package {number}" for number in range(15)]
    completed(server, *subjects)
    with Worker(tmp_path, server.url, api_key="old") as worker:
        worker.add(*(callback("PACKAGE_COMPLETE", subject) for subject in subjects))
        worker.run(lambda: worker.outcomes(facts.FAILED))
        asked = server.requests
        assert 1 <= len(asked) <= downloads.AT_A_TIME
        assert {known.status for known in asked} == {401}
        for _ in range(20):
            worker.turn()
        worker.rest()
        assert server.requests == asked
        assert [alarm for alarm in alarms(worker) if "API key" in alarm] == alarms(worker)
        assert len(alarms(worker)) == 1
        assert refused_aloud(said) == 1


def test_a_refused_key_concerns_its_own_source_only(tmp_path: Path, server: OneSpan) -> None:
    """Another account goes on."""
    with OneSpan() as other:
        completed(other)
        keys = {SOURCE: (server, "old"), "other": (other, "demonstration")}
        sources = {
            name: Source(provider="onespan", callback_keys=("k",), api_url=account.url, api_key=key)
            for name, (account, key) in keys.items()
        }
        with Worker(tmp_path, sources=sources) as worker:
            worker.add(callback("PACKAGE_COMPLETE"))
            worker.run(lambda: worker.outcomes(facts.FAILED))
            worker.add(callback("PACKAGE_COMPLETE", source="other"))
            worker.run(lambda: len(worker.stored()) == 2)
            assert {act.source for act in worker.outcomes(facts.STORED)} == {"other"}
            assert server.count(ASK) == 1


@pytest.mark.parametrize("how", ["decision", "restart"])
def test_a_mended_key_goes_on_where_it_stopped(tmp_path: Path, server: OneSpan, how: str) -> None:
    """After an operator's word, or a restart with another key; the alarm is gone then."""
    completed(server, ID, "another")
    with Worker(tmp_path, server.url, api_key="new") as worker:
        worker.add(callback("PACKAGE_COMPLETE"), callback("PACKAGE_COMPLETE", "another"))
        worker.run(lambda: worker.outcomes(facts.FAILED))
        server.api_key = "new"
        if how == "restart":
            worker.restart()
        else:
            failed = [Artifact(SOURCE, act.subject or "", act.name or "") for act in worker.outcomes(facts.FAILED)]
            decisions.retry(worker.database, failed, "me", "the key is good again")
        worker.run(lambda: len(worker.stored()) == 4)
        assert_stored(worker, server, ID, "another")
        assert alarms(worker) == []


def test_a_decision_about_a_key_that_is_still_refused_is_one_more_try(
    tmp_path: Path, server: OneSpan, said: list[MutableMapping[str, Any]]
) -> None:
    """It is asked once more, refused once more, and said once more."""
    with Worker(tmp_path, server.url, api_key="old") as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: worker.outcomes(facts.FAILED))
        assert (server.count(ASK), refused_aloud(said)) == (1, 1)
        decisions.retry(worker.database, [artifact()], "me", "it should work")
        worker.run(lambda: server.count(ASK) == 2)
        worker.rest()
        assert (server.count(ASK), refused_aloud(said)) == (2, 2)


def test_a_redirect_takes_the_key_nowhere(tmp_path: Path, server: OneSpan) -> None:
    """The other host hears nothing, for questions and documents alike."""
    with OneSpan() as thief, Worker(tmp_path, server.url) as worker:
        server.faults.add(ASK, faults.Status(307, {"Location": thief.url}))
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.rest()
        server.faults.stand("evidence", faults.Status(302, {"Location": f"{thief.url}/api/packages/{ID}"}))
        worker.rest()
        assert thief.requests == ()


def test_four_at_a_time_for_each_source(tmp_path: Path, server: OneSpan) -> None:
    """A provider that hangs is asked by four, and another is asked by four beside it."""
    with OneSpan() as other:
        for account in (server, other):
            account.faults.stand(ASK, faults.Hung())
        sources = {
            name: Source(provider="onespan", callback_keys=("k",), api_url=account.url, api_key="demonstration")
            for name, account in ((SOURCE, server), ("other", other))
        }
        with Worker(tmp_path, sources=sources) as worker:
            for source in sources:
                worker.add(*(callback("PACKAGE_COMPLETE", f"{number}", source) for number in range(10)))
            until(lambda: worker.turn() and (server.count(ASK), other.count(ASK)) == (4, 4))
            for _ in range(20):
                worker.turn()
            assert (server.count(ASK), other.count(ASK)) == (4, 4)
            server.close()
            other.close()


def test_many_are_all_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than fit at a time, and more than one look at what is due takes."""
    monkeypatch.setattr(due, "_ROWS", 10)
    subjects = [f"package {number}" for number in range(20)]
    with OneSpan() as server, Worker(tmp_path, server.url) as worker:
        completed(server, *subjects)
        worker.add(*(callback("PACKAGE_COMPLETE", subject) for subject in subjects))
        worker.run(lambda: len(worker.stored()) == 2 * len(subjects))
        assert_stored(worker, server, *subjects)
        assert len(server.requests) == 3 * len(subjects)


def repeat_callbacks(worker: Worker) -> None:
    worker.add(callback("PACKAGE_COMPLETE"), callback("PACKAGE_COMPLETE"), callback("PACKAGE_ARCHIVE"))


def lose_views(worker: Worker) -> None:
    worker.stop()
    worker.projector.views.discard()
    worker.start()


def restart(worker: Worker) -> None:
    worker.restart()


def second_generation(worker: Worker) -> None:
    with worker.projector.views.writing() as connection:
        connection.exec_driver_sql("UPDATE checkpoint SET shape = 'another'")
    worker.restart()
    assert worker.projector.views.generation == 3


@pytest.mark.parametrize("happens", [repeat_callbacks, lose_views, restart, second_generation])
def test_what_is_stored_is_never_asked_for_again(tmp_path: Path, server: OneSpan, happens: object) -> None:
    """Duplicates, lost views, another process, another generation: the provider hears nothing of it."""
    with Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.stored()) == 2)
        asked = server.requests
        happens(worker)  # type: ignore[operator]
        worker.rest()
        assert server.requests == asked
        assert_stored(worker, server, ID)


def test_what_was_linked_before_a_kill_is_adopted(tmp_path: Path, server: OneSpan) -> None:
    """The outcome was lost: the file is checked and told, and the provider is not even asked where it stands."""
    with Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.stored()) == 2)
    kept = tmp_path / "data/documents"
    with Worker(tmp_path / "again", server.url) as worker:
        worker.stop()
        kept.rename(worker.settings.documents_folder.with_name("kept"))
        worker.settings.documents_folder.rename(tmp_path / "empty")
        worker.settings.documents_folder.with_name("kept").rename(worker.settings.documents_folder)
        worker.start()
        asked = server.requests
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.stored()) == 2)
        assert server.requests == asked
        assert {act.reason for act in worker.outcomes()} == {"found in its place"}
        assert_stored(worker, server, ID)


@contextlib.contextmanager
def log_away(times: float) -> Iterator[Iterator[int]]:
    """The log cannot be written when an outcome is to be told, so many times; what is left of them."""
    left = iter(range(int(times)))

    def fail(*arguments: Any) -> None:
        fetching = threading.current_thread().name.startswith(SOURCE)
        if fetching and arguments[2].startswith("UPDATE claims") and next(left, None) is not None:
            raise OSError("disk")

    sqlalchemy.event.listen(Engine, "before_cursor_execute", fail)
    try:
        yield left
    finally:
        sqlalchemy.event.remove(Engine, "before_cursor_execute", fail)


def test_a_log_that_is_away_for_a_moment_loses_no_outcome(tmp_path: Path, server: OneSpan) -> None:
    """The claim is neither lost nor kept until it expires: the outcome waits, and then it is told, once."""
    with log_away(2) as left, Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.stored()) == 2)
        assert_stored(worker, server, ID)
        assert [server.count(call) for call in FETCHES] == [1, 1]
        assert next(left, None) is None


def test_a_stop_while_the_log_is_away_ends(tmp_path: Path, server: OneSpan) -> None:
    """Nobody waits for ever; the next worker finds the document in its place."""
    with Worker(tmp_path, server.url) as worker:
        with log_away(1e6):
            worker.add(callback("PACKAGE_COMPLETE"))
            until(lambda: worker.turn() and paths(worker.settings.documents_folder / SOURCE))
            worker.stop()
        assert worker.outcomes() == []
        worker.start()
        worker.run(lambda: len(worker.stored()) == 2)
        assert_stored(worker, server, ID)
        assert "found in its place" in {act.reason for act in worker.outcomes()}


def test_a_log_that_nobody_reads_loses_no_outcome(tmp_path: Path, server: OneSpan) -> None:
    """Words on a closed pipe raise: they come after the deed, so each is in the event log, and done once."""
    reading, writing = os.pipe()
    os.close(reading)
    with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "w", buffering=1) as broken:
        structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=broken))
        try:
            with Worker(tmp_path, server.url) as worker:
                worker.add(callback("PACKAGE_COMPLETE"))
                worker.run(lambda: len(worker.stored()) == 2)
                assert_stored(worker, server, ID)
                assert [server.count(call) for call in FETCHES] == [1, 1]
        finally:
            structlog.reset_defaults()


def test_what_lies_there_and_is_no_document_is_for_a_person(tmp_path: Path, server: OneSpan, soon: None) -> None:
    """It is not overwritten; once it is out of the way, the document comes."""
    with Worker(tmp_path, server.url) as worker:
        planted = worker.settings.documents_folder / places.place(artifact())
        planted.parent.mkdir(parents=True)
        planted.write_bytes(b"<html>")
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.outcomes(facts.FAILED)) >= 3)
        assert planted.read_bytes() == b"<html>"
        assert "not a zip" in (worker.outcomes(facts.FAILED)[0].reason or "")
        planted.unlink()
        worker.run(lambda: len(worker.stored()) == 2)
        assert_stored(worker, server, ID)


def claimed(worker: Worker) -> int:
    """How many documents were ever claimed."""
    with worker.database.reading() as connection:
        found: int = connection.exec_driver_sql("SELECT count(*) FROM claims").scalar_one()
    return found


def test_without_room_nothing_is_asked_and_nothing_lost(tmp_path: Path, server: OneSpan) -> None:
    """Below the reserve neither provider nor log hear of it: it stays due, and is fetched when there is room."""
    with Worker(tmp_path, server.url, disk_reserve=10**18) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        events = worker.events()
        until(lambda: worker.turn() and claimed(worker))
        worker.stop()
        assert server.requests == ()
        assert worker.events() == events
        assert "disk_reserve" in " ".join(alarms(worker))
    with Worker(tmp_path, server.url) as worker:
        worker.run(lambda: len(worker.stored()) == 2)
        assert_stored(worker, server, ID)


def test_a_stop_amid_a_fetch_is_no_failure(tmp_path: Path, server: OneSpan) -> None:
    """Nothing is told, nothing is left, the claim is free, and the next process fetches it."""
    with Worker(tmp_path, server.url) as worker:
        server.faults.add("documents.zip", faults.Slow(0.05, 10_000))
        worker.add(callback("PACKAGE_COMPLETE"))
        incoming = worker.settings.documents_folder / ".incoming"
        until(lambda: worker.turn() and any(incoming.iterdir()))
        worker.restart()
        assert worker.outcomes(facts.FAILED) == []
        assert (ID, ZIP) not in worker.stored()
        assert not [
            path for path in paths(worker.settings.documents_folder) if path.endswith(".zip") or "fetch" in path
        ]
        worker.run(lambda: len(worker.stored()) == 2)
        assert_stored(worker, server, ID)


def test_a_subject_behind_a_fault_is_left_alone(
    tmp_path: Path, server: OneSpan, monkeypatch: pytest.MonkeyPatch, soon: None
) -> None:
    """What we did would wait unfolded, and be done again and again; four such subjects would stop all others."""
    monkeypatch.setattr(course, "MOST_STEPS", 2)
    faulty = [f"package {number}" for number in range(downloads.AT_A_TIME)]
    completed(server, ID, *faulty)
    with Worker(tmp_path, server.url) as worker:
        for subject in faulty:
            worker.add(callback("PACKAGE_COMPLETE", subject))
            worker.add(*(callback("PACKAGE_ACTIVATE", subject, created=NOON.replace(minute=n)) for n in range(4)))
        worker.rest()
        assert server.requests == ()
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.stored()) == 2)
        assert {subject for subject, _ in worker.stored()} == {ID}
        assert "could not be taken in" in " ".join(alarms(worker))


def test_a_failure_that_cannot_be_folded_is_not_repeated(
    tmp_path: Path, server: OneSpan, monkeypatch: pytest.MonkeyPatch, soon: None
) -> None:
    """A bug in taking in our own outcome: the provider is asked once, not in a circle."""
    server.faults.stand(ASK, faults.Status(500))
    with Worker(tmp_path, server.url) as worker:
        real = artifacts.apply

        def apply(state: artifacts.State, key: facts.Key, fact: facts.Fact, beside: facts.Beside) -> artifacts.State:
            if fact.what == facts.FAILED:
                raise KeyError("a bug")
            return real(state, key, fact, beside)

        monkeypatch.setattr(artifacts, "apply", apply)
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: worker.outcomes(facts.FAILED))
        for _ in range(20):
            worker.turn()
        worker.rest()
        assert server.count(ASK) == 1


def test_another_worker_that_took_over_is_not_disturbed(tmp_path: Path, server: OneSpan) -> None:
    """A lease that ran out amid a fetch: the slow one appends nothing, and the file it brought is adopted."""
    with Worker(tmp_path, server.url) as worker:
        server.faults.add("documents.zip", faults.Slow(0.1, 5))
        worker.add(callback("PACKAGE_COMPLETE"))
        until(lambda: worker.turn() and server.count("documents.zip"))
        with worker.database.writing() as connection:
            connection.exec_driver_sql("UPDATE claims SET fence = fence + 1, holder = 'other', leased_until = 0")
        worker.run(lambda: len(worker.stored()) == 2)
        assert server.count("documents.zip") == 1
        assert_stored(worker, server, ID)


def test_an_equal_answer_is_not_kept_for_every_try(tmp_path: Path, server: OneSpan, soon: None) -> None:
    """Many tries of the fetch, one observation; a callback in between makes the next answer worth keeping."""
    server.faults.stand("evidence", faults.Status(500))
    with Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.outcomes(facts.FAILED)) >= 5)
        assert len(worker.events(event.OBSERVATION)) == 1
        worker.add(callback("PACKAGE_COMPLETE"))
        tried = len(worker.outcomes(facts.FAILED))
        worker.run(lambda: len(worker.outcomes(facts.FAILED)) >= tried + 5)
        assert len(worker.events(event.OBSERVATION)) == 2


def test_an_answer_confirms_what_the_callbacks_claimed(tmp_path: Path, server: OneSpan) -> None:
    """The package is confirmed once the API was asked, and not before."""
    with Worker(tmp_path, server.url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        rows = "SELECT confirmed FROM packages"
        with worker.projector.views.reading() as connection:
            assert connection.exec_driver_sql(rows).scalar_one() == course.NO
        worker.run(lambda: len(worker.stored()) == 2)
        with worker.projector.views.reading() as connection:
            assert connection.exec_driver_sql(rows).scalar_one() == course.YES


def test_a_package_that_was_deleted_at_the_provider_is_given_up(tmp_path: Path, soon: None) -> None:
    """A 404 after the callback: its answer is in the log, and so is the end."""
    with OneSpan() as server, Worker(tmp_path, server.url) as worker:
        server.add(Package(ID)).delete(NOON)
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.outcomes(facts.ABANDONED)) == 2)
        [answer] = worker.events(event.OBSERVATION)
        assert json.loads(answer.headers or "") == [[":status", "404"]]
