"""Evidence as it is made: what is in it, what it says of itself, and when there is none."""

import hashlib
import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from listener import acts, decisions, errors
from listener.acts import Act
from listener.log import heads, reader
from listener.log.event import IMPORT
from tests.dossier import PDF, Dossier, check, listed, problems, unguarded
from tests.site import DASHED, ID, callback, failed

EVIDENCE = {"file", "events", "documents", "missing", "not_covered"}
REASON = ("--reason", "asked for")


@pytest.fixture
def dossier(tmp_path: Path) -> Dossier:
    """A package that has lived a whole life."""
    return Dossier(tmp_path).lived()


# What is in it


def test_everything_as_it_was_stored(dossier: Dossier) -> None:
    """Bodies and headers byte for byte, documents, the head and the key; nothing of another package."""
    made, files = dossier.make(), dossier.files()
    with dossier.opened() as database:
        events, head = list(reader.every(database)), None
        with database.reading() as log:
            head = heads.newest(log)
    ours = [one for one in events if b'"another"' not in (one.body or b"")]
    assert (made.events, made.documents, made.missing, made.uncovered) == (len(ours), 2, [], [])
    for one in ours:
        stem = f"events/{one.position:09}-{one.kind}"
        assert (files[f"{stem}-body.txt"], files[f"{stem}-headers.txt"].decode()) == (one.body, one.headers)
    assert sum(name.startswith("events/") for name in files) == 3 * len(ours)
    assert files["documents/1-evidence.pdf"] == files["documents/2-documents.zip"] == PDF
    assert head is not None
    assert files["head.txt"].decode() == head.note
    assert b"another" not in b"".join(body for name, body in files.items() if name.startswith("events/"))


def test_what_it_says_of_itself(dossier: Dossier) -> None:
    """The state, the timeline, the code, and which file is which."""
    dossier.make()
    facts = json.loads(dossier.files()["evidence.json"])
    assert (facts["source"], facts["id"], facts["status"]["stage"]) == ("onespan", ID, "completed")
    assert facts["status"] == {**dossier.run("status", "onespan", ID, "--json").json}
    assert facts["timeline"] == dossier.run("timeline", "onespan", ID, "--json").lines
    assert facts["as_of"]["code_now"] == {"version": "0.1.0", "fingerprint": facts["as_of"]["code_then"]["fingerprint"]}
    assert [one["file"] for one in facts["documents"]] == ["documents/1-evidence.pdf", "documents/2-documents.zip"]
    bearing = [one["file"] for one in facts["events"] if not one["speaks_of_it"]]
    assert bearing == ["events/000000001-decision.json", "events/000000008-decision.json"]


def test_the_same_log_makes_the_same_zip(dossier: Dossier) -> None:
    """Byte for byte, as long as nothing came that belongs to it; no time of the day is in it."""
    dossier.make()
    dossier.append(callback("PACKAGE_CREATE", "a third"))
    dossier.fold()
    dossier.make(name="again.zip")
    first, again = dossier.files(), zipfile.ZipFile(dossier.folder / "again.zip")
    with again:
        assert {name for name in first if again.read(name) != first[name]} <= {
            "evidence.json",
            "index.html",
            "SHA256SUMS",
        }
    dossier.make(name="third.zip")
    assert (dossier.folder / "third.zip").read_bytes() == (dossier.folder / "again.zip").read_bytes()


def test_the_list_of_hashes_is_one_for_coreutils(dossier: Dossier, tmp_path: Path) -> None:
    """Who has no Python has sha256sum."""
    dossier.make()
    with zipfile.ZipFile(dossier.zip) as packed:
        packed.extractall(tmp_path / "here")
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "here", capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b": OK\n") == len(dossier.files()) - 1


def test_who_vouched_for_an_import_is_in_it(tmp_path: Path) -> None:
    """The decision in front of it; not that of another one."""
    dossier = Dossier(tmp_path)
    accepted = [
        acts.decision(Act(acts.ACCEPTED, reason=why), "me", acts.QUARANTINE_PATH) for why in ("other", "it is ours")
    ]
    dossier.filled(
        accepted[0], callback("PACKAGE_CREATE", "other"), accepted[1], callback("PACKAGE_CREATE")._replace(kind=IMPORT)
    )
    dossier.make()
    bodies = [body for name, body in dossier.files().items() if name.endswith("-decision-body.txt")]
    assert sum(b"it is ours" in body for body in bodies) == 1
    assert not any(b"other" in body for body in bodies)


def test_who_left_a_fault_out_is_in_it(tmp_path: Path) -> None:
    """The decision that names one of its events; not that of another."""
    dossier = Dossier(tmp_path)
    dossier.filled(callback("PACKAGE_CREATE"), callback("PACKAGE_CREATE", "other"))
    with dossier.opened() as database:
        decisions.skip(database, [2], "me", "it is ours")
        decisions.skip(database, [3], "me", "it is theirs")
    dossier.fold()
    dossier.make()
    bodies = [body for name, body in dossier.files().items() if name.endswith("-decision-body.txt")]
    assert [sum(said in body for body in bodies) for said in (b"it is ours", b"it is theirs")] == [1, 0]


# Documents


def test_a_document_that_is_not_there(dossier: Dossier) -> None:
    """Gone, or another one, or a link: it is not put in, and the page says why. Exit 1."""
    (dossier.data / "documents/onespan/evidence.pdf").unlink()
    dossier.put("documents.zip", b"another")
    done = dossier.run("evidence", "onespan", ID, "--output", "evidence.zip", "--json")
    told = {"file": "evidence.zip", "events": 7, "documents": 0, "not_covered": []}
    paths = ["onespan/evidence.pdf", "onespan/documents.zip"]
    assert (done.code, done.json) == (1, {**told, "missing": paths})
    assert "The document onespan/evidence.pdf is not in it: it is not there any more." in done.err
    assert "It is not in here: what lies there now is another one, of 7 bytes" in dossier.page()
    assert check(dossier).problems == {}


def test_what_a_stranger_says_vouches_for_no_document(dossier: Dossier) -> None:
    """A callback may hold the words of an outcome, and is none; an outcome may tell that nothing was stored."""
    forged = b"%PDF-forged"
    sha256 = hashlib.sha256(forged).hexdigest()
    position, other = dossier.append(
        callback("PACKAGE_TRASH", action="stored", sha256=sha256), failed("evidence.pdf", sha256=sha256)
    )
    dossier.fold()
    dossier.make()
    files = {**dossier.files(), "documents/3-forged.pdf": forged}
    for number in (position, other):
        claimed = {"file": "documents/3-forged.pdf", "event": number}
        facts = json.loads(files["evidence.json"])
        facts["documents"].append(claimed)
        changed = listed({**files, "evidence.json": json.dumps(facts).encode()})
        assert list(problems(changed)) == ["documents/3-forged.pdf"]


# Erased


def test_an_erased_package(dossier: Dossier) -> None:
    """Its events are blank, the decision is there, everything is proved; nothing of the text is in it."""
    dossier.put("other.pdf")
    assert dossier.run("erase", "onespan", ID, *REASON).code == 0
    made, files = dossier.make(), dossier.files()
    assert (made.events, made.documents, made.uncovered, check(dossier).problems) == (8, 0, [], {})
    assert not any(b"PACKAGE_COMPLETE" in body for body in files.values())
    assert "events/000000002-callback.json" in files
    assert "events/000000002-callback-body.txt" not in files
    decision = "events/000000008-decision-body.txt"
    assert list(problems({**files, decision: files[decision] + b" "})) == [decision]
    page = dossier.page()
    assert "<b>Erased. </b>Event 8 says why: asked for" in page
    assert "Which documents of it were stored, nothing in here tells any more." in page
    assert "5 events of it were erased: their content is gone, their places and seals are not." in page


def test_one_erased_event(dossier: Dossier) -> None:
    """Of a package that goes on: the decision that names it is there, and the rest is as it was."""
    dossier.run("erase", "--position", "7", *REASON)
    made = dossier.make()
    assert (made.documents, check(dossier).problems) == (1, {})


def test_a_hold_is_told(dossier: Dossier) -> None:
    """With its reason."""
    dossier.run("hold", "onespan", ID, "--reason", "case <17>")
    dossier.fold()
    dossier.make()
    assert "case &lt;17&gt;" in dossier.page()


# When there is none


def test_a_log_that_was_changed_gives_none(dossier: Dossier) -> None:
    """It would prove nothing: no file is left, and no part of one."""
    with dossier.opened() as database, database.writing() as log:
        unguarded(log, "UPDATE events SET client = '203.0.113.1' WHERE position = 2")
    with pytest.raises(errors.CopyRefused, match=r"000000002-callback\.json was changed"):
        dossier.make()
    assert [path.name for path in dossier.folder.iterdir() if "evidence" in path.name] == []


def test_nothing_is_written_over(dossier: Dossier) -> None:
    """Exit 1; what was there still is."""
    dossier.zip.write_text("precious")
    done = dossier.run("evidence", "onespan", ID, "--output", "evidence.zip")
    assert (done.code, done.err) == (1, "signlog: evidence.zip is there already; name another file, or move it away\n")
    assert dossier.zip.read_text() == "precious"


def test_an_id_that_begins_with_a_dash(dossier: Dossier) -> None:
    """It is no option."""
    dossier.filled(callback("PACKAGE_CREATE", DASHED))
    assert dossier.run("evidence", "onespan", DASHED, "--output", "evidence.zip").code == 0
    assert dossier.run("evidence", "--outputs", DASHED, "--output", "x.zip").code == 2


def test_what_cannot_be_made(dossier: Dossier) -> None:
    """Of something unknown, into no folder, without a file."""
    done = dossier.run("evidence", "onespan", "nobody", "--output", "x.zip")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("signlog: nothing is known of nobody in onespan")
    done = dossier.run("evidence", "onespan", ID, "--output", "nowhere/x.zip")
    assert (done.code, done.err) == (1, "signlog: nowhere is no folder\n")
    assert dossier.run("evidence", "onespan", ID).code == 2
    assert not (dossier.folder / "x.zip").exists()


def test_the_reserve_of_the_disk(tmp_path: Path) -> None:
    """It is kept."""
    dossier = Dossier(tmp_path).lived()
    dossier.configure('disk_reserve = 1000000000000000\n[sources.onespan]\ncallback_keys = ["k"]')
    with pytest.raises(errors.DiskReserve):
        dossier.make()


def test_for_people_and_scripts(dossier: Dossier) -> None:
    """One line; nobody else may read the file."""
    told = dossier.run("evidence", "onespan", ID, "--output", "told.zip", "--json")
    assert (told.code, told.json.keys()) == (0, EVIDENCE)
    done = dossier.run("evidence", "onespan", ID, "--output", "evidence.zip")
    assert (done.code, done.out) == (0, "Written: evidence.zip, 7 events, 2 documents\n")
    assert dossier.zip.stat().st_mode & 0o777 == 0o600
