"""signlog health, about what was signed: a log that is another one needs a person until somebody has decided."""

from pathlib import Path

import pytest

from listener import bootstrap, fingerprint
from listener.log.tree import Tree
from tests.rig import fresh
from tests.site import ONESPAN, Site, callback, until
from tests.test_cli_health import alarm, fine
from tests.test_cli_verify import change

CONFIG = f'checkpoint_copy = "outside"\n{ONESPAN}'
DECIDE = "restore a backup that has everything, or go on without: 'signlog restore --accept --reason …'"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A log of four events, signed twice, folded, with nothing to complain of."""
    site = Site(tmp_path, CONFIG).filled(callback("PACKAGE_CREATE"))
    site.run("checkpoint")
    site.append(callback("PACKAGE_TRASH"))
    site.run("checkpoint")
    site.fold()
    return site


def test_a_log_that_was_signed_is_fine(site: Site) -> None:
    """Also without the head outside, and without the tree."""
    fine(site)
    (site.folder / "outside").unlink()
    (site.data / "signlog-tree.db").unlink()
    fine(site)


def folded_anew(site: Site) -> None:
    """Views of what is left, without the decision that others are shown: it would stand where an event is missing."""
    (site.data / "signlog-views-1.db").unlink()
    with bootstrap.log(site.settings) as database:
        fresh(database, site.data, fingerprint.fingerprint()).close()
    site.fold()


def test_a_log_that_is_too_short(site: Site) -> None:
    """The head outside and the one in the database are both said, before any worker has looked."""
    change(site, "DELETE FROM events WHERE position = 4")
    folded_anew(site)
    alarms = site.run("health", "--json").json["alarms"]
    why = "was signed over 4 events, and the log has 3"
    assert [one for one in alarms if "signed" in one] == [
        f"the log is not what was signed: the newest signed head {why}; {DECIDE}",
        f"the log is not what was signed: the head in outside {why}; {DECIDE}",
    ]


def test_it_is_over_when_somebody_has_decided(site: Site) -> None:
    """And not before, whatever comes in meanwhile."""
    change(site, "DELETE FROM heads")
    change(site, "DELETE FROM events WHERE position = 4")
    folded_anew(site)
    site.append(callback("PACKAGE_CREATE"))
    other = "the log is not what was signed: the head in outside was signed over other events than the first 4 of"
    assert alarm(site).startswith(other)
    said = site.folder / "said"
    with said.open("wb") as file:
        process = site.start("serve", "--worker", stdout=file, stderr=file)
    try:
        until(lambda: '"event": "no_head_is_signed", "level": "error"' in said.read_text())
        assert alarm(site).startswith(other)
        assert site.run("restore", "--accept", "--reason", "the disk broke").code == 0
        until(lambda: "signed" not in str(site.run("health", "--json").json["alarms"]))
    finally:
        process.terminate()
        process.wait(60)
    assert (site.run("checkpoint").code, site.run("verify").code) == (0, 0)


def test_a_key_that_is_gone(site: Site) -> None:
    """The worker cannot sign, and keeps why."""
    (site.data / "checkpoint.key").unlink()
    site.append(callback("PACKAGE_CREATE"))
    process = site.start("serve", "--worker")
    try:
        until(lambda: site.run("health", "--json").json["alarms"])
        assert alarm(site).startswith("no head of the log is signed: the key in signlog-data/checkpoint.key is gone")
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_a_tree_that_is_damaged_is_nobodys_business(site: Site) -> None:
    """The worker makes it anew."""
    tree = Tree(site.data)
    tree.close()
    tree.path.write_bytes(b"garbage" * 10000)
    fine(site)
