"""Bringing a database to the newest shape; safe when several processes start at once."""

import os
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, select

from listener import errors
from listener.log import catalog, reader, schema
from listener.log.append import now
from listener.log.catalog import Made
from listener.log.database import Database, Readable

_SCRIPTS: Final = Path(__file__).resolve().parents[2] / "migrations"


def migrate(database: Database) -> None:
    """Migrate if needed, and give a new log its id, at once: whoever sees the tables sees the id, killed or not.

    Under the append lock: the second process finds it done. Raises UnsuitableDatabase for what is no whole log of ours.
    """
    with database.reading() as connection:
        if revision(connection) == schema.REVISION and _is_identified(connection):
            return
    with database.writing() as connection:
        _bring_up(database, connection)
        if not _is_identified(connection):
            _identify(database, connection)


def make_tables(database: Database) -> None:
    """Migrate if needed, for a log that brings its id with it: until then nobody takes it for a log."""
    with database.writing() as connection:
        _bring_up(database, connection)


def fresh(database: Readable) -> Made:
    """What an empty database of that kind has after all migrations."""
    with database.scratch() as connection:
        _upgrade(connection)
        return catalog.made(connection)


def revision(connection: Connection) -> str | None:
    """The newest migration that ran here, None in an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT max(version_num) FROM alembic_version").scalar_one()
    return found


def _bring_up(database: Database, connection: Connection) -> None:
    found = revision(connection)
    if found is not None and found > schema.REVISION:
        raise errors.UnsuitableDatabase(
            f"{database.name} was written by a newer signlog (schema {found}, this one knows {schema.REVISION})"
        )
    _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    # Alembic costs memory and start-up time that only a first start or an upgrade should pay.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _is_identified(connection: Connection) -> bool:
    return connection.scalar(select(schema.log.c.id).limit(1)) is not None


def _identify(database: Database, connection: Connection) -> None:
    """Give a new log its id: 16 random bytes that every leaf commits to."""
    if reader.head(connection):
        raise errors.UnsuitableDatabase(
            f"{database.name} holds a part of a log that is being copied there; let 'signlog copy-to' end first"
        )
    connection.execute(schema.log.insert().values(first_position=1, id=os.urandom(16), created_at=now()))
