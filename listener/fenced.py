"""The log for whoever holds a lease: what is written through it is written while the lease is held, or not at all."""

import contextlib
from collections.abc import Iterator

from sqlalchemy import Connection

from listener.lease import Lease
from listener.log.postgres import Postgres


class Fenced(Postgres):
    """Connections of its own. Every write transaction begins with the proof."""

    def __init__(self, url: str, lease: Lease) -> None:
        super().__init__(url)
        self._lease = lease

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """As any other, under the append lock. Raises LeaseLost if another process holds the lease now."""
        with super().writing() as connection:
            self._lease.assert_held(connection)
            yield connection

    @contextlib.contextmanager
    def beside(self) -> Iterator[Connection]:
        """As any other that appends nothing. Raises LeaseLost, too."""
        with super().beside() as connection:
            self._lease.assert_held(connection)
            yield connection
