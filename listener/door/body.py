"""Reading a request's body without letting strangers own the memory."""

from typing import Final, NamedTuple

from starlette.types import Receive

TOO_LARGE: Final = "too large"
CUT_SHORT: Final = "cut short"
NO_ROOM: Final = "no room"
PART_BYTES: Final = 64 * 1024  # of a body that is not all there: enough to see what it was


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
    """What came, and why it is not all there if it is not; then it is its first PART_BYTES at most."""

    content: bytes
    problem: str | None = None


async def read(receive: Receive, limit: int, share: Share) -> Body:
    """A body of at most `limit` bytes, or a part of it. One that ends with the first message costs no share."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        content = message.get("body", b"")
        return Body(content) if len(content) <= limit else _part(content, TOO_LARGE)
    content = bytearray()  # and no list of pieces: a body that comes in drops would weigh many times its length
    try:
        while message["type"] != "http.disconnect":
            piece = message.get("body", b"")
            if not share.take(len(piece)):
                return _part(content, NO_ROOM)
            content += piece
            if len(content) > limit:
                return _part(content, TOO_LARGE)
            if not message.get("more_body", False):
                return Body(bytes(content))
            message = await receive()
        return _part(content, CUT_SHORT)
    finally:
        share.give(len(content))


def _part(content: bytes | bytearray, problem: str) -> Body:
    return Body(bytes(content[:PART_BYTES]), problem)
