"""The door's way into the log: who waits to be stored, and whether that is in the database or in the spool."""

import asyncio
import contextlib
import os
import queue
from collections import deque
from collections.abc import Sequence
from typing import Final

import structlog

from listener import errors
from listener.log.committer import Committer, Queue, Signal, said
from listener.log.database import Database
from listener.log.event import SALT_BYTES, Draft, Event
from listener.log.outage import Outage
from listener.log.reader import Tip
from listener.log.spool import Spool
from listener.log.spooling import SPOOLED, Spooling, Waiting

_log = structlog.get_logger()

QUEUE_BYTES: Final = 32 * 1024 * 1024
STUCK_SECONDS: Final = 5.0
FROZEN_SECONDS: Final = 20.0  # no server that lives lets anybody wait so long: each transaction has its timeouts
_ROW_BYTES: Final = 512  # what a row costs beside its headers and body


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
        self._loop = asyncio.get_running_loop()
        self._spooling = Spooling(spool, self._spooled)
        self._queue: Queue = queue.SimpleQueue()
        self._ages: deque[tuple[float, Waiting]] = deque()
        self._queue_bytes = queue_bytes
        self._stuck_seconds = stuck_seconds
        self._waiting_bytes = 0
        self._tip = spool.tip if tip is None else tip
        self._outage = Outage(self._loop.time, tip is None)
        self._failed = False
        self._asked = False
        self._closed = False
        self._committer = Committer(database, spool, self._queue, self)
        self._watch: asyncio.Handle = self._loop.call_soon(self._look)

    @property
    def healthy(self) -> bool:
        """Whether the thread lives, and what came last was stored, here or there."""
        return self._committer.lives and not self._failed

    def submit(self, draft: Draft) -> "asyncio.Future[int]":
        """Queue an event; the future gives its position once it is durable, or SPOOLED.

        Raises Overloaded when the queue holds its bytes, LogUnavailable when the writer is gone. The future raises
        LogUnavailable if the event was stored neither in time nor in the spool; it may still be stored then.
        """
        if self._closed or not self._committer.lives:
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
        await asyncio.to_thread(self._committer.join)
        while self._spooling.busy:
            await asyncio.sleep(0.01)
        self._spooling.close()
        self._watch.cancel()
        with contextlib.suppress(OSError):
            await asyncio.to_thread(self._spool.note, self._tip)

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
        if self._committer.checkpoints.is_due():
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

    def resolve(self, batch: Sequence[Waiting], events: Sequence[Event], failure: Exception | None, size: int) -> None:
        """The committer's: give each who waits his position, or all to the spool."""
        self._waiting_bytes -= size
        self._asked = False  # its signal may have been among them
        if failure is not None:
            self._go_away(f"not stored: {said(failure)}")
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

    def come_back(self, tip: Tip) -> None:
        """The committer's: whoever comes from now on is stored directly."""
        self._outage.end(tip.position)
        self._asked = self._failed = False
        self._tip = tip

    def stay_away(self, error: Exception) -> None:
        """The committer's: whoever comes is spooled, and it is asked again later."""
        self._asked = False
        if not self._outage.away:
            self._go_away(f"not drained: {said(error)}")
        self._outage.asked_in_vain(said(error), self._spool.waiting)
