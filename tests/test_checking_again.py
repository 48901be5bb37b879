"""signlog downloads check: what is stored is checked again, and what is found now counts."""

import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from listener import acts, bootstrap, bootstrap_checking, bootstrap_documents, errors, leases
from listener.acts import Act
from listener.cabinet import Folder
from listener.checking import inspector
from listener.demo import papers
from listener.demo.onespan import OneSpan
from listener.demo.seals import sealer
from listener.desk import health
from listener.evidence.making import Evidence
from listener.settings import Settings, Source
from listener.worker.checks import Checked, Which
from projections import facts
from projections.facts import Verdict
from tests import rig
from tests.rig import EVIDENCE, ID, SOURCE, ZIP, Worker, add, artifact, completed, fresh, tables
from tests.site import Site, callback, until

ENDING = """
import os, signal, sys, time
from listener import confined
PAPER = '{"name":"a.pdf","found":"unreadable","reason":"it takes too much memory to read"}'
"""
OFF = "check_signatures = false\n"


@pytest.fixture
def server() -> Iterator[OneSpan]:
    """An account with one package that is signed by all."""
    with OneSpan() as found:
        completed(found)
        yield found


def configured(tmp_path: Path, server: OneSpan, on: bool = True, **changes: Any) -> Settings:
    """With these keys of the source."""
    access = {"api_url": server.url, "api_key": "demonstration"}
    source = Source(provider="onespan", callback_keys=("k",), **access, **changes)  # type: ignore[arg-type]
    return rig.settings(tmp_path, sources={SOURCE: source}, check_signatures=on)


def unchecked(tmp_path: Path, server: OneSpan) -> Worker:
    """A worker that has stored both documents, and nobody looked at their signatures."""
    found = Worker(tmp_path, server.url)
    found.add(rig.callback("PACKAGE_COMPLETE"))
    found.run(lambda: len(found.stored()) == 2)
    return found


def check(worker: Worker, settings: Settings, which: Which = Which()) -> dict[str, Checked]:  # noqa: B008  a value
    """Check, and fold what comes of it."""
    with bootstrap_checking.checks(settings, worker.database) as checks:
        found = {one.artifact.name: one for one in checks.run(which) if one is not None}
        assert len(found) <= checks.count(which)
    worker.projector.catch_up()
    return found


def verdicts(worker: Worker) -> dict[str, str | None]:
    """What the views say of each document."""
    found = {name: state.verdict for (_, name), state in worker.artifacts().items()}
    return {name: verdict.found if verdict else None for name, verdict in found.items()}


def alarms(worker: Worker, settings: Settings) -> tuple[list[str], list[str]]:
    """What health says of signatures, as alarms and as notes."""
    found = health.health(worker.database, settings, worker.quarantine())
    return tuple([one for one in found[kind] if "signature" in one] for kind in ("alarms", "notes"))  # type: ignore[return-value]


# The command


def test_it_is_told_as_it_happens(tmp_path: Path, server: OneSpan) -> None:
    """By the real program, from documents that nobody looked at to verdicts that everybody shows."""
    access = f'[sources.onespan]\ncallback_keys = ["k"]\napi_url = "{server.url}"\napi_key = "demonstration"\n'
    site = Site(tmp_path, OFF + access)
    site.filled(callback("PACKAGE_COMPLETE", ID))
    process = site.start("serve", "--worker")
    try:
        until(lambda: len(site.run("downloads", "--state", "stored", "--json").json) == 2)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    refused = site.run("downloads", "check", "--all")
    assert (refused.code, "set it to true" in refused.err) == (2, True)
    assert site.run("health", "--json").json["notes"] == [
        "onespan: documents due a signature that nobody looked for: 1; set check_signatures = true, restart, and type: "
        "signlog downloads check onespan; where none is due, set sources.onespan.signed_artifacts = [] before that"
    ]
    site.configure(access)
    done = site.run("downloads", "check", "onespan")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[:2] == ["checked   2", "differ    2"]
    assert f"onespan  {ID}  documents.zip  unchecked  valid" in done.out
    again = site.run("downloads", "check", "--all", "--json")
    assert (again.code, again.out) == (0, "")
    site.fold()
    assert "signatures valid, by Imitation of OneSpan Sign" in site.run("status", "onespan", ID).out
    assert "documents.zip checked again: signatures valid" in site.run("timeline", "onespan", ID).out
    found = site.run("health", "--json").json
    assert (found["signatures"]["unchecked"], found["signatures"]["valid"], found["notes"]) == (0, 1, [])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "name a SOURCE (and an ID), or say --all"),
        (["onespan", "--all"], 2, "name a SOURCE (and an ID), or say --all"),
        (["nowhere"], 1, "there is no source nowhere; configured: onespan"),
        (["onespan", "nothing"], 1, "nothing to check: no such document is stored, or it holds no PDF"),
        (["--al"], 2, "no such option: --al"),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    """With what to type."""
    done = Site(tmp_path).filled().run("downloads", "check", *arguments)
    assert (done.code, done.out, said in done.err) == (code, "", True)


def test_what_is_gone_is_told_and_is_no_verdict(tmp_path: Path, server: OneSpan) -> None:
    """Neither is what lies there instead; exit 1, and nothing is appended."""
    access = f'[sources.onespan]\ncallback_keys = ["k"]\napi_url = "{server.url}"\napi_key = "demonstration"\n'
    site = Site(tmp_path, access)
    place = site.data / "documents" / "onespan" / "p" / "evidence.pdf"
    act = Act(facts.STORED, attempt=1, sha256="ab" * 32, size=9, path="onespan/p/evidence.pdf")
    site.filled(callback("PACKAGE_COMPLETE", "p"), acts.outcome(acts.Artifact(SOURCE, "p", EVIDENCE), "onespan", act))
    place.parent.mkdir(parents=True)
    for content, said in (
        (None, "it is not there any more"),
        (b"%PDF-1.4 %%EOF", "it is another document than the one that was stored"),
        (b"<html>", "not a pdf"),
    ):
        if content is not None:
            place.write_bytes(content)
        done = site.run("downloads", "check", "--all", "--json")
        (line,) = done.lines
        assert (done.code, line["found"], line["position"]) == (1, None, None)
        assert said in line["problem"]
    assert [one["name"] for one in site.run("events", "--kind", "outcome", "--json").lines] == ["stored"]


# What is found


def test_only_what_differs_is_appended(tmp_path: Path, server: OneSpan) -> None:
    """The first time both, the second time nothing; and a replay says the same without any document."""
    with unchecked(tmp_path, server) as worker:
        assert verdicts(worker) == {ZIP: facts.UNCHECKED, EVIDENCE: facts.UNCHECKED}
        settings = configured(tmp_path, server)
        found = check(worker, settings)
        assert {name: one.now and one.now.found for name, one in found.items()} == {
            ZIP: facts.VALID,
            EVIDENCE: facts.UNSIGNED,
        }
        assert all(one.position for one in found.values())
        assert verdicts(worker) == {ZIP: facts.VALID, EVIDENCE: facts.UNSIGNED}
        head = len(worker.events())
        assert [one.position for one in check(worker, settings).values()] == [None, None]
        assert len(worker.events()) == head
        again = fresh(worker.database, tmp_path / "again", "0")
        again.catch_up()
        assert tables(again.views) == tables(worker.projector.views)
        again.close()


def test_whom_to_trust_is_said_later(tmp_path: Path, server: OneSpan) -> None:
    """Somebody else's signature is an anomaly from then on; said otherwise again, it is none."""
    (tmp_path / "root.pem").write_bytes(sealer(papers.SEALER).pem)
    (tmp_path / "other.pem").write_bytes(sealer("Somebody else").pem)
    with unchecked(tmp_path, server) as worker:
        for file, word, anomalies in (
            ("root", facts.VALID, 0),
            ("other", facts.UNTRUSTED, 1),
            ("root", facts.VALID, 0),
        ):
            settings = configured(tmp_path, server, trust_roots=(str(tmp_path / f"{file}.pem"),))
            assert check(worker, settings, Which(SOURCE, ID, ZIP))[ZIP].position is not None
            assert verdicts(worker)[ZIP] == word
            assert len(alarms(worker, settings)[0]) == 0
            assert health.health(worker.database, settings, worker.quarantine())["anomalies"] == anomalies


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("os.kill(os.getpid(), 9)", "the check ended with -9"),
        ("os.kill(os.getpid(), signal.SIGXCPU)", "the check took more than its time"),
        ("sys.stderr.write('more than 512 MiB'); sys.exit(confined.SHORT)", "more than 512 MiB"),
        ("print(PAPER); sys.exit(0)", "it takes too much memory to read"),
        ("time.sleep(600)", "the check took more than 0.5 s"),
        (None, "No such file or directory"),
    ],
)
def test_what_the_machine_was_short_for_is_no_verdict(
    tmp_path: Path, server: OneSpan, monkeypatch: pytest.MonkeyPatch, end: str | None, said: str
) -> None:
    """It is named as a problem, nothing is appended, and the one of before stands."""
    with unchecked(tmp_path, server) as worker:
        settings = configured(tmp_path, server)
        check(worker, settings)
        head = len(worker.events())
        command = (sys.executable, "-c", f"{ENDING}\n{end}") if end else (str(tmp_path / "nowhere"),)
        monkeypatch.setattr(inspector, "_COMMAND", command)
        monkeypatch.setattr(inspector, "SECONDS", 0.5 if "sleep" in str(end) else 60.0)
        found = check(worker, settings)[ZIP]
        assert (found.now, found.position, found.before and found.before.found) == (None, None, facts.VALID)
        assert said in (found.problem or "")
        assert (verdicts(worker)[ZIP], len(worker.events())) == (facts.VALID, head)


def test_what_says_something_of_the_document_is_a_verdict(
    tmp_path: Path, server: OneSpan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was found before: what cannot be opened by a newer reader is told."""
    with unchecked(tmp_path, server) as worker:
        settings = configured(tmp_path, server)
        check(worker, settings)
        end = "sys.stderr.write('the zip is cut'); sys.exit(confined.HOPELESS)"
        monkeypatch.setattr(inspector, "_COMMAND", (sys.executable, "-c", f"{ENDING}\n{end}"))
        found = check(worker, settings)[ZIP]
        assert (found.problem, found.position is not None, verdicts(worker)[ZIP]) == (None, True, facts.UNREADABLE)


def test_the_newest_verdict_counts_of_what_is_stored(tmp_path: Path) -> None:
    """Not one about other bytes, and not one that is older than the newest."""

    def told(action: str, found: str, sha256: str = "00") -> Any:
        verdict = Verdict(found, due=True)
        return acts.outcome(
            artifact(), SOURCE, Act(action, attempt=1, sha256=sha256, size=1, path="x", verdict=verdict)
        )

    with Worker(tmp_path) as worker:
        worker.add(rig.callback("PACKAGE_COMPLETE"), told(facts.CHECKED, facts.INVALID))
        assert worker.artifacts()[ID, ZIP].verdict is None
        worker.add(told(facts.STORED, facts.UNCHECKED), told(facts.CHECKED, facts.UNTRUSTED))
        worker.add(told(facts.CHECKED, facts.VALID), told(facts.CHECKED, facts.INVALID, "11"))
        state = worker.artifacts()[ID, ZIP]
        assert (state.verdict and state.verdict.found, state.stored and state.stored.sha256) == (facts.VALID, "00")


def test_the_erased_is_not_told_of(tmp_path: Path, server: OneSpan) -> None:
    """Whoever is erased while somebody checks gets no new event."""
    with unchecked(tmp_path, server) as worker:
        filed = acts.about(acts.ERASED_PATH, SOURCE, ID)
        with bootstrap_checking.checks(configured(tmp_path, server), worker.database) as checks:
            add(worker.database, acts.decision(Act(facts.ERASED, SOURCE, ID, reason="asked for"), "ana", filed))
            assert [one.position for one in checks.run(Which()) if one is not None] == [None, None]


def test_many_are_gone_through_page_by_page(tmp_path: Path, server: OneSpan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each once, whatever is appended meanwhile; encrypted ones hold nothing to look at."""
    monkeypatch.setattr("listener.worker.checks._PAGE", 1)
    with unchecked(tmp_path, server) as worker:
        other = acts.Artifact(SOURCE, ID, "fields.json")
        worker.add(acts.outcome(other, SOURCE, Act(facts.STORED, attempt=1, sha256="00", size=1, path="x")))
        assert sorted(check(worker, configured(tmp_path, server))) == [ZIP, EVIDENCE]


def test_without_what_checks_nothing_is_overruled(
    tmp_path: Path, server: OneSpan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A verdict is never replaced by none."""
    monkeypatch.setitem(sys.modules, "pyhanko", None)
    with unchecked(tmp_path, server) as worker, pytest.raises(errors.ConfigurationError, match="not installed"):
        check(worker, configured(tmp_path, server))


# Where nobody looked


def test_a_signature_that_is_due_and_nobody_looked_for_is_told(tmp_path: Path, server: OneSpan) -> None:
    """As an alarm where somebody said that it is due, or whom to trust; else as a note; not where none is due."""
    with unchecked(tmp_path, server) as worker:
        for changes, number in (
            ({"signed_artifacts": (ZIP,)}, (1, 0)),
            ({"trust_roots": ("root.pem",)}, (1, 0)),
            ({}, (0, 1)),
        ):
            told = alarms(worker, configured(tmp_path, server, on=False, **changes))
            assert (len(told[0]), len(told[1])) == number
        ((note,), _) = alarms(worker, configured(tmp_path, server, signed_artifacts=(ZIP,)))
        assert note.endswith("nobody looked for: 1; type: signlog downloads check onespan")
        check(worker, configured(tmp_path, server, signed_artifacts=()))
        assert alarms(worker, configured(tmp_path, server)) == ([], [])


def test_it_says_what_to_install(tmp_path: Path, server: OneSpan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what checks is not there."""
    with unchecked(tmp_path, server) as worker:
        monkeypatch.setitem(sys.modules, "pyhanko", None)
        (_, (note,)) = alarms(worker, configured(tmp_path, server))
        assert "pip install 'signlog[pdf]', restart, and type: signlog downloads check onespan" in note


# The evidence


def test_the_evidence_has_the_newest_verdict(tmp_path: Path, server: OneSpan) -> None:
    """And says which event has it."""
    with unchecked(tmp_path, server) as worker:
        settings = configured(tmp_path, server)
        found = check(worker, settings)[ZIP]
        with bootstrap.signer(settings, worker.database) as signer:
            signer.sign()
            making = Evidence(worker.database, settings.folder, Folder(settings.documents_folder), 0, signer)
            made = making.make(SOURCE, ID, tmp_path / "evidence.zip")
        assert (made.documents, made.missing) == (2, [])
        page = page_of(tmp_path / "evidence.zip")
        assert f"Signatures, checked again by event {found.position}: </b>The signatures are valid." in page


def page_of(path: Path) -> str:
    """The page in the evidence."""
    with closing(zipfile.ZipFile(path)) as packed:
        return packed.read("index.html").decode()


def test_a_worker_that_starts_meanwhile_leaves_copies_alone(on_postgres: Path, server: OneSpan) -> None:
    """Documents of a bucket are copied to be checked: that who checks lives is seen for as long as it does."""
    with Worker(on_postgres, server.url) as worker:
        settings = configured(on_postgres, server)
        with bootstrap_checking.checks(settings, worker.database) as checks:
            copy = checks._store.scratch / "fetch-x"
            copy.write_bytes(b"half")
            bootstrap_documents.store(settings, "another", lambda: leases.living(worker.database)).prepare()
            assert copy.exists()
            with worker.database.reading() as connection:
                assert leases.workers(connection).stand_by == []
        with worker.database.reading() as connection:
            assert not [each for each in leases.every(connection) if each.name.startswith("check")]
