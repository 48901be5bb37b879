"""The log for whoever holds a lease: what is written through it is written while the lease is held, or not at all."""

from sqlalchemy import Connection, event

from listener.lease import Lease
from listener.log.postgres import MAY_WRITE, Postgres


class Fenced(Postgres):
    """Connections of its own. Each transaction on them that may write begins with the proof, or raises LeaseLost."""

    def __init__(self, url: str, lease: Lease) -> None:
        super().__init__(url)

        @event.listens_for(self.engine, "begin")
        def prove(connection: Connection) -> None:
            if MAY_WRITE in connection.get_execution_options().get("begin", ""):
                lease.assert_held(connection)
