"""signlog serve."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from listener.cli import options, output
from listener.cli.options import Config

if TYPE_CHECKING:
    from listener.bootstrap_working import Worker
    from listener.settings import Settings
    from listener.worker.projector import Projector

_HINT = """\
No source is configured: every callback is refused with 404, and kept in quarantine. To take those of OneSpan Sign,
put these two lines into {path} and start again (the key is the one that you enter at OneSpan):

    [sources.onespan]
    callback_keys = ["…"]
"""


def serve(
    door: Annotated[bool, typer.Option("--door", help="Only the public listener.")] = False,
    worker: Annotated[bool, typer.Option("--worker", help="Only what works on the log: views, downloads.")] = False,
    config: Config = None,
    socket_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
    parent_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Take callbacks and work on them: door and worker, supervised.

    Example: signlog serve --config signlog.toml
    """
    if door and worker:
        raise typer.BadParameter("--door and --worker are two processes; leave both out to run both")
    with options.told():
        from listener import bootstrap, logs, settings, sources

        found = settings.load(config)
        logs.configure()
        bootstrap.check(found)
        if not door:
            sources.check_private_keys(found.sources)
            _check_roots(found)
            _check_bucket(found)
        if door:
            _door(found, config, socket_fd, parent_fd)
        elif worker:
            _worker(found, config, parent_fd)
        else:
            _supervise(found, config)


def _check_roots(found: "Settings") -> None:
    """Read the certificates of whom to trust. Not in the door's process."""
    from listener.checking import roots

    for name, source in found.sources.items():
        roots.read(f"sources.{name}.trust_roots", source.trust_roots)


def _check_bucket(found: "Settings") -> None:
    """Refuse one that would put a document over another. Whatever else is wrong there keeps nobody from starting."""
    from listener import bootstrap_documents

    away = bootstrap_documents.refuse_overwriting(found)
    if away is not None:
        output.note(f"no document can be stored, so they wait: {away}")


def _supervise(found: "Settings", config: Path | None) -> None:
    """Become the supervisor: by exec, so that it weighs nothing. Everything that can be wrong is looked at before.

    What is in force is declared last: a start that fails must not change what the running server wants.
    """
    from listener import bootstrap, parent

    lock = bootstrap.only_server(found)  # held across the exec, until the supervisor ends
    sock = bootstrap.listen(found)
    bootstrap.prepare(found)
    os.set_inheritable(lock, True)
    sock.set_inheritable(True)
    _welcome(found, sock, config)
    arguments = [*parent.command("listener.supervisor"), "--socket-fd", str(sock.fileno())]
    if config is not None:
        arguments += ["--", "--config", str(config)]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, arguments)  # noqa: S606  our own program


def _welcome(found: "Settings", sock: socket.socket, config: Path | None) -> None:
    from listener.checking import inspector

    host, port = sock.getsockname()[:2]
    base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    for name, source in found.sources.items():
        output.note(f"signlog takes callbacks of {name} at {base}/callbacks/{name}")
        if source.callback_client_id is not None:
            output.note(f"and gives tokens for them at {base}/oauth/{name}/token")
    if not found.sources:
        output.note(f"signlog listens at {base}")
        sys.stderr.write(_HINT.format(path=config or "signlog.toml"))
    if found.sources and found.check_signatures and inspector.missing():
        output.note(f"signatures are not checked: {inspector.INSTALL}")
    for key in found.without_effect():
        output.note(f"{key}: has no effect in this version")


def _door(found: "Settings", config: Path | None, socket_fd: int | None, parent_fd: int | None) -> None:
    from listener import bootstrap, bootstrap_door
    from listener.door import server

    if socket_fd is None:
        sock = bootstrap.listen(found)
        bootstrap.prepare(found, door=True)
        _welcome(found, sock, config)
    else:
        sock = socket.socket(fileno=socket_fd)
    with bootstrap_door.log(found) as (database, there):
        server.serve(bootstrap_door.door(found, database, there), sock, parent_fd=parent_fd)


def _worker(found: "Settings", config: Path | None, parent_fd: int | None) -> None:
    import signal

    from listener import bootstrap, bootstrap_working, parent
    from listener.worker import loop

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    if parent_fd is not None:
        parent.alive(parent_fd, stop.set)
    else:
        output.note(f"signlog works on the log in {found.folder}")
    with (
        bootstrap.log(found) as database,
        bootstrap_working.worker(found, database) as worker,
    ):
        loop.run(
            worker.lease, lambda: _leading(found, worker, config), worker.downloads, worker.live, stop, worker.bell
        )


@contextlib.contextmanager
def _leading(found: "Settings", worker: "Worker", config: Path | None) -> "Iterator[Projector]":
    """What one worker does for all: fold, sign, and reconcile."""
    from listener import bootstrap, bootstrap_reconciling, bootstrap_working
    from listener.worker.notary import Notary
    from listener.worker.rounds import Rounds

    with (
        contextlib.closing(bootstrap_working.projector(found, worker)) as projector,
        _replaying(found.replay == "auto" and projector.mixed, config),
        bootstrap.signer(found, worker.database) as signer,
        contextlib.closing(Notary(signer, worker.lease.shared)) as notary,
        bootstrap_reconciling.reconciler(found, worker.database) as reconciler,
        Rounds(reconciler),
    ):
        notary.start()
        yield projector


@contextlib.contextmanager
def _replaying(wanted: bool, config: Path | None) -> Iterator[None]:
    """Meanwhile, where it is configured and the code changed, `signlog replay --yes` in a process of its own."""
    if not wanted:
        yield
        return
    from listener import parent

    named = ["--config", str(config)] if config is not None else []
    command = [*parent.command("listener"), "replay", "--yes", "--json", *named]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as replay:  # noqa: S603
        try:
            yield
        finally:
            replay.terminate()
