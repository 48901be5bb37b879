"""What strangers can do to a connection, and what they cannot: the real server over real sockets."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from listener.door.protocol import BoundedProtocol
from tests.echo import Client, Door, until

GET = b"GET / HTTP/1.1\r\n\r\n"
UNFINISHED = b"GET / HTTP/1.1\r\nhost: "
POST = b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n"
HELD = b"POST /hold HTTP/1.1\r\ncontent-length: 0\r\n\r\n"
EXPECTANT = b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
UPGRADE = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with Door() as door:
        yield door


def head(size: int, start: bytes = GET) -> bytes:
    """A head like `start`, padded to exactly that many bytes."""
    return start[:-2] + b"padding: " + b"x" * (size - len(start) - len(b"padding: \r\n")) + b"\r\n\r\n"


def flood(client: Client, piece: bytes, megabytes: int = 64) -> Client:
    """Send a lot, or as much as the server puts up with."""
    try:
        for _ in range(megabytes * (1 << 20) // len(piece)):
            client.send(piece)
    except ConnectionError:
        pass
    return client


def cut_off(client: Client) -> bool:
    """Send one more byte, and see whether anybody still takes it."""
    try:
        client.send(b"x")
    except ConnectionError:
        return True
    return False


def test_a_head_of_the_largest_size_is_served_and_leaves_its_allowance_to_the_next(door: Door) -> None:
    """The limit is exact, and each head of a connection has all of it."""
    with door.client() as client:
        for _ in range(3):
            assert client.send(head(BoundedProtocol.HEAD_BYTES)).answer().status == 200


def test_a_head_of_the_largest_size_leaves_its_allowance_to_the_body(door: Door) -> None:
    """What a head has used up is not missing afterwards."""
    with door.client() as client:
        assert client.send(head(BoundedProtocol.HEAD_BYTES, EXPECTANT)).answer().status == 100
        assert client.send(b"hello").answer().seen["length"] == 5


def test_a_long_trailer_leaves_its_allowance_to_the_next_head(door: Door) -> None:
    """What the end of a message has used up is not missing afterwards either."""
    with door.client() as client:
        assert client.send(CHUNKED[:-2], b"expect: 100-continue\r\n\r\n").answer().status == 100
        assert client.send(b"0\r\ntrailer: ", b"x" * 20_000, b"\r\n\r\n").answer().seen["length"] == 0
        assert client.send(head(BoundedProtocol.HEAD_BYTES)).answer().status == 200


def test_a_head_one_byte_larger_is_refused(door: Door) -> None:
    """431, and the end of the connection, which the answer announces."""
    with door.client() as client:
        answer = client.send(head(BoundedProtocol.HEAD_BYTES + 1)).answer()
        assert (answer.status, answer.headers["connection"], client.ended()) == (431, "close", True)


@pytest.mark.parametrize(("count", "status"), [(BoundedProtocol.HEADERS, 200), (BoundedProtocol.HEADERS + 1, 431)])
def test_headers_are_counted(door: Door, count: int, status: int) -> None:
    """Tiny headers cost far more memory than bytes, so there is a limit to their number, too."""
    assert door.ask(b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * count + b"\r\n").status == status


def test_headers_are_counted_before_the_head_is_complete(door: Door) -> None:
    """A head that is never finished does not keep thousands of headers either."""
    with door.client() as client:
        assert client.send(b"GET / HTTP/1.1\r\n", b"a:b\r\n" * 1000).answer().status == 431


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (UNFINISHED, b"x" * (1 << 20)),
        (b"GET /", b"x" * (1 << 20)),
        (b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 100_000),
        (b"", b"\r\n" * 500_000),
    ],
    ids=["value", "target", "headers", "empty lines"],
)
def test_an_endless_head_costs_no_memory(door: Door, start: bytes, piece: bytes) -> None:
    """Sixty megabytes of head leave the server as small as it was: nothing beyond the allowance reaches the parser."""
    before = door.memory()
    with door.client() as client:
        client.send(start)
        flood(client, piece)
        assert door.memory() - before < 8 << 20


def test_an_endless_body_costs_no_memory(door: Door) -> None:
    """A body that the app reads may be as long as it likes: it is not kept here."""
    before = door.memory()
    with door.client() as client:
        client.send(b"POST / HTTP/1.1\r\ncontent-length: 67108864\r\n\r\n")
        assert flood(client, b"x" * (1 << 20)).answer().seen["length"] == 64 << 20
        assert door.memory() - before < 8 << 20


def test_a_head_that_takes_too_long_ends_the_connection_and_slow_work_does_not() -> None:
    """Slow heads are cut off, on a new connection as on a kept one; a request that came whole waits for its answer."""
    with Door(HEAD_SECONDS=0.2) as door, door.client() as working, door.client() as silent, door.client() as kept:
        working.send(b"GET /hold HTTP/1.1\r\n\r\n")
        until(lambda: door.ask().seen["holding"] == 1)
        assert kept.send(GET).answer().status == 200
        assert kept.send(UNFINISHED).ended()
        assert silent.ended()
        door.release()
        assert working.answer().status == 200


def test_a_head_that_trickles_in_gains_no_time() -> None:
    """The clock of a head starts once, not with each byte."""
    with Door(HEAD_SECONDS=0.2) as door, door.client() as client:
        client.send(UNFINISHED)
        until(lambda: cut_off(client))


def test_a_first_byte_gains_no_time() -> None:
    """A new connection has its seconds to send a head, not to begin one: whoever came first is first to be late."""
    with Door(HEAD_SECONDS=0.3) as door, door.client() as first, door.client() as second:
        time.sleep(0.1)
        first.send(UNFINISHED)
        assert second.ended()
        assert first.ended(timeout=0)


def test_a_head_begun_behind_another_request_has_a_clock_too() -> None:
    """The first bytes of the next head may come in one piece with the end of a request before."""
    with Door(HEAD_SECONDS=0.2) as door, door.client() as client:
        assert client.send(GET, UNFINISHED).answer().status == 200
        assert client.ended()


def test_a_body_that_takes_too_long_ends_the_connection() -> None:
    """Also when the head was quick."""
    with Door(BODY_SECONDS=0.2) as door, door.client() as client:
        assert client.send(POST, b"hell").ended()
        assert door.ask(POST + b"hello").seen["length"] == 5


def test_an_idle_connection_is_closed_in_time() -> None:
    """uvicorn's keep-alive timeout holds, without uvicorn's timers."""
    with Door(keep_alive=0) as door, door.client() as client:
        assert client.send(GET).answer().status == 200
        assert client.ended()


def test_an_idle_connection_is_kept_until_then(door: Door) -> None:
    """Several requests share a connection."""
    with door.client() as client:
        assert [client.send(GET).answer().status for _ in range(3)] == [200, 200, 200]


def test_a_client_that_does_not_read_its_answer_is_dropped() -> None:
    """An answer nobody takes does not keep a connection for ever."""
    with Door(STALL_SECONDS=0.2) as door:
        before = door.descriptors()
        with door.client() as client:
            assert client.send(b"GET /big HTTP/1.1\r\n\r\n").incoming.readline() == b"HTTP/1.1 200 OK\r\n"
            until(lambda: door.descriptors() == before)


def test_a_client_that_reads_its_answer_is_kept() -> None:
    """Once it has taken a large answer its clock stands still."""
    with Door(STALL_SECONDS=0.5, HEAD_SECONDS=0.6) as door, door.client() as client:
        assert len(client.send(b"GET /big HTTP/1.1\r\n\r\n").answer().body) == 1 << 25
        with door.client() as silent:
            assert silent.ended()
        assert client.send(GET).answer().status == 200


def test_the_connection_that_has_idled_longest_makes_room() -> None:
    """One too many costs the oldest of those who wait between requests and are still there, and nobody else."""
    with Door(CONNECTIONS=2) as door:
        assert door.ask().status == 200
        with door.client() as first, door.client() as second:
            for client in (first, second, first):
                assert client.send(GET).answer().status == 200
            assert door.ask().status == 200
            assert second.ended()
            assert first.send(GET).answer().status == 200


def test_an_unfinished_head_makes_room() -> None:
    """Who only begins a request is no safer than who is idle, on a new connection as on a kept one."""
    with Door(CONNECTIONS=3) as door, ExitStack() as stack:
        new, kept, idle = (stack.enter_context(door.client()) for _ in range(3))
        new.send(UNFINISHED)
        for client in (kept, idle):
            assert client.send(GET).answer().status == 200
        kept.send(UNFINISHED)
        for unfinished in (new, kept):
            assert stack.enter_context(door.client()).send(GET).answer().status == 200
            assert unfinished.ended()
        assert idle.send(GET).answer().status == 200


def test_the_slowest_body_makes_room_when_nobody_is_idle() -> None:
    """A real callback's body is short: whoever takes long to send one may be holding connections on purpose."""
    with Door(CONNECTIONS=2) as door, ExitStack() as stack:
        slowest, slow = (stack.enter_context(door.client()) for _ in range(2))
        for client in (slowest, slow):
            assert client.send(EXPECTANT).answer().status == 100
        assert door.ask().status == 200
        assert slowest.ended()
        assert slow.send(b"hello").answer().status == 200


def test_connections_that_wait_for_their_answer_make_no_room() -> None:
    """When everybody has sent a whole request, new ones are turned away: 503, try again."""
    with Door(CONNECTIONS=2) as door, ExitStack() as stack:
        working = [stack.enter_context(door.client()) for _ in range(2)]
        for client in working:
            client.send(HELD)
        for late in [stack.enter_context(door.client()) for _ in range(20)]:
            answer = late.answer()
            assert (answer.status, answer.headers["retry-after"], late.ended()) == (503, "1", True)
        door.release()
        assert [client.answer().status for client in working] == [200, 200]


def test_many_connections_stay_within_the_limit() -> None:
    """However many come, the server holds no more sockets than it should, and still answers."""
    with Door(CONNECTIONS=8) as door, ExitStack() as stack:
        before = door.descriptors()
        for _ in range(200):
            stack.enter_context(door.client()).send(UNFINISHED)
        assert door.ask().status == 200
        until(lambda: door.descriptors() <= before + 8)


def test_trailers_and_chunk_extensions_are_read_over(door: Door) -> None:
    """They are no part of the body, and none of the headers."""
    answer = door.ask(CHUNKED + b"5;why=not\r\nhello\r\n0\r\nauthorization: me\r\n\r\n")
    assert (answer.seen["length"], answer.seen["headers"]) == (5, [["transfer-encoding", "chunked"]])


@pytest.mark.parametrize("start", [b"5;", b"5\r\nhello\r\n0\r\na: "], ids=["extension", "trailer"])
def test_an_endless_trailer_or_chunk_extension_ends_the_connection(door: Door, start: bytes) -> None:
    """Bytes that bring a body no further have a limit, and cost no memory."""
    before = door.memory()
    with door.client() as client:
        flood(client.send(CHUNKED, start), b"x" * (1 << 16))
        until(lambda: cut_off(client))
        assert door.memory() - before < 8 << 20


def test_pipelined_requests_are_answered_in_order(door: Door) -> None:
    """One at work and as many queued as there may be."""
    paths = [f"/{number}" for number in range(BoundedProtocol.QUEUED + 1)]
    with door.client() as client:
        client.send(*(f"GET {path} HTTP/1.1\r\n\r\n".encode() for path in paths))
        assert [client.answer().seen["path"] for _ in paths] == paths


def test_a_connection_is_read_on_after_a_pipeline(door: Door) -> None:
    """Reading pauses while requests queue up, and goes on though the app never asks for a body."""
    with door.client() as client:
        client.send(b"GET /early HTTP/1.1\r\n\r\n" * 2)
        assert [client.answer().status for _ in range(2)] == [200, 200]
        assert client.send(GET).answer().status == 200


def test_one_pipelined_request_too_many_ends_the_connection(door: Door) -> None:
    """Those before it are answered, it is not."""
    with door.client() as client:
        client.send(GET * (BoundedProtocol.QUEUED + 2))
        assert [client.answer().status for _ in range(BoundedProtocol.QUEUED + 1)] == [200] * 9
        assert client.ended()


def test_a_pipelining_client_may_vanish(door: Door) -> None:
    """uvicorn alone writes to the closed socket and logs a traceback; the fixture finds the log empty."""
    with door.client() as client:
        client.send(b"GET /hold HTTP/1.1\r\n\r\n", GET)
        until(lambda: door.ask().seen["holding"] == 1)
        before = door.descriptors()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: door.descriptors() < before)
    door.release()
    assert door.ask().status == 200


def test_an_answer_before_the_body_ends_the_connection(door: Door) -> None:
    """Nobody reads ten gigabytes that nobody wants; a client that sends on a little finds its answer and no reset."""
    with door.client() as client:
        with door.stopped():
            client.send(b"POST /early HTTP/1.1\r\ncontent-length: 10737418240\r\n\r\n", b"x" * 100_000)
        assert client.send(b"x" * 20_000_000).answer().status == 200
        assert client.incoming.read() == b""


def test_a_hopeless_sender_loses_its_socket() -> None:
    """One that goes on sending after its answer is cut off in the end."""
    with Door(LINGER_SECONDS=0.1) as door, door.client() as client:
        client.send(b"POST /early HTTP/1.1\r\ncontent-length: 10737418240\r\n\r\n")
        assert client.answer().status == 200
        assert client.ended()
        until(lambda: cut_off(client))


def test_an_answer_after_an_unread_but_whole_body_keeps_the_connection(door: Door) -> None:
    """What arrived together with its head needs no draining."""
    with door.client() as client:
        for _ in range(2):
            assert client.send(b"POST /early HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello").answer().status == 200


@pytest.mark.parametrize(
    "request_line",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM",
        b"POST http://[ HTTP/1.1",
        b"POST http://host HTTP/1.1",
        b"POST host:99999 HTTP/1.1",
        b"POST /caf\xc3\xa9 HTTP/1.1",
        b"POST /?\xff HTTP/1.1",
        b"CONNECT a:b HTTP/1.1",
        b"CONNECT host:443 HTTP/1.1",
        b"CONNECT host:443 HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked",
    ],
)
def test_garbage_is_answered_400(door: Door, request_line: bytes) -> None:
    """And ends the connection, quietly: the fixture finds the log empty."""
    with door.client() as client:
        answer = client.send(request_line, b"\r\n\r\n").answer()
        assert (answer.status, answer.headers["connection"], client.ended()) == (400, "close", True)


def test_a_broken_chunk_is_answered_400(door: Door) -> None:
    """Even if the client still awaits its `100 Continue`."""
    with door.client() as client:
        client.send(b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n")
        assert client.answer().status == 400
        assert client.ended()


def test_garbage_takes_no_answer_from_the_request_before_it(door: Door) -> None:
    """A callback that came whole learns that it was stored, whatever follows it."""
    with door.client() as client:
        assert client.send(POST, b"hello", b"\x00garbage").answer().seen["length"] == 5
        assert client.ended()


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"http://host/callback?x=1", "/callback"),
        (b"//document/ready/", "//document/ready/"),
        (b"/%2Fa%00", "/%2Fa%00"),
        (b"*", "*"),
    ],
)
def test_unusual_targets_are_served(door: Door, target: bytes, path: str) -> None:
    """The app sees the path as it was sent, of an absolute form as of any other."""
    assert door.ask(b"POST " + target + b" HTTP/1.1\r\n\r\n").seen["raw_path"] == path


def test_an_upgrade_is_declined_and_its_body_read(door: Door) -> None:
    """`curl --http2` offers h2c with its POST; the app gets a plain request with all its headers."""
    with door.client() as client:
        for _ in range(2):
            seen = client.send(POST[:-2], UPGRADE, b"\r\nhel").send(b"lo").answer().seen
            assert (seen["method"], seen["length"]) == ("POST", 5)
            assert ["upgrade", "h2c"] in seen["headers"]


def test_an_upgrade_may_be_chunked_and_followed(door: Door) -> None:
    """What comes behind the head is parsed on, whatever it is."""
    with door.client() as client:
        client.send(CHUNKED[:-2], UPGRADE, b"\r\n5\r\nhello\r\n0\r\n\r\n", POST, b"hello", b"nonsense\r\n\r\n")
        assert [client.answer().seen["length"] for _ in range(2)] == [5, 5]
        assert client.ended()


@pytest.mark.parametrize(
    ("request_bytes", "length", "version"),
    [
        (POST + b"hello", 5, "1.1"),
        (b"POST / HTTP/1.0\r\ncontent-length: 5\r\n\r\nhello", 5, "1.0"),
        (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 5, "1.1"),
        (b"POST / HTTP/1.1\r\nuser-agent:\r\ncontent-length: 5\r\n\r\nhello", 5, "1.1"),
        (b"POST / HTTP/1.1\r\n\r\n", 0, "1.1"),
        (b"\r\n\r\n" + POST + b"hello", 5, "1.1"),
    ],
    ids=["plain", "HTTP/1.0", "chunked", "empty user agent", "no length", "leading lines"],
)
def test_honest_requests_are_served(door: Door, request_bytes: bytes, length: int, version: str) -> None:
    """Everything that uvicorn understands goes on working."""
    seen = door.ask(request_bytes).seen
    assert (seen["length"], seen["http_version"]) == (length, version)


def test_a_client_may_ask_before_it_sends(door: Door) -> None:
    """`Expect: 100-continue` gets its go-ahead."""
    with door.client() as client:
        assert client.send(EXPECTANT).answer().status == 100
        assert client.send(b"hello").answer().seen["length"] == 5


def test_a_request_may_come_byte_by_byte(door: Door) -> None:
    """The pieces that the network makes mean nothing."""
    with door.client() as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in POST + b"hello":
            client.send(bytes([byte]))
        assert client.answer().seen["length"] == 5


def test_a_client_that_half_closes_gets_its_answer(door: Door) -> None:
    """Who says that nothing more will come still listens: without an answer it would think its callback lost."""
    with door.client() as client:
        client.send(b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer().status == 200
        assert client.ended()


def test_a_client_that_half_closes_too_early_is_let_go(door: Door) -> None:
    """An unfinished request whose rest can never come holds no connection."""
    with door.client() as client:
        client.send(b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhel")
        client.socket.shutdown(socket.SHUT_WR)
        assert client.ended()
