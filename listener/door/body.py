"""Reading a request's body without letting strangers own the memory."""

from typing import NamedTuple

from starlette.types import Receive


class Share:
    """A number of bytes that all unfinished bodies share."""

    def __init__(self, size: int) -> None:
        self._free = size

    def take(self, size: int) -> bool:
        """Reserve bytes, if there are that many."""
        if size > self._free:
            return False
        self._free -= size
        return True

    def give(self, size: int) -> None:
        """Return them."""
        self._free += size


class Body(NamedTuple):
    """What came, and why it is not all there if it is not: `too large`, `cut short` or `no room`."""

    content: bytes
    problem: str | None = None


TOO_LARGE = "too large"
CUT_SHORT = "cut short"
NO_ROOM = "no room"


async def read(receive: Receive, limit: int, share: Share) -> Body:
    """At most `limit` bytes. One that ends with the first message costs no share."""
    message = await receive()
    content = message.get("body", b"")
    if message["type"] == "http.request" and not message.get("more_body", False):
        return Body(content, None) if len(content) <= limit else Body(content[:limit], TOO_LARGE)
    taken = 0
    try:
        chunks: list[bytes] = []
        while True:
            if message["type"] == "http.disconnect":
                return Body(b"".join(chunks), CUT_SHORT)
            chunk = message.get("body", b"")
            if not share.take(len(chunk)):
                return Body(b"".join(chunks), NO_ROOM)
            taken += len(chunk)
            chunks.append(chunk)
            if taken > limit:
                return Body(b"".join(chunks)[:limit], TOO_LARGE)
            if not message.get("more_body", False):
                return Body(b"".join(chunks))
            message = await receive()
    finally:
        share.give(taken)
