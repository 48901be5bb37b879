"""Builds the objects from the settings; with the files beside it, each for one part, the only place that wires."""

import contextlib
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import msgspec
import structlog
from sqlalchemy.exc import DBAPIError

from listener import api, bootstrap_documents, bootstrap_log, declaration, errors, files, fingerprint, sources
from listener.api import Registry
from listener.log import reader
from listener.log.database import Database
from listener.log.migrate import migrate
from listener.log.mounts import refuse_network
from listener.only import OnlyOne
from listener.quarantine import Quarantine
from listener.settings import Settings

if TYPE_CHECKING:
    from listener.backup import Backup
    from listener.log.tree import Tree
    from listener.restore import Restore
    from listener.signing.signer import Signer
    from listener.transfer import Transfer
    from listener.worker.replay import Replay

_log = structlog.get_logger()

_SECRET_BYTES: Final = 32


def check(settings: Settings) -> None:
    """What can be wrong without touching the log: the artifacts, the access to APIs, the folders."""
    sources.check(settings.sources)
    _make("data", settings.folder)
    _make("documents", settings.documents_folder)


def _make(key: str, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise errors.ConfigurationError(
            f"{key}: {folder} cannot be made ({error.strerror}); write another folder"
        ) from None


def prepare(settings: Settings, door: bool = False) -> None:
    """Make the log if need be, and declare what is in force. Only for who will serve: others must not speak for it.

    Where it is not this start that says who folds, as that of a `door` alone and of one of several machines, only what
    is new is declared: the worker declares the rest when it leads. While the database is away, it declares everything.
    """
    check(settings)
    try:
        with log(settings) as database:
            _assert_goes_on(database)
            if door or settings.database_url is not None:
                declaration.declare_new(database, settings)
            else:
                declaration.declare(database, settings)
    except DBAPIError as error:
        assert_spooling(settings, error)
    secret(settings)


def _assert_goes_on(database: Database) -> None:
    with database.reading() as connection:
        sealed = reader.sealed(connection)
    if sealed is not None:
        raise errors.ConfigurationError(
            f"database_url: event {sealed} sealed the log in {database.name}, which goes on in another database; "
            f"name that here ('signlog show {sealed}' tells where it is)"
        )


def assert_spooling(settings: Settings, error: DBAPIError) -> None:
    """Raise the error again, unless a door was open on the log before: it starts without, and spools what comes."""
    if not settings.spool_folder.is_dir():
        raise error
    _log.error("database_away", why=repr(error.orig))


def only_server(settings: Settings) -> int:
    """The lock that there is one supervised server on the folder; its descriptor, to be held until the process ends."""
    held = OnlyOne(settings.folder, "server").__enter__().fd
    assert held is not None  # noqa: S101  it was entered
    return held


@contextlib.contextmanager
def existing_log(settings: Settings) -> Iterator[Database]:
    """The log for commands, which make none. Raises NotFoundError if it is not there."""
    bootstrap_log.assert_there(settings)
    with log(settings) as database:
        yield database


@contextlib.contextmanager
def log(settings: Settings) -> Iterator[Database]:
    """The log, created or migrated if need be, and fit to keep what is acknowledged."""
    _make("data", settings.folder)
    refuse_network(settings.folder)
    with contextlib.closing(bootstrap_log.database(settings)) as database:
        migrate(database)
        database.assert_suitable()
        yield database


def secret(settings: Settings) -> bytes:
    """The key of the HMACs that stand for credentials in the log; made at first use, readable by us only."""
    path = settings.folder / "secret"
    if not path.exists():
        with contextlib.suppress(FileExistsError):
            files.create(path, secrets.token_bytes(_SECRET_BYTES))
    return path.read_bytes()


def listen(settings: Settings) -> socket.socket:
    """The door's socket. Raises ConfigurationError if the address cannot be had."""
    host, port = settings.door.host, settings.door.port
    try:
        return _listening(host, port)
    except OSError as error:
        raise errors.ConfigurationError(
            f"door.host, door.port: cannot listen on {host}:{port} ({error.strerror or error}); "
            f"stop who does, or set another one, e.g. SIGNLOG_DOOR__PORT={port + 10 if port < 65000 else 4449}"
        ) from None


def _listening(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    with contextlib.ExitStack() as undone:
        sock = undone.enter_context(socket.socket(family, socket.SOCK_STREAM))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(2048)  # from here on callbacks wait instead of being refused
        undone.pop_all()
    return sock


@contextlib.contextmanager
def quarantine(settings: Settings) -> Iterator[Quarantine]:
    """What was refused."""
    with contextlib.closing(Quarantine(settings.folder)) as found:
        yield found


@contextlib.contextmanager
def tree(settings: Settings) -> "Iterator[Tree]":
    """The tree beside the log."""
    from listener.log.tree import Tree

    with contextlib.closing(Tree(settings.folder)) as found:
        yield found


@contextlib.contextmanager
def signer(settings: Settings, database: Database) -> "Iterator[Signer]":
    """What signs heads of the log, with the key that only its owner may read."""
    from listener.signing.keyfile import KeyFile
    from listener.signing.signer import Signer

    keyfile, rotation = KeyFile(settings.key_file), OnlyOne(settings.key_file.parent, "rotation")
    with tree(settings) as found:
        yield Signer(database, found, keyfile, rotation, settings.copy_file, settings.origin)


def backup(settings: Settings, database: Database, found: "Tree") -> "Backup":
    """What copies the log while it runs."""
    from listener.backup import Backup

    papers = bootstrap_documents.cabinet(settings)
    return Backup(bootstrap_log.file(database), found, papers, settings.disk_reserve)


@contextlib.contextmanager
def restore(settings: Settings) -> "Iterator[Restore]":
    """What puts a backup into an empty place, while nobody can start a server there."""
    from listener.restore import Restore

    @contextlib.contextmanager
    def opened(folder: Path) -> "Iterator[tuple[Database, Signer]]":
        there = msgspec.structs.replace(settings, data=str(folder))
        with log(there) as database, signer(there, database) as found:
            yield database, found

    bootstrap_log.assert_file(settings)
    check(settings)
    with OnlyOne(settings.folder, "server"), OnlyOne(settings.folder):
        yield Restore(settings.folder, bootstrap_documents.cabinet(settings), settings.disk_reserve, opened)


@contextlib.contextmanager
def transfer(settings: Settings, database: Database, url: str) -> "Iterator[Transfer]":
    """What moves the log into PostgreSQL, while nobody erases or replays."""
    from listener.transfer import Transfer

    source = bootstrap_log.leaving(database)
    with (
        contextlib.closing(bootstrap_log.server(url)) as target,
        OnlyOne(settings.folder, "replay"),
        signer(settings, source) as found,
    ):
        yield Transfer(source, target, found)


def replay(settings: Settings, database: Database) -> "Replay":
    """What plans, applies and takes back a replay, with the code as it is."""
    from listener.shelf import shelf
    from listener.worker.replay import Replay

    worker, only_one = (bootstrap_log.lease(settings, database, part) for part in ("worker", "replay"))
    code, reserve = fingerprint.fingerprint(), settings.disk_reserve
    return Replay(database, shelf(database, only_one), settings.folder, code, worker, only_one, reserve)


@contextlib.contextmanager
def registry(settings: Settings, name: str) -> Iterator[Registry]:
    """Where the callbacks of a source are registered. Raises NotFoundError, ConfigurationError."""
    source = settings.sources.get(name)
    if source is None:
        raise errors.NotFoundError(f"there is no source {name}; configured: {', '.join(settings.sources) or 'none'}")
    speaker = api.named(source.provider)
    if not speaker.EVENTS:
        raise errors.NotFoundError(f"{source.provider} registers nothing: each request of yours names the address")
    access = sources.access_to(name, source)
    if access is None:
        raise errors.ConfigurationError(f"sources.{name}.api_key: required to ask {source.provider}; or set a client")
    with contextlib.closing(cast(Registry, speaker.connect(access))) as found:
        yield found
