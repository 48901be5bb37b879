"""A worker whose documents lie in a bucket: fetched, made of each other, checked; and a bucket that goes away."""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from listener import bootstrap_documents
from listener.demo import papers
from listener.demo.onespan import OneSpan
from listener.desk import health
from listener.worker import downloads
from projections import artifacts, facts
from tests import evro, s3
from tests.homes import InBucket
from tests.rig import BOTH, EVIDENCE, ID, ZIP, Worker, callback, completed, until
from tests.s3 import Wire

FETCHES = ("documents.zip", "evidence")


@pytest.fixture
def home(tmp_path: Path, s3_url: str) -> InBucket:
    """Where documents lie."""
    return InBucket(tmp_path / "data/documents", s3_url, f"s3://{s3.BUCKET}/{tmp_path.name}")


@pytest.fixture
def server() -> Iterator[OneSpan]:
    """An account with one package that is signed by all."""
    with OneSpan() as found:
        completed(found)
        yield found


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever found no place for a document tries again at once."""
    monkeypatch.setattr(downloads, "NO_ROOM_SECONDS", 0.01)


def alarms(worker: Worker) -> list[str]:
    """What health says, but that nobody beats a heart by hand here."""
    trouble = bootstrap_documents.trouble(worker.settings)
    told: list[str] = health.health(worker.database, worker.settings, worker.quarantine(), trouble)["alarms"]
    return [alarm for alarm in told if "worker does not run" not in alarm]


def assert_stored(worker: Worker, server: OneSpan, home: InBucket) -> None:
    """Both documents lie there as handed out, told in one outcome each, and nothing else, there or here."""
    package = server.packages[ID]
    made = {ZIP: papers.documents(package), EVIDENCE: papers.evidence(package)}
    assert worker.stored() == sorted((ID, name) for name in BOTH)
    for act in worker.outcomes(facts.STORED):
        content = home.read(act.path or "")
        assert content == made[act.name or ""]
        assert (act.sha256, act.size) == (hashlib.sha256(content).hexdigest(), len(content))
    assert home.paths() == sorted(act.path or "" for act in worker.outcomes(facts.STORED))
    assert worker.states() == {artifacts.STORED: 2}


def test_what_completes_is_fetched_into_the_bucket(tmp_path: Path, server: OneSpan, home: InBucket) -> None:
    """Each document once, with its signatures checked."""
    with Worker(tmp_path, server.url, documents=home.documents, check_signatures=True) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.stored()) == 2)
        assert_stored(worker, server, home)
        verdicts = {act.name: act.verdict and act.verdict.found for act in worker.outcomes(facts.STORED)}
        assert verdicts[ZIP] == facts.VALID
        assert alarms(worker) == []


def test_one_document_is_made_of_another_that_lies_there(tmp_path: Path, home: InBucket) -> None:
    """It is read back for that; gone, it must be put back by a person."""
    with evro.account() as server:
        evro.signed(server)
        sources = {evro.SOURCE: evro.source(tmp_path, server.url)}
        with Worker(tmp_path, documents=home.documents, sources=sources) as worker:
            worker.add(evro.callback())
            worker.run(lambda: len(worker.stored()) == 2)
            made = next(act for act in worker.outcomes(facts.STORED) if act.name == evro.DOCUMENTS)
            assert list(evro.entries(home.read(made.path or ""))) == ["contract.pdf"]
            assert len(home.paths()) == 2


@pytest.mark.parametrize(
    "fault",
    [s3.unheard, s3.says(503, "SlowDown"), s3.says(403, "AccessDenied"), s3.says(404, "NoSuchBucket"), s3.deaf],
    ids=["down", "slow down", "denied", "no bucket", "writes over"],
)
def test_while_the_bucket_is_away_documents_wait(
    tmp_path: Path, server: OneSpan, home: InBucket, wire: Wire, soon: None, fault: s3.Fault
) -> None:
    """No try is counted and nothing is fetched; health says why. When it is back they come, and all is well."""
    wire.always = fault
    with Worker(tmp_path, server.url, documents=home.documents) as worker, capture_logs() as said:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: [line["event"] for line in said].count("documents_away") > 3)
        assert worker.states() == {artifacts.WANTED: 2}
        assert worker.outcomes() == []
        assert [server.count(call) for call in FETCHES] == [0, 0]
        [alarm] = alarms(worker)
        assert alarm.startswith(f"no document can be stored: {'documents: ' * (fault is s3.deaf)}{home.documents}: ")
        assert home.paths() == []
        wire.always = None
        worker.run(lambda: len(worker.stored()) == 2)
        assert_stored(worker, server, home)
        assert alarms(worker) == []


def test_a_bucket_that_goes_away_between_fetch_and_put(
    tmp_path: Path, server: OneSpan, home: InBucket, wire: Wire, soon: None
) -> None:
    """Nothing is fetched again until something can be put there again."""
    wire.goes_wrong("PUT", s3.passed, s3.passed, *[s3.says(403, "AccessDenied")] * 20)
    with Worker(tmp_path, server.url, documents=home.documents) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.stored()) == 2)
        assert_stored(worker, server, home)
        assert worker.outcomes(facts.FAILED) == []
        assert sum(server.count(call) for call in FETCHES) == 3


def test_a_put_whose_answer_is_lost_is_not_fetched_again(
    tmp_path: Path, server: OneSpan, home: InBucket, wire: Wire, soon: None
) -> None:
    """However often it is lost."""
    wire.goes_wrong("PUT", s3.passed, s3.passed, s3.unanswered, s3.unanswered)
    with Worker(tmp_path, server.url, documents=home.documents) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.stored()) == 2)
        assert_stored(worker, server, home)
        assert [server.count(call) for call in FETCHES] == [1, 1]


def test_what_somebody_put_there_is_for_a_person(
    tmp_path: Path, server: OneSpan, home: InBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither believed nor written over; once it is out of the way, the document comes."""
    monkeypatch.setattr("listener.worker.schedule.SECONDS", (0,) * 20)
    with Worker(tmp_path, server.url, documents=home.documents) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.stored()) == 2)
        [path] = [act.path or "" for act in worker.outcomes(facts.STORED) if act.name == ZIP]
    elsewhere = InBucket(tmp_path / "b/data/documents", home.objects.url, f"{home.documents}/b")
    elsewhere.write(path, b"<html>")
    (tmp_path / "b").mkdir()
    with Worker(tmp_path / "b", server.url, documents=elsewhere.documents) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.outcomes(facts.FAILED)) > 1)
        assert "not a zip" in (worker.outcomes(facts.FAILED)[0].reason or "")
        assert elsewhere.read(path) == b"<html>"
        elsewhere.delete(path)
        worker.run(lambda: len(worker.stored()) == 2)
        assert_stored(worker, server, elsewhere)


def test_who_comes_second_adopts_what_lies_in_the_bucket(tmp_path: Path, server: OneSpan, home: InBucket) -> None:
    """Though its own log knows nothing of it: two workers on one bucket fetch each document once."""
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        with contextlib.ExitStack() as held:
            worker = held.enter_context(Worker(folder, server.url, documents=home.documents))
            worker.add(callback("PACKAGE_COMPLETE"))
            worker.run(lambda worker=worker: len(worker.stored()) == 2)  # type: ignore[misc]  # bound in each turn
            until(worker.idle)
            assert_stored(worker, server, home)
    assert [server.count(call) for call in FETCHES] == [1, 1]
