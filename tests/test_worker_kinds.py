"""Artifacts of which there are several: which ones there are the provider says, and each is stored once."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import pytest

from listener import decisions
from listener.acts import Artifact
from listener.apis.onespan import ARTIFACTS
from listener.demo import bodies, faults, papers
from listener.demo.onespan import OneSpan
from listener.demo.packages import CONSENT, Document, Package
from listener.log import event
from listener.settings import Source
from listener.worker import schedule
from projections import artifacts, facts
from tests.rig import ID, NOON, SOURCE, Worker, callback, paths

PDFS, ATTACHMENTS = "document-*.pdf", "attachments-*.zip"
HOSTILE = ("../../x", "*", "%2A", "a/b", "-a", "A", "a", "a\0b", "ünï", "x" * 256, "a?b#c", "~")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes at once: what failed is due again."""
    monkeypatch.setattr(schedule, "SECONDS", (0,) * len(schedule.SECONDS))
    monkeypatch.setattr(schedule, "HOURLY", 0)


def wanting(folder: Path, server: OneSpan, *wanted: str) -> Worker:
    """A worker whose source wants these."""
    access = {"api_url": server.url, "api_key": server.api_key}
    source = Source(provider="onespan", callback_keys=("k",), artifacts=wanted, **access)  # type: ignore[arg-type]
    return Worker(folder, sources={SOURCE: source})


def signed(server: OneSpan, *ids: str) -> Package:
    """A package that is complete, with documents of these ids."""
    package = Package(ID, documents=[Document(known, f"Lease {known}") for known in ids or ("d1", "d2")])
    package.finish(NOON)
    return server.add(package)


def stored(worker: Worker) -> list[str]:
    """The names of what is stored."""
    return [name for _, name in worker.stored()]


def named(*ids: str) -> list[str]:
    """The artifacts of these documents."""
    return sorted(facts.one_of(PDFS, known) for known in ids)


def test_everything_that_can_be_wanted_is_stored(tmp_path: Path) -> None:
    """Each kind of artifact, byte for byte as the provider made it, under names that say what they are."""
    with OneSpan() as server:
        package = signed(server)
        package.attach(package.signers[0], "passport.pdf", b"%PDF-", NOON)
        with wanting(tmp_path, server, *ARTIFACTS) as worker:
            worker.add(callback("PACKAGE_COMPLETE"))
            worker.rest()
            assert stored(worker) == sorted(
                [
                    *named("d1", "d2"),
                    "attachments-Signer1.zip",
                    "audit.json",
                    "documents.zip",
                    "evidence.pdf",
                    "fields.json",
                ]
            )
            assert worker.states() == {artifacts.STORED: 7, artifacts.LISTED: 2}
            told = {act.name: act.path or "" for act in worker.outcomes(facts.STORED)}
            lies = worker.settings.documents_folder / told["document-d2.pdf"]
            assert lies.name == "document-d2.pdf"
            assert lies.read_bytes() == papers.document(package, package.documents[1])
            assert server.count("attachment.role") == 1


def test_a_kind_alone_is_asked_about_and_fetched(tmp_path: Path) -> None:
    """Nothing else need be wanted; the question is in the log, and so is that it was answered."""
    with OneSpan() as server, wanting(tmp_path, server, PDFS) as worker:
        signed(server)
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.rest()
        assert stored(worker) == named("d1", "d2")
        kinds = [found.kind for found in worker.events()][1:]
        assert kinds == [event.CALLBACK, event.OBSERVATION, *[event.OUTCOME] * 3]
        assert [act.action for act in worker.outcomes()] == [facts.LISTED, facts.STORED, facts.STORED]


def test_the_consent_is_no_document(tmp_path: Path) -> None:
    """It stands among the documents of every package, and nobody asks for it."""
    with OneSpan() as server, wanting(tmp_path, server, PDFS) as worker:
        signed(server)
        assert CONSENT in str(bodies.package(server.packages[ID]))
        worker.add(callback("DOCUMENT_SIGNED", document_id=CONSENT), callback("PACKAGE_COMPLETE"))
        worker.rest()
        assert stored(worker) == named("d1", "d2")
        assert not any(CONSENT in asked.path for asked in server.requests)


def test_where_there_are_none_nothing_is_asked_for(tmp_path: Path) -> None:
    """A package without attachments is the usual case: no request, no failure, no alarm."""
    with OneSpan() as server, wanting(tmp_path, server, ATTACHMENTS) as worker:
        signed(server)
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.rest()
        assert worker.states() == {artifacts.LISTED: 1}
        assert [asked.call for asked in server.requests] == ["package"]


@pytest.mark.parametrize("status", ["SENT", "DECLINED", "EXPIRED"])
def test_nothing_is_fetched_before_it_is_complete(tmp_path: Path, soon: None, status: str) -> None:
    """Whatever a callback says: OneSpan would hand out documents without the signatures that are missing."""
    with OneSpan() as server, wanting(tmp_path, server, PDFS, "audit.json") as worker:
        package = signed(server)
        package.move(status, NOON)
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.outcomes(facts.FAILED)) >= 4)
        assert {asked.call for asked in server.requests} == {"package"}
        package.move("COMPLETED", NOON)
        worker.run(lambda: len(worker.stored()) == 3)
        assert stored(worker) == ["audit.json", *named("d1", "d2")]


def test_hostile_ids_have_a_place_of_their_own(tmp_path: Path) -> None:
    """Each document lies below its package, asked for by its own id; what holds a slash OneSpan does not find."""
    with OneSpan() as server, wanting(tmp_path, server, PDFS) as worker:
        package = signed(server, *HOSTILE)
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.rest()
        reachable = [known for known in HOSTILE if "/" not in known]
        assert stored(worker) == named(*reachable)
        told = {act.name: act.path or "" for act in worker.outcomes(facts.STORED)}
        assert sorted(told.values()) == list(paths(worker.settings.documents_folder))
        assert len({path.lower() for path in told.values()}) == len(reachable)
        for document in package.documents:
            if document.id in reachable:
                content = (worker.settings.documents_folder / told[facts.one_of(PDFS, document.id)]).read_bytes()
                assert content == papers.document(package, document)
        asked = [known.path.split("/")[5] for known in server.requests if known.path.endswith("/pdf")]
        assert {unquote(known) for known in asked} == set(HOSTILE)


@pytest.mark.parametrize("known", ["..", "."])
def test_an_id_that_no_address_can_hold_is_given_up(tmp_path: Path, soon: None, known: str) -> None:
    """It would be asked for as something else; a person hears of it, and the others come."""
    with OneSpan() as server, wanting(tmp_path, server, PDFS) as worker:
        signed(server, known, "d1")
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: worker.outcomes(facts.ABANDONED))
        assert [act.name for act in worker.outcomes(facts.ABANDONED)] == named(known)
        assert stored(worker) == named("d1")


def test_a_question_that_fails_is_asked_again(tmp_path: Path, soon: None) -> None:
    """Like a fetch: each failure is told, with its number."""
    with OneSpan() as server, wanting(tmp_path, server, PDFS) as worker:
        signed(server)
        server.faults.add("package", faults.Status(503), faults.Page())
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.stored()) == 2)
        assert [act.attempt for act in worker.outcomes(facts.FAILED)] == [1, 2]


def test_a_question_that_was_given_up_waits_for_a_person(tmp_path: Path, soon: None) -> None:
    """Whose decision begins anew."""
    with OneSpan() as server, wanting(tmp_path, server, PDFS) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: worker.outcomes(facts.ABANDONED))
        assert worker.states() == {artifacts.ABANDONED: 1}
        signed(server)
        decisions.retry(worker.database, [Artifact(SOURCE, ID, PDFS)], "me", "it is there again")
        worker.run(lambda: len(worker.stored()) == 2)
        assert worker.states() == {artifacts.LISTED: 1, artifacts.STORED: 2}


def without_views(worker: Worker) -> None:
    worker.stop()
    worker.projector.views.discard()
    worker.start()


def repeated(worker: Worker) -> None:
    worker.add(callback("PACKAGE_COMPLETE"), callback("PACKAGE_ARCHIVE"))


@pytest.mark.parametrize("happens", [without_views, repeated, Worker.restart])
def test_what_is_stored_is_never_asked_for_again(tmp_path: Path, happens: object) -> None:
    """Neither by another fold of the same log, nor by a repetition, nor by another process."""
    with OneSpan() as server, wanting(tmp_path, server, PDFS, ATTACHMENTS) as worker:
        signed(server)
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.rest()
        asked, states = server.requests, worker.states()
        happens(worker)  # type: ignore[operator]
        worker.rest()
        assert server.requests == asked
        assert worker.states() == states == {artifacts.LISTED: 2, artifacts.STORED: 2}


def test_a_kind_in_force_later_counts_from_then_on(tmp_path: Path) -> None:
    """What completed before is not asked about; a further callback of it is."""
    with OneSpan() as server:
        signed(server)
        for wanted, expected in (("evidence.pdf",), ["evidence.pdf"]), (("evidence.pdf", PDFS), ["evidence.pdf"]):
            with wanting(tmp_path, server, *wanted) as worker:
                worker.add(*([] if worker.stored() else [callback("PACKAGE_COMPLETE")]))
                worker.rest()
                assert stored(worker) == expected
        with wanting(tmp_path, server, "evidence.pdf", PDFS) as worker:
            worker.add(callback("PACKAGE_COMPLETE"))
            worker.rest()
            assert stored(worker) == sorted(["evidence.pdf", *named("d1", "d2")])


def wants(worker: Worker) -> Sequence[str]:
    """What the views know of, stored or not."""
    return sorted(name for _, name in worker.artifacts())


def test_an_answer_that_was_in_the_log_before_does_not_make_a_circle(tmp_path: Path) -> None:
    """A kind was in force at the callback and is not any more at the answer: asked once, and that is that."""
    with OneSpan() as server:
        signed(server)
        with wanting(tmp_path, server, PDFS) as worker:
            worker.add(callback("PACKAGE_COMPLETE"))
        with wanting(tmp_path, server) as worker:
            worker.rest()
            for _ in range(5):
                worker.turn()
            worker.rest()
            assert server.count("package") == 1
            assert wants(worker) == [PDFS]
            assert worker.states() == {artifacts.LISTED: 1}
