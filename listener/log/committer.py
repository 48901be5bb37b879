"""The thread that commits everyone who is waiting at once, behind what is in the spool."""

import asyncio
import contextlib
import enum
import queue
import threading
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from listener.log.append import append
from listener.log.checkpoints import Checkpoints
from listener.log.database import Database
from listener.log.drain import Drain
from listener.log.event import Event
from listener.log.reader import Tip
from listener.log.spool import Spool
from listener.log.spooling import Waiting

_log = structlog.get_logger()

BATCH_ROWS: Final = 64
BATCH_BYTES: Final = 4 * 1024 * 1024
LEFT_BYTES: Final = 1024 * 1024  # of the spool, which those who come directly again may have to wait for
NOTED_EVENTS: Final = 100_000  # that a door may look at again which starts while the database is away


class Signal(enum.Enum):
    """What it is told beside events."""

    STOP = "stop"
    RETURN = "return"  # drain the spool, or see at least whether the database takes writes again
    CHECKPOINT = "checkpoint"  # others wrote, too


Queue = queue.SimpleQueue[Waiting | Signal]


class Told(Protocol):
    """Whoever put events into the queue; hears in the event loop what became of them."""

    def resolve(self, batch: Sequence[Waiting], events: Sequence[Event], failure: Exception | None, size: int) -> None:
        """These stand in the log, or why not all do; so many bytes wait no more."""

    def come_back(self, tip: Tip) -> None:
        """The database takes writes again, and ends there."""

    def stay_away(self, error: Exception) -> None:
        """It does not take what waits."""


class Committer:
    """Runs until it is told to stop. Whether a future is finished it only reads, and tells of a batch with one call."""

    def __init__(self, database: Database, spool: Spool, waiting: Queue, told: Told) -> None:
        self.checkpoints = Checkpoints(database)
        self._database = database
        self._spool = spool
        self._drain = Drain(database, spool)
        self._queue = waiting
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._noted = spool.tip.position
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def lives(self) -> bool:
        """Whether it runs."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Wait until it has stopped."""
        self._thread.join()

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
                self.checkpoints.make()
            else:
                stop = True

    def _return(self) -> None:
        """Drain what waits, and let others come directly again while the last of it is on its way: they wait behind."""
        try:
            tip = self._drain.run()
            while self._spool.waiting > LEFT_BYTES:
                tip = self._drain.run()
            self._loop.call_soon_threadsafe(self._told.come_back, tip)
            self._drain.run()
        except Exception as error:
            self._loop.call_soon_threadsafe(self._told.stay_away, error)

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
            _log.error("append_failed", error=said(error), events=len(live))
        size = sum(waiting.size for waiting in batch)
        self._loop.call_soon_threadsafe(self._told.resolve, live, events, failure, size)
        self.checkpoints.wrote(size)
        self._note(events)

    def _note(self, events: Sequence[Event]) -> None:
        """Now and then, for a door that starts while the database is away: what it spools stands behind that."""
        if events and events[-1].position >= self._noted + NOTED_EVENTS:
            self._noted = events[-1].position
            with contextlib.suppress(OSError):  # the disk is full: the one before is no less right
                self._spool.note(Tip(events[-1].position, events[-1].leaf))


def said(error: Exception) -> str:
    """What the driver said, without the statement that SQLAlchemy adds."""
    return repr(getattr(error, "orig", None) or error)
