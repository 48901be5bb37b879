"""Builds what erases: the part of the wiring that a server never needs."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from listener import bootstrap, bootstrap_documents, bootstrap_log, fingerprint, leases
from listener.log.database import Database
from listener.settings import Settings

if TYPE_CHECKING:
    from listener.worker.erasure import Erasure


@contextlib.contextmanager
def erasure(settings: Settings, database: Database) -> "Iterator[Erasure]":
    """What erases, with the code as it is."""
    from listener.shelf import shelf
    from listener.worker.erasure import Erasure, Locks
    from listener.worker.renewal import Renewal

    ours = fingerprint.fingerprint()
    locks = Locks(*(bootstrap_log.lease(settings, database, part) for part in ("worker", "replay")))
    renewal = Renewal(database, shelf(database, locks.replay), ours, settings.disk_reserve)
    store = bootstrap_documents.store(settings, living=lambda: leases.living(database))
    providers = {name: source.provider for name, source in settings.sources.items()}
    with bootstrap.quarantine(settings) as kept:
        yield Erasure(database, ours, locks, renewal, kept, store, providers, settings.spool_folder)
