"""Builds the door: who may come in, what is refused, and where callbacks wait while the database is away."""

import contextlib
from collections.abc import Iterator
from typing import Final

from sqlalchemy.exc import DBAPIError
from starlette.types import ASGIApp

from listener import bootstrap, bootstrap_log, provider
from listener.door.app import Door, app
from listener.door.gate import Gate, Nobody
from listener.log import heads, reader
from listener.log.database import Database
from listener.log.spool import Spool
from listener.quarantine import Quarantine
from listener.settings import Settings

_REGULARS: Final = 5000  # events to look back for clients that called before


@contextlib.contextmanager
def log(settings: Settings) -> Iterator[tuple[Database, bool]]:
    """The log, and whether it is there now. It need not be where a door was open on it before."""
    with contextlib.ExitStack() as opened:
        try:
            database, there = opened.enter_context(bootstrap.log(settings)), True
        except DBAPIError as error:
            bootstrap.assert_spooling(settings, error)
            database, there = opened.enter_context(contextlib.closing(bootstrap_log.database(settings))), False
        yield database, there


def gates(settings: Settings) -> dict[str, Gate]:
    """For each source, who may come in."""
    key, every = bootstrap.secret(settings), settings.sources
    return {
        name: Gate(name, source, provider.named(source.provider), key, every.values()) for name, source in every.items()
    }


def door(settings: Settings, database: Database, there: bool) -> ASGIApp:
    """The public app. While the log is not there, what comes is spooled."""
    nobody = Nobody(settings.sources.values(), bootstrap.secret(settings))
    found = Door(gates(settings), nobody, Quarantine(settings.folder), settings.max_body_bytes, settings.proxies)
    spool, tip = Spool(settings.spool_folder, settings.max_spool_bytes), None
    if there:
        with database.reading() as connection:
            tip = reader.tip(connection)
            spool.belong(heads.epochs(connection)[0].id, tip)
            known = reader.read(connection, max(0, tip.position - _REGULARS), _REGULARS)
        found.welcome({each.client for each in known if each.client})
    return app(found, database, spool, tip)
