"""Leases in the log's database, for processes on several machines: kept by a heartbeat, lost without, and fenced.

Only the server's clock counts. Who takes a lease waits for every transaction that the one before has proved it in, and
makes it fail in all others: so whoever was frozen, and thaws, writes nothing.
"""

import contextlib
import threading
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import structlog
from sqlalchemy import BigInteger, ColumnElement, Connection, Select, TextClause, literal_column, select, text
from sqlalchemy.exc import SQLAlchemyError

from listener import errors
from listener.lease import Lease
from listener.log import schema
from listener.log.append import now
from listener.log.database import Database, is_postgres

if TYPE_CHECKING:
    from listener.log.postgres import Postgres

_log = structlog.get_logger()

WORKER: Final = "worker"  # the lease of the one that leads; each has another one, of its own name
TERM_MS: Final = 6000  # from the last heartbeat on
BEAT_SECONDS: Final = 1.5
_IDLE_MS: Final = 4000  # a holder that freezes amid a transaction is cut off before its lease ends
_DAY_MS: Final = 86_400_000

CLOCK: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_ENDS: Final = f"{CLOCK} + {TERM_MS * 1000}"
_OURS: Final = "name = :name AND holder = :holder AND fence = :fence"

_KNOW: Final = text(f"INSERT INTO leases VALUES (:name, NULL, 0, {CLOCK}) ON CONFLICT DO NOTHING")
# SKIP LOCKED: a transaction in which the one before has proved it is still under way.
_TAKE: Final = text(
    f"WITH free AS (SELECT name FROM leases WHERE name = :name AND until <= {CLOCK} FOR UPDATE SKIP LOCKED) "
    f"UPDATE leases SET holder = :holder, fence = fence + 1, until = {_ENDS} FROM free "
    "WHERE leases.name = free.name RETURNING fence"
)
_KEEP: Final = text(f"UPDATE leases SET until = {_ENDS} WHERE {_OURS}")
_KEEP_SIGN: Final = text(
    f"INSERT INTO leases VALUES (:name, :holder, :fence, {_ENDS}) "
    f"ON CONFLICT (name) DO UPDATE SET until = {_ENDS} WHERE leases.holder = :holder AND leases.fence = :fence"
)
_LEAVE: Final = text(f"UPDATE leases SET holder = NULL, until = {CLOCK} WHERE {_OURS}")
_FORGET: Final = text(f"DELETE FROM leases WHERE until < {CLOCK} - {_DAY_MS * 1000}")
# KEY SHARE: whoever takes the lease must wait for us, and our own heartbeat need not.
_PROVE: Final = text(
    f"SELECT set_config('idle_in_transaction_session_timeout', '{_IDLE_MS}', true) FROM leases "
    f"WHERE {_OURS} FOR KEY SHARE"
)


class DatabaseLease(Lease):
    """A lease by name. `holder` is unlike that of any other process, now and ever."""

    shared: ClassVar[bool] = True
    _keeps: ClassVar[TextClause] = _KEEP

    def __init__(self, database: "Postgres", name: str, holder: str) -> None:
        self._database = database
        self._ours: dict[str, Any] = {"name": name, "holder": holder, "fence": 0}
        self._held = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self) -> bool:
        """Take it if nobody has it, or if whoever has it was not heard of for six seconds."""
        with self._database.beside() as connection:
            connection.execute(_FORGET)
            connection.execute(_KNOW, self._ours)
            fence = connection.execute(_TAKE, self._ours).scalar_one_or_none()
        if fence is None:
            return False
        self._ours = {**self._ours, "fence": fence}
        self._over = threading.Event()
        self._held.set()
        self._thread = threading.Thread(target=self._keep, args=(self._ours, self._over), name="lease", daemon=True)
        self._thread.start()
        return True

    def let_go(self) -> None:
        """Leave it at once; if the server cannot be reached, it ends by itself."""
        if self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._thread = None
        self._held.clear()
        with contextlib.suppress(SQLAlchemyError), self._database.beside() as connection:
            connection.execute(_LEAVE, self._ours)

    @property
    def held(self) -> bool:
        """Whether no heartbeat has found it in other hands."""
        return self._held.is_set()

    def assert_held(self, connection: Connection) -> None:
        """Prove it in this transaction, READ COMMITTED: from here to its end nobody else can take the lease."""
        if connection.execute(_PROVE, self._ours).one_or_none() is None:
            self._held.clear()
            raise errors.LeaseLost(f"another process does what {self._ours['name']} does")

    @property
    def taken(self) -> str:
        """Who has it."""
        with self._database.reading() as connection:
            found = {each.name: each.holder for each in every(connection)}
        name = self._ours["name"]
        return f"a {name} already runs on {self._database.name} ({found.get(name) or 'just ended'})"

    def _keep(self, ours: dict[str, Any], over: threading.Event) -> None:
        while not over.wait(BEAT_SECONDS):
            try:
                with self._database.beside() as connection:
                    kept = connection.execute(self._keeps, ours).rowcount == 1
            except SQLAlchemyError as error:  # the server is away: for others, too
                _log.warning("lease_not_renewed", name=ours["name"], error=str(getattr(error, "orig", error)))
                continue
            if not kept:
                _log.warning("lease_lost", **ours)
                self._held.clear()
                return


class SignOfLife(DatabaseLease):
    """A worker's lease of its own name, which nobody else wants.

    So it is there again by itself when nobody heard of it for so long that it was forgotten, or when the server that
    took over never had it.
    """

    _keeps: ClassVar[TextClause] = _KEEP_SIGN

    def __init__(self, database: "Postgres", holder: str) -> None:
        super().__init__(database, named(holder), holder)


class Held(NamedTuple):
    """A lease that somebody holds."""

    name: str
    holder: str


def every(connection: Connection) -> list[Held]:
    """The leases that are held now, by name; none where the log is a file."""
    if not is_postgres(connection):
        return []
    leases = schema.leases.c
    return [Held(*row) for row in connection.execute(heard_of(0, leases.name, leases.holder).order_by(leases.name))]


class Workers(NamedTuple):
    """The worker that leads, and those that stand by; by the names of their processes."""

    leads: str | None
    stand_by: list[str]


def workers(connection: Connection) -> Workers:
    """Who works on the log, as far as leases tell: nobody, where it is a file."""
    held = {each.name: each.holder for each in every(connection)}
    leads = held.get(WORKER)
    there = [holder for name, holder in held.items() if name == named(holder)]
    return Workers(leads, [holder for holder in there if holder != leads])


def named(holder: str) -> str:
    """The lease by which others see that a worker lives."""
    return f"{WORKER} {holder}"


def living(database: Database) -> list[str]:
    """Who holds a lease, or was heard of in the last hour, and may only be frozen; nobody where the log is a file."""
    with database.reading() as connection:
        if not is_postgres(connection):
            return []
        return list(connection.scalars(heard_of(3600, schema.leases.c.holder)))


def heard_of(seconds: int, *columns: ColumnElement[Any]) -> Select[Any]:
    """Of the leases whose holder was heard of, or has been gone for no longer than so many seconds. On PostgreSQL."""
    leases, clock = schema.leases.c, literal_column(CLOCK, BigInteger)
    return select(*columns).where(leases.holder.is_not(None), leases.until + seconds * 1_000_000 > clock)


def clock(connection: Connection) -> int:
    """Microseconds UTC by the clock that all holders share: the server's; where the log is a file, our own."""
    if not is_postgres(connection):
        return now()
    found: int = connection.scalar(select(literal_column(CLOCK, BigInteger))) or 0
    return found
