"""The writer's way into the spool: one sync for all who wait, and no thread while nobody does."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import structlog

from listener.log.append import now
from listener.log.event import Draft
from listener.log.reader import Tip
from listener.log.spool import Spool
from listener.log.spooled import Spooled

_log = structlog.get_logger()

SPOOLED: Final = 0  # what is told instead of a position, which nobody knows yet
_BATCH_BYTES: Final = 4 * 1024 * 1024


@dataclass(slots=True)
class Waiting:
    """An event on its way, who waits for its position, and what it weighs in the queue.

    `spooled` once it is on its way into the spool: from then on it reaches the log from there, or did before.
    """

    draft: Draft
    future: "asyncio.Future[int]"
    size: int
    spooled: bool = False


Told = Callable[[Sequence[Waiting], int, Exception | None], None]


class Spooling:
    """Belongs to the event loop that it was made in.

    `told` hears whose events are in the spool now, or why they are not, and how many bytes wait no more.
    """

    def __init__(self, spool: Spool, told: Told) -> None:
        self._spool = spool
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Waiting, Spooled]] = deque()
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self.busy = False

    def put(self, waiting: Waiting, tip: Tip) -> None:
        """Queue an event; if the log has it already, then behind this."""
        self._waiting.append((waiting, Spooled(tip.position, waiting.draft._replace(spooled_at=now()), tip.leaf)))
        if not self.busy:
            self._keep_some()

    def close(self) -> None:
        """End the thread."""
        self._keeper.shutdown()

    def _keep_some(self) -> None:
        """All who wait now, up to a bound. A client that went away is skipped."""
        batch, size = list[tuple[Waiting, Spooled]](), 0
        while self._waiting and size < _BATCH_BYTES:
            batch.append(self._waiting.popleft())
            size += batch[-1][0].size
        live = [each for each in batch if not each[0].future.done()]
        self.busy = True
        job = self._loop.run_in_executor(self._keeper, self._keep, [record for _, record in live])
        job.add_done_callback(lambda kept: self._kept([waiting for waiting, _ in live], size, kept.result()))

    def _keep(self, records: Sequence[Spooled]) -> Exception | None:
        try:
            if records:
                self._spool.keep(records)
        except Exception as error:  # whatever it is, the senders must hear "not stored"
            return error
        return None

    def _kept(self, batch: Sequence[Waiting], size: int, failure: Exception | None) -> None:
        self.busy = False
        self._told(batch, size, failure)
        if self._waiting:
            self._keep_some()
