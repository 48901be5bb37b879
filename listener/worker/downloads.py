"""Fetching what is wanted: ask whether it is complete, fetch, store, and append what came of it."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from listener import acts, errors, times
from listener.acts import Act, Artifact, Subject
from listener.api import Observation, Stream
from listener.log import event, reader
from listener.log.append import now
from listener.log.database import Database
from listener.log.event import Draft
from listener.views import Views
from listener.worker import schedule
from listener.worker.asking import Asking
from listener.worker.claims import Claims
from listener.worker.due import Account, Wish, due
from listener.worker.observe import Observer
from listener.worker.store import Store
from projections import artifacts, facts
from projections.facts import Stored, Verdict

_log = structlog.get_logger()

AT_A_TIME: Final = 4  # for each source
FETCH_SECONDS: Final = 600.0
NO_ROOM_SECONDS: Final = 10.0  # until it is tried again, when there is nowhere to put a document
_LONGEST_PAUSE: Final = 600.0  # seconds that a whole source waits; the document itself waits as long as it was told


class Downloads:
    """Finds what is due in the views and fetches it, some at a time for each source."""

    def __init__(self, database: Database, claims: Claims, store: Store, accounts: Mapping[str, Account]) -> None:
        self._database = database
        self._claims = claims
        self._store = store
        self._accounts = accounts
        self._observer = Observer(database)
        self._pools = {source: ThreadPoolExecutor(AT_A_TIME, thread_name_prefix=source) for source in accounts}
        self._busy: dict[Subject, Future[None]] = {}
        self._refused_at: dict[str, int] = {}  # source → head of the log when the provider refused our key
        self._paused_until: dict[str, float] = {}  # source → monotonic seconds, where the provider named a time
        self._refusing = threading.Lock()
        self._stopping = threading.Event()

    def tick(self, live: Views) -> None:
        """Start what is due and not under way."""
        self._busy = {key: future for key, future in self._busy.items() if not future.done()}
        for source, account in self._accounts.items():
            room = AT_A_TIME - sum(busy == source for busy, _ in self._busy)
            if room > 0 and not self._paused(source) and not self._refused(source):
                found = due(live, source, account)
                taken = self._claims.taken(source) if found else ()
                free = [each for each in found if (source, each) not in self._busy and each not in taken]
                for subject in free[:room]:
                    fetching = self._pools[source].submit(self._fetch_all, live, subject, found[subject])
                    self._busy[source, subject] = fetching

    def close(self) -> None:
        """Let what is under way end at its next chunk; an interrupted fetch starts over the next time."""
        self._stopping.set()
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)
        for account in self._accounts.values():
            account.api.close()

    def _paused(self, source: str) -> bool:
        return time.monotonic() < self._paused_until.get(source, 0.0)

    def _refused(self, source: str) -> bool:
        """Whether the provider refused our key, and nobody has decided since to try again."""
        refused_at = self._refused_at.get(source)
        if refused_at is None:
            return False
        with self._database.reading() as connection:
            decided = reader.acts(connection, event.DECISION, acts.RETRY_PATH, last=1)
        if decided and decided[0].position > refused_at:
            del self._refused_at[source]
            return False
        return True

    def _fetch_all(self, live: Views, subject: str, wishes: Sequence[Wish]) -> None:
        """Everything due for one subject: asked once, fetched one by one."""
        asking = Asking(lambda: self._ask(live, wishes[0]))
        for wish in wishes:
            source = wish.artifact.source
            if self._stopping.is_set() or source in self._refused_at or self._paused(source):
                return
            try:
                self._fetch(wish, asking)
            except errors.Superseded as error:
                _log.warning("download_superseded", subject=subject, error=str(error))
            except Exception as error:  # the log or the disk is away: nothing was decided, it stays due
                _log.error("download_broke_off", subject=subject, artifact=wish.artifact.name, error=repr(error))
                self._stopping.wait(1)

    def _ask(self, live: Views, wish: Wish) -> Observation:
        wanted = wish.artifact
        account = self._accounts[wanted.source]
        return self._observer.ask(account.provider, account.api, wanted.source, wanted.subject, live, wish.known)

    def _fetch(self, wish: Wish, asking: Asking) -> None:
        fence = self._claims.take(wish.artifact, wish.generation, wish.folded)
        if fence is None:
            return
        act: Act | None = None
        try:
            act = self._attempt(wish, asking)
        finally:
            # Without an act (the disk is full, we are to stop) the claim is only freed: it stays due.
            account = self._accounts[wish.artifact.source]
            outcome = acts.outcome(wish.artifact, account.provider, act) if act is not None else None
            self._settle(wish.artifact, fence, outcome)
        if act is not None:
            _tell(wish.artifact, act)

    def _settle(self, artifact: Artifact, fence: int, outcome: Draft | None) -> None:
        """Append the outcome and free the claim. While the log is away that waits: what was done must be told."""
        while True:
            try:
                return self._claims.settle(artifact, fence, outcome)
            except errors.Superseded:
                raise
            except Exception as error:
                _log.error("outcome_waits", subject=artifact.subject, artifact=artifact.name, error=repr(error))
                if self._stopping.wait(1):
                    raise

    def _attempt(self, wish: Wish, asking: Asking) -> Act | None:
        attempt = wish.attempts + 1
        try:
            return self._done(wish, attempt, asking)
        except (errors.DiskReserve, errors.StoreAway) as error:
            away = isinstance(error, errors.StoreAway)
            _log.error("documents_away" if away else "disk_reserve_reached", error=str(error))
            self._stopping.wait(NO_ROOM_SECONDS)
            return None
        except errors.ProviderError as error:
            return None if self._stopping.is_set() else self._failed(wish.artifact, attempt, error)
        except (errors.LogError, errors.ViewsError, errors.Superseded, SQLAlchemyError):
            raise  # ours to mend, and no reason to try this document less often
        except Exception as error:  # a bug of ours, or bytes that nobody thought of: never at once again
            _log.exception("download_failed_oddly", subject=wish.artifact.subject, artifact=wish.artifact.name)
            return self._failed(wish.artifact, attempt, errors.Unusable(f"{type(error).__name__}: {error}"))

    def _done(self, wish: Wish, attempt: int, asking: Asking) -> Act:
        """Do what is wanted. For a kind that is to ask which there are: the answer, in the log, wants each."""
        if wish.artifact.name in artifacts.EACH:
            asking.complete()
            return Act(facts.LISTED, attempt=attempt)
        stored, how = self._obtain(wish, asking)
        return Act(
            facts.STORED,
            attempt=attempt,
            reason=how,
            sha256=stored.sha256,
            size=stored.size,
            path=stored.path,
            verdict=self._verdict(wish.artifact, stored),
        )

    def _verdict(self, artifact: Artifact, stored: Stored) -> Verdict | None:
        """What is found of its signatures. Whatever that is, the document stays where it is."""
        self._store.assert_room(stored.size)  # what is in a zip is unpacked, one after the other
        inspector = self._accounts[artifact.source].inspector
        with self._store.lying(stored) as lies:
            look = inspector.look(artifact.name, lies, self._store.scratch, self._stopping)
        return look.verdict if look is not None else None

    def _obtain(self, wish: Wish, asking: Asking) -> tuple[Stored, str | None]:
        """The document on disk: adopted if it lies there, else fetched or made."""
        stored = self._store.adopt(wish.artifact)
        if stored is not None:
            return stored, "found in its place"
        with self._coming(wish, asking) as stream:
            return self._store.store(wish.artifact, self._timed(stream)), None

    @contextlib.contextmanager
    def _coming(self, wish: Wish, asking: Asking) -> Iterator[Stream]:
        """Fetched, once the provider says that it is complete; or made of another document, which asks nobody."""
        wanted = wish.artifact
        account = self._accounts[wanted.source]
        recipe = account.recipes.get(wanted.name)
        if recipe is not None:
            of = Artifact(wanted.source, wanted.subject, recipe.of)
            with self._store.material(of) as material, recipe.make(material, account.access, wish.known) as stream:
                yield stream
            return
        self._store.assert_room(0)
        with account.api.fetch(wanted.subject, wanted.name, asking.complete()) as stream:
            yield stream

    def _timed(self, stream: Stream) -> Stream:
        """A stream that ends with an error when it takes too long as a whole, or when we are to stop."""
        return Stream(_until(stream, time.monotonic() + FETCH_SECONDS, self._stopping), stream.length)

    def _failed(self, artifact: Artifact, attempt: int, error: errors.ProviderError) -> Act:
        if isinstance(error, errors.Unauthorized):
            self._stop_source(artifact.source)
            return Act(facts.FAILED, attempt=attempt, reason=str(error))
        if not isinstance(error, errors.NotReady):
            # Retry-After speaks of the API, not of one document; but one document's long wait is not everybody's.
            until = time.monotonic() + min(schedule.asked(error), _LONGEST_PAUSE)
            self._paused_until[artifact.source] = max(until, self._paused_until.get(artifact.source, 0.0))
        seconds = schedule.after(attempt, error)
        if seconds is None:
            tries = f", after {attempt} tries" if attempt > 1 else ""
            return Act(facts.ABANDONED, attempt=attempt, reason=f"{error}{tries}")
        return Act(facts.FAILED, attempt=attempt, next_at=now() + round(seconds * 1_000_000), reason=str(error))

    def _stop_source(self, source: str) -> None:
        """One alarm, however many of its documents were under way."""
        with self._refusing:
            if source in self._refused_at:
                return
            with self._database.reading() as connection:
                self._refused_at[source] = reader.head(connection)
        _log.error("api_key_refused", source=source, hint=f"mend sources.{source}.api_key, or its client, and restart")


def _tell(artifact: Artifact, act: Act) -> None:
    """Say what is in the log now, and not before it is."""
    named = {"source": artifact.source, "subject": artifact.subject, "name": artifact.name, "attempt": act.attempt}
    if act.action == facts.STORED:
        found = act.verdict.found if act.verdict else None
        tell = _log.warning if act.verdict and act.verdict.doubtful else _log.info
        tell("document_stored", path=act.path, reason=act.reason, signatures=found, **named)
    elif act.action == facts.LISTED:
        _log.info("documents_listed", **named)
    else:
        _log.warning("download_failed", error=act.reason, next_at=times.written(act.next_at), **named)


def _until(stream: Stream, ends: float, stopping: threading.Event) -> Iterator[bytes]:
    for chunk in stream.chunks:
        if stopping.is_set():
            raise errors.Unusable("interrupted: signlog stops")
        if time.monotonic() > ends:
            raise errors.Unusable(f"not there within {FETCH_SECONDS:g} s")
        yield chunk
