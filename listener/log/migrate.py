"""Bringing a database to the newest shape; safe when several processes start at once."""

import os
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, select

from listener import errors
from listener.log import catalog, schema
from listener.log.append import now
from listener.log.catalog import Made
from listener.log.database import Database, Readable

_SCRIPTS: Final = Path(__file__).resolve().parents[2] / "migrations"


def migrate(database: Database) -> None:
    """Migrate if needed, and give a new log its id, at once: whoever sees the tables sees the id, killed or not.

    Under the append lock: the second process finds it done.
    """
    with database.reading() as connection:
        if revision(connection) == schema.REVISION:
            return
    with database.writing() as connection:
        found = revision(connection)
        if found is not None and found > schema.REVISION:
            raise errors.UnsuitableDatabase(
                f"{database.name} was written by a newer signlog (schema {found}, this one knows {schema.REVISION})"
            )
        _upgrade(connection)
        _identify(connection)


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


def _upgrade(connection: Connection) -> None:
    # Alembic costs memory and start-up time that only a first start or an upgrade should pay.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _identify(connection: Connection) -> None:
    """Give a new log its id: 16 random bytes that every leaf commits to."""
    if connection.scalar(select(schema.log.c.id)) is None:
        connection.execute(schema.log.insert().values(first_position=1, id=os.urandom(16), created_at=now()))
