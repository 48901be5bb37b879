"""The token endpoint: a provider shows its client's secret and is given a token for its callbacks (RFC 6749, 4.4).

OneSpan shows it in the Authorization header or in the form, whichever is chosen there
(https://docs.onespan.com/docs/managing-event-notifications).
"""

import base64
import binascii
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec
import structlog
from starlette.types import Receive

from listener.door import body, token
from listener.door.body import Share
from listener.door.client import Headers
from listener.door.gate import Gate
from listener.door.token import Pair

_log = structlog.get_logger()

MOST_BYTES: Final = 8 * 1024  # of a form; a real one has two hundred
_MOST_FIELDS: Final = 16  # a real one has up to four
MOST_FAILURES: Final = 10  # of one client within …
WINDOW_SECONDS: Final = 60.0
_MOST_CLIENTS: Final = 4096  # that are remembered: strangers must not fill the memory
_UNUSABLE: Final = {body.TOO_LARGE: 413, body.CUT_SHORT: 408, body.NO_ROOM: 503}


class Answer(NamedTuple):
    """A status and a JSON body, if there is anything to say."""

    status: int
    content: bytes = b""


class Exchange:
    """Gives tokens for all sources that have a client."""

    def __init__(self, gates: Mapping[str, Gate], share: Share) -> None:
        self._gates = gates
        self._share = share
        self._strangers = Strangers()
        self._silent_until = 0.0

    async def respond(self, source: str, headers: Headers, caller: str, receive: Receive) -> Answer:
        """Answer a POST. Nobody is told whether the id or the secret was wrong."""
        known = self._gates.get(source)
        if known is None or known.tokens is None:
            return Answer(404)
        if not known.allows(caller) or not self._strangers.may_try(caller):
            return Answer(429 if known.allows(caller) else 403)
        form = await body.read(receive, MOST_BYTES, self._share)
        if form.problem is not None:
            return Answer(_UNUSABLE[form.problem])
        fields = _fields(form.content)
        made = known.tokens.issue(_shown(headers, fields))
        if made is None:
            self._tell(source, caller)
            return Answer(401, _json(error="invalid_client"))
        self._strangers.right(caller)
        return _granted(made, fields)

    def _tell(self, source: str, caller: str) -> None:
        """Note a wrong secret, and log it; once a second at the most."""
        self._strangers.failed(caller)
        if time.monotonic() >= self._silent_until:
            self._silent_until = time.monotonic() + 1
            _log.warning("token_refused", source=source, client=caller)


class Strangers:
    """Clients that showed a wrong secret, and how often of late. Who showed a right one before is no stranger.

    Behind a proxy that is not trusted all clients are one, and nobody may shut the provider out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, tuple[int, float]] = {}
        self._known: dict[str, None] = {}

    def may_try(self, client: str) -> bool:
        """Whether this client may show a secret now."""
        return client in self._known or self._recent(client)[0] < MOST_FAILURES

    def failed(self, client: str) -> None:
        """Note a wrong secret."""
        failures, since = self._recent(client)
        _put(self._failures, client, (failures + 1, since))

    def right(self, client: str) -> None:
        """Note a right one."""
        self._failures.pop(client, None)
        _put(self._known, client, None)

    def _recent(self, client: str) -> tuple[int, float]:
        """How many failures, and since when; none once a minute has passed since the first of them."""
        failures, since = self._failures.get(client, (0, 0.0))
        return (failures, since) if failures and self._clock() < since + WINDOW_SECONDS else (0, self._clock())


_Value = TypeVar("_Value")


def _put(clients: dict[str, _Value], client: str, value: _Value) -> None:
    """Remember so many, the newest."""
    clients.pop(client, None)
    clients[client] = value
    if len(clients) > _MOST_CLIENTS:
        del clients[next(iter(clients))]


def _granted(made: str, fields: Sequence[Pair]) -> Answer:
    if (b"grant_type", b"client_credentials") not in fields:
        return Answer(400, _json(error="unsupported_grant_type"))
    return Answer(200, _json(access_token=made, token_type="Bearer", expires_in=token.SECONDS))  # noqa: S106


def _fields(form: bytes) -> Sequence[Pair]:
    try:
        return parse_qsl(form, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return []


def _shown(headers: Headers, fields: Sequence[Pair]) -> Iterator[Pair]:
    """Pairs of id and secret. In a header they should be encoded like a form (RFC 6749, 2.3.1), and often are not."""
    for name, value in headers:
        if name == b"authorization" and value[:6].lower() == b"basic ":
            client_id, _, secret = _decoded(value[6:].strip()).partition(b":")
            yield client_id, secret
            yield unquote_to_bytes(client_id.replace(b"+", b" ")), unquote_to_bytes(secret.replace(b"+", b" "))
    found = dict(fields)
    if b"client_id" in found and b"client_secret" in found:
        yield found[b"client_id"], found[b"client_secret"]


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _json(**fields: str | int) -> bytes:
    return msgspec.json.encode(fields)
