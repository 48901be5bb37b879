"""Whoever waits hears at once what others append, if the server lets it; and hears nothing that was not committed."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from listener.log import reader
from listener.log.append import append
from listener.log.bell import Bell
from listener.log.migrate import migrate
from listener.log.postgres import Postgres
from tests import postgres
from tests.logbook import add, aside, callback
from tests.pooler import pooled
from tests.rig import PATIENCE, until


@contextlib.contextmanager
def there(url: str | None) -> Iterator[Postgres]:
    """A log in a server, or behind a pooler."""
    assert url is not None
    with contextlib.closing(Postgres(url)) as database:
        migrate(database)
        yield database


def hears(bell: Bell, database: Postgres) -> None:
    """Append until it rings: it may only just begin to listen."""
    over = threading.Event()

    def appending() -> None:
        while not over.wait(0.2):
            add(database, b"again")

    with aside(appending):
        try:
            assert bell.wait(PATIENCE)
        finally:
            over.set()
    while bell.wait(1):  # what it was told meanwhile
        pass


def test_it_rings_when_something_was_appended(on_postgres: Path) -> None:
    """By whomever, once it is committed; not for what was undone, and not by itself."""
    with there(postgres.url(on_postgres)) as database, Bell(database) as bell:
        hears(bell, database)
        with pytest.raises(IntegrityError), database.writing() as connection:
            append(connection, [callback(), callback()._replace(kind=None)])  # type: ignore[arg-type]
        assert not bell.wait(1)
        add(database, b"one more")
        assert bell.wait(PATIENCE)


def test_it_listens_again_when_the_server_is_back(tmp_path: Path) -> None:
    """Meanwhile it only says that nothing is heard."""
    with postgres.server() as server:
        postgres.mark(tmp_path, server)
        with there(postgres.url(tmp_path)) as database, Bell(database) as bell:
            hears(bell, database)
            server.stop()
            server.start()
            hears(bell, database)


def test_behind_a_pooler_nothing_is_lost_but_time(on_postgres: Path) -> None:
    """It never rings there: whoever waits goes on after a while, and finds what was appended."""
    url = postgres.url(on_postgres)
    assert url is not None
    with pooled(url) as pooler, there(pooler.url) as database, Bell(database) as bell:
        until(lambda: len(pooler.used) > 3)
        for number in range(5):
            add(database, b"%d" % number)
            assert not bell.wait(0.3)
        with database.reading() as connection:
            assert reader.head(connection) == 5
