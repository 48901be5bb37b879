"""What callbacks did not tell is asked for: once, in order, and quietly where there is nothing new."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from listener import acts, decisions, errors
from listener.acts import Act
from listener.demo import faults
from listener.demo.onespan import OneSpan
from listener.demo.packages import TWO_SIGNERS, Package
from listener.desk import status
from listener.desk.reading import reading
from listener.worker.findings import Findings, Missed
from listener.worker.reconcile import PACE, Order
from projections import facts
from projections.facts import Expected
from tests.reconciling import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    begun,
    counts,
    hear,
    later,
    moment,
    observations,
    reconciler,
    stopped_after,
    turn,
)
from tests.rig import ID, SOURCE, Worker, add, callback


@pytest.fixture
def server() -> Iterator[OneSpan]:
    """An account."""
    with OneSpan() as found:
        yield found


def worker(tmp_path: Path, server: OneSpan) -> Worker:
    """One that knows of everything until two days ago."""
    found = Worker(tmp_path, server.url)
    begun(found, SOURCE, 2 * DAY)
    return found


def moved(server: OneSpan, subject: str = ID, status: str = "COMPLETED", ago: int = HOUR) -> Package:
    """A package that moved there that long ago."""
    package = server.add(Package(subject))
    package.finish(moment(ago))
    package.status = status
    return package


def shown(found: Worker, subject: str = ID) -> dict[str, Any]:
    """What `signlog status` says."""
    with reading(found.database) as at:
        told = status.one(at, SOURCE, subject)
    assert told is not None
    return told


def test_a_completion_that_nobody_told_is_found(tmp_path: Path, server: OneSpan) -> None:
    """It is an observation, a missed callback, and its documents are wanted and fetched."""
    moved(server)
    with worker(tmp_path, server) as found:
        findings = turn(found, SOURCE)
        assert (counts(findings), findings.missing) == ((1, 0, 1), [Missed(SOURCE, ID, "COMPLETED")])
        assert len(observations(found)) == 1
        told = shown(found)
        assert (told["stage"], told["confirmed"], told["missed"]) == ("completed", "yes", True)
        found.run(lambda: len(found.stored()) == 2)


@pytest.mark.parametrize(("name", "missing"), [("PACKAGE_COMPLETE", 0), ("SIGNER_COMPLETE", 1)])
def test_a_callback_that_nobody_folded_yet_has_told(tmp_path: Path, server: OneSpan, name: str, missing: int) -> None:
    """The worker was away, and the door was not: only what no callback told was missed."""
    moved(server)
    with worker(tmp_path, server) as found:
        hear(found, callback("PACKAGE_ACTIVATE"))
        add(found.database, callback(name), callback("EMAIL_BOUNCE"))
        findings = turn(found, SOURCE)
        assert len(findings.missing) == missing
        assert shown(found)["missed"] == bool(missing)


def test_where_nothing_changed_nothing_is_said(tmp_path: Path, server: OneSpan) -> None:
    """Neither a question nor an event, for who is known to stand there; the list alone is asked."""
    moved(server, ago=30 * MINUTE)
    with worker(tmp_path, server) as found:
        turn(found, SOURCE)
        before = len(found.events())
        for order in (Order(), NOW, Order("command", 0)):
            findings = turn(found, SOURCE, order)
            assert (counts(findings), findings.missing) == ((1, 1, 0), [])
        assert (len(found.events()), server.count("package")) == (before, 1)


def test_an_equal_answer_is_no_event_unless_a_callback_came(tmp_path: Path, server: OneSpan) -> None:
    """Of what somebody expects, and so is asked for again and again."""
    moved(server, status="SENT", ago=3 * DAY)
    with worker(tmp_path, server) as found:
        expect(found)
        for _ in range(3):
            assert counts(turn(found, SOURCE, NOW))[0] == 1
        assert (len(observations(found)), server.count("package")) == (1, 3)
        hear(found, callback("EMAIL_BOUNCE"))
        turn(found, SOURCE, NOW)
        assert len(observations(found)) == 2


def expect(found: Worker, subject: str = ID, **told: Any) -> None:
    """Say that there is such a package, and fold it."""
    decisions.expect(found.database, SOURCE, "onespan", subject, Expected(**told), "ana", None)
    found.projector.catch_up()


def test_what_is_expected_is_asked_for_without_any_callback(tmp_path: Path, server: OneSpan) -> None:
    """Though it moved before the log began, or the list does not show it; when it has been silent for a while."""
    moved(server, ago=30 * DAY)
    with worker(tmp_path, server) as found:
        expect(found)
        assert counts(turn(found, SOURCE)) == (0, 0, 0)
        assert counts(turn(found, SOURCE, NOW)) == (1, 0, 1)
        assert shown(found)["stage"] == "completed"


def test_what_nobody_knows_there_is_told_once(tmp_path: Path, server: OneSpan) -> None:
    """It may come yet; until then it is nothing that differs."""
    with worker(tmp_path, server) as found:
        expect(found)
        for _ in range(2):
            findings = turn(found, SOURCE, NOW)
            assert (counts(findings), findings.unknown) == ((1, 0, 0), 1)
        assert [kept.headers for kept in observations(found)] == ['[[":status","404"]]']


@pytest.mark.parametrize(
    ("name", "status"),
    [("PACKAGE_DECLINE", "DECLINED"), ("PACKAGE_OPT_OUT", "OPTED_OUT"), ("PACKAGE_EXPIRE", "EXPIRED")],
)
def test_an_end_that_only_callbacks_tell_is_asked_about_once(
    tmp_path: Path, server: OneSpan, name: str, status: str
) -> None:
    """Names and reasons come with the answer, which confirms it; after that nobody asks, whatever the hour."""
    moved(server, ago=30 * DAY).refuse(TWO_SIGNERS[0], "Wrong address", moment(30 * DAY), status)
    with worker(tmp_path, server) as found:
        hear(found, callback(name, created=moment(HOUR)))
        assert counts(turn(found, SOURCE)) == (1, 1, 0)
        told = shown(found)
        assert (told["status"], told["confirmed"], told["signers"][0]["name"]) == (status, "yes", "Ana Petrova")
        assert told["reason"] == (None if name == "PACKAGE_EXPIRE" else "Wrong address")
        later(found, 30 * DAY)
        for order in (Order(), NOW):
            assert counts(turn(found, SOURCE, order))[0] == 0


def test_an_end_that_cannot_be_confirmed_is_asked_about_once(tmp_path: Path, server: OneSpan) -> None:
    """They do not know it any more. A further callback is a reason to ask again."""
    with worker(tmp_path, server) as found:
        hear(found, callback("PACKAGE_DECLINE", created=moment(HOUR)))
        assert counts(turn(found, SOURCE)) == (1, 0, 0)
        later(found, DAY)
        assert counts(turn(found, SOURCE)) == (0, 0, 0)
        assert server.count("package") == 1
        hear(found, callback("PACKAGE_DECLINE", created=moment(HOUR)))
        assert counts(turn(found, SOURCE, NOW)) == (1, 0, 0)
        assert counts(turn(found, SOURCE, NOW)) == (0, 0, 0)


def test_two_ends_are_settled(tmp_path: Path, server: OneSpan) -> None:
    """Callbacks told both: the API says which."""
    moved(server, ago=30 * DAY)
    with worker(tmp_path, server) as found:
        hear(
            found,
            callback("PACKAGE_DECLINE", created=moment(2 * HOUR)),
            callback("PACKAGE_COMPLETE", created=moment(HOUR)),
        )
        assert shown(found)["confirmed"] == "contradicted"
        turn(found, SOURCE)
        assert (shown(found)["status"], shown(found)["confirmed"]) == ("COMPLETED", "yes")


def test_a_callback_may_be_on_its_way(tmp_path: Path, server: OneSpan) -> None:
    """What moved just now, or was heard of just now, waits; a command does not."""
    moved(server, ago=MINUTE)
    with worker(tmp_path, server) as found:
        hear(found, callback("PACKAGE_EXPIRE", "other"), ago=MINUTE)
        assert counts(turn(found, SOURCE)) == (0, 0, 0)
        assert counts(turn(found, SOURCE, NOW)) == (2, 0, 1)


def test_what_moved_before_the_log_began_is_nobodys_business(tmp_path: Path, server: OneSpan) -> None:
    """Unless somebody asks for it."""
    moved(server, ago=HOUR)
    with Worker(tmp_path, server.url) as found:
        assert counts(turn(found, SOURCE, NOW)) == (0, 0, 0)
        assert counts(turn(found, SOURCE, Order("command", 0))) == (1, 0, 1)


def test_the_trash_is_looked_through(tmp_path: Path, server: OneSpan) -> None:
    """It completed, and was thrown away, and nobody told of either."""
    moved(server).trash(moment(HOUR))
    with worker(tmp_path, server) as found:
        turn(found, SOURCE)
        assert (shown(found)["stage"], shown(found)["trashed"]) == ("completed", True)


def test_the_erased_is_not_asked_for(tmp_path: Path, server: OneSpan) -> None:
    """Though the list shows it, and it was expected."""
    moved(server)
    with worker(tmp_path, server) as found:
        expect(found)
        filed = acts.about(acts.ERASED_PATH, SOURCE, ID)
        add(found.database, acts.decision(Act(facts.ERASED, SOURCE, ID, reason="asked for"), "ana", filed))
        assert counts(turn(found, SOURCE, NOW)) == (0, 0, 0)
        assert (server.count("package"), observations(found)) == (0, [])


def test_what_was_broken_off_goes_on(tmp_path: Path, server: OneSpan) -> None:
    """However often it is stopped, every subject is asked for once, and none twice."""
    for number in range(6):
        moved(server, f"p{number}", ago=HOUR + number * MINUTE)
    with worker(tmp_path, server) as found:
        for subject in ("e1", "e2"):
            expect(found, subject)
        for _ in range(20):
            turn(found, SOURCE, NOW, stopped_after(2))
            if len(observations(found)) == 8:
                break
        assert [request.ids["id"] for request in server.requests if request.call == "package"] == [
            *(f"p{number}" for number in range(6)),
            *("e1", "e2"),
        ]


def test_a_long_list_goes_on_where_it_was(tmp_path: Path, server: OneSpan) -> None:
    """Behind the last page that was gone through."""
    for number in range(250):
        moved(server, f"p{number:03}", "SENT", ago=HOUR + number * MINUTE)
    with worker(tmp_path, server) as found:
        hear(found, *(callback("PACKAGE_ACTIVATE", f"p{number:03}") for number in range(250)), ago=2 * HOUR)
        assert 100 < turn(found, SOURCE, NOW, stopped_after(1)).asked < 200
        assert turn(found, SOURCE, NOW).asked < 100
        assert (server.count("package"), observations(found)) == (0, [])
        assert turn(found, SOURCE, Order("command", 0)).asked == 250


@pytest.mark.parametrize(
    ("fault", "error", "asked"),
    [
        (faults.Status(401), errors.Unauthorized, 1),
        (faults.Status(429, headers={"Retry-After": "60"}), errors.Unusable, 1),
        (faults.Status(500), errors.Unusable, 3),
        (faults.Page(), errors.Unusable, 3),
    ],
    ids=str,
)
def test_an_api_that_is_in_the_way_ends_it_for_now(
    tmp_path: Path, server: OneSpan, fault: faults.Fault, error: type[Exception], asked: int
) -> None:
    """It is told, and the next time it goes on."""
    with worker(tmp_path, server) as found:
        for number in range(5):
            moved(server, f"p{number}", ago=30 * DAY)
            expect(found, f"p{number}")
        server.faults.stand("package", fault)
        with pytest.raises(error):
            turn(found, SOURCE, NOW)
        assert server.count("package") == asked
        server.faults.clear()
        turn(found, SOURCE, NOW)
        assert len(observations(found)) == 5


def test_a_damaged_agenda_is_made_anew(tmp_path: Path, server: OneSpan) -> None:
    """The next time everything is asked, and the log says no more than it did."""
    moved(server, ago=30 * DAY)
    with worker(tmp_path, server) as found:
        expect(found)
        turn(found, SOURCE, NOW)
        path = found.settings.folder / "agenda.db"
        path.write_bytes(b"no database at all" * 99)
        with pytest.raises(errors.AgendaDamaged):
            turn(found, SOURCE, NOW)
        before = len(found.events())
        assert counts(turn(found, SOURCE, Order("command", 0))) == (1, 1, 0)
        assert len(found.events()) == before


def test_there_is_a_pause_before_each_question(tmp_path: Path, server: OneSpan) -> None:
    """Nobody publishes how many are too many."""
    pauses: list[float] = []

    def waited(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    for number in range(5):
        moved(server, f"p{number}")
    with worker(tmp_path, server) as found:
        turn(found, SOURCE, NOW, waited)
        assert server.count("package") == 5
        assert len(pauses) >= 5
        assert {*pauses} == {PACE}


def test_two_at_a_time_do_no_harm(tmp_path: Path, server: OneSpan) -> None:
    """A command, while the worker's round is under way: each answer is kept once."""
    for number in range(20):
        moved(server, f"p{number}")
    with worker(tmp_path, server) as found, ThreadPoolExecutor() as pool:
        both = [pool.submit(turn_alone, found, order) for order in (Order(), NOW)]
        assert all(one.result(60) for one in both)
        assert len(observations(found)) == 20


def turn_alone(found: Worker, order: Order) -> bool:
    """Go through the source, and fold nothing: the worker does."""
    with reconciler(found) as asking:
        return asking.run(SOURCE, order, Findings(), lambda _: False)


def test_one_that_cannot_be_had_is_in_nobodys_way(tmp_path: Path, server: OneSpan) -> None:
    """It is asked for again, later."""
    with worker(tmp_path, server) as found:
        for number in range(4):
            moved(server, f"p{number}", ago=30 * DAY)
            expect(found, f"p{number}")
        server.faults.add("package", faults.Status(500), faults.Status(406))
        turn(found, SOURCE, NOW)
        assert len(observations(found)) == 2
        later(found, DAY)
        turn(found, SOURCE)
        assert len(observations(found)) == 4
