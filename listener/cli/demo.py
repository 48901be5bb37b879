"""signlog demo: everything at work against imitations of both providers, for somebody who has no account."""

import contextlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from listener.cli import options, output
from listener.cli.options import Json

if TYPE_CHECKING:
    from listener.demo.onespan import OneSpan

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

[sources.evrotrust]
allow = ["127.0.0.1/32"]
artifacts = []
"""


def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="End when everything was played, instead of serving on.")
    ] = False,
    json: Json = False,
) -> None:
    """Play several signings against imitations of OneSpan Sign and Evrotrust, and show what comes of them.

    Example: signlog demo
    """
    with options.told():
        from listener.demo.evrotrust import Evrotrust
        from listener.demo.onespan import OneSpan

        folder = Path(tempfile.mkdtemp(prefix="signlog-demo-"))
        say = output.note if not json else (lambda _text: None)
        with OneSpan() as onespan, Evrotrust() as evrotrust, _serving(folder, onespan) as door:
            say(f"signlog serves at {door}; its data and configuration are in {folder}")
            _play(door, onespan, evrotrust, say)
            found = _finished(folder)
            if json:
                output.json_value({"folder": str(folder), "subjects": found})
            else:
                _show(folder, found)
            if not leave and not json:
                _wait()


@contextlib.contextmanager
def _serving(folder: Path, onespan: "OneSpan") -> Iterator[str]:
    port = _free_port()
    config = folder / "signlog.toml"
    config.write_text(_CONFIG.format(folder=folder, port=port, key=_KEY, url=onespan.url), encoding="utf-8")
    with open(folder / "signlog.log", "wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-m", "listener", "serve", "--config", str(config)], stderr=log, stdout=log
        )
        try:
            yield f"http://127.0.0.1:{port}"
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


def _play(door: str, onespan: "OneSpan", evrotrust: Any, say: Callable[[str], None]) -> None:
    import httpx

    from listener.demo.play import Player

    deadline = time.monotonic() + _PATIENCE_SECONDS
    with httpx.Client(trust_env=False) as client:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if client.get(f"{door}/healthz").status_code == 200:
                    break
            if time.monotonic() > deadline:
                options.fail(options.NO, "the door did not open; its log says why: signlog.log in the folder above")
            time.sleep(0.05)
    Player(door, onespan, evrotrust, callback_key=_KEY, say=say).play()


def _finished(folder: Path) -> list[dict[str, Any]]:
    """All subjects, once nothing is wanted any more."""
    from listener import bootstrap, settings
    from listener.desk import status as desk
    from listener.desk.reading import reading
    from listener.log import reader
    from listener.views import checkpoint

    found = settings.load(folder / "signlog.toml", {})
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with bootstrap.existing_log(found) as database:
        while True:
            with reading(database, found.folder) as at:
                subjects = desk.several(at, desk.Filter())
                caught_up = checkpoint(at.views).position == reader.head(at.log)
            states = {artifact["state"] for subject in subjects for artifact in subject["artifacts"]}
            if (caught_up and states <= {"stored"}) or time.monotonic() > deadline:
                return subjects
            time.sleep(0.1)


def _show(folder: Path, found: list[dict[str, Any]]) -> None:
    output.line()
    output.table(found, ("source", "id", "stage", "status", "confirmed", "reason"))
    output.line()
    output.line("Signed documents on disk:")
    for subject in found:
        for artifact in subject["artifacts"]:
            output.line(f"  {folder}/signlog-data/documents/{artifact['path']}")
    config = folder / "signlog.toml"
    output.line()
    output.line("Look around in another terminal, for example:")
    output.line(f"  signlog events --config {config}")
    output.line(f"  signlog timeline {found[0]['source']} '{found[0]['id']}' --config {config}")


def _wait() -> None:
    output.note("Serving on; Ctrl-C ends it. The folder stays until you delete it.")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)
