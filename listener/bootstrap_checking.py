"""Builds what checks stored documents again: the part of the wiring that a server never needs."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from listener import bootstrap_accounts, bootstrap_documents, bootstrap_log, errors
from listener.checking import inspector
from listener.log.database import Database
from listener.settings import Settings

if TYPE_CHECKING:
    from listener.worker.checks import Checks


@contextlib.contextmanager
def checks(settings: Settings, database: Database) -> "Iterator[Checks]":
    """For all configured sources. Raises ConfigurationError where nothing could be checked."""
    from listener.shelf import shelf
    from listener.worker.checks import Checks, Inspected
    from listener.worker.live import Live

    if not settings.check_signatures:
        raise errors.ConfigurationError("check_signatures: is false; set it to true to have signatures checked")
    if inspector.missing():
        raise errors.ConfigurationError(inspector.INSTALL)
    sources = {
        name: Inspected(source.provider, bootstrap_accounts.inspector(name, source, settings.check_signatures))
        for name, source in settings.sources.items()
    }
    with contextlib.ExitStack() as held:
        store = bootstrap_documents.store(settings, _there(database, held))
        live = held.enter_context(contextlib.closing(Live(database, shelf(database))))
        yield Checks(database, live, store, sources)


def _there(database: Database, held: contextlib.ExitStack) -> str:
    """The name of our place for copies of documents; a worker that starts meanwhile sees that we live."""
    if database.folder is not None:
        return ""
    holder = bootstrap_log.holder()
    held.enter_context(bootstrap_log.server_lease(database, f"check {holder}", holder))
    return holder
