"""The door's way into the log: one thread that commits everyone who is waiting at once."""

import asyncio
import contextlib
import enum
import os
import queue
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

import structlog

from listener import errors
from listener.log.append import append
from listener.log.checkpoints import Checkpoints
from listener.log.database import Database
from listener.log.drain import Drain
from listener.log.event import SALT_BYTES, Draft, Event
from listener.log.outage import Outage
from listener.log.reader import Tip
from listener.log.spool import Spool
from listener.log.spooling import SPOOLED, Spooling, Waiting

_log = structlog.get_logger()

QUEUE_BYTES: Final = 32 * 1024 * 1024
BATCH_ROWS: Final = 64
BATCH_BYTES: Final = 4 * 1024 * 1024
STUCK_SECONDS: Final = 5.0
FROZEN_SECONDS: Final = 20.0  # no server that lives lets anybody wait so long: each transaction has its timeouts
LEFT_BYTES: Final = 1024 * 1024  # of the spool, which those who come directly again may have to wait for
_ROW_BYTES: Final = 512  # what a row costs beside its headers and body
NOTED_EVENTS: Final = 100_000  # that a door may look at again which starts while the database is away


class Signal(enum.Enum):
    """What the thread is told beside events."""

    STOP = "stop"
    RETURN = "return"  # drain the spool, or see at least whether the database takes writes again
    CHECKPOINT = "checkpoint"  # others wrote, too


class Writer:
    """Group commit: whoever waits when the previous commit ends goes into the next one.

    When the database fails, or takes longer than `stuck_seconds`, all go into the spool instead, also those of whom
    nobody knows whether they were stored; until the spool was drained. `tip` is where the log ends, None while the
    database is away. What reaches the spool later than something is appended was promised to nobody.

    `submit` and the futures belong to the event loop that the writer was made in; the thread only reads whether a
    future is finished, and resolves a whole batch with one call into the loop.
    """

    def __init__(
        self,
        database: Database,
        spool: Spool,
        tip: Tip | None,
        queue_bytes: int = QUEUE_BYTES,
        stuck_seconds: float = STUCK_SECONDS,
    ) -> None:
        self._database = database
        self._spool = spool
        self._drain = Drain(database, spool)
        self._checkpoints = Checkpoints(database)
        self._loop = asyncio.get_running_loop()
        self._spooling = Spooling(spool, self._spooled)
        self._queue: queue.SimpleQueue[Waiting | Signal] = queue.SimpleQueue()
        self._ages: deque[tuple[float, Waiting]] = deque()
        self._queue_bytes = queue_bytes
        self._stuck_seconds = stuck_seconds
        self._waiting_bytes = 0
        self._tip = spool.tip if tip is None else tip
        self._noted = self._tip.position
        self._outage = Outage(self._loop.time, tip is None)
        self._failed = False
        self._asked = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()
        self._watch: asyncio.Handle = self._loop.call_soon(self._look)

    @property
    def healthy(self) -> bool:
        """Whether the thread lives, and what came last was stored, here or there."""
        return self._thread.is_alive() and not self._failed

    def submit(self, draft: Draft) -> "asyncio.Future[int]":
        """Queue an event; the future gives its position once it is durable, or SPOOLED.

        Raises Overloaded when the queue holds its bytes, LogUnavailable when the writer is gone. The future raises
        LogUnavailable if the event was stored neither in time nor in the spool; it may still be stored then.
        """
        if self._closed or not self._thread.is_alive():
            raise errors.LogUnavailable("the log's writer does not run")
        size = len(draft.body) + len(draft.headers) + _ROW_BYTES
        if self._waiting_bytes + size > self._queue_bytes:
            raise errors.Overloaded(f"{self._waiting_bytes} bytes wait to be stored already")
        self._waiting_bytes += size
        future: asyncio.Future[int] = self._loop.create_future()
        waiting = Waiting(draft._replace(salt=os.urandom(SALT_BYTES)), future, size)
        if self._outage.away:
            self._spooling.put(waiting, self._tip)
        else:
            self._ages.append((self._loop.time(), waiting))
            self._queue.put(waiting)
        return future

    async def close(self) -> None:
        """Store everything that was submitted, then end the threads."""
        if not self._closed:
            self._closed = True
            self._queue.put(Signal.STOP)
        await asyncio.to_thread(self._thread.join)
        while self._spooling.busy:
            await asyncio.sleep(0.01)
        self._spooling.close()
        self._watch.cancel()
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self._spool.note, self._tip)

    # In the event loop

    def _look(self) -> None:
        """Once a second: who waits too long, and what the thread should do.

        One look at the oldest, instead of a timer for each: they wait in order.
        """
        too_old = self._loop.time() - self._stuck_seconds
        while self._ages and self._ages[0][1].future.done():
            self._ages.popleft()
        if self._ages and self._ages[0][0] < too_old:
            self._go_away(f"not stored within {self._stuck_seconds:g} s")
        self._database.interrupt(FROZEN_SECONDS)
        if not self._asked and (self._outage.away or self._spool.waiting) and self._outage.is_to_be_asked:
            self._asked = True
            self._queue.put(Signal.RETURN)
        if self._checkpoints.is_due():
            self._queue.put(Signal.CHECKPOINT)
        self._watch = self._loop.call_later(1, self._look)

    def _go_away(self, why: str) -> None:
        """Give all who wait to the spool: those whom the thread may have stored, then those whom it never saw."""
        self._outage.begin(why)
        queued = self._emptied()
        unseen = {id(waiting) for waiting in queued}
        doubtful = [waiting for _, waiting in self._ages if id(waiting) not in unseen and not waiting.future.done()]
        self._ages.clear()
        for waiting in doubtful:
            waiting.spooled = True
            # The thread tells when it lets go of the bytes.
            self._spooling.put(Waiting(waiting.draft, waiting.future, 0), self._tip)
        for waiting in queued:
            self._spooling.put(waiting, self._tip)

    def _emptied(self) -> list[Waiting]:
        """What is in the queue, which the thread gets no more."""
        found = list[Waiting]()
        try:
            while True:
                each = self._queue.get_nowait()
                if isinstance(each, Waiting):
                    found.append(each)
        except queue.Empty:
            if self._closed:
                self._queue.put(Signal.STOP)
            self._asked = False
            return found

    def _resolve(self, batch: Sequence[Waiting], events: Sequence[Event], failure: Exception | None, size: int) -> None:
        self._waiting_bytes -= size
        self._asked = False  # its signal may have been among them
        if failure is not None:
            self._go_away(f"not stored: {_said(failure)}")
            return
        if events:  # to have stored nothing proves nothing
            self._tip = Tip(events[-1].position, events[-1].leaf)
        for waiting, event in zip(batch, events, strict=True):
            if not waiting.future.done():
                waiting.future.set_result(event.position)

    def _spooled(self, batch: Sequence[Waiting], size: int, failure: Exception | None) -> None:
        self._waiting_bytes -= size
        if batch:
            self._failed = failure is not None
        for waiting in batch:
            if waiting.future.done():
                continue
            if failure is None:
                waiting.future.set_result(SPOOLED)
            else:
                waiting.future.set_exception(errors.LogUnavailable(f"{self._outage.why}; not spooled: {failure}"))

    def _come_back(self, tip: Tip) -> None:
        self._outage.end(tip.position)
        self._asked = self._failed = False
        self._tip = tip

    def _stay_away(self, error: Exception) -> None:
        self._asked = False
        if not self._outage.away:
            self._go_away(f"not drained: {_said(error)}")
        self._outage.asked_in_vain(_said(error), self._spool.waiting)

    # In the thread

    def _run(self) -> None:
        stop = False
        while not stop:
            first = self._queue.get()
            if isinstance(first, Waiting):
                batch, stop = self._batch(first)
                self._commit(batch)
            elif first is Signal.RETURN:
                self._return()
            elif first is Signal.CHECKPOINT:
                self._checkpoints.make()
            else:
                stop = True

    def _return(self) -> None:
        """Drain what waits, and let others come directly again while the last of it is on its way: they wait behind."""
        try:
            tip = self._drain.run()
            while self._spool.waiting > LEFT_BYTES:
                tip = self._drain.run()
            self._loop.call_soon_threadsafe(self._come_back, tip)
            self._drain.run()
        except Exception as error:
            self._loop.call_soon_threadsafe(self._stay_away, error)

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
            if isinstance(waiting, Waiting):  # another signal comes if it is still needed behind them
                batch.append(waiting)
                size += waiting.size
        return batch, False

    def _commit(self, batch: Sequence[Waiting]) -> None:
        """Store those who still wait, behind what is in the spool. A client that went away does not hurt its batch."""
        live = [waiting for waiting in batch if not waiting.future.done()]
        events: list[Event] = []
        failure: Exception | None = None
        try:
            if live and self._spool.waiting:
                self._drain.run()
                live = [waiting for waiting in live if not waiting.spooled]  # they may have been drained just now
            if live:
                with self._database.writing() as connection:
                    events = append(connection, [waiting.draft for waiting in live])
        except Exception as error:  # whatever it is, the senders must be told and the thread must live
            failure = error
            _log.error("append_failed", error=_said(error), events=len(live))
        size = sum(waiting.size for waiting in batch)
        self._loop.call_soon_threadsafe(self._resolve, live, events, failure, size)
        self._checkpoints.wrote(size)
        self._note(events)

    def _note(self, events: Sequence[Event]) -> None:
        """Now and then, for a door that starts while the database is away: what it spools stands behind that."""
        if events and events[-1].position >= self._noted + NOTED_EVENTS:
            self._noted = events[-1].position
            with contextlib.suppress(OSError):  # the disk is full: the one before is no less right
                self._spool.note(Tip(events[-1].position, events[-1].leaf))


def _said(error: Exception) -> str:
    """What the driver said, without the statement that SQLAlchemy adds."""
    return repr(getattr(error, "orig", None) or error)
