"""Builds what erases: the part of the wiring that a server never needs."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from listener import bootstrap, bootstrap_documents, fingerprint
from listener.log.database import Database
from listener.only import OnlyOne
from listener.settings import Settings

if TYPE_CHECKING:
    from listener.worker.erasure import Erasure


@contextlib.contextmanager
def erasure(settings: Settings, database: Database) -> "Iterator[Erasure]":
    """What erases, with the code as it is."""
    from listener.worker.erasure import Erasure, Locks
    from listener.worker.renewal import Renewal

    ours = fingerprint.fingerprint()
    locks = Locks(OnlyOne(settings.folder), OnlyOne(settings.folder, "replay"))
    renewal = Renewal(database, settings.folder, ours, settings.disk_reserve)
    store = bootstrap_documents.store(settings)
    providers = {name: source.provider for name, source in settings.sources.items()}
    with bootstrap.quarantine(settings) as kept:
        yield Erasure(database, ours, locks, renewal, kept, store, providers)
