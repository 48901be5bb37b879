"""The signed head that evidence stands on: which one it is, and what is said where it does not cover everything."""

import json
import re
from pathlib import Path

import pytest

from listener.log import heads, note
from tests.dossier import Dossier, check, unguarded
from tests.site import ID, callback


@pytest.fixture
def dossier(tmp_path: Path) -> Dossier:
    """A package that has lived a whole life."""
    return Dossier(tmp_path).lived()


def test_a_head_that_covers_it_is_enough(dossier: Dossier) -> None:
    """No other is signed."""
    assert dossier.run("checkpoint").code == 0
    dossier.append(callback("PACKAGE_CREATE", "a third"))
    dossier.make()
    assert note.read(dossier.files()["head.txt"].decode()).head.size == 8


def test_a_fresh_head_where_none_covers_it(dossier: Dossier) -> None:
    """The newest event is under it."""
    dossier.run("checkpoint")
    dossier.append(callback("PACKAGE_TRASH"))
    dossier.fold()
    assert dossier.make().uncovered == []
    assert note.read(dossier.files()["head.txt"].decode()).head.size == 9
    assert check(dossier).unproved == []


def test_what_is_not_covered_is_told(dossier: Dossier) -> None:
    """While nobody can sign: in the answer, on the page, and by the verifier. What the old head covers is proved."""
    dossier.run("checkpoint")
    dossier.append(callback("PACKAGE_TRASH"))
    dossier.fold()
    (dossier.data / "checkpoint.key").unlink()
    made, found = dossier.make(), check(dossier)
    assert (made.uncovered, found.problems, found.unproved) == ([9], {}, ["events/000000009-callback.json"])
    assert "checkpoint.key is gone" in (made.why or "")
    assert not any(str(dossier.data).encode() in body for body in dossier.files().values())
    assert "does not cover what came after it: 9." in dossier.page()


def test_nothing_was_ever_signed(dossier: Dossier) -> None:
    """There is no head in it, and it says so."""
    (dossier.data / "checkpoint.key").write_text("no key")
    assert dossier.make().uncovered == [1, 2, 4, 5, 6, 7]
    assert not {"head.txt", "key.txt"} & dossier.files().keys()
    assert "There is no signed head in here." in dossier.page()
    assert (check(dossier).problems, len(check(dossier).unproved)) == ({}, 6)


def test_a_head_that_is_none_of_this_log_proves_nothing(dossier: Dossier) -> None:
    """Signing has stopped; so it is not used, either."""
    dossier.run("checkpoint")
    with dossier.opened() as database, database.writing() as log:
        known = heads.newest(log)
        assert known is not None
        unguarded(log, "DELETE FROM heads")
        heads.add(log, None, known.size, known.note.replace("\n8\n", "\n7\n"))
    made = dossier.make()
    assert (made.uncovered, "signature" in (made.why or "")) == ([1, 2, 4, 5, 6, 7], True)


def test_under_a_head_that_was_kept_elsewhere(dossier: Dossier) -> None:
    """It is in the evidence as it was kept; what came later is not covered. Of another log, there is no evidence."""
    kept = dossier.folder / "kept.txt"
    kept.write_text(dossier.run("checkpoint").out)
    dossier.append(callback("PACKAGE_TRASH"))
    dossier.fold()
    dossier.run("checkpoint")
    asked = ("evidence", "onespan", ID, "--output", "evidence.zip", "--checkpoint")
    done = dossier.run(*asked, "kept.txt", "--json")
    assert (done.code, done.json["not_covered"]) == (0, [9])
    assert dossier.files()["head.txt"].decode() == kept.read_text()
    assert (check(dossier).problems, check(dossier).unproved) == ({}, ["events/000000009-callback.json"])
    dossier.zip.unlink()
    kept.write_text(kept.read_text().replace("signlog/", "signlog/0"))
    assert dossier.run(*asked, "kept.txt").err.startswith("signlog: the head that was kept is none of this log")
    assert dossier.run(*asked, "nothing.txt").err == "signlog: there is no signed head in nothing.txt\n"
    assert not dossier.zip.exists()


def test_a_head_of_two_keys(dossier: Dossier) -> None:
    """The newer one is in the evidence, and the decision that names it."""
    dossier.run("checkpoint")
    assert dossier.run("checkpoint", "--rotate", "--reason", "a new year").code == 0
    dossier.make()
    files = dossier.files()
    assert files["head.txt"].count("— ".encode()) == 2
    assert b"a new year" in files["events/000000009-decision-body.txt"]
    assert dossier.run("checkpoint", "--key").out == files["key.txt"].decode()


def test_a_restored_log(dossier: Dossier) -> None:
    """Events of both epochs are proved under one head, and the decision that began the later one is there."""
    dossier.run("checkpoint")
    assert dossier.run("restore", "--accept", "--reason", "a try").code == 0
    dossier.append(callback("PACKAGE_TRASH"))
    dossier.fold()
    assert dossier.make().uncovered == []
    files = dossier.files()
    epochs = {json.loads(body)["log"] for name, body in files.items() if re.fullmatch(r"events/\d+-[a-z]+\.json", name)}
    assert len(epochs) == 2
    assert any(b'"action":"restored"' in body for body in files.values())
    assert check(dossier).problems == {}
