"""A server that speaks S3, as a process of its own (moto's), and a wire to it on which things go wrong."""

import contextlib
import html
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

from listener.bucket import MARKER

BUCKET: Final = "documents"
ENVIRONMENT: Final = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "rumpelstilzchen",
    "AWS_REGION": "us-east-1",
}
ROOT = Path(__file__).parents[1]
_SIGNED: Final = "AWS4-HMAC-SHA256 Credential=x/20261122/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
_SERVER = """
import sys
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.port, flush=True)
server.serve_forever()
"""


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Its address; it has one bucket, and nothing in it."""
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            url = f"http://127.0.0.1:{int(process.stdout.readline())}"
            Objects(url, f"s3://{BUCKET}").make()
            yield url
        finally:
            process.kill()


def environment(url: str) -> dict[str, str]:
    """What stands there for whoever uses the server."""
    return {**ENVIRONMENT, "AWS_ENDPOINT_URL_S3": url}


class Objects:
    """What lies below an address, past our own code: the server believes whoever says that he signed."""

    def __init__(self, url: str, address: str) -> None:
        self.url = url
        self._host = urlsplit(url).netloc
        self._bucket, _, prefix = address.removeprefix("s3://").partition("/")
        self._prefix = prefix and f"{prefix}/"

    def make(self) -> None:
        """Make the bucket."""
        self._ask("PUT", "")

    def keep_versions(self) -> None:
        """As an operator does who fears for what he deletes."""
        status = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        self._ask("PUT", "?versioning", status.encode())

    def versions(self) -> list[str]:
        """Paths of all of them, old ones, too."""
        said = self._ask("GET", f"?versions&prefix={quote(self._prefix)}").decode()
        return self._paths("".join(re.findall(r"<Version>.*?</Version>", said, re.S)))

    def paths(self) -> list[str]:
        """Of everything there but our marker, sorted."""
        return self._paths(self._ask("GET", f"?list-type=2&prefix={quote(self._prefix)}").decode())

    def _paths(self, said: str) -> list[str]:
        keys = [html.unescape(key).removeprefix(self._prefix) for key in re.findall("<Key>(.*?)</Key>", said)]
        return sorted(key for key in keys if key != MARKER)

    def read(self, path: str) -> bytes:
        """What lies there."""
        return self._ask("GET", self._key(path))

    def write(self, path: str, content: bytes) -> None:
        """Put something there, whatever lay there before."""
        self._ask("PUT", self._key(path), content)

    def delete(self, path: str) -> None:
        """Take it away."""
        self._ask("DELETE", self._key(path))

    def _key(self, path: str) -> str:
        return "/" + quote(self._prefix + path)

    def _ask(self, method: str, below: str, body: bytes = b"") -> bytes:
        with contextlib.closing(HTTPConnection(self._host, timeout=60)) as connection:
            connection.request(method, f"/{self._bucket}{below}", body, {"Authorization": _SIGNED})
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status < 300, content
        return content


Fault = Callable[["Handler"], None]


class Wire:
    """Stands in front of the server; `faults` are what happens to the next requests of a method, in turn."""

    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc
        self.faults: dict[str, list[Fault]] = {}
        self.always: Fault | None = None
        self.asked: list[str] = []
        self.closing = threading.Event()
        methods = {"wire": self, **{f"do_{method}": Handler.do for method in ("GET", "PUT", "HEAD", "DELETE")}}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), methods))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def goes_wrong(self, method: str, *faults: Fault) -> None:
        """Let this happen to the next requests."""
        self.faults.setdefault(method, []).extend(faults)


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    wire: Wire
    protocol_version = "HTTP/1.1"
    body = b""

    def do(self) -> None:
        """Read a request, and let happen to it what is to happen."""
        self.wire.asked.append(f"{self.command} {self.path}")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        waiting = self.wire.faults.get(self.command)
        fault = waiting.pop(0) if waiting else self.wire.always or passed
        fault(self)

    def asked(self, *without: str) -> tuple[HTTPResponse, bytes]:
        """What the server says to it, were it asked without these headers."""
        headers = {name: value for name, value in self.headers.items() if name.lower() not in without}
        with contextlib.closing(HTTPConnection(self.wire.host, timeout=60)) as connection:
            connection.request(self.command, self.path, self.body, headers)
            answer = connection.getresponse()
            return answer, answer.read()

    def say(self, status: int, headers: list[tuple[str, str]], content: bytes, announced: int | None = None) -> None:
        """Answer."""
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content) if announced is None else announced))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


def passed(handler: Handler) -> None:
    """All is well."""
    answer, content = handler.asked()
    handler.say(answer.status, answer.getheaders(), content)


def deaf(handler: Handler) -> None:
    """A store that knows no conditional writes."""
    answer, content = handler.asked("if-none-match")
    handler.say(answer.status, answer.getheaders(), content)


def says(status: int, code: str) -> Fault:
    """It refuses, as S3 does."""
    content = f"<Error><Code>{code}</Code><Message>rumpelstilzchen</Message></Error>".encode()
    return lambda handler: handler.say(status, [("Content-Type", "application/xml")], content)


def unanswered(handler: Handler) -> None:
    """It is done, and the connection breaks before that is told."""
    handler.asked()
    handler.close_connection = True


def unheard(handler: Handler) -> None:
    """The connection breaks, and nothing is done."""
    handler.close_connection = True


def half(handler: Handler) -> None:
    """The connection breaks amid the answer."""
    answer, content = handler.asked()
    handler.say(answer.status, answer.getheaders(), content[: len(content) // 2], len(content))
    handler.close_connection = True


def silent(handler: Handler) -> None:
    """It takes the request, and never answers."""
    handler.wire.closing.wait(60)
    handler.close_connection = True
