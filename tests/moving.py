"""A log that moves into a server: how it is done, what comes meanwhile, and whether all of it is there."""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

import pytest

from listener import acts, bootstrap, errors
from listener.acts import Act
from listener.audit import verify
from listener.audit.verify import Told
from listener.log import erase, migrate
from listener.log.append import append
from listener.log.database import Database
from listener.log.postgres import Postgres
from listener.transfer import Moved, Transfer
from projections import facts
from tests.rig import Log, add
from tests.sealed import full

TABLES: Final = ("events", "erasures", "heads", "live", "claims", "log")


def in_pages(patch: pytest.MonkeyPatch) -> None:
    """A short log has many pages."""
    patch.setattr("listener.audit.scan.ROWS", 3)
    patch.setattr("listener.transfer._FEW", 4)


def quiet(_more: int, _whole: int) -> None:
    """Nobody looks on."""


def arriving(patch: pytest.MonkeyPatch, *counts: int) -> None:
    """So many events come between what was copied and the lock, the first time, the second time, and so on."""
    real, left = Transfer._seal, list(counts)

    def seal(self: Transfer, operator: str) -> bool:
        if left:
            add(self._source, *[full()] * left.pop(0))
        return real(self, operator)

    patch.setattr(Transfer, "_seal", seal)


def move(log: Log, url: str, told: Told = quiet) -> Moved:
    """As the command does it."""
    with bootstrap.transfer(log.settings, log.database, url) as found:
        return found.make("somebody", told)


@contextlib.contextmanager
def opened(url: str) -> Iterator[Database]:
    """The log that was moved, as a server opens it."""
    database = Postgres(url)
    try:
        migrate.migrate(database)
        yield database
    finally:
        database.close()


def rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that makes a log, as it lies in its database."""
    with database.reading() as connection:
        found = {table: connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1") for table in TABLES}
        return {table: [tuple(row) for row in result] for table, result in found.items()}


def decide_and_erase(database: Database, *positions: int) -> None:
    """Erase events, as the worker does."""
    with database.writing() as connection:
        act = Act(facts.ERASED, positions=positions)
        (decision,) = append(connection, [acts.decision(act, "somebody", acts.ERASED_PATH)])
        erase.erase(connection, positions, decision.position)


def equal(log: Log, url: str) -> bool:
    """Whether the target is the log, to the last byte, and whole."""
    with opened(url) as database:
        return rows(database) == rows(log.database) and verify.verify(database).ok


def refuse(log: Log, url: str, told: str) -> None:
    """It says why, and the file goes on."""
    with pytest.raises(errors.CopyRefused, match=told):
        move(log, url)
    add(log.database, full())
