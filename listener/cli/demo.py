"""signlog demo: everything at work against imitations of both providers, for somebody who has no account."""

import contextlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from listener import errors, parent
from listener.cli import options, output
from listener.cli.options import Json

if TYPE_CHECKING:
    from listener.demo.evrotrust import Evrotrust
    from listener.demo.onespan import OneSpan
    from listener.log.database import Database

_PORT = 4449
_KEY = "demonstration-callback-key"
_PATIENCE_SECONDS = 30.0

_CONFIG = """\
# Made by "signlog demo"; the providers are imitations on this machine.
data = "{folder}/signlog-data"
disk_reserve = 0
door.port = {port}

[sources.onespan]
callback_keys = ["{key}"]
api_url = "{url}"
api_key = "demonstration"
trust_roots = ["{folder}/onespan-root.pem"]

[sources.evrotrust]
allow = ["127.0.0.1/32"]
api_url = "{evrotrust}"
api_key = "demonstration"
vendor_number = "ahZsmRHbDHL6TeED"
private_keys = ["{folder}/evrotrust.pem"]
trust_roots = ["{folder}/evrotrust-root.pem"]
"""


class _Served(NamedTuple):
    """The signlog that the demonstration talks to."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    url: str

    @property
    def config(self) -> Path:
        return self.folder / "signlog.toml"


def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="End when everything was played, instead of serving on.")
    ] = False,
    json: Json = False,
) -> None:
    """Play several signings against imitations of both providers.

    It serves on afterwards, so that you can look around. With --json it ends, as with --exit.

    Example: signlog demo
    """
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # so that what it started ends with it
    with options.told():
        from listener import settings
        from listener.demo import papers, transactions
        from listener.demo.evrotrust import Evrotrust
        from listener.demo.onespan import OneSpan
        from listener.demo.sealing import key_pair
        from listener.demo.seals import sealer

        settings.forget_environment()  # they are for another signlog than the one that is started here
        folder = Path(tempfile.mkdtemp(prefix="signlog-demo-"))
        say = output.note if not json else None
        private, public = key_pair()
        (folder / "evrotrust.pem").write_bytes(private)
        for name, signer in (("onespan", papers.SEALER), ("evrotrust", transactions.SEALER)):
            (folder / f"{name}-root.pem").write_bytes(sealer(signer).pem)
        imitations = (OneSpan(), Evrotrust(public_key=public))
        with imitations[0] as onespan, imitations[1] as evrotrust, _serving(folder, onespan, evrotrust) as served:
            if say is not None:
                say(f"signlog serves at {served.url}; its data and configuration are in {folder}")
            _play(served, onespan, evrotrust, say)
            found = _finished(served)
            if json:
                output.json_value({"folder": str(folder), "subjects": found})
            else:
                _show(served, found)
            if not leave and not json:
                _wait(served)


@contextlib.contextmanager
def _serving(folder: Path, onespan: "OneSpan", evrotrust: "Evrotrust") -> Iterator[_Served]:
    config, port = folder / "signlog.toml", _free_port()
    urls = {"url": onespan.url, "evrotrust": evrotrust.url}
    config.write_text(_CONFIG.format(folder=folder, port=port, key=_KEY, **urls), encoding="utf-8")
    with open(folder / "signlog.log", "wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own program
            [*parent.command("listener"), "serve", "--config", str(config)], stderr=log, stdout=log
        )
        try:
            yield _Served(process, folder, f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    """The usual one, or any that is free."""
    for port in (_PORT, 0):
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            return int(sock.getsockname()[1])
    return _PORT


def _play(served: _Served, onespan: "OneSpan", evrotrust: "Evrotrust", say: Callable[[str], None] | None) -> None:
    """Play everything; slowly enough to watch, if somebody does."""
    import httpx

    from listener.demo.play import Player

    deadline = time.monotonic() + _PATIENCE_SECONDS
    with httpx.Client(trust_env=False) as client:
        while not _answers(client, served.url):
            if served.process.poll() is not None or time.monotonic() > deadline:
                options.fail(options.NO, f"the door did not open; {served.folder}/signlog.log says why")
            time.sleep(0.05)
    player = Player(served.url, onespan, evrotrust, callback_key=_KEY)
    replace(player, pause=0.0).play() if say is None else replace(player, say=say).play()


def _answers(client: Any, url: str) -> bool:
    import httpx

    try:
        return bool(client.get(f"{url}/healthz").status_code == 200)
    except httpx.HTTPError:
        return False


def _finished(served: _Served) -> list[dict[str, Any]]:
    """All subjects, once nothing is wanted any more."""
    from listener import bootstrap, settings

    found = settings.load(served.config, {})
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with bootstrap.existing_log(found) as database:
        while (subjects := _settled(database)) is None:
            if time.monotonic() > deadline:
                options.fail(options.NO, f"not everything was fetched; {served.folder}/signlog.log says why")
            time.sleep(0.1)
    return subjects


def _settled(database: "Database") -> list[dict[str, Any]] | None:
    """All subjects, or None while there is something to fold or to fetch."""
    from listener.bookkeeping import checkpoint
    from listener.desk import status as desk
    from listener.desk.reading import reading
    from listener.log import reader

    try:
        with reading(database) as at:
            subjects = desk.several(at, desk.Filter())
            caught_up = checkpoint(at.views).position == reader.head(at.log)
    except errors.ViewsError:  # the worker has only begun
        return None
    states = {artifact["state"] for subject in subjects for artifact in subject["artifacts"]}
    return subjects if caught_up and states <= {"stored", "listed"} else None


def _show(served: _Served, found: list[dict[str, Any]]) -> None:
    output.line()
    output.table(found, ("source", "id", "stage", "status", "confirmed", "reason"))
    output.line()
    output.line(f"Signed documents, in {served.folder}/signlog-data/documents:")
    stored = [(subject, artifact) for subject in found for artifact in subject["artifacts"]]
    for _, artifact in stored:
        verdict = f"  ({artifact['verdict']['text']})" if artifact["verdict"] else ""
        output.line(f"  {artifact['path']}{verdict}")
    output.line()
    output.line("Look around in another terminal:")
    output.line(f"  cd {served.folder}")
    signed = stored[-1][0]
    for command in ("health", "events", "status", f"timeline {signed['source']} {shlex.quote(signed['id'])}"):
        output.line(f"  {_program()} {command}")


def _program() -> str:
    """What to type: our name alone only where the shell finds it."""
    return "signlog" if shutil.which("signlog") else str(Path(sys.executable).with_name("signlog"))


def _wait(served: _Served) -> None:
    """Until Ctrl-C. Not in one long sleep: a signal that comes just before it would not end it."""
    with contextlib.suppress(KeyboardInterrupt):
        output.note("Serving on; Ctrl-C ends it. The folder stays until you delete it.")
        while served.process.poll() is None:
            time.sleep(0.2)
        options.fail(options.NO, f"the server ended; {served.folder}/signlog.log says why")
