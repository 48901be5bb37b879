"""What questions are answered from: the log, and the generation of the views that is live."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, select

from listener import errors
from listener.log import schema
from listener.log.database import Database
from listener.shelf import shelf


class Reading(NamedTuple):
    """Two read transactions, one on each database. Each sees what is there when it is first asked, and holds it."""

    log: Connection
    views: Connection


@contextlib.contextmanager
def reading(database: Database) -> Iterator[Reading]:
    """Read both. Raises ViewsError while there are no views, or none that this version can read."""
    with database.reading() as log:
        generation = log.scalar(select(schema.live.c.generation))
    if generation is None:
        raise errors.ViewsError("nothing was folded yet; the worker does it: run 'signlog serve'")
    live = shelf(database).generation(generation)
    try:
        with database.reading() as log, live.reading() as views:
            yield Reading(log, views)
    except msgspec.ValidationError as error:
        raise errors.ViewsError(
            f"{live.name} was folded by another version ({error}); the worker folds it anew: run 'signlog serve'"
        ) from error
    finally:
        live.close()
