"""Builds what works on the log: what each worker does, and what one of them does for all."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from listener import bootstrap_accounts, bootstrap_documents, bootstrap_log, declaration, errors, fingerprint, leases
from listener.fenced import Fenced
from listener.lease import Lease
from listener.leases import DatabaseLease, SignOfLife
from listener.log.bell import Bell
from listener.log.database import Database
from listener.log.postgres import Postgres
from listener.only import OnlyOne
from listener.settings import Settings
from listener.shelf import shelf
from listener.worker import claims
from listener.worker.claims import Claims
from listener.worker.downloads import Downloads
from listener.worker.live import Live
from listener.worker.projector import Projector
from listener.worker.store import Store


class Worker(NamedTuple):
    """What each worker has; and for the one that leads the lease, and the log that is written while it is held."""

    downloads: Downloads
    live: Live
    lease: Lease
    database: Database
    bell: Bell | None = None


@contextlib.contextmanager
def worker(settings: Settings, database: Database) -> Iterator[Worker]:
    """One of the workers of a log, the only one on its folder. Raises ConfigurationError if another runs there."""
    with contextlib.ExitStack() as stack:
        alone = stack.enter_context(OnlyOne(settings.folder))
        live = stack.enter_context(contextlib.closing(Live(database, shelf(database))))
        if isinstance(database, Postgres):
            yield _one_of_several(settings, database, live, stack)
        else:
            claims.forget(database)
            store = bootstrap_documents.store(settings)
            ours = Claims(database, bootstrap_log.holder())
            yield Worker(_downloads(settings, database, ours, store), live, alone, database)


def _one_of_several(settings: Settings, database: Postgres, live: Live, stack: contextlib.ExitStack) -> Worker:
    """It holds a lease of its own name for as long as it lives, so that others see that it does."""
    holder = bootstrap_log.holder()
    stack.enter_context(SignOfLife(database, holder))
    ours = Claims(database, holder, shared=True)
    store = bootstrap_documents.store(settings, holder, lambda: leases.living(database))
    lease = DatabaseLease(database, leases.WORKER, holder)
    stack.callback(lease.let_go)
    fenced = stack.enter_context(contextlib.closing(Fenced(database.address, lease)))
    bell = stack.enter_context(Bell(database))
    return Worker(_downloads(settings, database, ours, store), live, lease, fenced, bell)


def _downloads(settings: Settings, database: Database, ours: Claims, store: Store) -> Downloads:
    store.prepare()
    return Downloads(database, ours, store, bootstrap_accounts.accounts(settings))


def projector(settings: Settings, worker: Worker) -> Projector:
    """What folds, for the one that leads; it declares what is in force."""
    declaration.declare(worker.database, settings)
    views, code = shelf(worker.database), fingerprint.fingerprint()
    return Projector(worker.database, views, code, settings.disk_reserve)


@contextlib.contextmanager
def leading(settings: Settings, database: Database) -> Iterator[tuple[Projector, Downloads]]:
    """A worker that leads, for whoever drives it by hand. Raises ConfigurationError if another one does."""
    with worker(settings, database) as found:
        if not found.lease.take():
            raise errors.ConfigurationError(found.lease.taken)
        yield projector(settings, found), found.downloads
