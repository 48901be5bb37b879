"""The public app: bounded body, authenticate, append, answer. Nothing heavier runs in its process."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

import structlog
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from listener import errors, provider
from listener.door import address, body, client, redaction
from listener.door.address import Address, TokenAddress
from listener.door.body import Body, Share
from listener.door.exchange import Exchange
from listener.door.gate import Gate, Nobody, Verdict
from listener.log import event
from listener.log.database import Database
from listener.log.event import Draft, written
from listener.log.reader import Tip
from listener.log.spool import Spool
from listener.log.writer import Writer
from listener.quarantine import Quarantine, Refused

_log = structlog.get_logger()

UNFINISHED_BYTES: Final = 48 * 1024 * 1024  # of callbacks that were let in …
UNFINISHED_REFUSED_BYTES: Final = 16 * 1024 * 1024  # … and of all others: strangers cannot crowd out senders
KEEPING_BYTES: Final = 32 * 1024 * 1024  # of refused callbacks on their way into the quarantine
_MOST_REGULARS: Final = 4096  # addresses that callbacks came from; more are forgotten, the first one first
_RETRY_AFTER: Final = (b"retry-after", b"5")


def _answer(status: int, *headers: tuple[bytes, bytes], content: bytes = b"") -> tuple[Message, Message]:
    length = (b"content-length", str(len(content)).encode())
    start = {"type": "http.response.start", "status": status, "headers": [length, *headers]}
    return start, {"type": "http.response.body", "body": content}


_ANSWERS: Final = {
    200: _answer(200),
    401: _answer(401),
    403: _answer(403),
    404: _answer(404),
    405: _answer(405, (b"allow", b"POST")),
    408: _answer(408),
    413: _answer(413),
    429: _answer(429, (b"retry-after", b"60")),
    503: _answer(503, _RETRY_AFTER),
}
_STATUS: Final = {body.TOO_LARGE: 413, body.CUT_SHORT: 408, body.NO_ROOM: 503}
_TOKEN_HEADERS: Final = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))
_HEALTHY: Final = _answer(200, (b"content-type", b"text/plain"), content=b"ok")


class Door:
    """One ASGI callable: routes by the raw path itself, because a router's redirect would lose a callback."""

    def __init__(
        self,
        gates: Mapping[str, Gate],
        nobody: Nobody,
        quarantine: Quarantine,
        max_body_bytes: int,
        trusted: tuple[client.Network, ...],
    ) -> None:
        self._gates = gates
        self._nobody = nobody
        self._quarantine = quarantine
        self._max_body_bytes = max_body_bytes
        self._trusted = trusted
        self._share = Share(UNFINISHED_BYTES)
        self._refused_share = Share(UNFINISHED_REFUSED_BYTES)
        self._keeping_share = Share(KEEPING_BYTES)
        self._exchange = Exchange(gates, self._refused_share)
        self._regulars: dict[str, None] = {}
        self._refusals = Refusals()
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="quarantine")
        self.writer: Writer | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            start, content = await self._respond(scope, receive)
        except Exception as error:  # our own fault, whatever it is: the sender may try again
            _log.exception("door_failed", error=repr(error))
            start, content = _ANSWERS[503]
        await send(start)
        await send(content)

    async def close(self) -> None:
        """Keep what is being kept, store what was taken in."""
        if self.writer is not None:
            await self.writer.close()
        await asyncio.to_thread(self._keeper.shutdown)

    def welcome(self, clients: Iterable[str]) -> None:
        """Clients that events came from before: what they send is kept whole even when it is refused."""
        self._regulars.update(dict.fromkeys(clients))

    async def _respond(self, scope: Scope, receive: Receive) -> tuple[Message, Message]:
        found = address.resolve(scope["raw_path"])
        if found is None:
            return _ANSWERS[404]
        if isinstance(found, str):
            if scope["method"] not in ("GET", "HEAD"):  # a 200 would tell a lost callback that it is stored
                return _ANSWERS[404]
            return _HEALTHY if self.writer is not None and self.writer.healthy else _ANSWERS[503]
        if scope["method"] != "POST":
            return _ANSWERS[405]
        if isinstance(found, TokenAddress):
            return await self._token(scope, receive, found)
        return _ANSWERS[await self._callback(scope, receive, found)]

    async def _token(self, scope: Scope, receive: Receive, found: TokenAddress) -> tuple[Message, Message]:
        """What a provider's client is told that asks for a token."""
        answer = await self._exchange.respond(found.source, scope["headers"], self._caller(scope)[1], receive)
        if not answer.content:
            return _ANSWERS[answer.status]
        asks = [(b"www-authenticate", b"Basic")] if answer.status == 401 else []
        return _answer(answer.status, *_TOKEN_HEADERS, *asks, content=answer.content)

    def _caller(self, scope: Scope) -> tuple[str, str]:
        """Who is at the other end of the connection, and who called."""
        peer = client.canonical(scope["client"][0]) if scope["client"] else ""
        return peer, client.client(peer, scope["headers"], self._trusted)

    async def _callback(self, scope: Scope, receive: Receive, found: Address) -> int:
        """The status to answer a callback with: 200 only once it is durable."""
        peer, caller = self._caller(scope)
        known = self._gates.get(found.source)
        verdict = (known or self._nobody).ask(scope["headers"], found.below, caller)
        source = found.source if known else redaction.hide(found.source, verdict.secrets)
        head = Head(source, known, peer, caller, scope, verdict)
        if known is None or verdict.status != 200:
            limit = self._max_body_bytes if caller in self._regulars else body.PART_BYTES
            content = await body.read(receive, min(limit, self._max_body_bytes), self._refused_share)
            return await self._refuse(head, verdict.status, verdict.reason, content)
        content = await body.read(receive, self._max_body_bytes, self._share)
        if content.problem is not None:
            return await self._refuse(head, _STATUS[content.problem], f"body {content.problem}", content)
        return await self._append(head, known, content.content)

    async def _append(self, head: "Head", known: Gate, content: bytes) -> int:
        draft = Draft(
            event.CALLBACK,
            head.source,
            known.source.provider,
            content,
            head.headers(),
            "POST",
            head.target(),
            head.peer,
            head.caller,
            head.verdict.credential,
        )
        try:
            if self.writer is None:
                raise errors.LogUnavailable("not started")
            await self.writer.submit(draft)
        except errors.LogError as error:
            _log.error("callback_not_stored", source=draft.source, error=str(error))
            return 503
        if head.caller not in self._regulars:
            self._remember(head.caller)
        return 200

    def _remember(self, caller: str) -> None:
        if len(self._regulars) >= _MOST_REGULARS:
            del self._regulars[next(iter(self._regulars))]
        self._regulars[caller] = None

    async def _refuse(self, head: "Head", status: int, reason: str, content: Body) -> int:
        """Keep what is refused, before the answer: nobody sends it again, and a key may only have been mixed up."""
        whole = content.problem is None
        genuine = head.caller in self._regulars or (whole and head.recognised(content.content))
        refused = Refused(
            head.source,
            status,
            reason,
            head.peer,
            head.caller,
            genuine,
            head.verdict.shown,
            head.target(),
            head.headers(),
            content.content,
            whole,
        )
        return status if await self._keep(refused) else 503  # not kept is our own fault: the sender may try again

    async def _keep(self, refused: Refused) -> bool:
        """Put it into quarantine, durably; whether that went well."""
        size = len(refused.body) + len(refused.headers)
        if not self._keeping_share.take(size):
            _log.error("quarantine_full", source=refused.source, status=refused.status, reason=refused.reason)
            return False
        try:
            await asyncio.get_running_loop().run_in_executor(self._keeper, self._quarantine.keep, refused)
            self._refusals.tell(refused)
            return True
        except Exception as error:
            _log.error("quarantine_failed", source=refused.source, status=refused.status, error=repr(error))
            return False
        finally:
            self._keeping_share.give(size)


class Refusals:
    """Tells the log of refused callbacks, once a second at the most: all of them are in the quarantine."""

    def __init__(self) -> None:
        self._silent_until = 0.0
        self._untold = 0

    def tell(self, refused: Refused) -> None:
        """Log this one, with how many were not logged since the last."""
        if time.monotonic() < self._silent_until:
            self._untold += 1
            return
        self._silent_until = time.monotonic() + 1
        _log.warning(
            "callback_refused",
            source=refused.source,
            status=refused.status,
            reason=refused.reason,
            client=refused.client,
            untold=self._untold,
        )
        self._untold = 0


class Head(NamedTuple):
    """A request before its body, and what the gate said of it."""

    source: str
    gate: Gate | None
    peer: str
    caller: str
    scope: Scope
    verdict: Verdict

    def headers(self) -> str:
        """The headers as they may be kept."""
        return written(redaction.redacted(self.scope["headers"], self.verdict.secrets))

    def target(self) -> str:
        """Path and query as received, without secrets."""
        query = self.scope["query_string"]
        raw = self.scope["raw_path"] + (b"?" + query if query else b"")
        return redaction.hide(raw.decode("latin-1"), self.verdict.secrets)

    def recognised(self, content: bytes) -> bool:
        """Whether it looks like a callback of a provider that we know, let in or not."""
        providers = [self.gate.provider] if self.gate else [provider.named(name) for name in provider.names()]
        return any(known.recognises(self.scope["path"], content) for known in providers)


def app(door: Door, database: Database, spool: Spool, tip: Tip | None) -> ASGIApp:
    """The door as Starlette runs it: the writer lives as long as the app does; `tip` is as it takes it."""

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        door.writer = Writer(database, spool, tip)
        try:
            yield
        finally:
            await door.close()
            spool.close()

    return Router(default=door, lifespan=lifespan, redirect_slashes=False)
