"""What crosses the wire of an imitation: what was asked, what is answered, and the connection itself."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.types import Receive, Send


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; `status` is what was answered, None when nothing was (dropped, hung)."""

    call: str
    method: str
    path: str  # as sent, percent-encoding untouched, without the query
    query: str  # as sent
    headers: Mapping[str, str]  # names in lower case, duplicates joined with ", "
    body: bytes
    params: Mapping[str, str] = field(default_factory=dict)  # the query, decoded
    ids: Mapping[str, str] = field(default_factory=dict)  # the variable parts of the path, decoded
    status: int | None = None


@dataclass(frozen=True)
class Answer:
    """One answer before it is sent; Content-Length is added on the way out."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(value: object, status: int = 200, content_type: str = "application/json") -> Answer:
    """Return `value` as compact JSON in UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Answer(status, text.encode(), content_type)


@dataclass(frozen=True)
class Wire:
    """One connection while it is being answered: ASGI for what is proper, the transport for what is not."""

    receive: Receive
    send: Send
    transport: asyncio.Transport
    stopping: Callable[[], bool]

    async def head(self, answer: Answer, length: int, *, close: bool = False) -> None:
        """Send the status line and headers, promising `length` bytes of body."""
        named = {"content-type": answer.content_type, "content-length": str(length), **answer.headers}
        named |= {"connection": "close"} if close else {}
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
        await self.send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def body(self, piece: bytes, *, more: bool = False) -> None:
        """Send a piece of the body that was promised."""
        await self.send({"type": "http.response.body", "body": piece, "more_body": more})

    async def close(self, last: bytes = b"") -> None:
        """Write `last`, whatever the head promised, and close; returns when the connection is gone."""
        self.transport.write(last)
        self.transport.close()
        await self._gone()

    async def drop(self) -> None:
        """Cut the connection, with nothing more on it."""
        self.transport.abort()
        await self._gone()

    async def pause(self, seconds: float) -> bool:
        """Wait; return False early when the client has gone or the imitation stops."""
        end = asyncio.get_running_loop().time() + seconds
        while not (self.stopping() or self.transport.is_closing()):
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return True
            await asyncio.sleep(min(left, 0.02))
        return False

    async def _gone(self) -> None:
        # Until uvicorn has seen the loss itself, returning would make it log an unfinished response as our mistake.
        while (await self.receive())["type"] != "http.disconnect":
            pass
