"""The door as strangers meet it: the real program, real sockets, and what then stands in the log and in quarantine."""

import base64
import contextlib
import fcntl
import gzip
import json
import os
import re
import select
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from listener.log import event, reader
from listener.log.database import Database
from listener.log.event import Event
from listener.log.sqlite import Sqlite
from listener.quarantine import Kept, Quarantine
from tests.echo import PATIENCE, Answer, Client, until

ROOT = Path(__file__).parents[1]
MIB = 1 << 20
KEY = "tsqZ8+k/2xQw=="
NEW_KEY = "pWv1-9d"
PATH_SECRET = "n0t-for_You.r~eyes"
ENCODED = "".join(f"%{ord(letter):02x}" for letter in PATH_SECRET)
ONESPAN = b"authorization: Basic " + KEY.encode()
FAULT = "BEGIN SELECT RAISE(ABORT, 'a fault of ours'); END"
BODY = b'{"name":"PACKAGE_COMPLETE","packageId":"LWsUTvGgE4WpOvaQPT16idnxNj8="}'

SOURCES = f"""
trusted_proxies = ["127.0.0.0/8", "10.0.0.0/8"]
[sources.onespan]
callback_keys = ["{KEY}", "{NEW_KEY}"]
[sources.evrotrust]
allow = ["198.51.100.0/24", "2001:db8::/32"]
[sources.secret]
provider = "evrotrust"
path_secret = "{PATH_SECRET}"
[sources.strict]
provider = "onespan"
callback_keys = ["{KEY}"]
allow = ["198.51.100.0/24"]
path_secret = "{PATH_SECRET}"
[sources.open]
provider = "onespan"
unauthenticated = true
"""


class Outcome(NamedTuple):
    """What became of a request: the answer, what is new in the log, what is new in quarantine."""

    answer: Answer
    stored: list[Event]
    kept: list[Kept]

    @property
    def event(self) -> Event:
        """The one event, of a callback that was let in and answered as promised."""
        assert (self.answer.status, self.answer.body, self.kept) == (200, b"", [])
        (found,) = self.stored
        return found

    @property
    def refused(self) -> Kept:
        """The one row, of a callback that was not."""
        assert (self.answer.body, self.stored) == (b"", [])
        (found,) = self.kept
        assert found.status == self.answer.status
        return found


class Signlog:
    """`signlog serve --door`. Unless a test did so itself, leaving it stops it and finds that it ended well."""

    def __init__(self, folder: Path, config: str) -> None:
        self.data = folder / "data"
        self.config = folder / "signlog.toml"
        self.config.write_text(f'data = "{self.data}"\n{config}')
        self.log = folder / "stderr"
        with socket.create_server(("127.0.0.1", 0), backlog=1000) as bound, self.log.open("wb") as log:
            self.address: tuple[str, int] = bound.getsockname()
            fd = bound.fileno()  # handed over as the supervisor does, so that nobody can take the port in between
            command = [*serve(self.config), "--socket-fd", str(fd)]
            self.process = subprocess.Popen(command, stderr=log, pass_fds=[fd], cwd=ROOT)

    def __enter__(self) -> Self:
        assert self.healthy
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        self.database.close()
        self.quarantine.close()
        assert failed or code == 0, self.complaints

    @cached_property
    def database(self) -> Database:
        return Sqlite(self.data)

    @cached_property
    def quarantine(self) -> Quarantine:
        return Quarantine(self.data)

    @property
    def complaints(self) -> str:
        return self.log.read_text()

    @property
    def healthy(self) -> bool:
        return self.ask(b"GET /healthz HTTP/1.1\r\n\r\n").status == 200

    def client(self) -> Client:
        return Client(self.address)

    def ask(self, *pieces: bytes) -> Answer:
        """One request on a connection of its own."""
        with self.client() as client:
            return client.send(*pieces).answer()

    def sends(self, *pieces: bytes) -> Outcome:
        """The same, and what became of it."""
        head, row = self.head(), self.last_kept()
        answer = self.ask(*pieces)
        return Outcome(answer, self.events(head), self.kept(row))

    def head(self) -> int:
        with self.database.reading() as connection:
            return reader.head(connection)

    def events(self, after: int = 0, kind: str = event.CALLBACK) -> list[Event]:
        """What is in the log, in order."""
        return [found for found in reader.every(self.database, after) if found.kind == kind]

    def last_kept(self) -> int:
        return max((row.id for row in self.quarantine.rows(1)), default=0)

    def kept(self, after: int = 0) -> list[Kept]:
        """What is in quarantine, in order."""
        return [row for row in self.quarantine.rows(100 if after else None) if row.id > after]

    def refuses(self) -> bool:
        """Nobody listens any more: the stop has begun."""
        try:
            self.client().__exit__()
        except ConnectionError:
            return True
        return False

    def memory(self) -> int:
        """Resident bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Meanwhile nobody can append: the lock is ours, as if a command had stopped in the middle of its work."""
        with (self.data / "signlog.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def serve(config: Path) -> list[str]:
    return [sys.executable, "-m", "listener", "serve", "--door", "--config", str(config)]


def started(folder: Path, config: str) -> "subprocess.CompletedProcess[str]":
    """A start that comes to nothing."""
    file = folder / "signlog.toml"
    file.write_text(f'data = "{folder}/data"\n{config}')
    return subprocess.run(serve(file), capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE, check=False)


def head(target: bytes, *headers: bytes, method: bytes = b"POST", version: bytes = b"1.1") -> bytes:
    lines = [b"%b %b HTTP/%b" % (method, target, version), *headers]
    return b"\r\n".join([*lines, b"", b""])


def length(body: bytes) -> bytes:
    return b"content-length: %d" % len(body)


def post(target: bytes, *headers: bytes, body: bytes = BODY) -> bytes:
    return head(target, *headers, length(body)) + body


def chunked(*pieces: bytes) -> bytes:
    """A body of these chunks, without its end."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def via(*hops: str) -> bytes:
    return b"x-forwarded-for: " + ", ".join(hops).encode()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signlog]:
    """With every kind of credential, behind proxies."""
    with Signlog(tmp_path_factory.mktemp("door"), SOURCES) as door:
        yield door


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signlog]:
    """Without a proxy in front; takes large bodies."""
    config = f"""
    max_body_bytes = {8 * MIB}
    [sources.onespan]
    callback_keys = ["{KEY}"]
    [sources.evrotrust]
    allow = ["198.51.100.0/24"]
    [sources.local]
    provider = "evrotrust"
    allow = ["127.0.0.1"]
    """
    with Signlog(tmp_path_factory.mktemp("exposed"), config) as exposed:
        yield exposed


# Credentials


@pytest.mark.parametrize("value", ["Basic {}", "basic {}", "bAsIc {}", "Basic  {}"])
@pytest.mark.parametrize("key", [KEY, NEW_KEY])
def test_onespan_shows_its_raw_key(door: Signlog, value: str, key: str) -> None:
    """Any of the keys configured, behind the word `Basic` in whatever case."""
    found = door.sends(post(b"/callbacks/onespan", b"Authorization: " + value.format(key).encode())).event
    assert (found.source, found.provider, found.body) == ("onespan", "onespan", BODY)
    assert re.fullmatch("key:[0-9a-f]{12}", found.credential or "")


def test_each_key_has_a_label_of_its_own(door: Signlog) -> None:
    """The log says which one let a callback in, so that the old one can be retired when its time has come."""
    labels = [
        door.sends(post(b"/callbacks/onespan", b"authorization: Basic " + key.encode())).event.credential
        for key in (KEY, NEW_KEY, KEY)
    ]
    assert labels[0] == labels[2] != labels[1]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "Basic",
        "Basic ",
        "Basic wrong",
        KEY,
        f"Bearer {KEY}",
        f"Basic {KEY} ,",
        f"Basic {base64.b64encode(KEY.encode()).decode()}",
        f"Basic {base64.b64encode(f'onespan:{KEY}'.encode()).decode()}",
    ],
)
def test_without_its_key_onespan_is_refused_and_kept(door: Signlog, value: str | None) -> None:
    """401, an empty answer, and a trace: a refused callback is sent by nobody again."""
    headers = [] if value is None else [b"authorization: " + value.encode()]
    found = door.sends(post(b"/callbacks/onespan", *headers)).refused
    assert (found.status, found.source, found.body, found.whole) == (401, "onespan", BODY, True)
    assert found.reason == ("wrong callback key" if value and value.startswith("Basic") else "no callback key")


@pytest.mark.parametrize(
    "lines",
    [
        [via("198.51.100.7")],
        [via("198.51.100.7:5000")],
        [via("2001:db8::7")],
        [via("[2001:db8::7]:5000")],
        [via("::ffff:198.51.100.7")],
        [via("203.0.113.9", "198.51.100.7", "10.0.0.2")],
        [via("203.0.113.9"), via("198.51.100.7"), via("10.0.0.2", "10.0.0.3")],
    ],
)
def test_evrotrust_comes_from_its_addresses(door: Signlog, lines: list[bytes]) -> None:
    """As the proxies in front of us saw it; the log keeps both ends, and what let it in."""
    found = door.sends(post(b"/callbacks/evrotrust/document/ready", *lines)).event
    v6 = "2001:db8::7" in str(lines)
    assert (found.peer, found.client) == ("127.0.0.1", "2001:db8::7" if v6 else "198.51.100.7")
    assert found.credential == ("address:2001:db8::/32" if v6 else "address:198.51.100.0/24")


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        ([], "127.0.0.1"),
        ([via("203.0.113.9")], "203.0.113.9"),
        ([via("198.51.100.7", "203.0.113.9")], "203.0.113.9"),
        ([via("198.51.100.7"), via("203.0.113.9", "10.0.0.2")], "203.0.113.9"),
        ([via("198.51.100.7", "unknown")], "127.0.0.1"),
        ([via("198.51.100.7", "", "10.0.0.2")], "10.0.0.2"),
        ([b"x-real-ip: 198.51.100.7"], "127.0.0.1"),
    ],
)
def test_from_elsewhere_evrotrust_is_refused_and_kept(door: Signlog, lines: list[bytes], client: str) -> None:
    """403; an address that the client wrote itself is not believed, and one that cannot be read ends the search."""
    found = door.sends(post(b"/callbacks/evrotrust/document/ready", *lines)).refused
    assert (found.status, found.reason) == (403, "address not allowed")
    assert (found.peer, found.client) == ("127.0.0.1", client)


def test_without_trusted_proxies_nobody_is_believed(exposed: Signlog) -> None:
    """The peer is the client, whatever it says."""
    refused = exposed.sends(post(b"/callbacks/evrotrust", via("198.51.100.7"))).refused
    assert (refused.status, refused.client) == (403, "127.0.0.1")
    let_in = exposed.sends(post(b"/callbacks/local", via("198.51.100.7"))).event
    assert (let_in.client, let_in.credential) == ("127.0.0.1", "address:127.0.0.1/32")


@pytest.mark.parametrize("element", [PATH_SECRET, ENCODED, PATH_SECRET.replace("-", "%2D")])
@pytest.mark.parametrize("below", ["", "/", "/document/ready", "//document/ready"])
def test_a_secret_in_the_path_lets_in(door: Signlog, element: str, below: str) -> None:
    """It is not written down, however it is spelled; the rest of the path is."""
    found = door.sends(post(f"/callbacks/secret/{element}{below}".encode())).event
    assert found.path == f"/callbacks/secret/redacted{below}"
    assert re.fullmatch("path:[0-9a-f]{12}", found.credential or "")


@pytest.mark.parametrize(
    "below", ["", "/document/ready", "/wrong-secret/document/ready", f"/document/{PATH_SECRET}", f"/{PATH_SECRET}x"]
)
def test_without_that_secret_a_callback_is_refused_and_kept(door: Signlog, below: str) -> None:
    """401, for it is a credential and no address."""
    found = door.sends(post(b"/callbacks/secret" + below.encode())).refused
    assert (found.status, found.reason) == (401, "wrong or no secret in the path")


def test_several_kinds_of_credential_are_required_together(door: Signlog) -> None:
    """All three, and all three are named."""
    target = b"/callbacks/strict/" + PATH_SECRET.encode()
    found = door.sends(post(target, ONESPAN, via("198.51.100.7"))).event
    assert re.fullmatch(r"key:\w{12} path:\w{12} address:198\.51\.100\.0/24", found.credential or "")


@pytest.mark.parametrize(
    ("secret", "headers", "status"),
    [
        (PATH_SECRET, [via("198.51.100.7")], 401),
        (PATH_SECRET, [b"authorization: Basic wrong", via("198.51.100.7")], 401),
        ("wrong-secret", [ONESPAN, via("198.51.100.7")], 401),
        ("", [ONESPAN, via("198.51.100.7")], 401),
        (PATH_SECRET, [ONESPAN], 403),
        (PATH_SECRET, [ONESPAN, via("203.0.113.9")], 403),
    ],
)
def test_one_of_them_does_not_make_up_for_another(
    door: Signlog, secret: str, headers: list[bytes], status: int
) -> None:
    """A callback that lacks one is refused."""
    assert door.sends(post(b"/callbacks/strict/" + secret.encode(), *headers)).refused.status == status


def test_a_source_may_be_left_open_on_purpose(door: Signlog) -> None:
    """The log says that nothing let the callback in."""
    assert door.sends(post(b"/callbacks/open")).event.credential == "none"


# Addresses


@pytest.mark.parametrize(
    ("target", "source"),
    [
        (b"/callbacks/onespan/", "onespan"),
        (b"//callbacks//onespan", "onespan"),
        (b"/callbacks/onespan/any/path?a=1&b=%20", "onespan"),
        (b"/callbacks/onespan/a%2Fb", "onespan"),
        (b"/callbacks/%6fnespan", "onespan"),
        (b"/callback", "onespan"),
        (b"/callback/?x", "onespan"),
        (b"/callbacks/open/x", "open"),
        (b"/callbacks/evrotrust", "evrotrust"),
        (b"/callbacks/evrotrust/document/ready", "evrotrust"),
        (b"/callbacks/evrotrust//document/ready/", "evrotrust"),
        (b"/callbacks/evrotrust/document/offline/ready", "evrotrust"),
        (b"/callbacks/evrotrust/document/group/ready", "evrotrust"),
        (b"/callbacks/evrotrust/hash/group/offline/ready", "evrotrust"),
        (b"/document/ready", "evrotrust"),
        (b"//document/ready", "evrotrust"),
        (b"/document/offline/ready/", "evrotrust"),
        (b"/document/group/ready", "evrotrust"),
        (b"/document/something/new", "evrotrust"),
    ],
)
def test_a_callback_address_takes_callbacks(door: Signlog, target: bytes, source: str) -> None:
    """With the path as it came in the log: slashes, query, percent signs and all."""
    found = door.sends(post(target, ONESPAN, via("198.51.100.7"))).event
    assert (found.source, found.method, found.path) == (source, "POST", target.decode())


@pytest.mark.parametrize(
    ("target", "source"),
    [
        (b"/callbacks/onespn", "onespn"),
        (b"/callbacks/OneSpan", "OneSpan"),
        (b"/callbacks/onespan%2Fx/y", "onespan/x"),
        (b"/callbacks/%C3%A9", "\xc3\xa9"),
        (b"/callbacks/../onespan", ".."),
    ],
)
def test_a_callback_for_an_unknown_source_is_kept(door: Signlog, target: bytes, source: str) -> None:
    """404, but a typo in a configured address must not cost a callback."""
    found = door.sends(post(target, ONESPAN)).refused
    assert (found.status, found.reason, found.source, found.body) == (404, "unknown source", source, BODY)
    assert found.path == target.decode()
    assert re.fullmatch("key:[0-9a-f]{12}( path:[0-9a-f]{12})?", found.shown)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH", "PROPFIND"])
@pytest.mark.parametrize("target", ["/callbacks/onespan", "/callbacks/unknown/x", "/callback", "//document/ready"])
def test_a_callback_address_takes_nothing_else(door: Signlog, target: str, method: str) -> None:
    """405 with what is allowed: providers and people probe an address before they use it."""
    found = door.sends(head(target.encode(), ONESPAN, b"content-length: 0", method=method.encode()))
    assert (found.answer.status, found.answer.headers["allow"], found.answer.body) == (405, "POST", b"")
    assert (found.stored, found.kept) == ([], [])


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/callbacks",
        "/callbacks/",
        "/Callback",
        "/callback/onespan",
        "/callbacks%2Fonespan",
        "/documents",
        "/x?/callback",
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_there_is_nothing_else(door: Signlog, target: str, method: str) -> None:
    """404, and never a redirect: who follows one with GET has lost his callback."""
    found = door.sends(head(target.encode(), ONESPAN, b"content-length: 0", method=method.encode()))
    assert (found.answer.status, found.answer.body, found.stored, found.kept) == (404, b"", [], [])
    assert "location" not in found.answer.headers


@pytest.mark.parametrize("target", [b"/healthz", b"//healthz/"])
def test_health_is_for_everyone(door: Signlog, target: bytes) -> None:
    """GET says ok, HEAD the same without saying it."""
    answer = door.ask(head(target, method=b"GET"))
    assert (answer.status, answer.body) == (200, b"ok")
    with door.client() as client:
        reply = client.send(head(target, b"connection: close", method=b"HEAD")).incoming.read()
    assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
    assert reply.endswith(b"\r\n\r\n")


def test_health_takes_no_callback(door: Signlog) -> None:
    """A 200 would tell a sender with a wrong address that its callback is in the log."""
    found = door.sends(post(b"/healthz", ONESPAN))
    assert (found.answer.status, found.stored) == (404, [])


# Bodies and heads


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0",
        bytes(range(256)) * 300,
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf" + BODY,
        b'{"packageId":"\xc3\x28","name":"\xe9"}',
        gzip.compress(BODY, mtime=0),
        b" \r\n" + BODY + b"\r\n\r\n",
        b'{"a":1,"a":2, "b" : 1.0}',
        b"not JSON",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"name":"NEW_IN_2031","packageId":"x"}',
        b'{"name":"PACKAGE_COMPLETE","packageId":"of nobody"}',
        b'{"transactionID":' + b"9" * 5000 + b',"status":1e999}',
        b"x" * MIB,
    ],
    ids=lambda body: f"{body[:12]!r}{len(body)}",
)
def test_any_body_is_stored_byte_for_byte(door: Signlog, body: bytes) -> None:
    """The door does not read what it stores: meaning comes later, and can be wrong without costing a byte."""
    content_type = b"content-type: application/json; charset=no-such-thing"
    assert (
        door.sends(post(b"/callback", ONESPAN, content_type, b"content-encoding: gzip", body=body)).event.body == body
    )


@pytest.mark.parametrize("body", [b"{" * 70_000, b'{"transactionID":' + b"9" * 5000 + b',"status":1e999}', b"\xff"])
def test_any_body_may_be_refused(door: Signlog, body: bytes) -> None:
    """Whether it looks genuine is asked of it then, and no answer to that is an error."""
    found = door.sends(post(b"/callbacks/unknown", via("192.0.2.66"), body=body)).refused
    assert (found.body, found.whole) == (body[: 64 * 1024], len(body) <= 64 * 1024)


@pytest.mark.parametrize("pieces", [(BODY,), (BODY[:5], BODY[5:]), (b"",), (b"x" * 700_000, b"y" * (MIB - 700_000))])
def test_a_chunked_body_is_stored_whole(door: Signlog, pieces: tuple[bytes, ...]) -> None:
    """Up to the same limit, and without the chunks' own bytes."""
    sent = chunked(*filter(None, pieces)) + b"0\r\n\r\n"
    found = door.sends(head(b"/callback", ONESPAN, b"transfer-encoding: chunked"), sent).event
    assert found.body == b"".join(pieces)


def test_a_body_without_a_length_is_none(door: Signlog) -> None:
    """HTTP/1.0 or not; what follows is the next request, or garbage that ends the connection."""
    assert door.sends(head(b"/callback", ONESPAN)).event.body == b""
    assert door.sends(head(b"/callback", ONESPAN, version=b"1.0")).event.body == b""
    assert door.sends(head(b"/callback", ONESPAN, version=b"1.0"), b"garbage").event.body == b""


def test_http_1_0_with_a_length_is_served(door: Signlog) -> None:
    """Old proxies speak it."""
    assert door.sends(head(b"/callback", ONESPAN, length(BODY), version=b"1.0"), BODY).event.body == BODY


def test_a_client_may_ask_before_it_sends(door: Signlog) -> None:
    """`Expect: 100-continue` has its answer before the body comes."""
    before = door.head()
    with door.client() as client:
        assert client.send(head(b"/callback", ONESPAN, length(BODY), b"expect: 100-continue")).answer().status == 100
        assert client.send(BODY).answer().status == 200
    assert [found.body for found in door.events(before)] == [BODY]


def test_headers_are_stored_as_they_came(door: Signlog) -> None:
    """In order, with duplicates, an empty User-Agent and bytes that are no ASCII; names in small letters."""
    headers = [b"User-Agent:", b"X-B: 2", b"x-a: caf\xe9", b"X-B: 1", b"x-b: 2", b"Accept-Encoding: gzip,deflate"]
    found = door.sends(post(b"/callback", *headers, ONESPAN, body=b"")).event
    assert json.loads(found.headers or "") == [
        ["user-agent", ""],
        ["x-b", "2"],
        ["x-a", "caf\xe9"],
        ["x-b", "1"],
        ["x-b", "2"],
        ["accept-encoding", "gzip,deflate"],
        ["authorization", "redacted"],
        ["content-length", "0"],
    ]


def test_the_same_callback_twice_is_stored_twice(door: Signlog) -> None:
    """Who drops what looks the same drops the real one behind a forged one; sameness is for those who fold."""
    request = post(b"/callback", ONESPAN)
    first, second = door.sends(request).event, door.sends(request).event
    assert (first.body, first.headers, first.path) == (second.body, second.headers, second.path)
    assert second.position == first.position + 1


def test_a_connection_may_carry_several_callbacks(door: Signlog) -> None:
    """Refused ones among them; each is answered for itself."""
    before = door.head()
    with door.client() as client:
        for headers, status in (([ONESPAN], 200), ([], 401), ([ONESPAN], 200)):
            assert client.send(post(b"/callback", *headers)).answer().status == status
    assert len(door.events(before)) == 2


@pytest.mark.parametrize("size", [MIB + 1, 3 * MIB])
@pytest.mark.parametrize("chunks", [False, True], ids=["with a length", "chunked"])
def test_a_body_that_is_too_large_is_refused_and_its_beginning_kept(door: Signlog, size: int, chunks: bool) -> None:
    """413, never a part of it stored as if it were all."""
    body = os.urandom(1000) + b"x" * (size - 1000)
    frame = b"transfer-encoding: chunked" if chunks else length(body)
    found = door.sends(head(b"/callback", ONESPAN, frame), chunked(body) + b"0\r\n\r\n" if chunks else body).refused
    assert (found.status, found.reason, found.whole) == (413, "body too large", False)
    assert found.body == body[: 64 * 1024]


def test_of_a_stranger_no_more_than_64_kib_is_kept(door: Signlog) -> None:
    """His body may be as large as he likes."""
    body = os.urandom(200_000)
    stranger = door.sends(post(b"/callback", via("192.0.2.99"), body=body)).refused
    assert (stranger.status, stranger.whole, stranger.body) == (401, False, body[: 64 * 1024])


def test_whom_we_know_is_kept_whole(door: Signlog) -> None:
    """Callbacks came from there before: when a key was mixed up, what it cost must not be cut off, too."""
    body = os.urandom(200_000)
    assert door.sends(post(b"/callback", ONESPAN, via("192.0.2.98"))).event.client == "192.0.2.98"
    known = door.sends(post(b"/callback", via("192.0.2.98"), body=body)).refused
    assert (known.status, known.whole, known.genuine, known.body) == (401, True, True, body)


@pytest.mark.parametrize(
    "request_bytes",
    [
        head(b"/callback", ONESPAN, b"content-length: 100") + b"the beginning",
        head(b"/callback", ONESPAN, b"transfer-encoding: chunked") + chunked(b"the ", b"beginning"),
        head(b"/callback", ONESPAN, b"transfer-encoding: chunked") + chunked(b"the beginning") + b"5\r\nxx",
    ],
    ids=["with a length", "chunked", "in a chunk"],
)
def test_a_body_cut_short_is_not_stored(door: Signlog, request_bytes: bytes) -> None:
    """What came of it is kept, and known not to be whole."""
    before, last = door.head(), door.last_kept()
    with door.client() as client:
        client.send(request_bytes)
    until(lambda: door.last_kept() > last)
    (found,) = door.kept(last)
    assert (found.status, found.reason, found.whole) == (408, "body cut short", False)
    assert found.body.startswith(b"the beginning")
    assert door.events(before) == []


def test_a_refused_callback_leaves_its_head_too(door: Signlog) -> None:
    """Who called, what for, with which headers: enough to find out why nothing arrives."""
    found = door.sends(post(b"/callback?x=1", b"x-a: b", b"authorization: Basic wrong", via("192.0.2.97"))).refused
    assert (found.path, found.client, found.peer, found.genuine) == ("/callback?x=1", "192.0.2.97", "127.0.0.1", True)
    assert json.loads(found.headers)[:2] == [["x-a", "b"], ["authorization", "redacted"]]
    assert re.fullmatch("key:[0-9a-f]{12}", found.shown)
    assert "callback_refused" in door.complaints


# Secrets


def test_no_secret_is_on_disk(tmp_path: Path) -> None:
    """Wherever it stood, let in or refused, and however it was spelled; nor did the server say it."""
    copies = [f"x-original-uri: /callbacks/secret/{spelled}/x".encode() for spelled in (PATH_SECRET, ENCODED)]
    shown = [b"Authorization: Basic " + KEY.encode(), b"cookie: session=c00kie-value", b"cookie: other=c00kie-value"]
    shown += [b"proxy-authorization: Basic pr0xy-value", f"x-callback-key: {KEY}".encode()]
    targets = [f"/callbacks/{source}/{PATH_SECRET}/document/ready" for source in ("secret", "strict", "sercet", "open")]
    targets += [
        f"/callbacks/secret/{ENCODED}",
        f"/callbacks/secret?s={PATH_SECRET}",
        f"/callbacks/{PATH_SECRET}/secret",
    ]
    targets += [f"/callback?key={KEY}", "/callbacks/secret/wr0ng-secret", "/callback"]
    with Signlog(tmp_path, SOURCES) as door:
        for target in targets:
            door.ask(post(target.encode(), *shown, *copies, via("198.51.100.7")))
        door.ask(post(b"/callback", b"authorization: Bearer " + KEY.encode()))
        door.ask(post(b"/callback", b"authorization: Basic wr0ng-key", b"x-copy: Basic wr0ng-key"))
        assert (len(door.events()), len(door.kept())) == (6, 6)
        assert len({row.shown for row in door.kept()}) > 3
        assert leaks(door) == []
    assert leaks(door) == []


def leaks(door: Signlog) -> list[tuple[str, str]]:
    """Which of those secrets stand in which of the files."""
    secrets = [KEY, NEW_KEY, PATH_SECRET, ENCODED, "c00kie-value", "pr0xy-value", "wr0ng-secret", "wr0ng-key"]
    files = [file for file in door.data.rglob("*") if file.is_file()] + [door.log]
    assert {"signlog.db", "quarantine.db"} <= {file.name for file in files}
    return [(file.name, secret) for file in files for secret in secrets if secret.encode() in file.read_bytes()]


def test_what_came_before_its_source_can_still_be_accepted(tmp_path: Path) -> None:
    """What it showed is known by its label, so that a key configured since tells the real ones from the others."""
    with Signlog(tmp_path, "") as door:
        for key in (KEY, "of somebody else"):
            body = f"with the key {key == KEY}".encode()
            assert (
                door.ask(post(b"/callbacks/onespan", f"authorization: Basic {key}".encode(), body=body)).status == 404
            )
        door.config.write_text(f'data = "{door.data}"\n[sources.onespan]\ncallback_keys = ["{KEY}"]\n')
        accept = ["quarantine", "accept", "--now-valid", "--reason", "configured now", "--config", str(door.config)]
        subprocess.run([sys.executable, "-m", "listener", *accept], check=True, capture_output=True, cwd=ROOT)
        assert [found.body for found in door.events(kind=event.IMPORT)] == [b"with the key True"]


# When the log cannot

NO_SPOOL = "max_spool_bytes = 0\n"


def test_what_the_log_cannot_take_is_spooled(tmp_path: Path) -> None:
    """200 while somebody else has the lock, and then it is in the log, where it belongs; the door is well all along."""
    with Signlog(tmp_path, SOURCES) as door:
        with door.locked():
            assert door.ask(post(b"/callback", ONESPAN, body=b"stuck")).status == 200
            assert door.ask(post(b"/callback", ONESPAN, body=b"behind")).status == 200
            assert door.healthy
        until(lambda: len(door.events(kind=event.CALLBACK)) == 2)
        assert door.ask(post(b"/callback", ONESPAN, body=b"afterwards")).status == 200
        until(lambda: len(door.events(kind=event.CALLBACK)) == 3)
        assert [found.body for found in door.events(kind=event.CALLBACK)] == [b"stuck", b"behind", b"afterwards"]


def test_what_is_not_stored_is_answered_503(tmp_path: Path) -> None:
    """With Retry-After, never 200 and never a 4xx; the door is unhealthy then, and well again afterwards."""
    with Signlog(tmp_path, NO_SPOOL + SOURCES) as door:
        with door.locked():
            answer = door.ask(post(b"/callback", ONESPAN, body=b"meanwhile"))
            assert (answer.status, answer.body) == (503, b"")
            assert int(answer.headers["retry-after"]) > 0
            health = door.ask(head(b"/healthz", method=b"GET"))
            assert (health.status, health.body) == (503, b"")
        until(lambda: door.healthy)
        assert door.ask(post(b"/callback", ONESPAN, body=b"afterwards")).status == 200
        bodies = [found.body for found in door.events()]
        assert [body for body in bodies if body != b"meanwhile"] == [b"afterwards"]


def test_a_failed_append_is_answered_503_and_tells_no_body(tmp_path: Path) -> None:
    """What is wrong with the database is said, what it was given is not."""
    with Signlog(tmp_path, NO_SPOOL + SOURCES) as door:
        with door.database.writing() as connection:
            connection.exec_driver_sql(f"CREATE TRIGGER fault BEFORE INSERT ON events {FAULT}")
        answer = door.ask(post(b"/callback", ONESPAN, b"x-a: header-value", body=b"body-value"))
        assert (answer.status, "retry-after" in answer.headers, door.healthy) == (503, True, False)
        with door.database.writing() as connection:
            connection.exec_driver_sql("DROP TRIGGER fault")
        until(lambda: door.healthy)
        assert door.ask(post(b"/callback", ONESPAN)).status == 200
        assert "a fault of ours" in door.complaints
        assert "header-value" not in door.complaints
        assert "body-value" not in door.complaints


def test_a_refusal_that_cannot_be_kept_is_our_own_fault(tmp_path: Path) -> None:
    """503, so that a sender who tries again may; and it is said why there is no trace of it."""
    with Signlog(tmp_path, SOURCES) as door:
        with contextlib.closing(sqlite3.connect(door.data / "quarantine.db")) as connection:
            connection.execute(f"CREATE TRIGGER fault BEFORE INSERT ON quarantine {FAULT}")
        assert door.ask(post(b"/callback", body=b"body-value")).status == 503
        assert "a fault of ours" in door.complaints
        assert "body-value" not in door.complaints


# Memory


def stuff(door: Signlog, stack: ExitStack, count: int, size: int, *headers: bytes) -> list[Client]:
    """Connections that each send a body of `size` bytes but for its last one, or as much as is put up with."""
    clients = [stack.enter_context(door.client()) for _ in range(count)]
    for client in clients:
        client.send(head(b"/callback", *headers, b"content-length: %d" % size))
        with contextlib.suppress(ConnectionError):
            client.send(b"x" * (size - 1))
    return clients


def answered(clients: list[Client]) -> list[int]:
    """The statuses of those who have their answers by now."""
    ready, _, _ = select.select([client.socket for client in clients], [], [], 0)
    return [client.answer().status for client in clients if client.socket in ready]


def test_unfinished_bodies_share_a_bounded_memory(exposed: Signlog) -> None:
    """Some are taken in; when there is no room for more, those that come are told to try again."""
    before = exposed.memory()
    with ExitStack() as stack:
        clients = stuff(exposed, stack, 50, 8 * MIB, ONESPAN)
        until(lambda: len(exposed.kept()) >= 40)
        assert exposed.memory() - before < 128 * MIB
        assert set(answered(clients[1:])) == {503}
        assert clients[0].send(b"x").answer().status == 200


def test_refused_bodies_weigh_next_to_nothing(door: Signlog) -> None:
    """Hundreds of megabytes that nobody asked for: of each only the beginning is read."""
    before, last = door.memory(), door.last_kept()
    with ExitStack() as stack:
        stuff(door, stack, 50, 8 * MIB, via("192.0.2.1"))
        until(lambda: door.last_kept() == last + 50)
        assert door.memory() - before < 32 * MIB


def test_refused_bodies_do_not_crowd_out_others(tmp_path: Path) -> None:
    """They have a share of their own: where there is no room left for them, a slow callback is still let in."""
    with Signlog(tmp_path, SOURCES) as door, ExitStack() as stack:
        assert door.sends(post(b"/callback", ONESPAN, via("192.0.2.1"))).event.client == "192.0.2.1"
        stuff(door, stack, 80, MIB, via("192.0.2.1"))
        until(lambda: door.last_kept() >= 60)
        assert not any(row.whole for row in door.kept())
        client = stack.enter_context(door.client())
        client.send(head(b"/callback", ONESPAN, b"content-length: %d" % MIB), b"x" * (MIB - 1))
        assert client.send(b"x").answer().status == 200
        assert [len(found.body or b"") for found in door.events()] == [len(BODY), MIB]


# The end


def load(door: Signlog, number: int, acknowledged: list[bytes]) -> None:
    """Send one callback after the other until the door closes, and note which ones were answered 200."""
    with contextlib.suppress(ConnectionError, IndexError), door.client() as client:
        for count in range(100_000):
            body = b"%d-%d" % (number, count)
            if client.send(post(b"/callback", ONESPAN, body=body)).answer().status == 200:
                acknowledged.append(body)


def test_what_was_acknowledged_is_in_the_log_after_a_stop(tmp_path: Path) -> None:
    """The stop comes in the middle of the load; whoever was told 200 was told the truth."""
    acknowledged: list[bytes] = []
    with Signlog(tmp_path, SOURCES) as door:
        threads = [threading.Thread(target=load, args=(door, number, acknowledged)) for number in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(acknowledged) > 200)
        door.process.terminate()
        assert door.process.wait(PATIENCE) == 0
        for thread in threads:
            thread.join(PATIENCE)
        bodies = [found.body for found in door.events()]
    assert set(acknowledged) <= set(bodies)
    assert len(bodies) == len(set(bodies))


def test_a_stop_waits_for_what_waits_for_the_log(tmp_path: Path) -> None:
    """Callbacks that came whole are stored and answered before the end."""
    bodies = [b"%d" % number for number in range(20)]
    with Signlog(tmp_path, SOURCES) as door, ExitStack() as stack:
        clients = [stack.enter_context(door.client()) for _ in bodies]
        for client, body in zip(clients, bodies, strict=True):
            client.send(head(b"/callback", ONESPAN, length(body), b"expect: 100-continue"))
            assert client.answer().status == 100
        with door.locked():
            for client, body in zip(clients, bodies, strict=True):
                client.send(body)
            door.process.terminate()
            until(door.refuses)
        assert [client.answer().status for client in clients] == [200] * len(bodies)
        assert door.process.wait(PATIENCE) == 0
        assert sorted(found.body or b"" for found in door.events()) == sorted(bodies)


# The beginning


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ("[sources.onespan]", "sources.onespan"),
        ("[sources.evrotrust]", "sources.evrotrust"),
        ("[sources.onespan]\ncallback_keys = []\nunauthenticated = false", "sources.onespan"),
        ('trusted_proxies = ["10.0.0.0/8"]\n[sources.evrotrust]\nallow = ["10.1.0.0/16"]', "sources.evrotrust.allow"),
    ],
)
def test_a_source_that_anyone_could_forge_stops_the_start(tmp_path: Path, config: str, key: str) -> None:
    """Exit 2, and a sentence that names the key; nothing is created."""
    found = started(tmp_path, config)
    assert (found.returncode, found.stdout) == (2, "")
    assert key in found.stderr
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "data").exists()


def test_it_listens_where_it_is_told(tmp_path: Path) -> None:
    """At the port configured, which a second one then cannot have: exit 2, and a sentence that names the key."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
    config = tmp_path / "signlog.toml"
    config.write_text(f'data = "{tmp_path}/data"\ndoor.port = {port}\n[sources.onespan]\ncallback_keys = ["{KEY}"]\n')
    process = subprocess.Popen(serve(config), stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        until(connects(port))
        with Client(("127.0.0.1", port)) as client:
            assert client.send(post(b"/callback", ONESPAN)).answer().status == 200
        (tmp_path / "second").mkdir()
        second = started(tmp_path / "second", f"door.port = {port}")
        assert (second.returncode, "door.port" in second.stderr) == (2, True)
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0


def connects(port: int) -> Callable[[], bool]:
    def connected() -> bool:
        with contextlib.suppress(ConnectionError):
            socket.create_connection(("127.0.0.1", port)).close()
            return True
        return False

    return connected
