"""Putting the parts of a generation in, in their order, while others are still being made."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from sqlalchemy import Connection

from listener import bookkeeping
from listener.projection import MADE_ONCE
from listener.worker import part
from listener.worker.share import READ, SAMPLE, Job, Order


@contextlib.contextmanager
def gathering(generation: Connection, job: Job) -> Iterator[Callable[[Order], None]]:
    """To be told of each part when it is whole. All are in when the block ends.

    A thread does it, of which there is one: the connection is for nobody else meanwhile. What it raises is raised when
    the next part is told of, or at the end.
    """
    expected, whole, under_way = deque(job.orders), set[Order](), deque[Future[None]]()
    with _hasty(ThreadPoolExecutor(1, "gathering")) as aside:

        def made(order: Order) -> None:
            if order.what != SAMPLE:
                whole.add(order)
            while expected and expected[0] in whole:
                before = under_way[-1] if under_way else None
                under_way.append(aside.submit(_put_in, generation, job, expected.popleft(), before))
            while under_way and under_way[0].done():
                under_way.popleft().result()

        yield made
        for each in under_way:
            each.result()


@contextlib.contextmanager
def _hasty(executor: ThreadPoolExecutor) -> Iterator[ThreadPoolExecutor]:
    """If something goes wrong, what it has not begun is not done any more."""
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _put_in(generation: Connection, job: Job, order: Order, before: Future[None] | None) -> None:
    if before is not None:
        before.result()  # behind one that could not be put in, none is
    part.put_in(generation, job.made(order))
    if order == Order(READ, job.sections - 1):  # these tables are whole now
        bookkeeping.make_indexes(generation, [known.TABLE for known in MADE_ONCE])
