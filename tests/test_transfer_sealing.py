"""Behind the last few events of a log that moves everybody waits: not for long, and then its file takes nothing."""

import contextlib
import sqlite3
import time
from pathlib import Path

import psycopg
import pytest

from listener import acts, bootstrap, errors, transfer
from listener.audit import scan
from listener.log import heads
from listener.log.postgres import Postgres
from listener.transfer import Transfer
from tests import postgres
from tests.logbook import aside
from tests.moving import arriving, equal, in_pages, move, refuse
from tests.rig import add
from tests.sealed import Sealed, full


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short log has many pages."""
    in_pages(monkeypatch)


def test_the_file_is_sealed(tmp_path: Path, empty_database: str) -> None:
    """Its last event says who ended it and where it goes on, a head is signed over that, and nothing comes behind."""
    with Sealed(tmp_path) as log:
        moved = move(log, empty_database)
        last = log.events()[-1]
        assert (last.position, last.path, last.credential) == (moved.events, acts.SEALED_PATH, "operator:somebody")
        assert acts.read(last).reason == f"it goes on in {Postgres(empty_database).name}"
        with log.database.reading() as connection:
            newest = heads.newest(connection)
        assert newest is not None
        assert newest.size == moved.events
        for _ in range(2):
            with pytest.raises(errors.Sealed, match=rf"^event {moved.events} sealed this log.*; set database_url"):
                add(log.database, full())
        with contextlib.closing(sqlite3.connect(log.settings.folder / "signlog.db")) as by_hand:
            copy = (
                "INSERT INTO events SELECT position + 1, v, recorded_at, spooled_at, kind, source, provider, method, "
            )
            copy += "path, peer, client, headers, credential, body, salt, content, leaf FROM events WHERE position = ?"
            for statement in (copy, "DELETE FROM sealed WHERE position = ?"):
                with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                    by_hand.execute(statement, (moved.events,))
        assert log.verify().problems == []
        with pytest.raises(errors.ConfigurationError, match=r"^database_url: event \d+ sealed the log in .*name that"):
            bootstrap.prepare(log.settings)


def test_what_comes_meanwhile_moves_too(tmp_path: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody appends until he is told that the log is sealed; every position that he was given is there."""
    monkeypatch.setattr("listener.audit.scan.ROWS", 50)
    with Sealed(tmp_path) as log:
        add(log.database, *[full()] * 300)
        given = list[int]()

        def appending() -> None:
            with contextlib.suppress(errors.Sealed):
                while True:
                    given.extend(add(log.database, full()))
                    time.sleep(0.02)

        with aside(appending):
            moved = move(log, empty_database)
        assert len(given) > 0
        assert moved.events == given[-1] + 1
        assert equal(log, empty_database)


def test_where_the_target_is_away_nothing_is_sealed(
    tmp_path: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if it goes while the last events are copied, and everybody waits."""
    with Sealed(tmp_path) as log:
        real = Transfer._put

        def put(self: Transfer, page: scan.Page) -> None:
            if page.rows[-1][0] > 12:
                raise ConnectionError("gone")
            real(self, page)

        monkeypatch.setattr(Transfer, "_put", put)
        arriving(monkeypatch, 1)
        with pytest.raises(ConnectionError):
            move(log, empty_database)
        monkeypatch.undo()
        assert add(log.database, full()) == [14]
        move(log, empty_database)
        assert equal(log, empty_database)


def test_few_are_copied_while_everybody_waits(
    tmp_path: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than that came before the lock was ours: it is let go of, and they are copied like all before."""
    with Sealed(tmp_path) as log:
        told = list[int]()
        arriving(monkeypatch, 5, 3)
        moved = move(log, empty_database, lambda more, _whole: told.append(more))
        assert (moved.events, told) == (21, [3, 3, 3, 3, 3, 2, 1])  # three under the lock
        assert equal(log, empty_database)


def test_nobody_waits_for_a_target_that_is_slow(
    tmp_path: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last events are not taken in time: the file goes on, and typed again it moves."""
    monkeypatch.setattr(transfer, "LOCKED_SECONDS", 0.5)
    with Sealed(tmp_path) as log:
        with psycopg.connect(postgres.plain(empty_database)) as slow, monkeypatch.context() as patch:
            arriving(patch, 1)
            real = Transfer._copy_in_time

            def in_time(self: Transfer, until: int) -> None:
                slow.execute("SET idle_in_transaction_session_timeout = '30s'")  # whoever would wait goes on then
                slow.execute("LOCK TABLE log")
                real(self, until)

            patch.setattr(Transfer, "_copy_in_time", in_time)
            refuse(
                log,
                empty_database,
                "did not take the last events within 0.5 s, so nothing is sealed .*; type the same again",
            )
        move(log, empty_database)
        assert equal(log, empty_database)
