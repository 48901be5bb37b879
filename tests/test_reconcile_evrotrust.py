"""Evrotrust lists nothing: whatever has not ended is asked for, wherever it may be, and less and less often."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from listener import decisions, errors
from listener.demo import faults
from listener.demo.evrotrust import Evrotrust
from listener.demo.transactions import Transaction
from listener.desk import health
from listener.log.append import now
from listener.worker.findings import Missed
from listener.worker.reconcile import Order
from projections import packages
from projections.facts import Expected
from tests.evro import ID, SOURCE, account, callback, signed, worker
from tests.reconciling import DAY, HOUR, MINUTE, NOW, counts, hear, later, observations, turn
from tests.rig import Worker
from tests.test_api_evrotrust import assert_valid


@pytest.fixture
def server() -> Iterator[Evrotrust]:
    """An account; whatever it was asked, the vendor's description has."""
    with account() as found:
        yield found
        for request in found.requests:
            assert_valid(request)


def state(found: Worker, subject: str = ID) -> packages.State:
    """Where it stands."""
    with found.projector.views.reading() as connection:
        rows = connection.execute(packages.TABLE.select().where(packages.TABLE.c.id == subject)).all()
    return packages.load(rows[0])


def expect(found: Worker, subject: str = ID, **told: str | int) -> None:
    """Say that there is such a transaction, and fold it."""
    decisions.expect(found.database, SOURCE, "evrotrust", subject, Expected(**told), "ana", None)  # type: ignore[arg-type]
    found.projector.catch_up()


def test_what_has_not_ended_is_asked_for_after_some_minutes(tmp_path: Path, server: Evrotrust) -> None:
    """And its end is found, which no callback told."""
    signed(server)
    with worker(tmp_path, server.url) as found:
        hear(found, callback(status=1), ago=4 * MINUTE)
        assert counts(turn(found, SOURCE)) == (0, 0, 0)
        later(found, 2 * MINUTE)
        findings = turn(found, SOURCE)
        assert (counts(findings), findings.missing) == ((1, 0, 1), [Missed(SOURCE, ID, "2")])
        assert (state(found).standing.confirmed, state(found).missed is not None) == ("yes", True)
        found.run(lambda: len(found.stored()) == 2)


def test_what_goes_on_is_asked_for_less_and_less_often(tmp_path: Path, server: Evrotrust) -> None:
    """And no answer is kept twice."""
    server.add(Transaction(ID, status=1))
    with worker(tmp_path, server.url) as found:
        hear(found, callback(status=99), ago=8 * HOUR)
        assert counts(turn(found, SOURCE)) == (1, 0, 1)
        assert counts(turn(found, SOURCE)) == (0, 0, 0)
        asked = server.count("document.status")
        for _ in range(30):
            later(found, 5 * MINUTE)
            turn(found, SOURCE)
        assert 5 < server.count("document.status") - asked < 30
        assert len(observations(found)) == 1


@pytest.mark.parametrize(("status", "stage"), [(3, "declined"), (4, "expired"), (6, "failed"), (8, "failed")])
def test_every_end_is_asked_about_once(tmp_path: Path, server: Evrotrust, status: int, stage: str) -> None:
    """The reason of a refusal comes with it."""
    server.add(Transaction(ID, status, reject_reason="Wrong sum" if status == 3 else None))
    with worker(tmp_path, server.url) as found:
        hear(found, callback(status=status))
        assert counts(turn(found, SOURCE)) == (1, 1, 0)
        assert (state(found).standing.stage, state(found).standing.confirmed) == (stage, "yes")
        assert status != 3 or (state(found).reason or pytest.fail("no reason")).text == "Wrong sum"
        later(found, 30 * DAY)
        assert (counts(turn(found, SOURCE)), counts(turn(found, SOURCE, NOW))) == ((0, 0, 0), (0, 0, 0))
        assert state(found).missed is None


def test_a_completion_without_documents_is_confirmed(tmp_path: Path, server: Evrotrust) -> None:
    """No download asks for it, where none is wanted."""
    signed(server)
    with worker(tmp_path, server.url, artifacts=()) as found:
        hear(found, callback(status=2))
        assert counts(turn(found, SOURCE)) == (1, 1, 0)
        assert state(found).standing.confirmed == "yes"


@pytest.mark.parametrize("kind", ["doc", "group", "offline", "hash", "hash-group"])
def test_what_is_expected_is_found_wherever_it_is(tmp_path: Path, server: Evrotrust, kind: str) -> None:
    """Without any callback; with its thread, where that was told."""
    member = server.add(Transaction("1", 2, thread_id="AA"))
    signed(server, kind=kind, members=[member.id] if "group" in kind else (), thread_id="AA")
    with worker(tmp_path, server.url) as found:
        expect(found, thread="AA")
        assert turn(found, SOURCE, NOW).missing == [Missed(SOURCE, ID, "2")]
        assert ID in state(found).signers
        assert server.count("thread.status") == 1


def test_a_thread_that_cannot_be_had_each_time_is_nothing_new(tmp_path: Path, server: Evrotrust) -> None:
    """Every second question of it fails, and one answer is kept; what does change there is told."""
    server.add(Transaction(ID, 1, thread_id="AA"))
    other = server.add(Transaction("1", 1, thread_id="AA"))
    with worker(tmp_path, server.url) as found:
        expect(found, thread="AA")
        for fault in (faults.Fault(), faults.Status(500)) * 3:
            server.faults.add("thread.status", fault)
            turn(found, SOURCE, NOW)
        assert (server.count("thread.status"), len(observations(found))) == (6, 1)
        assert {*state(found).signers} == {ID, "1"}
        other.status = 2
        for fault in (faults.Status(500), faults.Fault(), faults.Status(500)):
            server.faults.add("thread.status", fault)
            turn(found, SOURCE, NOW)
        assert len(observations(found)) == 2


@pytest.mark.parametrize("call", ["group.status", "thread.status"])
def test_a_time_to_wait_ends_the_round_wherever_it_is_named(tmp_path: Path, server: Evrotrust, call: str) -> None:
    """Where a transaction may be, or who signs in its thread: nobody else is asked for until then."""
    kind = "hash" if call == "group.status" else "doc"
    with worker(tmp_path, server.url) as found:
        for subject in (ID, "other"):
            signed(server, subject, kind=kind, thread_id="AA")
            expect(found, subject, thread="AA")
        server.faults.stand(call, faults.Status(429, headers={"Retry-After": "60"}))
        with pytest.raises(errors.Unusable, match="HTTP 429") as raised:
            turn(found, SOURCE, NOW)
        assert (raised.value.retry_after, server.count(call)) == (60, 1)
        server.faults.clear()
        assert counts(turn(found, SOURCE, NOW)) == (2, 0, 2)


def test_what_is_not_known_there_yet_is_asked_for_again(tmp_path: Path, server: Evrotrust) -> None:
    """443 means both; and 469 comes with a wait for itself alone."""
    with worker(tmp_path, server.url) as found:
        expect(found, kind="document")
        expect(found, "other", kind="document")
        server.faults.add("document.status", faults.Status(443), faults.Status(469))
        assert counts(turn(found, SOURCE, NOW)) == (1, 0, 0)
        assert counts(turn(found, SOURCE)) == (0, 0, 0)
        signed(server)
        signed(server, "other")
        later(found, DAY)
        assert counts(turn(found, SOURCE)) == (2, 0, 2)


def test_back_to_a_time_everything_is_asked_for(tmp_path: Path, server: Evrotrust) -> None:
    """What had ended, too: somebody wants to be sure. Older ones are left alone."""
    signed(server)
    signed(server, "old")
    with worker(tmp_path, server.url, artifacts=()) as found:
        hear(found, callback("old"), ago=9 * DAY)
        turn(found, SOURCE)
        hear(found, callback())
        turn(found, SOURCE)
        asked = server.count("document.status")
        assert counts(turn(found, SOURCE, NOW)) == (0, 0, 0)
        server.transactions[ID].status = 3
        assert counts(turn(found, SOURCE, Order("command", now() - 2 * HOUR))) == (2, 1, 1)
        assert server.count("document.status") == asked + 2
        assert state(found).standing.confirmed == "contradicted"


def test_overdue_is_an_anomaly_until_it_ended(tmp_path: Path, server: Evrotrust) -> None:
    """However its end was found."""
    signed(server)
    with worker(tmp_path, server.url, artifacts=()) as found:
        expect(found, deadline=now() - HOUR)
        late = "subjects that should have ended by now: 1"
        assert any(late in alarm for alarm in alarms(found))
        turn(found, SOURCE, NOW)
        assert not any(late in alarm for alarm in alarms(found))


def alarms(found: Worker) -> list[str]:
    """What health says."""
    told: list[str] = health.health(found.database, found.settings, found.quarantine())["alarms"]
    return told
