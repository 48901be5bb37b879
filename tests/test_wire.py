"""Asking over HTTP: what comes back is whole and bounded, or an error that says what the caller can do."""

import contextlib
import datetime
import email.utils
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener import errors, wire
from listener.demo import faults
from listener.demo.onespan import OneSpan
from listener.demo.packages import Package
from listener.wire import Wire, retry_after
from tests.rig import ID

PACKAGE = f"/api/packages/{ID}"
ARCHIVE = f"{PACKAGE}/documents/zip"
KEY = {"Authorization": "Basic demonstration"}


@pytest.fixture
def server() -> Iterator[OneSpan]:
    """An account with one package."""
    with OneSpan() as found:
        found.add(Package(ID)).finish()
        yield found


@contextlib.contextmanager
def asking(url: str) -> Iterator[Wire]:
    """A connection pool that is closed in the end."""
    made = Wire(url, KEY)
    try:
        yield made
    finally:
        made.close()


def streamed(found: Wire, path: str = ARCHIVE) -> bytes:
    """A document, whole."""
    with found.stream("GET", path) as stream:
        return b"".join(stream.chunks)


@contextlib.contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """A server that answers each connection with the next of these bytes, whatever it is asked; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answer in answers:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            thread.join(20)


def test_an_answer_and_a_document_come_whole(server: OneSpan) -> None:
    """The status and the body, and a stream with the length that was announced."""
    with asking(server.url) as found:
        code, answer = found.read("GET", PACKAGE)
        assert (code, answer[:7]) == (200, b'{"id":"')
        with found.stream("GET", ARCHIVE) as stream:
            content = b"".join(stream.chunks)
    assert content.startswith(b"PK")
    assert stream.length == len(content)


def test_a_slash_behind_the_address_does_not_matter(server: OneSpan) -> None:
    """Whether the operator wrote one or not, there is one between address and path."""
    with asking(server.url + "/") as found:
        assert found.read("GET", PACKAGE)[0] == 200


def test_the_key_and_the_wish_for_identity_are_sent(server: OneSpan) -> None:
    """Each request carries our headers, and asks for no compression."""
    with asking(server.url) as found:
        found.read("GET", PACKAGE)
    sent = server.requests[0].headers
    assert (sent["authorization"], sent["accept-encoding"]) == ("Basic demonstration", "identity")


def test_a_body_is_sent_and_signed_as_it_is(server: OneSpan) -> None:
    """Byte for byte, as JSON; what stands for it in a header is made of those bytes. Without one there is neither."""
    found = Wire(server.url, {}, sign=lambda content: {"Authorization": f"signed {content!r}"})
    with contextlib.closing(found):
        found.read("POST", "/api/callback", also=(401,), content=b'{"a": "\xc3\xa9"}')
        with contextlib.suppress(errors.Unauthorized), found.stream("POST", ARCHIVE, b"{}"):
            pass
        found.read("GET", PACKAGE, also=(401,))
    first, second, third = server.requests
    assert (first.body, first.headers["authorization"]) == (b'{"a": "\xc3\xa9"}', f"signed {first.body!r}")
    assert (second.method, second.body) == ("POST", b"{}")
    assert first.headers["content-type"] == second.headers["content-type"] == "application/json; charset=utf-8"
    assert (third.body, "content-type" in third.headers) == (b"", False)


@pytest.mark.parametrize(("code", "seconds"), [(443, None), (469, 60.0)])
def test_a_status_may_mean_not_yet(server: OneSpan, code: int, seconds: float | None) -> None:
    """Where a provider says so, with the time that it names; where it does not, it is one more odd number."""
    server.faults.stand("package", faults.Status(code))
    found = Wire(server.url, {}, not_yet={443: None, 469: 60.0})
    with contextlib.closing(found), pytest.raises(errors.NotReady, match=f"HTTP {code}: not yet") as raised:
        found.read("GET", PACKAGE)
    assert raised.value.retry_after == seconds
    with asking(server.url) as another, pytest.raises(errors.Unusable):
        another.read("GET", PACKAGE)


@pytest.mark.parametrize("path", ["/api/packages/..", "/api/packages/.", "/api/packages/../documents/zip"])
def test_an_address_that_would_become_another_is_not_asked(server: OneSpan, path: str) -> None:
    """`..` is a possible id, and percent-encoding leaves it alone: the answer would be about something else."""
    with asking(server.url) as found, pytest.raises(errors.NotAccessible, match="cannot be asked for"):
        found.read("GET", path)
    assert server.requests == ()


@pytest.mark.parametrize(
    "path", ["/api/packages/%2F..%2F", "/api/packages/%00", "/api/packages/-a%25=", "/api/packages/%C3%A9"]
)
def test_what_is_encoded_goes_out_as_it_is(server: OneSpan, path: str) -> None:
    """An encoded address is neither decoded nor encoded again."""
    with asking(server.url) as found, pytest.raises(errors.NotAccessible, match="HTTP 404"):
        found.read("GET", path)
    assert [asked.path for asked in server.requests] == [path]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (401, errors.Unauthorized),
        (403, errors.NotAccessible),
        (404, errors.NotAccessible),
        (204, errors.Unusable),
        (206, errors.Unusable),
        (400, errors.Unusable),
        (429, errors.Unusable),
        (500, errors.Unusable),
        (503, errors.Unusable),
    ],
)
def test_a_status_says_what_to_do(server: OneSpan, code: int, error: type[Exception]) -> None:
    """Whatever page comes with it, for answers and documents alike."""
    server.faults.stand(faults.ANY, faults.Status(code, body=b"" if code == 204 else b"<html>"))
    with asking(server.url) as found:
        with pytest.raises(error, match=f"HTTP {code}"):
            found.read("GET", PACKAGE)
        with pytest.raises(error, match=f"HTTP {code}"):
            streamed(found)


def test_a_status_may_be_an_answer(server: OneSpan) -> None:
    """Who asks says which codes are answers as well; all others stay errors."""
    server.faults.stand(faults.ANY, faults.Status(404, body=b"gone"))
    with asking(server.url) as found:
        assert found.read("GET", PACKAGE, also=(403, 404)) == (404, b"gone")
        with pytest.raises(errors.NotAccessible):
            found.read("GET", PACKAGE, also=(403,))


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_the_key_goes_nowhere(server: OneSpan, code: int) -> None:
    """Another host never hears of the key, whatever the redirect says."""
    with OneSpan() as other, asking(server.url) as found:
        server.faults.stand("package", faults.Status(code, {"Location": f"{other.url}{PACKAGE}"}))
        with pytest.raises(errors.Unusable, match=f"HTTP {code}"):
            found.read("GET", PACKAGE)
        assert other.requests == ()
    assert server.count("package") == 1


@pytest.mark.parametrize("location", ["https://[", "http://\x7f/", "//", "\x80"])
def test_a_redirect_to_nowhere_is_refused_too(server: OneSpan, location: str) -> None:
    """An address that cannot be read is no reason to fall over."""
    server.faults.stand("package", faults.Status(302, {"Location": location}))
    with asking(server.url) as found, pytest.raises(errors.Unusable):
        found.read("GET", PACKAGE)


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "unheard-of"])
def test_a_compressed_answer_is_refused(server: OneSpan, coding: str) -> None:
    """It could be a bomb, and its length could not be checked; identity may be said aloud."""
    server.faults.add("package", faults.Status(200, {"Content-Encoding": coding}, b"\x1f\x8b"))
    server.faults.add("package", faults.Status(200, {"Content-Encoding": "identity"}, b"plain"))
    with asking(server.url) as found:
        with pytest.raises(errors.Unusable, match="compressed"):
            found.read("GET", PACKAGE)
        assert found.read("GET", PACKAGE) == (200, b"plain")


@pytest.mark.parametrize(
    "fault", [faults.Dropped(), faults.Truncated(), faults.Truncated(0), faults.WrongLength(1)], ids=str
)
def test_a_broken_connection_is_no_answer(server: OneSpan, fault: faults.Fault) -> None:
    """Cut before or amid the body, nobody takes it for whole; the next one is as if nothing had been."""
    with asking(server.url) as found:
        for ask in (lambda: found.read("GET", PACKAGE), lambda: streamed(found)):
            server.faults.add(faults.ANY, fault)
            with pytest.raises(errors.Unusable, match="no whole answer"):
                ask()
            ask()


def test_nobody_there_is_no_answer() -> None:
    """A refused connection."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with asking(f"http://127.0.0.1:{port}") as found, pytest.raises(errors.Unusable, match="ConnectError"):
        found.read("GET", PACKAGE)


@pytest.mark.parametrize("url", ["http://", "nonsense://x", "http://127.0.0.1:99999", "http://[::"])
def test_an_address_that_cannot_be_is_no_answer(url: str) -> None:
    """Whatever stands in the configuration, it is an error that is tried again, not a crash."""
    with asking(url) as found, pytest.raises(errors.Unusable):
        found.read("GET", PACKAGE)


def test_patience_has_an_end(server: OneSpan, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the request and says nothing is left."""
    monkeypatch.setattr(wire, "SECONDS", 0.1)
    server.faults.stand(faults.ANY, faults.Hung())
    with asking(server.url) as found:
        with pytest.raises(errors.Unusable, match="ReadTimeout"):
            found.read("GET", PACKAGE)
        with pytest.raises(errors.Unusable, match="ReadTimeout"):
            streamed(found)


def test_an_answer_that_drips_has_an_end(server: OneSpan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece comes in time, all of them do not."""
    monkeypatch.setattr(wire, "ANSWER_SECONDS", 0.1)
    server.faults.stand("package", faults.Slow(0.03, 1000))
    with asking(server.url) as found, pytest.raises(errors.Unusable, match=r"more than 0\.1 s"):
        found.read("GET", PACKAGE)


def test_a_slow_answer_is_whole(server: OneSpan) -> None:
    """Slowness alone is no fault."""
    server.faults.stand(faults.ANY, faults.Slow(0.01, 5))
    with asking(server.url) as found:
        assert found.read("GET", PACKAGE)[1].endswith(b"}")
        assert streamed(found).startswith(b"PK")


def test_a_document_is_handed_over_as_it_comes(server: OneSpan) -> None:
    """The reader gets each piece at once, and can leave between two: it is not kept waiting for a full buffer."""
    server.faults.stand("documents.zip", faults.Slow(0.01, 5))
    with asking(server.url) as found, found.stream("GET", ARCHIVE) as stream:
        assert len(list(stream.chunks)) > 1


def test_an_answer_is_bounded(server: OneSpan, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than an answer can be is left."""
    monkeypatch.setattr(wire, "ANSWER_BYTES", 1000)
    with asking(server.url) as found, pytest.raises(errors.Unusable, match="more than 1000 bytes"):
        found.read("GET", PACKAGE)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 50000,
    ],
    ids=lambda answer: repr(answer[:60]),
)
def test_what_is_no_http_is_no_answer(answer: bytes) -> None:
    """Bytes that break the protocol, or end within it."""
    with answering(answer) as url, asking(url) as found, pytest.raises(errors.Unusable):
        found.read("GET", "/")


def test_a_document_without_a_length_ends_with_the_connection() -> None:
    """Nobody can tell whether it is whole: the length is unknown, and the file must show it."""
    with answering(b"HTTP/1.1 200 OK\r\n\r\nPK") as url, asking(url) as found, found.stream("GET", "/") as stream:
        assert stream.length is None
        assert b"".join(stream.chunks) == b"PK"


def test_an_error_of_the_reader_stays_its_own(server: OneSpan) -> None:
    """What goes wrong on our side of the stream is not blamed on the provider."""
    with asking(server.url) as found, pytest.raises(KeyError), found.stream("GET", ARCHIVE):
        raise KeyError


def test_no_proxy_of_the_environment_is_used(server: OneSpan, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key goes to the configured address and nowhere else."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with asking(server.url) as found:
        assert found.read("GET", PACKAGE)[0] == 200


def test_no_netrc_replaces_the_key(server: OneSpan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials that lie around for this host are not sent."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with asking(server.url) as found:
        assert found.read("GET", PACKAGE)[0] == 200


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, None), ("120", 120.0), (" 7 ", 7.0), ("0", 0.0), ("-5", None), ("1.5", None), ("soon", None), ("", None)],
)
def test_retry_after_in_seconds(value: str | None, seconds: float | None) -> None:
    """A whole number counts, all else names no time."""
    assert retry_after(value) == seconds


@pytest.mark.parametrize("zone", ["GMT", "+0000", "-0000", ""])
def test_retry_after_as_a_date(zone: str) -> None:
    """HTTP's dates are GMT, also where they do not say so; what is past is now."""
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=100)
    seconds = retry_after(f"{email.utils.format_datetime(at).removesuffix(' +0000')} {zone}")
    assert seconds is not None
    assert 90 < seconds <= 100
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


@given(st.one_of(st.text(), st.from_regex(r"Mon, \d{1,3} Jan \d{1,5} \d\d:\d\d:\d\d [+-]?\d{0,30}", fullmatch=True)))
def test_retry_after_is_never_an_error(value: str) -> None:
    """Whatever a server writes, it is a time to wait or none."""
    seconds = retry_after(value)
    assert seconds is None or seconds >= 0


def test_a_status_carries_the_wish_to_wait(server: OneSpan) -> None:
    """The error names what Retry-After said."""
    server.faults.stand("package", faults.Status(429, {"Retry-After": "17"}))
    with asking(server.url) as found, pytest.raises(errors.Unusable) as caught:
        found.read("GET", PACKAGE)
    assert caught.value.retry_after == 17


def test_an_answer_has_the_shape_that_it_should_have() -> None:
    """Whatever else stands in it."""
    assert wire.decoded(b'{"a": 1, "b": "x"}', dict[str, int | str], "pair") == {"a": 1, "b": "x"}


@pytest.mark.parametrize("answer", [b"", b"<html>", b'{"a": "x"}', b"\xff", b"[" * 100_000])
def test_an_answer_without_it_is_unusable(answer: bytes) -> None:
    """Whoever asks is told what it is not."""
    with pytest.raises(errors.Unusable, match="HTTP 200 with something that is no pair"):
        wire.decoded(answer, dict[str, int], "pair")
