"""Builds the log's database: in a file, or in a server."""

import contextlib
import os
import secrets
import socket
from typing import TYPE_CHECKING, Final

from listener import errors
from listener.lease import Lease
from listener.log.database import Database
from listener.log.migrate import revision
from listener.log.sqlite import Sqlite
from listener.only import OnlyOne
from listener.settings import Settings

if TYPE_CHECKING:
    from listener.leases import DatabaseLease
    from listener.log.postgres import Postgres

_NO_COPY: Final = (
    "the log is in PostgreSQL (database_url), and a backup here is a file of SQLite; use pg_dump, or pg_basebackup "
    "with an archive of the write-ahead log; after a restore of that: 'signlog restore --accept --reason …'"
)


def database(settings: Settings) -> Database:
    """As it is configured, whatever there is of it."""
    return Sqlite(settings.folder) if settings.database_url is None else server(settings.database_url)


def server(url: str) -> "Postgres":
    """A log in PostgreSQL. Raises ConfigurationError for what is no address."""
    from listener.log.postgres import Postgres

    return Postgres(url)


def assert_there(settings: Settings) -> None:
    """Raise NotFoundError if nobody has made the log yet."""
    if settings.database_url is not None:
        with contextlib.closing(database(settings)) as found, found.reading() as connection:
            if revision(connection) is None:
                raise errors.NotFoundError(f"there is no log in {found.name}; 'signlog serve' makes one")
    elif not (settings.folder / "signlog.db").exists():
        raise errors.NotFoundError(f"there is no log in {settings.folder}; 'signlog serve' makes one, or set data")


def assert_file(settings: Settings) -> None:
    """Raise CopyRefused if the log is in no file."""
    if settings.database_url is not None:
        raise errors.CopyRefused(_NO_COPY)


def leaving(found: Database) -> Database:
    """The log that is to be copied to a server. Raises CopyRefused if it lies in one."""
    if not isinstance(found, Sqlite):
        raise errors.CopyRefused(f"the log is in {found.name} already; to move that, use pg_dump and pg_restore")
    return found


def file(found: Database) -> Sqlite:
    """The log in a file. Raises CopyRefused if it is in none."""
    if not isinstance(found, Sqlite):
        raise errors.CopyRefused(_NO_COPY)
    return found


def lease(settings: Settings, database: Database, part: str) -> Lease:
    """That there is one such part of signlog: on the folder of the log, or on whatever machine."""
    if isinstance(database, Sqlite):
        return OnlyOne(settings.folder, part)
    return server_lease(database, part, holder())


def server_lease(database: Database, part: str, holder: str) -> "DatabaseLease":
    """That there is one such part of signlog on whatever machine; only for a log in a server."""
    from listener.leases import DatabaseLease
    from listener.log.postgres import Postgres

    assert isinstance(database, Postgres)  # noqa: S101  there is no third engine
    return DatabaseLease(database, part, holder)


def holder() -> str:
    """A name for this process that a person can find it by, and that no other has, now or ever."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
