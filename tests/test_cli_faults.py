"""signlog faults: what could not be taken in, what waits behind it, and how a replay with mended code takes it in."""

from pathlib import Path

import pytest

from listener import bootstrap
from listener.worker.projector import Projector
from projections import course
from tests.site import Site, callback

COLUMNS = {"position", "source", "subject", "error", "attempts", "waiting"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Five steps are too many for the code that folded; another package, and a body that nobody can read."""
    found = Site(tmp_path)
    flood = [callback("PACKAGE_ACTIVATE", "-flooded", f"2026-11-20T09:0{minute}:00Z") for minute in range(6)]
    found.append(*flood, callback("PACKAGE_CREATE", "fine"), callback("", "")._replace(body=b"{"))
    with pytest.MonkeyPatch.context() as patched, bootstrap.log(found.settings) as database:
        patched.setattr(course, "MOST_STEPS", 3)
        projector = Projector(database, found.data, "old")
        projector.catch_up()
        projector.close()
    return found


def test_faults_are_listed_with_what_waits_behind_them(site: Site) -> None:
    """In the order of the log; whoever cannot be named has nobody behind it."""
    found = site.run("faults", "--json").json
    assert [set(fault) for fault in found] == [COLUMNS] * 2
    assert [(fault["position"], fault["subject"], fault["waiting"]) for fault in found] == [
        (5, "-flooded", 2),
        (9, None, 0),
    ]
    assert "-flooded" in site.run("faults").out


def test_one_is_shown_or_is_none(site: Site) -> None:
    """With what to type next; exit 1 where there is no fault."""
    done = site.run("faults", "show", "5")
    assert (done.code, "3 changes" in done.out, "signlog show 5" in done.err) == (0, True, True)
    assert site.run("faults", "show", "5", "--json").json[0]["position"] == 5
    assert site.run("faults", "show", "1").code == 1


def test_a_replay_with_mended_code_takes_them_in(site: Site) -> None:
    """The plan tells it as a difference; what nobody can read stays a fault, and is no new one."""
    plan = site.run("replay", "--plan", "--json").json
    assert plan["different"] is True
    assert [(fault["position"], fault["new"]) for fault in plan["faults"]] == [(9, False)]
    assert site.run("replay", "--apply", plan["digest"]).code == 0
    assert [fault["position"] for fault in site.run("faults", "--json").json] == [9]


def test_without_faults_there_is_nothing_to_list(tmp_path: Path) -> None:
    """An empty list for scripts, a sentence for people."""
    site = Site(tmp_path).filled(callback("PACKAGE_CREATE"))
    assert site.run("faults", "--json").json == []
    assert site.run("faults").err == "There are no faults.\n"
