"""An API that does not answer costs no subject its turn, and a subject that cannot be had is in nobody's way."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from listener import errors
from listener.demo import faults
from listener.demo.evrotrust import Evrotrust
from listener.demo.onespan import OneSpan
from listener.demo.transactions import Transaction
from listener.demo.wire import Answer
from listener.desk import health
from listener.log.append import now
from listener.worker.findings import NAMED, Findings, Unanswered
from listener.worker.rounds import Rounds
from tests import evro, rig
from tests.evro import SOURCE
from tests.reconciling import DAY, HOUR, begun, counts, hear, later, observations, reconciler, turn
from tests.rig import Worker
from tests.test_worker_reconcile import moved


class Bad(faults.Fault):
    """No package can be had whose id begins with "bad"."""

    def answer(self, honest: Callable[[], Answer]) -> Answer:
        """Answer all others honestly."""
        answer = honest()
        return Answer(500) if b'"id":"bad' in answer.body.replace(b" ", b"") else answer


FIVE = tuple(f"{number}23456789012" for number in range(1, 6))


@pytest.fixture
def server() -> Iterator[Evrotrust]:
    """An account with five transactions under way."""
    with evro.account() as found:
        for subject in FIVE:
            found.add(Transaction(subject, 1))
        yield found


def watching(tmp_path: Path, server: Evrotrust, *subjects: str) -> Worker:
    """A worker that heard of these some hours ago."""
    found = evro.worker(tmp_path, server.url)
    hear(found, *(evro.callback(subject, 99) for subject in subjects), ago=8 * HOUR)
    return found


def asked(server: Evrotrust) -> list[str]:
    """Which transactions were asked for, in order."""
    return [
        json.loads(request.body)["transactionID"] for request in server.requests if request.call == "document.status"
    ]


def test_an_outage_costs_no_subject_its_turn(tmp_path: Path, server: Evrotrust) -> None:
    """However many rounds it takes: when it is over, each is answered at once, once."""
    with watching(tmp_path, server, *FIVE) as found:
        server.faults.stand("document.status", faults.Status(503))
        for _ in range(4):
            with pytest.raises(errors.Unusable, match="503"):
                turn(found, SOURCE)
        assert set(asked(server)) == set(FIVE)
        server.faults.clear()
        assert counts(turn(found, SOURCE)) == (5, 0, 5)
        assert len(observations(found)) == 5
        assert counts(turn(found, SOURCE)) == (0, 0, 0)


@pytest.mark.parametrize(
    "fault", [faults.Status(503), faults.Status(429, headers={"Retry-After": "60"}), faults.Status(401)], ids=str
)
def test_an_outage_is_told_though_one_alone_is_due(tmp_path: Path, server: Evrotrust, fault: faults.Fault) -> None:
    """The source was not compared, and health knows since when."""
    with watching(tmp_path, server, FIVE[0]) as found:
        server.faults.stand("document.status", fault)
        for _ in range(2):
            with pytest.raises(errors.ProviderError):
                turn(found, SOURCE)
        with reconciler(found) as asking:
            assert asking.agenda.state(SOURCE).finished_at is None
            asking.agenda.finish(SOURCE, "worker", now())
            asking.agenda.troubled(SOURCE, "worker", now() - 3 * HOUR, "HTTP 503")
        alarms = health.health(found.database, found.settings, found.quarantine())["alarms"]
        assert any("not compared with the provider since" in alarm for alarm in alarms)
        server.faults.clear()
        assert counts(turn(found, SOURCE)) == (1, 0, 1)


def test_those_that_cannot_be_had_are_in_nobodys_way(tmp_path: Path) -> None:
    """More than an outage takes: others are answered, and they have had their turn after the second time in vain."""
    with OneSpan() as server, Worker(tmp_path, server.url) as found:
        begun(found, rig.SOURCE, 2 * DAY)
        bad, good = [f"bad{number}" for number in range(4)], [f"good{number}" for number in range(4)]
        for subject in (*bad, *good):
            moved(server, subject, ago=30 * DAY)
        hear(found, *(rig.callback("PACKAGE_ACTIVATE", subject) for subject in (*bad, *good)), ago=2 * DAY)
        server.faults.stand("package", Bad())
        for _ in range(6):
            try:
                turn(found, rig.SOURCE)
            except errors.Unusable:
                continue
        assert len(observations(found)) == 4
        before = server.count("package")
        assert counts(turn(found, rig.SOURCE)) == (0, 0, 0)
        assert server.count("package") == before


def test_many_without_an_answer_are_all_counted_and_the_first_are_named() -> None:
    """An API that fails for thousands fills no memory, and the count is right."""
    findings = Findings()
    for number in range(3 * NAMED):
        findings.lack(SOURCE, str(number), errors.Unusable("HTTP 500"))
    assert (findings.asked, findings.unanswered) == (0, 3 * NAMED)
    assert findings.without_answer == [Unanswered(SOURCE, str(number), "HTTP 500") for number in range(NAMED)]


def test_the_timer_says_how_many_had_no_answer(tmp_path: Path, server: Evrotrust) -> None:
    """As a warning in its log; and a round in which all were answered says nothing of the kind."""
    with watching(tmp_path, server, *FIVE) as found, reconciler(found) as asking:
        server.faults.add("document.status", faults.Fault(), faults.Status(469), faults.Status(500))
        rounds = Rounds(asking)
        for level, asked, unanswered in (("warning", 3, 2), ("info", 5, 0)):
            with capture_logs() as said:
                rounds.turn(SOURCE)
            counts = {"asked": asked, "differed": asked, "unanswered": unanswered}
            assert said == [{"event": "reconciled", "log_level": level, "source": SOURCE, **counts}]
            later(found, DAY)


def test_what_only_the_list_told_of_stays_due(tmp_path: Path) -> None:
    """One answer that fails must not cost a completion that nobody called back: it is asked for in the next round."""
    with OneSpan() as server, Worker(tmp_path, server.url) as found:
        begun(found, rig.SOURCE, 2 * DAY)
        for subject in ("p1", "p2"):
            moved(server, subject, ago=DAY)
        server.faults.add("package", faults.Status(500))
        missing = list[str]()
        for _ in range(3):
            missing += [one.id for one in turn(found, rig.SOURCE).missing]
            found.projector.catch_up()
            later(found, DAY)
        assert sorted(missing) == ["p1", "p2"]
        before = server.count("package")
        assert counts(turn(found, rig.SOURCE)) == (0, 0, 0)
        assert server.count("package") == before


def test_those_that_cannot_be_had_stop_no_list(tmp_path: Path) -> None:
    """As many as an outage takes, all of them only listed: what is behind them is found."""
    with OneSpan() as server, Worker(tmp_path, server.url) as found:
        begun(found, rig.SOURCE, 2 * DAY)
        for number in range(3):
            moved(server, f"bad{number}", ago=DAY - number * HOUR)
        moved(server, "good", ago=2 * HOUR)
        server.faults.stand("package", Bad())
        missing = list[str]()
        for _ in range(4):
            try:
                missing += [one.id for one in turn(found, rig.SOURCE).missing]
            except errors.Unusable:
                continue
        assert missing == ["good"]
