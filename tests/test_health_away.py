"""What waits for the database is told, also while it is away, by health and by whoever must not forget it."""

from contextlib import closing
from pathlib import Path

import pytest

from listener import errors
from listener.log import reader, spool
from listener.log.database import Database
from listener.log.drain import Drain
from listener.log.spool import Spool
from listener.log.spooled import Spooled
from tests import postgres
from tests.site import ID, Site, callback
from tests.test_cli_health import KEYS, alarm, fine
from tests.test_worker_erasure import ORDER, erasing

SINCE = 1_790_000_000_000_000


def wait(known: Site, count: int = 3, *damaged: bytes) -> None:
    """Let so many callbacks of the package wait in the spool, as a door does that cannot reach its database."""
    (known.data / "spool").mkdir(exist_ok=True)
    with closing(Spool(known.data / "spool")) as found:
        draft = callback("PACKAGE_TRASH")._replace(spooled_at=SINCE)
        found.keep([Spooled(0, draft._replace(salt=bytes([number] * 16))) for number in range(count)])
        for piece in damaged:
            found.set_aside(piece)


def head(database: Database) -> int:
    """The newest position."""
    with database.reading() as connection:
        return reader.head(connection)


def drain(known: Site) -> None:
    """As the door does."""
    with known.opened() as database, closing(Spool(known.data / "spool")) as found:
        Drain(database, found).run()


def test_callbacks_that_wait_are_an_alarm(tmp_path: Path) -> None:
    """How many and since when; when they are in the log, no more."""
    known = Site(tmp_path).filled(callback("PACKAGE_CREATE"))
    fine(known)
    wait(known)
    assert "callbacks that wait in " in alarm(known)
    report = known.run("health", "--json").json
    assert (report["spooled"], report["spooled_since"]) == (3, "2026-09-21T14:13:20.000000Z")
    assert "spool       3 callbacks wait since 2026-09-21" in known.run("health").out
    drain(known)
    known.fold()
    fine(known)


def test_lines_that_cannot_be_read_are_an_alarm(tmp_path: Path) -> None:
    """Until a person has taken the file away."""
    known = Site(tmp_path).filled(callback("PACKAGE_CREATE"))
    wait(known, 0, b"unreadable")
    assert "lines of the spool that cannot be read: 1" in alarm(known)
    (known.data / "spool" / spool.DAMAGED).unlink()
    fine(known)


def test_health_is_told_while_the_database_is_away(tmp_path: Path) -> None:
    """What files tell is told, and what is unknown is null; the exit status is 1."""
    with postgres.server() as server:
        postgres.mark(tmp_path, server)
        known = Site(tmp_path).filled(callback("PACKAGE_CREATE"))
        wait(known)
        server.stop()
        done, shown = known.run("health", "--json"), known.run("health")
        assert (done.code, shown.code) == (1, 1)
        assert set(done.json) == KEYS
        assert next(told.partition(":")[0] for told in done.json["alarms"]) == "the database cannot be used"
        assert (done.json["head"], done.json["spooled"], done.json["quarantined"]) == (None, 3, 0)
        assert "callbacks wait since" in shown.out
        assert "events" not in shown.out
        server.start()
        assert known.run("health", "--json").json["head"] > 0


def test_nothing_is_erased_while_callbacks_wait(tmp_path: Path) -> None:
    """They may speak of the package, and would bring it back: refused, and nothing changed; drained, it is erased."""
    known = Site(tmp_path).filled(callback("PACKAGE_CREATE"))
    wait(known)
    with erasing(known) as (erasure, database):
        before = head(database)
        with pytest.raises(errors.ErasureRefused, match="3 callbacks wait in "):
            erasure.subject(("onespan", ID), ORDER)
        assert head(database) == before
    drain(known)
    known.fold()
    with erasing(known) as (erasure, _):
        assert len(erasure.subject(("onespan", ID), ORDER).positions) == 4


def test_nothing_is_erased_beside_what_cannot_be_read(tmp_path: Path) -> None:
    """Nobody knows whom it speaks of."""
    known = Site(tmp_path).filled(callback("PACKAGE_CREATE"))
    wait(known, 0, b"unreadable")
    with erasing(known) as (erasure, _), pytest.raises(errors.ErasureRefused, match="remove the file"):
        erasure.subject(("onespan", ID), ORDER)


def test_a_backup_says_what_it_lacks(tmp_path: Path) -> None:
    """And says nothing where it lacks nothing."""
    known = Site(tmp_path).filled(callback("PACKAGE_CREATE"))
    assert "spool" not in known.run("backup", str(tmp_path / "one.db")).err
    wait(known)
    assert "3 callbacks wait in " in known.run("backup", str(tmp_path / "two.db")).err
