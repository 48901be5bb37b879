"""The worker signs at the start, now and then, and at the end; what keeps it from that is said once, and kept."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from listener import bootstrap, leases
from listener.fenced import Fenced
from listener.leases import DatabaseLease
from listener.log import heads
from listener.log.heads import Head
from listener.log.postgres import Postgres
from listener.signing.signer import EVERY_EVENTS, Signer
from listener.worker import notary
from listener.worker.notary import Notary
from tests.rig import Log, add, callback, until
from tests.serving import Serving

COPY = "head"


@contextmanager
def signing(folder: Path) -> Iterator[tuple[Log, Signer]]:
    """A log, and who signs it."""
    with Log(folder, checkpoint_copy=str(folder / COPY)) as log, bootstrap.signer(log.settings, log.database) as signer:
        yield log, signer


def newest(log: Log) -> Head:
    """The head that was signed last; an empty one before the first."""
    with log.database.reading() as connection:
        return heads.newest(connection) or Head(0, 0, 0, "")


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """What was logged since."""
    return capsys.readouterr().out


def test_it_signs_at_the_start_and_when_it_is_time(tmp_path: Path) -> None:
    """Not for each event: after so many of them."""
    with signing(tmp_path) as (log, signer):
        worker = Notary(signer)
        worker.tick()
        assert newest(log).number == 1
        add(log.database, callback("PACKAGE_CREATE"))
        worker.tick()
        assert newest(log).number == 1
        for _ in range(EVERY_EVENTS // 50):
            add(log.database, *[callback("PACKAGE_CREATE")] * 50)
        worker.tick()
        assert newest(log)[:2] == (2, EVERY_EVENTS + 3)


def test_it_signs_at_the_end(tmp_path: Path) -> None:
    """What nobody has signed yet; without anything new there is no new head, also at the next start."""
    with signing(tmp_path) as (log, signer):
        worker = Notary(signer)
        worker.tick()
        add(log.database, callback("PACKAGE_CREATE"))
        worker.last()
        assert newest(log)[:2] == (2, 3)
        again = Notary(signer)
        again.tick()
        again.last()
        assert newest(log).number == 2
        assert signer.tree.trouble() is None


def test_what_keeps_it_from_signing_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an error in the log of the worker, and for `signlog health`, until it is over; nothing is raised."""
    monkeypatch.setattr(notary, "RETRY_SECONDS", 0)
    with signing(tmp_path) as (log, signer):
        (tmp_path / COPY).write_text("garbage")
        worker = Notary(signer)
        for _ in range(3):
            worker.tick()
        told = said(capsys)
        assert told.count("[error    ] no_head_is_signed") == 1
        assert "is none: no line of a signature" in (signer.tree.trouble() or "")
        worker.last()
        assert newest(log).number == 0
        (tmp_path / COPY).unlink()
        worker.tick()
        assert signer.tree.trouble() is None
        assert (tmp_path / COPY).read_text() == newest(log).note


def test_it_is_not_tried_all_the_time(tmp_path: Path) -> None:
    """After trouble it waits a little."""
    with signing(tmp_path) as (log, signer):
        (tmp_path / COPY).write_text("garbage")
        worker = Notary(signer)
        worker.tick()
        (tmp_path / COPY).unlink()
        worker.tick()
        assert newest(log).number == 0


def test_trouble_of_the_last_run_is_forgotten(tmp_path: Path) -> None:
    """Once a head was signed."""
    with signing(tmp_path) as (_, signer):
        signer.tree.tell("something of yesterday")
        Notary(signer).tick()
        assert signer.tree.trouble() is None


def test_a_tree_that_is_far_behind_grows_bit_by_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is signed before it has caught up, and the worker does other things meanwhile."""
    monkeypatch.setattr(notary, "GROW_SECONDS", -1)
    monkeypatch.setattr("listener.log.tree.LEAVES_AT_ONCE", 2)
    with signing(tmp_path) as (log, signer):
        add(log.database, *[callback("PACKAGE_CREATE")] * 5)
        worker = Notary(signer)
        for size in (2, 4, 6):
            worker.tick()
            with signer.tree.reading() as stored:
                assert stored.size == size
            assert newest(log).number == 0
        worker.tick()
        assert newest(log).size == 7


def test_a_log_that_is_too_short_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the tree has caught up, which takes a while in a large log."""
    with signing(tmp_path) as (log, signer):
        signer.sign()
        add(log.database, *[callback("PACKAGE_CREATE")] * 5)
        signer.sign()
        with log.database.writing() as connection:
            connection.exec_driver_sql("DROP TRIGGER events_refuse_delete")
            connection.exec_driver_sql("DELETE FROM events WHERE position > 5")
        monkeypatch.setattr(notary, "GROW_SECONDS", -1)
        monkeypatch.setattr("listener.log.tree.LEAVES_AT_ONCE", 2)
        Notary(signer).tick()
        assert "was signed over 7 events, and the log has 5" in said(capsys)


def test_a_real_server_signs(tmp_path: Path) -> None:
    """From its first start on, and once more when it is told to stop; it says which key it made."""
    with Serving(tmp_path) as served:
        assert served.post(b'{"name":"PACKAGE_CREATE","packageId":"p"}') == 200
        with Log(tmp_path) as log:
            until(lambda: newest(log).number == 1)
            assert served.post(b'{"name":"PACKAGE_TRASH","packageId":"p"}') == 200
            assert served.stop() == 0
            assert newest(log).size == len(log.events())
        told = [json.loads(line) for line in served.said().splitlines() if line.startswith("{")]
        (named,) = [line for line in told if line["event"] == "checkpoint_key_named"]
        assert named["key"].startswith("signlog/")


def test_whoever_does_not_lead_signs_nothing_and_blames_nobody(
    on_postgres: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another worker does: that is no trouble. The one that leads signs through the same fence."""
    with Log(on_postgres) as log:
        assert isinstance(log.database, Postgres)
        lease = DatabaseLease(log.database, leases.WORKER, "a")
        fenced = Fenced(log.database.address, lease)
        with closing(fenced), bootstrap.signer(log.settings, fenced) as signer:
            Notary(signer, shared=True).tick()
            assert (newest(log).number, signer.tree.trouble()) == (0, None)
            assert "no_head_is_signed" not in said(capsys)
            assert lease.take()
            Notary(signer, shared=True).tick()
            assert newest(log).number == 1
            lease.let_go()


def test_what_was_wrong_is_no_news_once_another_one_leads(tmp_path: Path) -> None:
    """It is that one's to say; where there is no other one, it stays until the next start."""
    with signing(tmp_path) as (_, signer):
        signer.tree.tell("the key is gone")
        Notary(signer).close()
        assert signer.tree.trouble() == "the key is gone"
        Notary(signer, shared=True).close()
        assert signer.tree.trouble() is None
