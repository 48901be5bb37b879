"""signlog backup and signlog restore, as they are typed; and a server that goes on with what was restored."""

from pathlib import Path

import pytest

from listener import acts
from listener.acts import Act
from projections import facts
from tests import forks
from tests.rig import until
from tests.serving import Serving
from tests.site import ID, ONESPAN, Done, Site, callback, environment

COPIED = {"file", "events", "root", "documents"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A log of three events, the last of which names the key."""
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    site = Site(tmp_path / "old").filled(callback("PACKAGE_CREATE"))
    site.run("checkpoint")
    return site


def test_a_backup(site: Site) -> None:
    """Exit 0, with what was copied, for people and for scripts."""
    root = site.run("verify", "--json").json["root"]
    told = site.run("backup", "b.db", "--json")
    assert (told.code, told.err) == (0, "")
    assert told.json == {"file": "b.db", "events": 3, "root": root, "documents": 0}
    shown = site.run("backup", "c.db")
    assert shown.out.splitlines() == ["Copied and verified.", "", "file    c.db", "events  3", f"root    {root}"]


def test_a_backup_with_documents(site: Site) -> None:
    """In a folder beside it."""
    path = site.data / "documents/onespan/p/e.pdf"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"abc")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    act = Act(facts.STORED, attempt=1, sha256=sha256, size=3, path="onespan/p/e.pdf")
    site.append(acts.outcome(acts.Artifact("onespan", "p", "e.pdf"), "onespan", act))
    assert site.run("backup", "b.db", "--documents", "--json").json["documents"] == 1
    assert (site.folder / "b.db.documents/onespan/p/e.pdf").read_bytes() == b"abc"
    new = Site(site.folder.parent / "new")
    assert new.run("restore", "../old/b.db", "--json").json["documents"] == 1
    assert new.run("verify", "--documents").code == 0


def test_nothing_is_written_over(site: Site) -> None:
    """Exit 1, and a sentence."""
    site.run("backup", "b.db")
    done = site.run("backup", "b.db")
    assert (done.code, done.out, done.err) == (
        1,
        "",
        "signlog: b.db is there already; name another file, or move it away\n",
    )


def test_a_restored_log(site: Site) -> None:
    """Exit 0; what was copied, and what else should be brought over. Who and why is in the log."""
    copied = site.run("backup", "b.db", "--json").json
    new = Site(site.folder.parent / "new")
    told = new.run("restore", "../old/b.db", "--json")
    assert (told.code, told.err) == (0, "")
    assert told.json == {**copied, "file": "../old/b.db"}
    (decision,) = new.run("events", "--name", "restored", "--json").lines
    assert decision["position"] == 4
    assert '"reason":"restored from b.db"' in decision["body"]
    again = new.run("restore", "../old/b.db")
    assert again.code == 1
    assert again.err.startswith("signlog: there is a log in signlog-data already (signlog.db); set data to another")


def test_what_to_bring_over_is_told(site: Site) -> None:
    """Without the keys of before some things cannot be compared any more."""
    site.run("backup", "b.db")
    shown = Site(site.folder.parent / "new").run("restore", "../old/b.db", "--reason", "a drill")
    assert shown.out.startswith("Restored and verified.\n\nfile    ../old/b.db\nevents  3\n")
    assert "put the files secret and checkpoint.key of before into signlog-data, if you have them" in shown.err


def test_a_log_that_was_restored_by_other_means(site: Site) -> None:
    """It is accepted where it lies; heads have another origin then."""
    first = site.run("checkpoint").out.splitlines()[0]
    told = site.run("restore", "--accept", "--reason", "put back by another tool", "--json")
    assert (told.code, told.json) == (0, {"position": 4})
    assert site.run("checkpoint").out.splitlines()[0] != first
    shown = site.run("restore", "--accept", "--reason", "once more")
    assert shown.out == "Accepted: event 6 begins another epoch. Heads are signed under another origin now.\n"


@pytest.mark.parametrize("arguments", [(), ("--accept",), ("--reason", "x"), ("--accept", "--reason", " ")])
def test_it_must_be_said_what_and_why(site: Site, arguments: tuple[str, ...]) -> None:
    """Exit 2, and nothing happens."""
    done = site.run("restore", *arguments)
    assert (done.code, done.out) == (2, "")
    assert site.run("events", "--name", "restored", "--json").lines == []


def test_a_backup_that_lacks_events(tmp_path: Path) -> None:
    """Exit 1 and what to type; with that it goes on."""
    old = Site(tmp_path, f'checkpoint_copy = "head"\n{ONESPAN}')
    old.filled(callback("PACKAGE_CREATE"))
    old.run("checkpoint")
    old.run("backup", "b.db")
    old.append(callback("PACKAGE_COMPLETE"))
    old.run("checkpoint")
    elsewhere = {"SIGNLOG_DATA": "elsewhere"}
    done = old.run("restore", "b.db", env=elsewhere)
    assert (done.code, done.out) == (1, "")
    assert "the head in head was signed over 4 events, and the log has 3" in done.err
    assert done.err.endswith("go on without: add --accept\n")
    assert old.run("restore", "b.db", "--accept", env=elsewhere).code == 0
    assert old.run("verify", env=elsewhere).code == 1  # the head outside is the old one until another is signed
    assert old.run("checkpoint", env=elsewhere).code == 0
    assert old.run("verify", env=elsewhere).code == 0


def run(served: Serving, *arguments: str) -> Done:
    """A command with the configuration of a server."""
    return Done(*forks.run([*arguments, "--config", str(served.config)], served.folder, environment()))


def test_a_server_is_backed_up_and_goes_on_elsewhere(tmp_path: Path) -> None:
    """While it takes callbacks; what it has answered before is in the copy, and shows in the other place."""
    body = f'{{"name":"PACKAGE_CREATE","packageId":"{ID}"}}'.encode()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with Serving(tmp_path / "one") as served:
        assert [served.post(body) for _ in range(5)] == [200] * 5
        assert run(served, "backup", "../b.db", "--json").json["events"] >= 6
        assert served.post(body) == 200
    with Serving(tmp_path / "two") as served:
        assert served.stop() == 0
        for path in (tmp_path / "two/data").glob("signlog*"):
            path.unlink()
        assert run(served, "restore", "../b.db").code == 0
        served.start()
        assert served.post(body) == 200
        until(lambda: run(served, "status", "onespan", ID).code == 0)
        until(lambda: run(served, "health", "--json").json["lag_events"] == 0)
        assert served.stop() == 0
        assert run(served, "verify").code == 0
