"""Erasing what is known of a subject: in the log, the views, the quarantine, and where asked its documents."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from listener import errors, provider
from listener.acts import Subject
from listener.lease import Lease
from listener.log import event
from listener.log.database import Database
from listener.log.event import Content
from listener.log.spool import DAMAGED, standing
from listener.quarantine import Kept, Quarantine
from listener.worker import claims, generations
from listener.worker.blanking import Order, blank_strays, blank_subject
from listener.worker.patience import until
from listener.worker.renewal import Renewal
from listener.worker.store import Store


class Erased(NamedTuple):
    """What is blank now, and by which decision; documents that are gone, by path, and refused callbacks, by number."""

    decided: int
    positions: tuple[int, ...]
    documents: tuple[str, ...] = ()
    quarantined: tuple[int, ...] = ()


class Locks(NamedTuple):
    """Who holds them: the worker, and whoever builds generations or throws them away."""

    worker: Lease
    replay: Lease


class Erasure:
    """Erases what it is told to, whether the server runs or not; done when it returns.

    Who was killed half way types the same again, and it goes on. `fingerprint` is that of our code, `providers` names
    the provider of each configured source.
    """

    def __init__(
        self,
        database: Database,
        fingerprint: str,
        locks: Locks,
        renewal: Renewal,
        quarantine: Quarantine,
        store: Store,
        providers: Mapping[str, str],
        spool: Path,
    ) -> None:
        self._database = database
        self._fingerprint = fingerprint
        self._locks = locks
        self._renewal = renewal
        self._quarantine = quarantine
        self._store = store
        self._providers = providers
        self._spool = spool

    def subject(self, subject: Subject, order: Order, documents: bool = False) -> Erased:
        """Erase a subject. Raises NotFoundError, ErasureRefused, DiskReserve."""
        with self._undisturbed() as worker_runs:
            with self._renewal.shown() as live:
                blanked = blank_subject(self._database, live, subject, order)
            self._renewal.renew([subject], blanked.positions, order.operator, worker_runs)
            quarantined = tuple(self._drop(*subject))
            removed = tuple(self._remove(*subject, worker_runs)) if documents else ()
            self._leave_no_trace()
        return Erased(blanked.decided, blanked.positions, removed, quarantined)

    def strays(self, positions: Sequence[int], order: Order) -> Erased:
        """Erase some events, whomever they speak of. Raises as `subject` does."""
        with self._undisturbed() as worker_runs:
            blanked = blank_strays(self._database, positions, order)
            self._renewal.renew(blanked.subjects, positions, order.operator, worker_runs)
            self._leave_no_trace()
        return Erased(blanked.decided, blanked.positions)

    @contextlib.contextmanager
    def _undisturbed(self) -> Iterator[bool]:
        """Whether a worker runs. None starts meanwhile, and nobody else builds a generation or throws one away."""
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._locks.replay)
            except errors.ConfigurationError:
                raise errors.ErasureRefused("a replay is under way; wait until it is done") from None
            worker_runs = self._worker_runs(held)
            self._assert_nothing_waits()
            self._renewal.assert_room()
            yield worker_runs

    def _worker_runs(self, held: contextlib.ExitStack) -> bool:
        """Whether one does, with our code; else none starts for as long as the lock is held."""
        try:
            held.enter_context(self._locks.worker)
        except errors.ConfigurationError:
            self._assert_worker_agrees()
            return True
        if not self._locks.worker.shared:  # else others may fetch, though none of them leads
            claims.forget(self._database)
        return False

    def _assert_nothing_waits(self) -> None:
        """What is in the spool would come back."""
        found = standing(self._spool)
        if found.callbacks:
            raise errors.ErasureRefused(
                f"{found.callbacks} callbacks wait in {self._spool} and may speak of it: 'signlog serve' appends them "
                "when the database is back; then type this again"
            )
        if found.damaged:
            raise errors.ErasureRefused(
                f"{self._spool / DAMAGED} cannot be read and may speak of it: 'signlog import' appends what can be "
                "saved of it; then remove the file and type this again"
            )

    def _assert_worker_agrees(self) -> None:
        """What it folds while we copy must be what we would fold."""
        with self._database.reading() as log:
            if generations.declared_by(log, self._fingerprint):
                return
        raise errors.ErasureRefused(
            "the running worker was started with other code; restart 'signlog serve', then type this again"
        )

    def _drop(self, source: str, subject: str) -> Iterator[int]:
        """Refused callbacks that speak of it. Who named an unknown source may have meant this one."""
        named = [self._providers[source]] if source in self._providers else provider.names()
        for kept in self._quarantine.every():
            elsewhere = kept.source != source and kept.source in self._providers
            if not elsewhere and any(_speaks(kept, subject, name) for name in named):
                self._quarantine.drop(kept.id)
                yield kept.id

    def _remove(self, source: str, subject: str, worker_runs: bool) -> list[str]:
        """Its documents, and what a fetch left behind that was killed: a worker that leads has dropped that before."""
        if not worker_runs:
            self._store.prepare()
        return self._store.remove(source, subject)

    def _leave_no_trace(self) -> None:
        """What was overwritten stands in write-ahead logs until these are empty."""
        until(self._database.leave_no_trace, "somebody reads the log")
        until(self._quarantine.compact, "somebody reads the quarantine")


def _speaks(kept: Kept, subject: str, named: str) -> bool:
    """Whether it would, had it been let in."""
    found = Content(0, kept.received_at, event.CALLBACK, kept.source, named, kept.path, kept.headers, kept.body)
    try:
        return any(fact.subject == subject for fact in provider.named(named).interpret(found))
    except Exception:  # refused bodies say anything at all
        return False
