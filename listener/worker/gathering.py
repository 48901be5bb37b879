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
    with ThreadPoolExecutor(1, "gathering") as aside:

        def made(order: Order) -> None:
            if order.what != SAMPLE:
                whole.add(order)
            while expected and expected[0] in whole:
                under_way.append(aside.submit(_put_in, generation, job, expected.popleft()))
            while under_way and under_way[0].done():
                under_way.popleft().result()

        try:
            yield made
        except BaseException:
            aside.shutdown(cancel_futures=True)
            raise
        for each in under_way:
            each.result()


def _put_in(generation: Connection, job: Job, order: Order) -> None:
    part.put_in(generation, job.made(order))
    if order == Order(READ, job.sections - 1):  # these tables are whole now
        bookkeeping.make_indexes(generation, [known.TABLE for known in MADE_ONCE])
