"""signlog verify and signlog checkpoint, as they are typed: what they print, and how they end."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from listener import bootstrap
from listener.acts import Act
from listener.log import note
from projections import facts
from tests.site import ONESPAN, Site, callback, outcome

COPY = 'checkpoint_copy = "outside"\n'
REPORT = {"ok", "events", "root", "heads", "documents", "problems", "notes"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A log of three events; nothing was signed yet."""
    return Site(tmp_path, COPY + ONESPAN).filled(callback("PACKAGE_CREATE"), callback("PACKAGE_COMPLETE"))


def change(site: Site, statement: str) -> None:
    """Change the log past its guards, which are put back."""
    with bootstrap.log(site.settings) as database, database.writing() as connection:
        guards = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all()
        for name, _ in guards:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
        connection.exec_driver_sql(statement)
        for _, sql in guards:
            connection.exec_driver_sql(sql)


# signlog verify


def test_a_log_that_is_fine(site: Site) -> None:
    """Exit 0, with how much was looked at; the root is that of the signed head."""
    signed = site.run("checkpoint", "--json").json
    told = site.run("verify", "--json")
    assert (told.code, set(told.json)) == (0, REPORT)
    assert told.json == {
        "ok": True,
        "events": 4,
        "root": signed["root"],
        "heads": 2,
        "documents": 0,
        "problems": [],
        "notes": [],
    }
    shown = site.run("verify")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines() == [
        "Nothing is wrong.",
        "",
        "events        4",
        f"root          {signed['root']}",
        "signed heads  2",
    ]


def test_a_log_that_was_changed(site: Site) -> None:
    """Exit 1; what is wrong, where first, and how often."""
    change(site, "UPDATE events SET recorded_at = recorded_at + 1 WHERE position >= 2")
    told, shown = site.run("verify", "--json"), site.run("verify")
    assert (told.code, shown.code) == (1, 1)
    (problem,) = told.json["problems"]
    assert problem == {
        "position": 2,
        "kind": "leaf",
        "problem": "its columns, or the id of the log, do not hash to its leaf",
        "more": 1,
    }
    assert shown.out.splitlines()[:2] == [
        "Wrong (1):",
        "! event 2: its columns, or the id of the log, do not hash to its leaf (and 1 more like it)",
    ]


def test_what_is_noted_is_no_problem(site: Site) -> None:
    """Exit 0, and a word about it."""
    assert site.run("restore", "--accept", "--reason", "a try").code == 0
    told, shown = site.run("verify", "--json"), site.run("verify")
    assert (told.code, shown.code) == (0, 0)
    assert [(one["position"], one["kind"]) for one in told.json["notes"]] == [(4, "restored")]
    assert "  event 4: from here on a restored log goes on, by operator:" in shown.out


def test_a_head_that_was_kept_elsewhere(site: Site) -> None:
    """The log went on since, or it was written anew; a file that is none, or not there, is no head."""
    kept = site.folder / "kept.txt"
    kept.write_text(site.run("checkpoint").out)
    site.append(callback("PACKAGE_TRASH"))
    told = site.run("verify", "--checkpoint", "kept.txt", "--json")
    assert (told.code, told.json["heads"]) == (0, 3)
    kept.write_text(kept.read_text().replace("signlog/", "signlog/0"))
    told = site.run("verify", "--checkpoint", "kept.txt", "--json")
    assert told.code == 1
    assert told.json["problems"][0]["problem"].startswith("the head in kept.txt is not signed with the key")
    assert site.run("verify", "--checkpoint", "nothing").err == "signlog: there is no signed head in nothing\n"
    assert site.run("verify", "--checkpoint", "nothing").code == 1


def test_the_configured_copy_is_compared(site: Site) -> None:
    """Without being named."""
    site.run("checkpoint")
    outside = site.folder / "outside"
    outside.write_text(outside.read_text().replace("signlog/", "signlog/0"))
    told = site.run("verify", "--json")
    assert [one["problem"] for one in told.json["problems"]] == [
        "the head in outside is not signed with the key that the log names for it"
    ]


def test_documents_are_read_when_asked(site: Site) -> None:
    """Only then: it may take long."""
    site.append(outcome("evidence.pdf", Act(facts.STORED, attempt=1, sha256="ab" * 32, size=3, path="onespan/x/e.pdf")))
    assert site.run("verify").code == 0
    told = site.run("verify", "--documents", "--json")
    assert (told.code, told.json["documents"]) == (1, 1)
    assert told.json["problems"][0]["problem"] == "onespan/x/e.pdf is gone"
    assert site.run("verify", "--documents").out.splitlines()[1] == "! event 4: onespan/x/e.pdf is gone"


def test_there_must_be_a_log(tmp_path: Path) -> None:
    """Nothing is nothing to be verified."""
    done = Site(tmp_path).run("verify")
    assert (done.code, done.out, done.err[:31]) == (1, "", "signlog: there is no log in sig")


# signlog checkpoint


def test_the_note_is_printed_as_it_is(site: Site) -> None:
    """So that it can be piped into a file; nothing else is on standard output. It also lies outside now."""
    done = site.run("checkpoint")
    assert done.code == 0
    assert note.read(done.out).head.size == 4
    assert (site.folder / "outside").read_text() == done.out
    assert site.run("checkpoint").out == done.out


def test_the_json_of_a_head(site: Site) -> None:
    """Its size, its root, and the note."""
    told = site.run("checkpoint", "--json").json
    signed = note.read(told["note"]).head
    assert told == {"size": 4, "root": signed.root.hex(), "note": told["note"]}
    assert signed.size == 4


def test_the_key_is_printed(site: Site) -> None:
    """As verifiers of notes take it, and as openssl does; without one, it says who makes it."""
    assert site.run("checkpoint", "--key").err.startswith("signlog: nothing was signed yet; 'signlog serve' does it")
    signed = note.read(site.run("checkpoint").out)
    shown, told = site.run("checkpoint", "--key"), site.run("checkpoint", "--key", "--json").json
    assert shown.out == f"{told['key']}\n{told['pem']}"
    assert signed.signers([note.key(told["key"])]) == [note.key(told["key"])]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed here")
def test_openssl_takes_the_key_as_it_is_printed(site: Site) -> None:
    """The line in front of it does no harm."""
    site.run("checkpoint")
    printed = site.run("checkpoint", "--key").out
    done = subprocess.run(["openssl", "pkey", "-pubin", "-noout"], input=printed, text=True, check=False)
    assert done.returncode == 0


def test_another_key(site: Site) -> None:
    """The note has two signatures, the next has one; who and why is in the log."""
    site.run("checkpoint")
    done = site.run("checkpoint", "--rotate", "--reason", "a new year")
    assert (done.code, len(note.read(done.out).signatures)) == (0, 2)
    site.append(callback("PACKAGE_TRASH"))
    assert len(note.read(site.run("checkpoint").out).signatures) == 1
    decisions = site.run("events", "--kind", "decision", "--name", "checkpoint key", "--json").lines
    assert [json.loads(one["body"]).get("reason") for one in decisions] == [None, "a new year"]
    assert site.run("verify").code == 0


@pytest.mark.parametrize(
    "arguments",
    [("--rotate",), ("--reason", "x"), ("--rotate", "--reason", " "), ("--key", "--rotate", "--reason", "x")],
)
def test_options_that_do_not_go_together(site: Site, arguments: tuple[str, ...]) -> None:
    """Exit 2, and nothing is signed."""
    assert site.run("checkpoint", *arguments).code == 2
    assert site.run("checkpoint", "--key").code == 1


def test_a_log_that_is_not_what_was_signed(site: Site) -> None:
    """Exit 1, with what to type; nothing on standard output."""
    site.run("checkpoint")
    site.append(callback("PACKAGE_TRASH"))
    site.run("checkpoint")
    change(site, "DELETE FROM events WHERE position > 4")
    done = site.run("checkpoint")
    assert (done.code, done.out) == (1, "")
    assert "was signed over 5 events, and the log has 4" in done.err
    assert "'signlog restore --accept --reason …'" in done.err


def test_it_works_beside_the_server(site: Site) -> None:
    """Which signs by itself."""
    process = site.start("serve", "--worker")
    try:
        for number in range(3):
            site.append(callback("PACKAGE_CREATE", f"p{number}"))
            assert note.read(site.run("checkpoint").out).head.size >= 4 + number
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert site.run("verify").code == 0
