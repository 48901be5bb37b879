"""Signatures through the real worker: what was found stands in the log with the document, and everybody sees it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from listener import acts
from listener.acts import Act
from listener.demo import papers, transactions
from listener.demo.onespan import OneSpan
from listener.demo.seals import sealer
from listener.demo.transactions import Transaction
from listener.desk import health, status
from listener.desk.reading import reading
from listener.log import event
from listener.settings import Source
from listener.worker import places
from projections import facts
from projections.facts import Verdict
from tests import evro
from tests.rig import EVIDENCE, ID, SOURCE, ZIP, Worker, artifact, callback, completed, fresh, tables


@pytest.fixture
def server() -> Iterator[OneSpan]:
    """An account with one package that is signed by all."""
    with OneSpan() as found:
        completed(found)
        yield found


def fetching(folder: Path, server: OneSpan, **changes: Any) -> Worker:
    """A worker that has what was fetched checked, with these keys of its source."""
    access = {"api_url": server.url, "api_key": "demonstration"}
    source = Source(provider="onespan", callback_keys=("k",), **access, **changes)  # type: ignore[arg-type]
    return Worker(folder, sources={SOURCE: source}, check_signatures=True)


def stored(worker: Worker, number: int = 2) -> dict[str, Verdict | None]:
    """What was found, once so many documents are stored."""
    worker.add(callback("PACKAGE_COMPLETE"))
    worker.run(lambda: len(worker.stored()) == number)
    return {act.name or "": act.verdict for act in worker.outcomes(facts.STORED)}


def shown(worker: Worker, name: str = ZIP) -> dict[str, Any]:
    """What `status` says of a document's signatures."""
    with reading(worker.database) as at:
        found = status.one(at, SOURCE, ID)
    assert found is not None
    (known,) = [each for each in found["artifacts"] if each["name"] == name]
    verdict: dict[str, Any] = known["verdict"]
    return verdict


def told(worker: Worker) -> list[str]:
    """What the timeline says of documents."""
    with reading(worker.database) as at:
        return sorted(line["text"] for line in status.history(at, SOURCE, ID) if line["what"] == facts.STORED)


def report(worker: Worker) -> tuple[int, list[str], dict[str, int]]:
    """How many anomalies there are, what needs a person, and what was found how often."""
    found = health.health(worker.database, worker.settings, worker.quarantine())
    alarms = [alarm for alarm in found["alarms"] if "worker does not run" not in alarm]
    return found["anomalies"], alarms, {word: number for word, number in found["signatures"].items() if number}


def test_what_is_signed_is_found_to_be(tmp_path: Path, server: OneSpan) -> None:
    """In the outcome, in the views and in the timeline; the evidence summary has no signature, and is due none."""
    with fetching(tmp_path, server) as worker:
        found = stored(worker)
        assert {name: known and known.found for name, known in found.items()} == {
            ZIP: facts.VALID,
            EVIDENCE: facts.UNSIGNED,
        }
        assert shown(worker)["papers"][0]["signatures"] == [
            {
                "signer": papers.SEALER,
                "intact": True,
                "whole": True,
                "changed": False,
                "signed_at": "2026-11-20T12:00:00.000000Z",
                "trusted": None,
                "problem": None,
            }
        ]
        assert told(worker) == [
            "documents.zip stored: signatures valid, by Imitation of OneSpan Sign, whom nobody was told to trust",
            "evidence.pdf stored: no signatures, and none due",
        ]
        assert report(worker) == (0, [], {facts.VALID: 1, facts.UNSIGNED: 1})


def test_whom_to_trust_is_configured(tmp_path: Path, server: OneSpan) -> None:
    """Somebody else's signature is an anomaly where that is; without it, nobody judges."""
    (tmp_path / "root.pem").write_bytes(sealer(papers.SEALER).pem)
    (tmp_path / "other.pem").write_bytes(sealer("Somebody else").pem)
    for number, (file, word, anomalies) in enumerate(
        (("root.pem", facts.VALID, 0), ("other.pem", facts.UNTRUSTED, 1)), start=1
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with fetching(folder, server, trust_roots=(str(tmp_path / file),)) as worker:
            stored(worker)
            assert (shown(worker)["found"], report(worker)[0]) == (word, anomalies)


def test_an_unsigned_document_with_200_is_kept_and_an_anomaly(tmp_path: Path, server: OneSpan) -> None:
    """As OneSpan hands out before everybody signed: stored once, and somebody is told what to look at."""
    server.packages[ID].signatures.clear()
    with capture_logs() as said, fetching(tmp_path, server) as worker:
        stored(worker)
        assert (shown(worker)["found"], shown(worker)["doubtful"]) == (facts.UNSIGNED, True)
        anomalies, (alarm,), _ = report(worker)
        assert anomalies == 1
        assert alarm.startswith("subjects whose documents are not signed as they should be: 1; they are kept")
        assert alarm.endswith(f"'signlog status {SOURCE} {ID}'")
        lies = worker.settings.documents_folder / (worker.outcomes(facts.STORED)[0].path or "")
        assert lies.is_file()
        worker.rest()
        assert len(worker.stored()) == 2
    (line,) = [line for line in said if line["event"] == "document_stored" and line["name"] == ZIP]
    assert (line["log_level"], line["signatures"]) == ("warning", facts.UNSIGNED)


def test_what_is_due_a_signature_is_configured(tmp_path: Path, server: OneSpan) -> None:
    """Nothing, for whom documents are never signed; or the evidence summary, for whom it always is."""
    server.packages[ID].signatures.clear()
    for number, (due, subjects) in enumerate((((), 0), ((EVIDENCE,), 1)), start=1):
        folder = tmp_path / str(number)
        folder.mkdir()
        with fetching(folder, server, signed_artifacts=due) as worker:
            found = stored(worker)
            assert [known and known.doubtful for _, known in sorted(found.items())] == [False, bool(due)]
            assert report(worker)[0] == subjects


def test_each_document_by_itself(tmp_path: Path, server: OneSpan) -> None:
    """Of a kind, each has a verdict of its own; what the provider said there is has none."""
    with fetching(tmp_path, server, artifacts=("document-*.pdf", "audit.json")) as worker:
        package = server.packages[ID]
        found = stored(worker, len(package.documents) + 1)
        words = {name: known.found if known else None for name, known in found.items()}
        assert words.pop("audit.json") is None
        assert len(words) == len(package.documents)
        assert set(words.values()) == {facts.VALID}


def test_decrypted_documents_are_checked(tmp_path: Path) -> None:
    """Of Evrotrust: not the encrypted, but what came out of it; a signature of a hash is no PDF's."""
    with evro.account() as server:
        evro.signed(server)
        evro.signed(server, "234567890123", content=b"%PDF-1.4 nobody signed this %%EOF")
        server.add(Transaction("345678901234", status=2, kind="hash"))
        sources = {evro.SOURCE: evro.source(tmp_path, server.url)}
        with Worker(tmp_path, sources=sources, check_signatures=True) as worker:
            for subject in ("123456789012", "234567890123", "345678901234"):
                worker.add(evro.callback(subject))
            worker.run(lambda: len(worker.stored()) == 6)
            found = {(act.subject, act.name): act.verdict for act in worker.outcomes(facts.STORED)}
        plain = {subject: known for (subject, name), known in found.items() if name == evro.DOCUMENTS}
        assert [known for (_, name), known in found.items() if name == evro.ENCRYPTED] == [None] * 3
        assert {subject: known and (known.found, known.doubtful) for subject, known in plain.items()} == {
            "123456789012": (facts.VALID, False),
            "234567890123": (facts.UNREADABLE, True),
            "345678901234": (facts.UNCHECKED, False),
        }
        signed = plain["123456789012"]
        assert signed is not None
        assert signed.papers[0].signatures[0].signer == transactions.SEALER


def test_without_what_checks_nothing_is_said_to_be_good(
    tmp_path: Path, server: OneSpan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documents come as always, and what was not done is shown with what to type."""
    monkeypatch.setitem(sys.modules, "pyhanko", None)
    with fetching(tmp_path, server) as worker:
        stored(worker)
        assert shown(worker)["text"] == ("signatures not checked: pyhanko is not installed; pip install 'signlog[pdf]'")
        assert report(worker) == (0, [], {facts.UNCHECKED: 2})


def test_what_was_in_its_place_is_checked_too(tmp_path: Path, server: OneSpan) -> None:
    """Whoever put it there was killed before anybody looked at it."""
    with fetching(tmp_path, server) as worker:
        place = worker.settings.documents_folder / places.place(artifact())
        place.parent.mkdir(parents=True)
        server.packages[ID].signatures.clear()
        place.write_bytes(papers.documents(server.packages[ID]))
        stored(worker)
        assert shown(worker)["found"] == facts.UNSIGNED
        assert "documents.zip stored: found in its place; signatures missing: " in told(worker)[0]


def test_outcomes_from_before_fold_as_they_did(tmp_path: Path) -> None:
    """They have no verdict, which is neither good nor bad."""
    body = b'{"action":"stored","source":"onespan","subject":"%b","name":"documents.zip","attempt":1,'
    body = body % ID.encode() + b'"sha256":"00","size":1,"path":"x"}'
    old = event.Draft(event.OUTCOME, SOURCE, "onespan", body, path=acts.path(artifact()))
    with Worker(tmp_path) as worker:
        worker.add(callback("PACKAGE_COMPLETE"), old)
        state = worker.artifacts()[ID, ZIP]
        assert (state.state, state.verdict) == ("stored", None)
        assert told(worker) == ["documents.zip stored"]
        assert report(worker)[0] == 0
        now = acts.outcome(artifact(), "onespan", Act(facts.STORED, attempt=1, sha256="00", size=1, path="x"))
        assert now.body == old.body


def test_a_replay_needs_no_document_to_know_what_was_found(tmp_path: Path, server: OneSpan) -> None:
    """Everything stands in the log: without documents, and without what checks them, the same views come of it."""
    with fetching(tmp_path, server) as worker:
        stored(worker)
        before = tables(worker.projector.views)
        for path in worker.settings.documents_folder.rglob("*.*"):
            if path.is_file():
                path.unlink()
        other = fresh(worker.database, tmp_path / "again", "0")
        other.catch_up()
        assert tables(other.views) == before
        other.close()
