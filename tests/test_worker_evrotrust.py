"""Evrotrust's documents through the real worker: fetched as they come, then opened, each stored once."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from listener import decisions, wire
from listener.acts import Act, Artifact
from listener.decryption import child
from listener.demo import faults
from listener.demo.evrotrust import Evrotrust
from listener.demo.sealing import Seal
from listener.demo.transactions import Transaction, package, paper
from listener.desk import health
from listener.log import event
from listener.worker import schedule
from projections import artifacts, facts
from projections.facts import Expected
from tests import evro
from tests.evro import BOTH, DOCUMENTS, ENCRYPTED, ID, SOURCE, account, callback, entries, key_file, pair, signed
from tests.rig import Worker, paths, until

ASK, FETCH = "document.status", "document.download"


@pytest.fixture
def server() -> Iterator[Evrotrust]:
    """An account with one transaction that is signed."""
    with account() as found:
        signed(found)
        yield found


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes at once: what failed is due again."""
    monkeypatch.setattr(schedule, "SECONDS", (0,) * len(schedule.SECONDS))
    monkeypatch.setattr(schedule, "HOURLY", 0)


def states(worker: Worker) -> dict[str, str]:
    """What became of the transaction's documents."""
    return {name: state.state for (subject, name), state in worker.artifacts().items() if subject == ID}


def alarms(worker: Worker) -> list[str]:
    """What health says, but that nobody beats a heart by hand here."""
    told: list[str] = health.health(worker.database, worker.settings, worker.quarantine())["alarms"]
    return [alarm for alarm in told if "worker does not run" not in alarm]


def assert_stored(worker: Worker, server: Evrotrust, *subjects: str, names: Sequence[str] = BOTH) -> None:
    """Both documents of each, encrypted as handed out and plain as signed; one outcome each, and nothing else there."""
    assert worker.stored() == sorted((subject, name) for subject in subjects for name in names)
    for act in worker.outcomes(facts.STORED):
        content = (worker.settings.documents_folder / (act.path or "")).read_bytes()
        transaction = server.transactions[act.subject or ""]
        assert (act.sha256, act.size) == (hashlib.sha256(content).hexdigest(), len(content))
        if act.name == ENCRYPTED:
            assert content == package(transaction)
        else:
            assert entries(content) == {"contract.pdf": paper(transaction)}
    assert len(paths(worker.settings.documents_folder)) == len(names) * len(subjects)


def stored(worker: Worker, number: int) -> Any:
    """Whether so many documents are stored."""
    return lambda: len(worker.stored()) == number


def only(worker: Worker, action: str) -> Act:
    """The one outcome of that sort."""
    (act,) = worker.outcomes(action)
    return act


def test_a_signed_transaction_is_fetched_and_opened(tmp_path: Path, server: Evrotrust) -> None:
    """Asked once, fetched once, opened once; who opens it asks nobody."""
    with evro.worker(tmp_path, server.url) as worker:
        worker.add(callback())
        worker.run(stored(worker, 2))
        assert [asked.call for asked in server.requests] == [ASK, FETCH]
        kinds = [found.kind for found in worker.events()][1:]
        assert kinds == [event.CALLBACK, event.OBSERVATION, event.OUTCOME, event.OUTCOME]
        assert_stored(worker, server, ID)
        assert alarms(worker) == []


def test_signed_and_not_made_yet_is_not_fetched(tmp_path: Path, server: Evrotrust, soon: None) -> None:
    """A status of 2 beside isProcessing: asked again and again, and fetched when the file is there."""
    server.transactions[ID].is_processing = True
    with evro.worker(tmp_path, server.url) as worker:
        worker.add(callback())
        worker.run(lambda: len(worker.outcomes(facts.FAILED)) >= 3)
        assert server.count(FETCH) == 0
        assert states(worker)[DOCUMENTS] == artifacts.WANTED
        server.transactions[ID].is_processing = False
        worker.run(stored(worker, 2))
        assert_stored(worker, server, ID)
        assert {act.name for act in worker.outcomes(facts.FAILED)} == {ENCRYPTED}


FAULTS = [
    faults.Dropped(),
    faults.Slow(0.02, 3),
    faults.Hung(),
    faults.Truncated(),
    faults.WrongLength(1),
    faults.WrongLength(-30),
    faults.Page(),
    faults.Page(503),
    faults.Status(400),
    faults.Status(403),
    faults.Status(404),
    faults.Status(429, {"Retry-After": "0"}),
    faults.Status(438),
    faults.Status(443),
    faults.Status(487),
    faults.Status(500),
    faults.Status(503),
    faults.Status(200, {"Content-Encoding": "gzip"}, b"\x1f\x8b"),
    faults.Status(200),
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_whatever_goes_wrong_once_it_ends_well(
    tmp_path: Path, server: Evrotrust, monkeypatch: pytest.MonkeyPatch, soon: None, fault: faults.Fault
) -> None:
    """A fault at each call in turn: the failure is told, and the next try stores it once."""
    monkeypatch.setattr(wire, "SECONDS", 0.5 if isinstance(fault, faults.Hung) else 30)
    calls = {"1": ASK, "2": FETCH}
    for subject in calls:
        signed(server, subject)
    with evro.worker(tmp_path, server.url, artifacts=(ENCRYPTED,)) as worker:
        for number, (subject, call) in enumerate(calls.items(), start=1):
            server.faults.add(call, fault)
            worker.add(callback(subject))
            worker.run(stored(worker, number))
        assert_stored(worker, server, *calls, names=[ENCRYPTED])
        failed = worker.outcomes(facts.FAILED)
        assert [act.subject for act in failed] == ([] if isinstance(fault, faults.Slow) else [*calls])
        assert all(act.reason and act.next_at and act.name == ENCRYPTED for act in failed)
        assert alarms(worker) == []


def test_469_waits_a_minute_for_itself_alone(tmp_path: Path, server: Evrotrust) -> None:
    """As they say; but it speaks of one transaction, and others are not kept waiting."""
    server.faults.add(FETCH, faults.Status(469))
    signed(server, "other")
    with evro.worker(tmp_path, server.url) as worker:
        worker.add(callback())
        worker.rest()
        act = only(worker, facts.FAILED)
        [told] = worker.events(event.OUTCOME)
        assert (act.next_at or 0) - told.recorded_at > 59 * 1_000_000
        worker.add(callback("other"))
        worker.run(stored(worker, 2))
        assert states(worker) == {ENCRYPTED: artifacts.FAILED, DOCUMENTS: artifacts.WANTED}


def test_a_refused_key_is_one_alarm(tmp_path: Path, server: Evrotrust) -> None:
    """A wrong vendor number is refused in the same way."""
    server.vendor_number = "another"
    with evro.worker(tmp_path, server.url) as worker:
        worker.add(callback())
        worker.rest()
        assert only(worker, facts.FAILED).next_at is None
        assert server.count(ASK) == 1
        assert alarms(worker) == [
            "evrotrust: the provider refuses the API key; mend sources.evrotrust.api_key or vendor_number and restart; "
            "if it was mended at the provider, type: signlog downloads retry evrotrust --reason …"
        ]


def test_a_wrong_key_is_final_until_a_person_acts(tmp_path: Path, server: Evrotrust, soon: None) -> None:
    """Nothing is lost, nothing is fetched again: with the right key, and a decision, it is opened."""
    theirs = key_file(tmp_path, "theirs")
    with evro.worker(tmp_path, server.url, [theirs]) as worker:
        worker.add(callback())
        worker.run(lambda: worker.outcomes(facts.ABANDONED))
        told = f"no private key opens the document of transaction {ID}; tried: theirs"
        assert only(worker, facts.ABANDONED).reason == told
        assert (worker.stored(), worker.outcomes(facts.FAILED)) == ([(ID, ENCRYPTED)], [])
        assert "documents given up: 1" in alarms(worker)[0]
    with evro.worker(tmp_path, server.url, [theirs, key_file(tmp_path)]) as worker:
        worker.rest()
        assert len(worker.outcomes()) == 2
        decisions.retry(worker.database, [Artifact(SOURCE, ID, DOCUMENTS)], "ana", "the key was missing")
        worker.run(stored(worker, 2))
        assert_stored(worker, server, ID)
        assert [asked.call for asked in server.requests] == [ASK, FETCH]


def test_without_a_private_key_it_stays_wanted(tmp_path: Path, server: Evrotrust) -> None:
    """What is encrypted is kept, health says what to set, and with the key everything of before is opened."""
    with evro.worker(tmp_path, server.url, []) as worker:
        worker.add(callback())
        worker.rest()
        assert states(worker) == {ENCRYPTED: artifacts.STORED, DOCUMENTS: artifacts.WANTED}
        assert "set sources.evrotrust.private_keys" in alarms(worker)[0]
    with evro.worker(tmp_path, server.url) as worker:
        worker.run(stored(worker, 2))
        assert_stored(worker, server, ID)
        assert [asked.call for asked in server.requests] == [ASK, FETCH]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [((ENCRYPTED,), (ENCRYPTED,)), ((DOCUMENTS,), BOTH), ((), ())],
    ids=" ".join,
)
def test_what_a_document_is_made_of_comes_with_it(
    tmp_path: Path, server: Evrotrust, wanted: tuple[str, ...], names: tuple[str, ...]
) -> None:
    """Whoever wants the plain ones alone has the others too, so that they can be opened again."""
    with evro.worker(tmp_path, server.url, artifacts=wanted) as worker:
        worker.add(callback())
        worker.rest()
        worker.rest()
        assert worker.stored() == sorted((ID, name) for name in names)


def test_the_key_of_each_transaction_is_found(tmp_path: Path, server: Evrotrust) -> None:
    """Several keys, and a folder of them; one that was named is only tried first."""
    (tmp_path / "keys").mkdir()
    for name in ("k1", "k2"):
        key_file(tmp_path / "keys", name)
        signed(server, name, seal=Seal(pair(name).public))
    with evro.worker(tmp_path, server.url, [key_file(tmp_path), tmp_path / "keys"]) as worker:
        for subject, key in (("k1", "k1"), ("k2", "typo")):
            decisions.expect(worker.database, SOURCE, "evrotrust", subject, Expected(key=key), "ana", None)
        worker.add(callback(), callback("k1"), callback("k2"))
        worker.run(stored(worker, 6))
        assert_stored(worker, server, ID, "k1", "k2")


def test_a_group_is_asked_for_where_its_callback_says(tmp_path: Path, server: Evrotrust) -> None:
    """Or where somebody said; the thread tells what of it was rejected."""
    for subject, status in (("1", 2), ("2", 3)):
        server.add(Transaction(subject, status, thread_id="AA"))
    for group in ("g1", "g2"):
        signed(server, group, kind="group", members=["1", "2"], thread_id="AA")
    with evro.worker(tmp_path, server.url) as worker:
        told = Expected(kind="group", thread="AA")
        decisions.expect(worker.database, SOURCE, "evrotrust", "g2", told, "ana", None)
        worker.add(callback("g1", path="/document/group/ready"), callback("g2"))
        worker.run(stored(worker, 4))
        calls = [asked.call for asked in server.requests]
        assert {call: calls.count(call) for call in calls} == {
            "group.status": 2,
            "group.download": 2,
            "thread.status": 1,
        }


@pytest.mark.parametrize("spoil", [b"<html>", b"PK\x05\x06" + bytes(18)])
def test_a_download_that_is_none_is_given_up_at_once(
    tmp_path: Path, server: Evrotrust, soon: None, spoil: bytes
) -> None:
    """What begins and ends like a zip is stored as it came; what is in it is told. A page is not even stored."""
    server.faults.add(FETCH, faults.Status(200, body=spoil))
    with evro.worker(tmp_path, server.url) as worker:
        worker.add(callback())
        worker.run(lambda: worker.outcomes(facts.ABANDONED) or len(worker.stored()) == 2)
        page = spoil.startswith(b"<")
        assert len(worker.outcomes(facts.FAILED)) == page
        assert states(worker)[DOCUMENTS] == (artifacts.STORED if page else artifacts.ABANDONED)


def test_a_download_that_is_gone_from_disk_is_told(tmp_path: Path, server: Evrotrust) -> None:
    """Somebody took it away before it was opened: it is not fetched again, for the log says that it is stored."""
    with evro.worker(tmp_path, server.url, []) as worker:
        worker.add(callback())
        worker.rest()
        (worker.settings.documents_folder / SOURCE / ID / ENCRYPTED).unlink()
    with evro.worker(tmp_path, server.url) as worker:
        worker.run(lambda: worker.outcomes(facts.ABANDONED))
        assert only(worker, facts.ABANDONED).reason == "encrypted.zip is not where it was stored; put it back"


def test_a_process_that_dies_is_started_again(
    tmp_path: Path, server: Evrotrust, monkeypatch: pytest.MonkeyPatch, soon: None
) -> None:
    """It says nothing of the document: the next try opens it."""
    command = child._COMMAND
    monkeypatch.setattr(child, "_COMMAND", (command[0], "-c", "import os; os.kill(os.getpid(), 9)"))
    with evro.worker(tmp_path, server.url) as worker:
        worker.add(callback())
        worker.run(lambda: len(worker.outcomes(facts.FAILED)) >= 2)
        assert worker.outcomes(facts.FAILED)[0].reason == "decryption ended with -9: "
        monkeypatch.setattr(child, "_COMMAND", command)
        worker.run(stored(worker, 2))
        assert_stored(worker, server, ID)


def test_a_stop_amid_decryption_is_no_failure(tmp_path: Path, server: Evrotrust) -> None:
    """It starts over the next time."""
    server.transactions[ID].content = bytes(40_000_000)
    with evro.worker(tmp_path, server.url) as worker:
        worker.add(callback())
        until(lambda: worker.turn() and worker.stored() and not worker.idle())
        worker.restart()
        assert [act.action for act in worker.outcomes()] == [facts.STORED]
        assert states(worker)[DOCUMENTS] == artifacts.WANTED
