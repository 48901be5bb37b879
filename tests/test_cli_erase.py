"""signlog erase, signlog hold: the real program, beside a server that runs."""

import getpass
from pathlib import Path

import pytest

from tests.rig import holds as found_in
from tests.site import DASHED, ID, ONESPAN, Site, callback, stored, until
from tests.test_cli_serve import serving

SECRET = "Rumpelstilzchen"
WHY = ("--reason", "asked for by the signer")
ERASED = {"decided", "positions", "documents", "quarantined"}
HOLD = {"source", "id", "position", "recorded_at", "operator", "reason"}


def filled(tmp_path: Path) -> Site:
    """A package of which something is known, and another."""
    return Site(tmp_path, ONESPAN).filled(
        callback("PACKAGE_CREATE"),  # 2
        callback("PACKAGE_DECLINE", message=SECRET),  # 3
        callback("PACKAGE_CREATE", DASHED),  # 4
    )


def test_erase_beside_a_running_server(tmp_path: Path) -> None:
    """Done when it says so: in no file is any of it left, the server goes on, and nothing brings it back."""
    site = Site(tmp_path, ONESPAN)
    with serving(site) as served:
        served.call_back("PACKAGE_CREATE")
        served.call_back("PACKAGE_CREATE", SECRET)
        until(lambda: site.run("status", "onespan", SECRET).code == 0)
        served.call_back("PACKAGE_DELETE", SECRET)
        done = site.run("erase", "onespan", SECRET, *WHY, "--json")
        assert (done.code, done.err) == (0, "")
        assert set(done.json) == ERASED
        assert len(done.json["positions"]) == 2
        assert found_in(site.data, [f'"{SECRET}"']) == [f'"{SECRET}"']  # as the name of what was erased
        assert found_in(site.data, [f'"packageId": "{SECRET}"']) == []
        assert site.run("status", "onespan", SECRET).code == 1
        assert len(list(site.data.glob("signlog-views-*.db"))) == 1
        served.call_back("PACKAGE_ACTIVATE")
        until(lambda: site.run("status", "onespan", ID, "--json").json["stage"] == "in_progress")
        assert "views_damaged" not in served.said


def test_erase_for_people(tmp_path: Path) -> None:
    """How much, by which decision, and that copies elsewhere still have it."""
    site = filled(tmp_path)
    done = site.run("erase", "onespan", ID, *WHY)
    assert (done.code, done.out) == (0, "Erased: 2 events, by decision 5.\n")
    assert "Backups, copies and logs elsewhere still have it" in done.err
    assert found_in(site.data, [SECRET]) == []
    assert site.run("erase", "onespan", ID, *WHY).out == "Erased: 0 events, by decision 5.\n"
    lines = site.run("events", "--subject", ID, "--json").lines
    assert [(line["position"], line["name"]) for line in lines] == [(5, "erased")]
    assert site.run("verify", "--json").json["problems"] == []


def test_erase_with_documents_and_what_was_refused(tmp_path: Path) -> None:
    """Each is named."""
    site = filled(tmp_path)
    site.filled(stored("documents.zip"))
    site.refuse(b'{"name":"PACKAGE_CREATE","packageId":"%s"}' % ID.encode())
    folder = site.data / "documents" / "onespan" / f"{ID}.{sum(1 << i for i, c in enumerate(ID) if c.isupper()):x}"
    folder.mkdir(parents=True)
    (folder / "documents.zip").write_bytes(b"PK")
    done = site.run("erase", "onespan", ID, "--documents", *WHY, "--json")
    assert (done.code, done.json["quarantined"]) == (0, [1])
    assert [path.rpartition("/")[2] for path in done.json["documents"]] == ["documents.zip"]
    assert not folder.exists()


def test_erase_strays(tmp_path: Path) -> None:
    """By their positions, several at a time."""
    site = filled(tmp_path)
    assert site.run("erase", "--position", "3", "--position", "4", *WHY, "--json").json["positions"] == [3, 4]
    assert found_in(site.data, [SECRET]) == []
    assert site.run("status", "onespan", ID, "--json").json["stage"] == "draft"
    assert site.run("status", "onespan", DASHED).code == 1
    done = site.run("erase", "--position", "1", *WHY)
    assert (done.code, done.err) == (1, "signlog: event 1 is a decision: what was decided is never erased\n")


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["onespan"],
        ["onespan", ID, "--position", "2"],
        ["--position", "2", "--documents"],
        ["--position", "0"],
        ["onespan", ID, "--reason", " "],
        ["--nonsense", ID],
    ],
)
def test_erase_that_is_asked_for_wrongly(tmp_path: Path, options: list[str]) -> None:
    """Exit 2, and nothing is erased."""
    site = filled(tmp_path)
    done = site.run("erase", *options, *(() if "--reason" in options else WHY))
    assert (done.code, done.out) == (2, "")
    assert found_in(site.data, [SECRET]) == [SECRET]


def test_erase_needs_a_reason(tmp_path: Path) -> None:
    """It is kept in the log."""
    assert filled(tmp_path).run("erase", "onespan", ID).code == 2


def test_nobody_is_erased_who_is_not_known(tmp_path: Path) -> None:
    """Exit 1."""
    done = filled(tmp_path).run("erase", "onespan", "nobody", *WHY, "--json")
    assert (done.code, done.out) == (1, "")
    assert "nothing is known of nobody in onespan" in done.err


def test_a_hold_is_put_listed_and_lifted(tmp_path: Path) -> None:
    """Nothing can be erased meanwhile, and the sentence says how to lift it."""
    site = filled(tmp_path)
    assert site.run("hold").err == "Nothing is on hold.\n"
    assert site.run("hold", "onespan", ID, "--reason", "case 17", "--json").json == {"position": 5}
    [known] = site.run("hold", "--json").json
    assert set(known) == HOLD
    assert (known["id"], known["operator"], known["reason"]) == (ID, getpass.getuser(), "case 17")
    assert "case 17" in site.run("hold").out
    done = site.run("erase", "onespan", ID, *WHY)
    assert (done.code, done.out) == (1, "")
    assert "case 17; 'signlog hold … --lift --reason …' lifts it" in done.err
    assert site.run("hold", "onespan", ID, "--lift", "--reason", "closed").out == "Lifted, by decision 6.\n"
    assert site.run("hold", "--json").json == []
    assert site.run("erase", "onespan", ID, *WHY).code == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["onespan"], 2),
        (["onespan", ID], 2),
        (["--lift"], 2),
        (["--reason", "x"], 2),
        (["onespan", ID, "--reason", " "], 2),
        (["onespan", "nobody", "--reason", "x"], 1),
        (["other", ID, "--reason", "x"], 1),
        (["onespan", ID, "--lift", "--reason", "x"], 1),
    ],
)
def test_a_hold_that_is_asked_for_wrongly(tmp_path: Path, options: list[str], code: int) -> None:
    """And nothing is put on hold: a name that was mistyped would protect nobody."""
    site = filled(tmp_path)
    done = site.run("hold", *options)
    assert (done.code, done.out) == (code, "")
    assert site.run("hold", "--json").json == []
