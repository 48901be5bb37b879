"""The log in PostgreSQL: what makes an append durable and in order there, with any number of writers."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy
from sqlalchemy import URL, Connection, Engine, ExceptionContext, event
from sqlalchemy.exc import ArgumentError

from listener import errors
from listener.log.ends import Ends

SCHEME: Final = "postgresql+psycopg://"
OLDEST_USABLE: Final = 130000  # server_version_num; older ones are without support
LOCK: Final = int.from_bytes(b"signlog")  # the append lock: a number in the database, and nobody else's

LOCK_MS: Final = 10_000  # as long as SQLite waits for a lock
IDLE_MS: Final = 10_000  # a writer that was frozen must not keep all others waiting
READER_IDLE_MS: Final = 600_000  # a reader keeps what was erased from being removed

# One message to the server each, and several statements: the lock must be ours before the next one takes its snapshot.
# No state of a session, so that each transaction may have another server behind a pooler.
MAY_WRITE: Final = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"  # and sees what others write meanwhile
_BESIDE: Final = (
    f"{MAY_WRITE}; SET LOCAL lock_timeout = {LOCK_MS}; SET LOCAL idle_in_transaction_session_timeout = {IDLE_MS}"
)
WRITE: Final = f"{_BESIDE}; SELECT pg_advisory_xact_lock({LOCK})"
READ: Final = (
    f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = {READER_IDLE_MS}"
)
_SCRATCH: Final = "BEGIN; SET LOCAL search_path TO pg_temp"
_CONNECT: Final = {
    "prepare_threshold": None,  # a prepared statement would be unknown to the next server behind a pooler
    "autocommit": True,  # transactions begin when we say so
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,  # ms until a commit is given up whose server vanished
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "application_name": "signlog",
}
_SAYS: Final = (
    "SELECT current_setting('server_version_num')::int AS version, current_setting('synchronous_commit') AS commit, "
    "current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages, "
    "current_setting('server_encoding') AS encoding, pg_is_in_recovery() AS standby, "
    "current_setting('synchronous_standby_names') AS standbys"
)
# The next transaction's number, and the number that no row of ours is older than once a VACUUM FREEZE has ended.
_NEXT: Final = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_FROZEN: Final = (
    f"{_NEXT} - max(age(relfrozenxid)) FROM pg_class, (SELECT reltoastrelid AS long FROM pg_class "
    "WHERE oid = to_regclass('events')) AS events WHERE oid IN (to_regclass('events'), long)"
)


def with_driver(url: str) -> str:
    """An address as everybody writes it, as the settings have it: which driver is ours to say."""
    return url if "+" in url.partition(":")[0] else url.replace("postgresql://", SCHEME, 1)


def postgres_engine(url: str) -> Engine:
    """An engine whose transactions read, unless its option `begin` holds other statements that begin one.

    Raises ConfigurationError for what is no address, and without the driver.
    """
    try:
        engine = sqlalchemy.create_engine(
            _parsed(url),
            connect_args=_CONNECT,
            use_native_hstore=False,
            pool_pre_ping=True,  # a server that was restarted must not cost a callback
            hide_parameters=True,  # an error is logged, and they hold bodies
        )
    except ModuleNotFoundError:
        raise errors.ConfigurationError(
            "database_url: the driver of PostgreSQL is not installed; install signlog[postgres]"
        ) from None
    from listener.log.postgres_text import keep_every_letter

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        keep_every_letter(connection)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        how: str = connection.get_execution_options().get("begin", READ)
        if how:
            connection.exec_driver_sql(how)

    event.listen(engine, "handle_error", _leave_out_the_row)
    return engine


def _leave_out_the_row(context: ExceptionContext) -> None:
    """The server says in a second line which row it refused, and there may be a body in it."""
    for error in (context.original_exception, context.sqlalchemy_exception):
        if error is not None and error.args:
            error.args = (str(error.args[0]).partition("\nDETAIL:")[0],)


def _parsed(url: str) -> URL:
    try:
        found = sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):
        found = None
    if found is None or not url.startswith(SCHEME) or not found.database:
        raise errors.ConfigurationError(
            f"database_url: this is no address of a database; write {SCHEME}USER:PASSWORD@HOST:5432/DATABASE"
        )
    return found


class Postgres:
    """A log in a database of its own. Its order is made by a lock, not by ids, with any number of doors."""

    folder: None = None

    def __init__(self, url: str) -> None:
        self.address = url
        self.name = _parsed(url).set(query={}).render_as_string(hide_password=True)
        self.engine = postgres_engine(url)
        self._writing = self.engine.execution_options(begin=WRITE)
        self._beside = self.engine.execution_options(begin=_BESIDE)
        self._scratch = self.engine.execution_options(begin=_SCRATCH)
        self._overwritten: int | None = None  # before this transaction, and not gone yet
        self._alone = self.engine.execution_options(begin="")
        self.ends = Ends(self.engine)
        self._began: float | None = None

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A write transaction: READ COMMITTED, under the append lock, durable when the block ends."""
        with self._timed(), self._writing.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def beside(self) -> Iterator[Connection]:
        """A write transaction that appends nothing, and waits for nobody who appends: READ COMMITTED."""
        with self._beside.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction, which sees one moment."""
        with self._timed(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        self._began = time.monotonic()
        try:
            yield
        finally:
            self._began = None

    def interrupt(self, seconds: float) -> None:
        """Cut the connections, if somebody has waited for so long: the server was frozen, and is replaced."""
        if self._began is None or time.monotonic() < self._began + seconds:
            return
        self.ends.cut()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Connection]:
        """A transaction in which tables are temporary, undone at its end."""
        with self._scratch.connect() as connection:
            yield connection
            connection.rollback()

    def probe(self) -> None:
        """A durable write that changes nothing: it raises what an append would raise now."""
        with self.writing() as connection:
            connection.exec_driver_sql("SELECT pg_logical_emit_message(true, 'signlog', 'probe')")

    def wal_bytes(self) -> int:
        """None that we would have to look after: the server does."""
        return 0

    def wal_written_at(self) -> int:
        """Never, as far as we look after it."""
        return 0

    def checkpoint(self) -> bool:
        """Nothing to do: the server does."""
        return True

    def leave_no_trace(self) -> bool:
        """Vacuum the events; False while somebody who reads keeps rows as they were at the first try."""
        with self._alone.connect() as connection:
            wanted = self._overwritten or connection.exec_driver_sql(_NEXT).scalar_one()
            connection.exec_driver_sql("VACUUM (FREEZE) events")
            done: bool = connection.exec_driver_sql(_FROZEN).scalar_one() >= wanted
        self._overwritten = None if done else wanted
        return done

    def assert_suitable(self) -> None:
        """Raise UnsuitableDatabase unless server and settings are what durability needs."""
        said = self._said()
        if said.version < OLDEST_USABLE:
            self._refuse(f"PostgreSQL {said.version // 10000} is too old; signlog needs {OLDEST_USABLE // 10000}")
        if said.standby:
            self._refuse("this is a standby, which takes no writes; name the primary")
        if said.encoding != "UTF8":
            self._refuse(f"its encoding is {said.encoding}, and must be UTF8: CREATE DATABASE … ENCODING 'UTF8'")
        for name, value in (
            ("synchronous_commit", said.commit),
            ("fsync", said.fsync),
            ("full_page_writes", said.pages),
        ):
            if value == "off":
                self._refuse(f"{name} is off, so that acknowledged callbacks could be lost; set it to on")

    def alarms(self) -> list[str]:
        """Nothing: what could be is refused."""
        return []

    def notes(self) -> list[str]:
        """Whether a failover could lose the newest events."""
        if self._said().standbys:
            return []
        return [
            "PostgreSQL has no synchronous standby (synchronous_standby_names): "
            "a failover to another server may lose what was acknowledged last"
        ]

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()

    def _said(self) -> Any:
        with self._alone.connect() as connection:
            return connection.exec_driver_sql(_SAYS).one()

    def _refuse(self, why: str) -> None:
        raise errors.UnsuitableDatabase(f"{self.name}: {why}")
