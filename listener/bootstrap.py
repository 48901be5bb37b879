"""Builds the objects from the settings: the only place that wires."""

import contextlib
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import msgspec
from starlette.types import ASGIApp

from listener import (
    __version__,
    acts,
    api,
    bootstrap_documents,
    bootstrap_log,
    errors,
    files,
    fingerprint,
    provider,
    sources,
)
from listener.acts import InForce, SourceInForce
from listener.api import Registry
from listener.log import event, reader
from listener.log.append import append
from listener.log.database import Database
from listener.log.migrate import migrate
from listener.log.sqlite import refuse_network
from listener.only import OnlyOne
from listener.quarantine import Quarantine
from listener.settings import Settings

if TYPE_CHECKING:
    from listener.backup import Backup
    from listener.door.gate import Gate
    from listener.log.tree import Tree
    from listener.restore import Restore
    from listener.signing.signer import Signer
    from listener.worker.downloads import Downloads
    from listener.worker.projector import Projector
    from listener.worker.replay import Replay

_SECRET_BYTES: Final = 32
_REGULARS: Final = 5000  # events to look back for clients that called before


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


def prepare(settings: Settings) -> None:
    """Make the log if need be, and declare what is in force. Only for who will serve: others must not speak for it."""
    check(settings)
    with log(settings) as database:
        declare(database, settings)
    secret(settings)


def only_server(settings: Settings) -> int:
    """The lock that there is one supervised server on the folder; its descriptor, to be held until the process ends."""
    return OnlyOne(settings.folder, "server").__enter__().fd


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
    database = bootstrap_log.database(settings)
    try:
        migrate(database)
        database.assert_suitable()
        yield database
    finally:
        database.close()


def declare(database: Database, settings: Settings) -> None:
    """Append what is in force, if it differs from what was: folds read it there, never from the configuration."""
    declared = _declaration(settings)
    with database.writing() as connection:
        found = reader.acts(connection, event.DECISION, acts.IN_FORCE_PATH, last=20)
        if acts.newest_in_force(found) != declared:
            append(connection, [acts.in_force(declared)])


def _declaration(settings: Settings) -> InForce:
    declared = {
        name: SourceInForce(source.provider, sources.wanted_artifacts(name, source))
        for name, source in settings.sources.items()
    }
    return InForce(acts.IN_FORCE, __version__, fingerprint.fingerprint(), fingerprint.code(), declared)


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


def gates(settings: Settings) -> "dict[str, Gate]":
    """For each source, who may come in."""
    from listener.door.gate import Gate

    key, every = secret(settings), settings.sources
    return {
        name: Gate(name, source, provider.named(source.provider), key, every.values()) for name, source in every.items()
    }


@contextlib.contextmanager
def quarantine(settings: Settings) -> Iterator[Quarantine]:
    """What was refused."""
    found = Quarantine(settings.folder)
    try:
        yield found
    finally:
        found.close()


def door(settings: Settings, database: Database) -> ASGIApp:
    """The public app."""
    from listener.door.app import Door, app
    from listener.door.gate import Nobody

    nobody = Nobody(settings.sources.values(), secret(settings))
    found = Door(gates(settings), nobody, Quarantine(settings.folder), settings.max_body_bytes, settings.proxies)
    with database.reading() as connection:
        after = max(0, reader.head(connection) - _REGULARS)
        found.welcome({known.client for known in reader.read(connection, after, _REGULARS) if known.client})
    return app(found, database)


@contextlib.contextmanager
def worker(settings: Settings, database: Database) -> Iterator[tuple["Projector", "Downloads"]]:
    """What the worker runs, while it holds the lock that makes it the only one on this folder."""
    from listener import bootstrap_accounts
    from listener.worker.claims import Claims
    from listener.worker.downloads import Downloads
    from listener.worker.projector import Projector

    with OnlyOne(settings.folder):
        declare(database, settings)
        claims = Claims(database, f"{socket.gethostname()}:{os.getpid()}")
        claims.forget()
        store = bootstrap_documents.store(settings)
        store.prepare()
        yield (
            Projector(database, settings.folder, fingerprint.fingerprint()),
            Downloads(database, claims, store, bootstrap_accounts.accounts(settings)),
        )


@contextlib.contextmanager
def tree(settings: Settings) -> "Iterator[Tree]":
    """The tree beside the log."""
    from listener.log.tree import Tree

    found = Tree(settings.folder)
    try:
        yield found
    finally:
        found.close()


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


def replay(settings: Settings, database: Database) -> "Replay":
    """What plans, applies and takes back a replay, with the code as it is."""
    from listener.worker.replay import Replay

    worker, only_one = OnlyOne(settings.folder), OnlyOne(settings.folder, "replay")
    return Replay(database, settings.folder, fingerprint.fingerprint(), worker, only_one, settings.disk_reserve)


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
    found = cast(Registry, speaker.connect(access))
    try:
        yield found
    finally:
        found.close()
