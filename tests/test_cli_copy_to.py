"""signlog copy-to, as it is typed beside a server that runs; and the server that goes on in PostgreSQL."""

from pathlib import Path

import pytest

from listener.demo.onespan import OneSpan
from listener.log.postgres import SCHEME
from tests import postgres
from tests.rig import EVIDENCE, ID, SOURCE, ZIP, completed, until
from tests.serving import Serving
from tests.site import Done, Site, callback

MOVED = {"events", "root"}


@pytest.fixture
def url(empty_database: str) -> str:
    """An address as everybody writes it."""
    return postgres.plain(empty_database)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A log of two events."""
    return Site(tmp_path).filled(callback("PACKAGE_CREATE", ID))


def test_it_is_told(site: Site, url: str) -> None:
    """What moved, and what to write next; for scripts the same each time that it is typed."""
    shown = site.run("copy-to", url)
    assert (shown.code, shown.out.splitlines()[:3]) == (0, ["Copied, verified and sealed.", "", "events  4"])
    assert f'database_url = "{SCHEME}' in shown.err
    told = site.run("copy-to", url, "--json")
    assert (told.code, set(told.json), told.json["events"], told.err) == (0, MOVED, 4, "")
    assert told.json["root"] in shown.out


def test_what_is_sealed_is_read_and_not_served(site: Site, url: str) -> None:
    """Commands that look go on; one that decides, and a server, say where the log is."""
    site.run("copy-to", url)
    assert site.run("verify").code == 0
    assert "it goes on in postgresql+psycopg://signlog@/log_" in site.run("show", "4").out
    served = site.run("serve")
    assert (served.code, served.out) == (2, "")
    assert "database_url: event 4 sealed the log" in served.err
    decided = site.run("expect", "onespan", ID)
    assert (decided.code, decided.out) == (1, "")
    assert "event 4 sealed this log" in decided.err


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("db.example.com/signlog", "database_url: this is no address of a database; write postgresql+psycopg://"),
        ("mysql://somebody@host/log", "database_url: this is no address"),
        ("postgresql://somebody:s3cret@localhost:1/log", "the database cannot be used: connection failed: "),
    ],
)
def test_no_such_place(site: Site, address: str, told: str) -> None:
    """It says what is wrong with it, and no password; nothing is sealed."""
    done = site.run("copy-to", address)
    assert done.code in (1, 2)
    assert told in done.err
    assert "s3cret" not in done.err
    assert site.run("copy-to", "--help").code == 0
    assert site.append(callback("PACKAGE_SIGN", ID)) == [3]


def test_a_server_goes_on_there(tmp_path: Path, url: str) -> None:
    """Moved while it serves; what comes until one line was changed is spooled. No document is fetched twice."""
    with OneSpan() as account, Serving(tmp_path, account.url) as server:
        (tmp_path / "aside").mkdir()
        site = Site(tmp_path / "aside")

        def typed(*arguments: str) -> Done:
            return site.run(*arguments, "--config", str(server.config))

        def artifacts() -> dict[str, str]:
            done = typed("status", SOURCE, ID, "--json")
            return {one["name"]: one["state"] for one in done.json["artifacts"]} if done.code == 0 else {}

        completed(account, ID)
        for name in ("PACKAGE_CREATE", "PACKAGE_COMPLETE"):
            assert server.post(callback(name, ID).body) == 200
        until(lambda: artifacts() == {ZIP: "stored", EVIDENCE: "stored"}, pause=0.2)
        assert typed("copy-to", url).code == 0
        assert server.post(callback("PACKAGE_OPT_OUT", "between").body) == 200  # into the spool
        server.stop()
        server.config.write_text(
            f'database_url = "{url.replace("postgresql://", SCHEME)}"\n{server.config.read_text()}'
        )
        server.start()
        assert server.post(callback("PACKAGE_OPT_OUT", "another").body) == 200
        until(lambda: {typed("status", SOURCE, each).code for each in ("between", "another")} == {0}, pause=0.2)
        assert artifacts() == {ZIP: "stored", EVIDENCE: "stored"}
        assert (account.count("documents.zip"), account.count("evidence")) == (1, 1)
        assert typed("verify", "--documents").code == 0
