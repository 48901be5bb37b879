"""The door's way into the log: one thread that commits everyone who is waiting at once."""

import asyncio
import enum
import queue
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog

from listener import errors
from listener.log.append import append
from listener.log.database import Database
from listener.log.event import Draft

_log = structlog.get_logger()

QUEUE_BYTES: Final = 32 * 1024 * 1024
BATCH_ROWS: Final = 64
BATCH_BYTES: Final = 4 * 1024 * 1024
CHECKPOINT_BYTES: Final = 2 * 1024 * 1024  # small steps: a checkpoint makes the batch behind it wait
STUCK_SECONDS: Final = 5.0
_COMMIT_BYTES: Final = 8192  # pages that a commit writes again beside its rows
_ROW_BYTES: Final = 512  # what a row costs beside its headers and body


class Signal(enum.Enum):
    """What the thread is told beside events."""

    STOP = "stop"
    PROBE = "probe"  # see whether the database takes writes again
    CHECKPOINT = "checkpoint"  # others wrote, too


class Waiting(NamedTuple):
    """An event on its way, who waits for its position, and what it weighs in the queue."""

    draft: Draft
    future: "asyncio.Future[int]"
    size: int


class Writer:
    """Group commit: whoever waits when the previous commit ends goes into the next one.

    `submit` and the futures belong to the event loop that the writer was made in; the thread only reads whether a
    future is finished, and resolves a whole batch with one call into the loop.
    """

    def __init__(
        self, database: Database, queue_bytes: int = QUEUE_BYTES, stuck_seconds: float = STUCK_SECONDS
    ) -> None:
        self._database = database
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Waiting | Signal] = queue.SimpleQueue()
        self._ages: deque[tuple[float, asyncio.Future[int]]] = deque()
        self._queue_bytes = queue_bytes
        self._stuck_seconds = stuck_seconds
        self._waiting_bytes = 0
        self._since_checkpoint = 0
        self._wal_written_at = 0
        self._failed = False
        self._probe_at = 0.0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()
        self._watch = self._loop.call_later(1, self._give_up_on_stuck)

    @property
    def healthy(self) -> bool:
        """Whether the thread lives, and its last commit went through."""
        return self._thread.is_alive() and not self._failed

    def submit(self, draft: Draft) -> "asyncio.Future[int]":
        """Queue an event; the future gives its position once it is durable.

        Raises Overloaded when the queue holds its bytes, LogUnavailable when the writer is gone. The future raises
        LogUnavailable if the event was not committed in time; it may still be stored then.
        """
        if self._closed or not self._thread.is_alive():
            raise errors.LogUnavailable("the log's writer does not run")
        size = len(draft.body) + len(draft.headers) + _ROW_BYTES
        if self._waiting_bytes + size > self._queue_bytes:
            raise errors.Overloaded(f"{self._waiting_bytes} bytes wait to be stored already")
        self._waiting_bytes += size
        future: asyncio.Future[int] = self._loop.create_future()
        self._ages.append((self._loop.time(), future))
        self._queue.put(Waiting(draft, future, size))
        return future

    async def close(self) -> None:
        """Commit everything that was submitted, then end the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(Signal.STOP)
        await asyncio.to_thread(self._thread.join)
        self._watch.cancel()

    def _give_up_on_stuck(self) -> None:
        """Tell those who waited too long that their event is not stored, as far as anybody knows.

        One look a second at the oldest, instead of a timer for each: they wait in order.
        """
        too_old = self._loop.time() - self._stuck_seconds
        while self._ages and (self._ages[0][0] < too_old or self._ages[0][1].done()):
            _, future = self._ages.popleft()
            if not future.done():
                self._failed = True
                future.set_exception(errors.LogUnavailable(f"not stored within {self._stuck_seconds:g} s"))
        if self._failed and not self._ages and self._loop.time() > self._probe_at:
            self._probe_at = self._loop.time() + self._stuck_seconds
            self._queue.put(Signal.PROBE)  # who is sent elsewhere because of us cannot show us that all is well again
        written_at = self._database.wal_written_at()
        if self._database.wal_bytes() > CHECKPOINT_BYTES and written_at != self._wal_written_at:
            self._wal_written_at = written_at
            self._queue.put(Signal.CHECKPOINT)
        self._watch = self._loop.call_later(1, self._give_up_on_stuck)

    def _run(self) -> None:
        stop = False
        while not stop:
            first = self._queue.get()
            if isinstance(first, Waiting):
                batch, stop = self._batch(first)
                self._commit(batch)
            elif first is Signal.PROBE:
                self._probe()
            elif first is Signal.CHECKPOINT:
                self._checkpoint()
            else:
                stop = True

    def _probe(self) -> None:
        try:
            self._database.probe()
        except Exception as error:
            _log.warning("append_still_fails", error=_said(error))
        else:
            self._loop.call_soon_threadsafe(self._recover)

    def _recover(self) -> None:
        self._failed = False

    def _batch(self, first: Waiting) -> tuple[list[Waiting], bool]:
        """All who wait now, up to a bound, and whether the stop was among them."""
        batch, size = [first], first.size
        while len(batch) < BATCH_ROWS and size < BATCH_BYTES:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
            if waiting is Signal.STOP:
                return batch, True
            if isinstance(waiting, Waiting):  # a probe is not needed beside an event
                batch.append(waiting)
                size += waiting.size
        return batch, False

    def _commit(self, batch: Sequence[Waiting]) -> None:
        """Store those who still wait. A client that went away is skipped; it does not hurt its batch."""
        live = [waiting for waiting in batch if not waiting.future.done()]
        positions: list[int] = []
        failure: Exception | None = None
        try:
            if live:
                with self._database.writing() as connection:
                    positions = [event.position for event in append(connection, [waiting.draft for waiting in live])]
        except Exception as error:  # whatever it is, the senders must hear "not stored" and the thread must live
            failure = error
            _log.error("append_failed", error=_said(error), events=len(live))
        size = sum(waiting.size for waiting in batch)
        self._since_checkpoint += size + _COMMIT_BYTES
        self._loop.call_soon_threadsafe(self._resolve, [waiting.future for waiting in live], positions, failure, size)
        self._keep_short()

    def _resolve(
        self, futures: Sequence["asyncio.Future[int]"], positions: Sequence[int], failure: Exception | None, size: int
    ) -> None:
        self._waiting_bytes -= size
        if futures:  # to have stored nothing proves nothing
            self._failed = failure is not None
            self._probe_at = self._loop.time() + self._stuck_seconds
        for index, future in enumerate(futures):
            if future.done():
                continue
            if failure is None:
                future.set_result(positions[index])
            else:
                future.set_exception(errors.LogUnavailable(f"not stored: {_said(failure)}"))

    def _keep_short(self) -> None:
        """Checkpoint between batches, so that no commit does it and the write-ahead log stays short."""
        if self._since_checkpoint < CHECKPOINT_BYTES:
            return
        self._since_checkpoint = 0
        self._checkpoint()

    def _checkpoint(self) -> None:
        try:
            self._database.checkpoint()
        except Exception as error:
            _log.error("checkpoint_failed", error=_said(error))


def _said(error: Exception) -> str:
    """What the driver said, without the statement that SQLAlchemy adds."""
    return repr(getattr(error, "orig", None) or error)
