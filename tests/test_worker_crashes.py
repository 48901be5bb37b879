"""A worker killed at any step of a download: the next one ends with each document stored once, wherever they lie."""

import hashlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from listener.demo import faults, papers
from listener.demo.imitation import Imitation
from listener.demo.onespan import OneSpan
from listener.demo.sealing import Seal
from listener.worker import schedule
from projections import facts
from tests import evro, homes
from tests.crash import Crashes, worker_of
from tests.homes import Home
from tests.rig import BOTH, EVIDENCE, ID, ZIP, Log, Worker, add, callback, completed

CLAIM = "INSERT INTO claims"
FETCH = {ZIP: "documents.zip", EVIDENCE: "evidence"}
STEPS = {"folder": ("fchmod", "fsync", "mkdir", "link"), "bucket": ("put", "get")}
EXISTS = {"folder": "link", "bucket": "put"}  # by which step a document is in its place


class Place(NamedTuple):
    """Where documents lie in these tests, of either kind."""

    kind: str
    s3_url: str
    name: str

    def home(self, folder: Path) -> Home:
        """That of a worker on this folder."""
        return homes.home(self.kind, folder / "data", self.s3_url, f"{self.name}/{folder.name}")


@pytest.fixture(params=homes.KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path, s3_url: str) -> Place:
    """A folder, and a bucket."""
    return Place(request.param, s3_url, tmp_path.name)


@pytest.fixture(scope="module")
def crashes(s3_url: str) -> Iterator[Crashes]:
    """One for all steps; it has the environment in which the server of objects is found."""
    with Crashes() as found:
        yield found


def wanted(folder: Path, server: OneSpan) -> Path:
    """A log with one package that is complete, before any worker saw it."""
    folder.mkdir()
    with Log(folder, server.url) as log:
        add(log.database, callback("PACKAGE_COMPLETE"))
    return folder


def fetched(server: OneSpan) -> dict[str, int]:
    """How often each document was asked for."""
    return {name: server.count(call) for name, call in FETCH.items()}


def placed(home: Home) -> set[str]:
    """Which documents lie in their place."""
    return {Path(path).name for path in home.paths() if ".incoming" not in path}


def test_killed_at_every_step_each_document_is_stored_once(tmp_path: Path, crashes: Crashes, place: Place) -> None:
    """Before each sync, link, folder, put, get, statement and commit: one outcome, the right bytes, nothing else.

    What lay in its place when the worker died is not fetched again. The second document is begun, and then like the
    first.
    """
    with OneSpan() as server:
        completed(server)
        steps = dry_run(tmp_path, crashes, server, place)
        for last in range(1, steps.index(CLAIM, 1) + 4):
            folder = wanted(tmp_path / str(last), server)
            home = place.home(folder)
            assert crashes.work(folder, server, last, documents=home.documents) == -signal.SIGKILL, steps[last - 1]
            lay, before = placed(home), fetched(server)
            with Worker(folder, server.url, documents=home.documents) as worker:
                worker.run(lambda: len(worker.stored()) == 2)
                assert_whole(worker, server, home)
                again = {name for name, times in fetched(server).items() if times > before[name]}
                assert not again & lay, steps[last - 1]


def dry_run(tmp_path: Path, crashes: Crashes, server: OneSpan, place: Place) -> list[str]:
    """The steps of a worker that nobody kills; they must be what this is about."""
    folder = wanted(tmp_path / "dry", server)
    assert crashes.work(folder, server, documents=place.home(folder).documents) == 0
    steps: list[str] = json.loads((folder / "steps").read_text())
    for name in (*STEPS[place.kind], "INSERT INTO events", "UPDATE claims", "commit", CLAIM):
        assert steps.count(name) >= 2, steps
    return steps


def test_killed_around_a_check_what_is_not_signed_is_stored_once(
    tmp_path: Path, crashes: Crashes, place: Place
) -> None:
    """Though the answer was 200: from the moment it lies in its place to where that is told, and with its verdict."""
    with OneSpan() as server:
        completed(server)
        server.packages[ID].signatures.clear()
        steps = dry_run(tmp_path, crashes, server, place)
        end = steps.index(CLAIM, 1)
        exists = max(step for step in range(end) if steps[step] == EXISTS[place.kind])
        for last in range(exists + 1, end + 1):
            folder = wanted(tmp_path / str(last), server)
            at = place.home(folder).documents
            assert crashes.work(folder, server, last, signatures=True, documents=at) == -signal.SIGKILL, steps[last - 1]
            with Worker(folder, server.url, documents=at, check_signatures=True) as worker:
                worker.run(lambda: len(worker.stored()) == 2)
                assert_whole(worker, server, place.home(folder))
                verdicts = {act.name: act.verdict for act in worker.outcomes(facts.STORED)}
                assert {name: known and (known.found, known.doubtful) for name, known in verdicts.items()} == {
                    ZIP: (facts.UNSIGNED, True),
                    EVIDENCE: (facts.UNSIGNED, False),
                }


def assert_whole(worker: Worker, server: OneSpan, home: Home) -> None:
    """Each document once in the log and once in its place, as the provider made it."""
    assert worker.stored() == sorted((ID, name) for name in BOTH)
    assert_lies(worker, server, home)


def assert_lies(worker: Worker, server: OneSpan, home: Home) -> None:
    """What is stored lies there as the provider made it, and nothing else does."""
    package = server.packages[ID]
    made = {ZIP: papers.documents(package), EVIDENCE: papers.evidence(package)}
    for act in worker.outcomes(facts.STORED):
        content = home.read(act.path or "")
        assert content == made[act.name or ""]
        assert act.sha256 == hashlib.sha256(content).hexdigest()
    assert home.paths() == sorted(act.path or "" for act in worker.outcomes(facts.STORED))


FAILING_STEPS = 11  # of a worker: the first failure is told before the last of them


# One that comes before a byte was written, and one amid them.
@pytest.mark.parametrize(
    ("call", "fault"),
    [("package", faults.Status(404)), ("documents.zip", faults.Truncated())],
    ids=["asked", "fetched"],
)
def test_killed_amid_a_failure_each_document_is_stored_once(
    tmp_path: Path, crashes: Crashes, monkeypatch: pytest.MonkeyPatch, call: str, fault: faults.Fault
) -> None:
    """At every step up to where the failure is told: it is told once at the most, and the next try ends well."""
    monkeypatch.setattr(schedule, "SECONDS", (0,) * len(schedule.SECONDS))
    for last in range(1, FAILING_STEPS + 1):
        with OneSpan() as server:
            completed(server)
            server.faults.add(call, fault)
            folder = wanted(tmp_path / str(last), server)
            assert crashes.work(folder, server, last) == -signal.SIGKILL
            with Worker(folder, server.url) as worker:
                worker.run(lambda: len(worker.stored()) == 2)
                assert_whole(worker, server, homes.InFolder(worker.settings.documents_folder))
                told = [(act.name, act.attempt) for act in worker.outcomes(facts.FAILED)]
                assert len(told) == len(set(told)) <= 2


def test_a_failure_is_told_within_these_steps(tmp_path: Path, crashes: Crashes) -> None:
    """A worker killed at the last of them has told it, one killed at the first has done nothing."""
    for last, told in ((1, 0), (FAILING_STEPS, 1)):
        with OneSpan() as server:
            completed(server)
            server.faults.add("documents.zip", faults.Status(500))
            folder = wanted(tmp_path / str(last), server)
            assert crashes.work(folder, server, last) == -signal.SIGKILL
            with Log(folder, server.url) as log:
                assert len(log.outcomes(facts.FAILED)) == told


def test_not_killed_it_ends_by_itself(tmp_path: Path, crashes: Crashes) -> None:
    """The means above do no harm by themselves: one question, each document fetched once."""
    with OneSpan() as server:
        completed(server)
        folder = wanted(tmp_path / "calm", server)
        assert crashes.work(folder, server) == 0
        assert fetched(server) == {ZIP: 1, EVIDENCE: 1}
        with Worker(folder, server.url) as worker:
            assert_whole(worker, server, homes.InFolder(worker.settings.documents_folder))


def test_killed_while_one_document_is_made_of_another_it_is_stored_once(
    tmp_path: Path, crashes: Crashes, place: Place
) -> None:
    """From the claim on it to the end. What it is made of is there, and nobody is asked for it again."""
    with evro.account() as server:
        evro.signed(server)
        steps = made_in_peace(tmp_path, crashes, server, place)
        for last in range(steps.index(CLAIM, 1) + 1, len(steps) + 1):
            folder = signed(tmp_path / str(last), server)
            home = place.home(folder)
            killed = crashes.work(folder, server, last, evro.SOURCE, documents=home.documents)
            assert killed == -signal.SIGKILL, steps[last - 1]
            asked = len(server.requests)
            with worker_of(evro.SOURCE, folder, home.documents, server.url, False) as worker:
                worker.run(lambda: len(worker.stored()) == 2)
                assert worker.stored() == sorted((evro.ID, name) for name in evro.BOTH)
                (made,) = [act for act in worker.outcomes() if act.name == evro.DOCUMENTS]
                content = home.read(made.path or "")
                assert list(evro.entries(content)) == ["contract.pdf"]
                assert made.sha256 == hashlib.sha256(content).hexdigest()
                assert len(home.paths()) == 2
            assert len(server.requests) == asked, steps[last - 1]


def test_a_large_document_takes_little_of_the_workers_memory(tmp_path: Path, crashes: Crashes) -> None:
    """25 MB, fetched and decrypted within 300 MB."""
    with evro.account() as server:
        evro.signed(server, content=bytes(range(256)) * 100_000, seal=Seal(aes=True))
        folder = signed(tmp_path / "large", server)
        assert crashes.work(folder, server, source=evro.SOURCE) == 0
        assert 0 < crashes.peak < 300 * 1024
        with evro.worker(folder, server.url, [folder / evro.KEY]) as worker:
            assert [act.name for act in worker.outcomes(facts.STORED)] == [*evro.BOTH]


def signed(folder: Path, server: Imitation) -> Path:
    """A log with one transaction that is signed, and the private key beside it, before any worker saw it."""
    folder.mkdir()
    with Log(folder, sources={evro.SOURCE: evro.source(folder, server.url)}) as log:
        add(log.database, evro.callback())
    return folder


def made_in_peace(tmp_path: Path, crashes: Crashes, server: Imitation, place: Place) -> list[str]:
    """The steps of a worker that nobody kills; a second claim must be among them, and what follows it."""
    folder = signed(tmp_path / "dry", server)
    assert crashes.work(folder, server, source=evro.SOURCE, documents=place.home(folder).documents) == 0
    steps: list[str] = json.loads((folder / "steps").read_text())
    made = steps[steps.index(CLAIM, 1) :]
    assert {*STEPS[place.kind]} - {"mkdir"} | {"INSERT INTO events", "UPDATE claims", "commit", CLAIM} <= {*made}
    return steps
