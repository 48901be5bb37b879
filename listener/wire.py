"""Asking a provider's API over HTTP: bounded, and with errors by what the caller can do about them."""

import contextlib
import datetime
import email.utils
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from listener import errors
from listener.api import Stream
from listener.tokens import Tokens

if TYPE_CHECKING:
    import httpx

ANSWER_BYTES: Final = 16 * 1024 * 1024
ANSWER_SECONDS: Final = 60.0
SECONDS: Final = 20.0  # for each read, not for the whole; a stop waits for it, and has 30 s
JSON: Final = "application/json; charset=utf-8"  # what we send as a body
FORM: Final = "application/x-www-form-urlencoded"

Sign = Callable[[bytes], Mapping[str, str]]
_Shape = TypeVar("_Shape")


class Wire:
    """One provider account's connection pool. Redirects are refused: they would carry the key elsewhere."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        tokens: Tokens | None = None,
        sign: Sign | None = None,
        not_yet: Mapping[int, float | None] | None = None,
    ) -> None:
        """With `tokens` each request shows the current one (RFC 6750); `sign` makes headers out of the body sent.

        `not_yet` are statuses that mean so, and a wait in seconds.
        """
        import httpx  # the door knows providers too, and never asks them anything

        self._url = url.rstrip("/")
        self._tokens = tokens
        self._sign = sign
        self._not_yet = not_yet or {}
        # Compressed answers could be bombs, and their length could not be checked.
        always = {"Accept": "application/json, */*", "Accept-Encoding": "identity"}
        self._client = httpx.Client(headers={**always, **headers}, timeout=SECONDS, trust_env=False)

    def read(
        self, method: str, path: str, also: tuple[int, ...] = (), content: bytes = b"", kind: str = JSON
    ) -> tuple[int, bytes]:
        """Status code and body, for 200 and the codes in `also`. Raises ProviderError for all else.

        `content` is sent as the body, `kind` says of what type it is.
        """
        ends = time.monotonic() + ANSWER_SECONDS
        with self._response(method, path, also, content, kind) as response:
            answer = bytearray()
            for chunk in response.iter_raw():
                answer += chunk
                if len(answer) > ANSWER_BYTES:
                    raise errors.Unusable(f"an answer of more than {ANSWER_BYTES} bytes")
                if time.monotonic() > ends:
                    raise errors.Unusable(f"an answer that takes more than {ANSWER_SECONDS:g} s")
            return response.status_code, bytes(answer)

    @contextlib.contextmanager
    def stream(self, method: str, path: str, content: bytes = b"") -> Iterator[Stream]:
        """A body as it comes, piece by piece, so that the reader can give up in between. Raises ProviderError."""
        with self._response(method, path, (), content) as response:
            length = response.headers.get("content-length", "")
            yield Stream(response.iter_raw(), int(length) if length.isdecimal() else None)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    @contextlib.contextmanager
    def _response(
        self, method: str, path: str, also: tuple[int, ...], content: bytes, kind: str = JSON
    ) -> "Iterator[httpx.Response]":
        import httpx

        try:
            with contextlib.closing(self._send(self._request(method, path, content, kind))) as response:
                if response.status_code != 200 and response.status_code not in also:
                    self._refuse(response)
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise errors.Unusable("compressed, though we asked for identity")
                yield response
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise errors.Unusable(f"no whole answer: {type(error).__name__}: {error}".rstrip(": ")) from error

    def _send(self, request: "httpx.Request") -> "httpx.Response":
        """Send; once more with another token if this one is refused: it may have ended before its time."""
        if self._tokens is None:
            return self._client.send(request, stream=True)
        token = self._tokens.current()
        request.headers["Authorization"] = f"Bearer {token}"
        response = self._client.send(request, stream=True)
        if response.status_code != 401:
            return response
        response.close()
        request.headers["Authorization"] = f"Bearer {self._tokens.instead_of(token)}"
        return self._client.send(request, stream=True)

    def _request(self, method: str, path: str, content: bytes, kind: str) -> "httpx.Request":
        headers = {"Content-Type": kind} if content else {}
        headers |= self._sign(content) if self._sign is not None else {}
        request = self._client.build_request(method, self._url + path, content=content or None, headers=headers)
        if not request.url.raw_path.endswith(path.encode()):
            # httpx resolves "..", which is an id like any other: the answer would be about something else.
            raise errors.NotAccessible(f"{path} cannot be asked for")
        return request

    def _refuse(self, response: "httpx.Response") -> None:
        """Raise what a status means. A firewall in front may answer HTML, so only the number counts."""
        code = response.status_code
        if code in self._not_yet:
            raise errors.NotReady(f"HTTP {code}: not yet", self._not_yet[code])
        if code == 401:
            raise errors.Unauthorized("HTTP 401: the provider refused the API key")
        if code in (403, 404, 406):
            raise errors.NotAccessible(f"HTTP {code}")
        raise errors.Unusable(f"HTTP {code}", retry_after(response.headers.get("retry-after")))


def decoded(answer: bytes, shape: type[_Shape], what: str) -> _Shape:
    """What came with status 200, as the shape of JSON that it should have. Raises Unusable for what is no such thing.

    `what` is that thing, in a word.
    """
    try:
        return msgspec.json.decode(answer, type=shape)
    except (ValueError, RecursionError) as error:
        raise errors.Unusable(f"HTTP 200 with something that is no {what}: {error}") from None


def retry_after(value: str | None) -> float | None:
    """Seconds to wait, if the header names them (https://www.rfc-editor.org/rfc/rfc9110#name-retry-after)."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        at = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=datetime.UTC)
    return max(0.0, (at - datetime.datetime.now(datetime.UTC)).total_seconds())
