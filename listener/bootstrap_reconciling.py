"""Builds what compares the log with what providers say: for the worker and for a command alike."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from listener.log.database import Database
from listener.settings import Settings

if TYPE_CHECKING:
    from listener.worker.reconcile import Reconciler


@contextlib.contextmanager
def reconciler(settings: Settings, database: Database) -> "Iterator[Reconciler]":
    """With a connection of its own to each provider that we may ask."""
    from listener import bootstrap_accounts
    from listener.agenda import Agenda
    from listener.shelf import shelf
    from listener.worker.live import Live
    from listener.worker.reconcile import Reconciler

    with contextlib.ExitStack() as stack:
        accounts = bootstrap_accounts.accounts(settings)
        for account in accounts.values():
            stack.callback(account.api.close)
        agenda = stack.enter_context(contextlib.closing(Agenda(settings.folder)))
        live = stack.enter_context(contextlib.closing(Live(database, shelf(database))))
        yield Reconciler(database, agenda, live, accounts)
