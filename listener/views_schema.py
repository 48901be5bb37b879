"""A generation of the views in a schema of its own, in the database of the log: every machine sees the same."""

import contextlib
import hashlib
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, ExceptionContext, event
from sqlalchemy.exc import OperationalError

from listener import bookkeeping, errors
from listener.lease import Lease
from listener.log.database import Database
from listener.log.postgres import IDLE_MS, LOCK_MS, MAY_WRITE, READ, READER_IDLE_MS
from listener.settling import remove_folder
from listener.views import BESIDE

_PREFIX: Final = "signlog_views_"
_NUMBERED: Final = re.compile(rf"{_PREFIX}([0-9]+)(_half)?")
_GONE: Final = f"{_PREFIX}gone_"  # what nobody finds any more, and somebody may still read
_SCRATCH: Final = f"{_PREFIX}scratch_"

_LOCK: Final = int.from_bytes(b"view")  # with a generation's number: the lock of whoever writes it
_DROP_MS: Final = 100  # to wait for readers of what is dropped: the append lock may be held meanwhile

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_NOT_THERE: Final = frozenset({"42P01", "42703", "3F000"})  # no such table, column, schema
_DAMAGED: Final = frozenset({"XX001", "XX002"})
_FORBIDDEN: Final = "42501"

_CHANGE: Final = (
    f"{MAY_WRITE}; SET LOCAL lock_timeout = {LOCK_MS}; SET LOCAL idle_in_transaction_session_timeout = {IDLE_MS}"
)

# What is lost in a power cut is folded again; and the server never has a part of what was committed later.
_RELAXED: Final = f"SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = {LOCK_MS}"


class SchemaViews:
    """A generation's schema, on connections to the log. All settings end with their transaction.

    Schemas are found by name, and who was frozen and thaws may find another's by that: so whoever makes, shows or
    throws one away proves his `fence` in that transaction.
    """

    def __init__(self, database: Database, schema: str, generation: int, fence: Lease | None = None) -> None:
        self.generation = generation
        self.name = f"schema {schema} of {database.name}"
        self.schema = schema
        self.half = f"{schema}_half"  # while it is built
        self._engine = database.engine.execution_options(views=self.name)
        self._reading = self._engine.execution_options(begin=f"{READ}; SET LOCAL search_path TO {schema}")
        self._writing = self._engine.execution_options(begin=_write(schema, generation))
        self._fence = fence

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A write transaction, under the generation's lock. The tables of the log are within its reach."""
        with self._writing.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction, which sees one moment."""
        with self._reading.begin() as connection:
            self._assert_there(connection)
            yield connection

    def _assert_there(self, connection: Connection) -> None:
        """A search path may name what is not there."""
        if connection.exec_driver_sql(f"SELECT to_regnamespace('{self.schema}')").scalar() is None:
            raise errors.ViewsError(f"{self.name} is not there yet; the worker makes it: run 'signlog serve'")

    def assert_sound(self) -> None:
        """Nothing to do: what one cannot read, nobody can."""

    def create(self, log_id: bytes, origin: str) -> None:
        """Make the schema, and the tables of an empty generation, unless they are there."""
        with self.writing() as connection:
            _make(connection, self.schema)
            bookkeeping.create(connection, log_id, origin)

    @contextlib.contextmanager
    def workshop(self) -> Iterator[Path]:
        """Where this machine has temporary files. Who is killed meanwhile leaves it behind, and an empty half."""
        self.discard()
        self._begin()
        with tempfile.TemporaryDirectory(prefix=_parts(self._engine, self.schema)) as folder:
            yield Path(folder)

    @contextlib.contextmanager
    def building(self, log_id: bytes, origin: str, other: "SchemaViews | None" = None) -> Iterator[Connection]:
        """Fill a schema of another name, in one transaction; that it is there, empty, shows that somebody began."""
        self._begin()
        with self._beside(self.half, other).begin() as connection:
            bookkeeping.make_tables(connection, log_id, origin)
            yield connection
            self._assert_ours()
            bookkeeping.make_indexes(connection)
        with self._changing() as connection:
            connection.exec_driver_sql(f"ALTER SCHEMA {self.half} RENAME TO {self.schema}")

    def _begin(self) -> None:
        self._drop()
        with self._changing() as connection:
            _make(connection, self.half)

    def _assert_ours(self) -> None:
        """In a transaction of its own, which sees what others wrote since. Raises LeaseLost."""
        with self._changing():
            pass

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Connection]:
        """A transaction that changes schemas. Raises LeaseLost if they may be another's by now."""
        with self._engine.execution_options(begin=_CHANGE).begin() as connection:
            if self._fence is not None:
                self._fence.assert_held(connection)
            yield connection

    @contextlib.contextmanager
    def beside(self, other: "SchemaViews") -> Iterator[Connection]:
        """A transaction over both schemas, which sees one moment but for what it writes."""
        with self._beside(self.schema, other).begin() as connection:
            other._assert_there(connection)
            yield connection

    def read_ahead(self) -> AbstractContextManager[None]:
        """A block in which all of it is read: the server reads ahead by itself."""
        return contextlib.nullcontext()

    def _beside(self, schema: str, other: "SchemaViews | None") -> Engine:
        begin = (
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE; "
            f"SET LOCAL idle_in_transaction_session_timeout = {READER_IDLE_MS}; {_RELAXED}; "
            f"SET LOCAL search_path TO {schema}"
        )
        translated = {} if other is None else {BESIDE: other.schema}
        return self._engine.execution_options(begin=begin, schema_translate_map=translated)

    def exists(self) -> bool:
        """Whether the schema is there."""
        return self.schema in _schemas(self._engine)

    def is_half(self) -> bool:
        """Whether the schema is there in which it is built."""
        return self.half in _schemas(self._engine)

    def discard(self) -> None:
        """Nobody finds it from now on; it goes when nobody reads it any more. Its parts go at once."""
        _sweep_parts(self._engine, self.schema)
        self._drop()

    def _drop(self) -> None:
        for schema in {self.schema, self.half} & _schemas(self._engine):
            with contextlib.suppress(errors.ViewsError), self._changing() as connection:
                connection.exec_driver_sql(f"ALTER SCHEMA {schema} RENAME TO {_GONE}{secrets.token_hex(8)}")
        _sweep(self._engine, _GONE)

    def close(self) -> None:
        """Nothing to do: the connections are the log's."""


def _write(schema: str, generation: int) -> str:
    """The lock comes last, in a statement of its own: each one behind it sees what others wrote before."""
    return (
        f"{MAY_WRITE}; {_RELAXED}; "
        f"SET LOCAL idle_in_transaction_session_timeout = {IDLE_MS}; "
        f"SELECT set_config('search_path', '{schema}, ' || current_setting('search_path'), true); "
        f"SELECT pg_advisory_xact_lock({_LOCK}, {generation})"
    )


@contextlib.contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """Each statement is a transaction."""
    with engine.execution_options(begin="").connect() as connection:
        yield connection


def _schemas(engine: Engine) -> set[str]:
    """All of ours."""
    with _alone(engine) as connection:
        named = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)"
        return set(connection.exec_driver_sql(named, (_PREFIX,)).scalars())


def _parts(engine: Engine, schema: str) -> str:
    """How the folders begin in which a generation is built on this machine."""
    where = hashlib.sha256(str(engine.url).encode()).hexdigest()[:16]  # no secret is in it
    return f"signlog-{where}-{schema}-"


def _sweep_parts(engine: Engine, schema: str = "*") -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_parts(engine, schema)}*"):
        remove_folder(folder)


def _make(connection: Connection, schema: str) -> None:
    connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")


def _sweep(engine: Engine, *prefixes: str) -> bool:
    """Drop the schemas whose names begin so, but for those that somebody reads; whether there are none left."""
    drop = f"BEGIN; SET LOCAL lock_timeout = {_DROP_MS}"
    for schema in _schemas(engine):
        if schema.startswith(prefixes):
            with contextlib.suppress(OperationalError), engine.execution_options(begin=drop).begin() as connection:
                connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    return not any(schema.startswith(prefixes) for schema in _schemas(engine))


def _tell(context: ExceptionContext) -> None:
    """What an error of the server says of views, if it comes from a connection to them."""
    error: Any = context.original_exception
    state, said = getattr(error, "sqlstate", None), str(error).partition("\n")[0]
    name = context.connection and context.connection.get_execution_options().get("views")
    if name is None:
        return
    if state in _NOT_THERE or state in _DAMAGED:
        how = "not there, or damaged" if state in _NOT_THERE else "damaged"
        raise errors.ViewsError(f"{name} is {how} ({said}); the worker folds it anew") from error
    if state == _FORBIDDEN:
        url = context.engine.url if context.engine else None
        role = (url and url.username) or "…"
        raise errors.UnsuitableDatabase(
            f"{name}: {said}; views lie in schemas, which our role must be allowed to make, and own: "
            f"GRANT CREATE ON DATABASE {url and url.database} TO {role}"
        ) from error


class SchemaShelf:
    """The schemas of all generations, in the database of the log."""

    def __init__(self, database: Database, fence: Lease | None = None) -> None:
        self._database = database
        self._fence = fence
        event.listen(database.engine, "handle_error", _tell)  # once, however often it is said

    def generation(self, number: int) -> SchemaViews:
        """The schema of that number."""
        return SchemaViews(self._database, f"{_PREFIX}{number}", number, self._fence)

    def numbers(self) -> set[int]:
        """By the names of the schemas."""
        return self._named(None)

    def halves(self) -> set[int]:
        """By the names that they have while they are built."""
        return self._named("_half")

    def _named(self, suffix: str | None) -> set[int]:
        found = map(_NUMBERED.fullmatch, _schemas(self._database.engine))
        return {int(each[1]) for each in found if each and each[2] == suffix}

    @contextlib.contextmanager
    def scratch(self) -> Iterator[SchemaViews]:
        """In a schema that has no number, and a name that nobody else finds."""
        found = SchemaViews(self._database, f"{_SCRATCH}{secrets.token_hex(8)}", 0)
        try:
            yield found
        finally:
            found.discard()

    def assert_room(self, reserve: int, generation: int | None = None) -> None:
        """Nothing that we know of: whoever runs the server looks after its disk."""

    def leave_no_trace(self) -> bool:
        """Drop what nobody finds any more; False while somebody reads it."""
        _sweep_parts(self._database.engine)
        return _sweep(self._database.engine, _GONE, _SCRATCH)
