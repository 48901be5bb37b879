"""Reading a body: whole and to the byte, or known not to be, and never more of it than was planned."""

import asyncio
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from listener.door import body
from listener.door.body import Body, Share

LIMIT = 1000
PLENTY = 1 << 30


def whole(*pieces: bytes) -> Iterator[Message]:
    """The messages of a body that comes to its end."""
    for piece in pieces[:-1]:
        yield {"type": "http.request", "body": piece, "more_body": True}
    yield {"type": "http.request", "body": pieces[-1]}


def endless(pieces: Iterable[bytes]) -> Iterator[Message]:
    """The messages of one that has not ended yet."""
    for piece in pieces:
        yield {"type": "http.request", "body": piece, "more_body": True}


def cut(*pieces: bytes) -> Iterator[Message]:
    """The messages of one whose client goes away."""
    yield from endless(pieces)
    yield {"type": "http.disconnect"}


def read(messages: Iterator[Message], limit: int = LIMIT, share: Share | None = None) -> Body:
    """What is read of them; reading on where nothing comes any more is an error."""

    async def receive() -> Message:
        return next(messages)

    return asyncio.run(body.read(receive, limit, share or Share(PLENTY)))


@pytest.mark.parametrize(
    "pieces",
    [(b"",), (b"\0\xff\r\n",), (b"x" * LIMIT,), (b"", b"a", b"", b"b", b""), (b"x" * 400, b"y" * 600), (b"x",) * LIMIT],
    ids=["empty", "binary", "limit", "empty pieces", "limit in two", "limit in drops"],
)
def test_a_body_within_the_limit_is_whole(pieces: tuple[bytes, ...]) -> None:
    """Up to and including its last allowed byte, however it was cut up on its way."""
    assert read(whole(*pieces)) == Body(b"".join(pieces), None)


@pytest.mark.parametrize(
    "pieces",
    [(b"x" * (LIMIT + 1),), (b"x" * LIMIT, b"y"), (b"x",) * (LIMIT + 1)],
    ids=["at once", "one piece more", "in drops"],
)
def test_a_body_of_one_byte_more_is_too_large(pieces: tuple[bytes, ...]) -> None:
    """It is never taken for a whole one, and what was read is there to be looked at."""
    assert read(whole(*pieces)) == Body(b"".join(pieces), body.TOO_LARGE)


def test_one_too_large_is_not_read_to_its_end() -> None:
    """Who sends ten gigabytes has his answer after the first of them."""
    assert read(endless([b"x" * LIMIT, b"y"])).problem == body.TOO_LARGE


@pytest.mark.parametrize("pieces", [(), (b"",), (b"abc",), (b"abc", b"def")])
def test_a_body_cut_short_is_not_whole(pieces: tuple[bytes, ...]) -> None:
    """Its client went away in the middle of it, or before."""
    assert read(cut(*pieces)) == Body(b"".join(pieces), body.CUT_SHORT)


@pytest.mark.parametrize("size", [body.PART_BYTES, body.PART_BYTES + 1])
def test_no_more_than_the_beginning_is_kept_of_what_is_not_whole(size: int) -> None:
    """It is evidence for a person, not something to fold."""
    sent = bytes(range(256)) * (size // 256) + b"!" * (size % 256)
    beginning = sent[: 64 * 1024]
    assert read(cut(sent), PLENTY) == Body(beginning, body.CUT_SHORT)
    assert read(whole(sent), LIMIT) == Body(beginning, body.TOO_LARGE)
    assert read(whole(sent, b"x"), LIMIT) == Body(beginning, body.TOO_LARGE)
    assert read(endless([sent, b"x"]), PLENTY, Share(size)) == Body(beginning, body.NO_ROOM)


def test_a_whole_body_may_be_larger_than_that() -> None:
    """All of it is there."""
    sent = b"x" * (body.PART_BYTES + 1)
    assert read(whole(sent, b"y"), PLENTY) == Body(sent + b"y", None)


def test_a_body_that_comes_at_once_costs_no_share() -> None:
    """Nearly all do, and then nobody else has to wait."""
    assert read(whole(b"abc"), share=Share(0)) == Body(b"abc", None)


def test_one_that_comes_in_pieces_needs_its_share() -> None:
    """What there is no room for any more is not whole."""
    assert read(whole(b"abc", b"def"), share=Share(6)) == Body(b"abcdef", None)
    assert read(whole(b"abc", b"def"), share=Share(5)) == Body(b"abc", body.NO_ROOM)
    assert read(whole(b"abc", b"def"), share=Share(2)) == Body(b"", body.NO_ROOM)


def test_a_share_is_what_unfinished_bodies_have_together() -> None:
    """One body has to do with what the others left; when they are done, all is there again."""
    share = Share(10)
    assert share.take(7)
    assert read(whole(b"ab", b"cd"), share=share).problem == body.NO_ROOM
    share.give(7)
    assert read(whole(b"ab", b"cd"), share=share).problem is None


@pytest.mark.parametrize(
    "messages",
    [
        lambda: whole(b"abc", b"def"),
        lambda: whole(b"x" * LIMIT, b"y"),
        lambda: cut(b"abc", b"def"),
        lambda: endless([b"x" * LIMIT, b"y" * LIMIT]),
    ],
    ids=["whole", "too large", "cut short", "no room"],
)
def test_a_share_is_given_back_however_it_ends(messages: Callable[[], Iterator[Message]]) -> None:
    """To the byte: else the door would lose its memory of what is free, and refuse everything in the end."""
    share = Share(LIMIT + 1)
    read(messages(), share=share)
    assert share.take(LIMIT + 1)
    assert not share.take(1)


def test_a_share_is_given_back_when_reading_fails() -> None:
    """Whatever goes wrong on the connection."""
    share = Share(3)

    async def receive() -> Message:
        if share.take(3):
            share.give(3)
            return {"type": "http.request", "body": b"abc", "more_body": True}
        raise ConnectionError

    with pytest.raises(ConnectionError):
        asyncio.run(body.read(receive, LIMIT, share))
    assert share.take(3)


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=20), st.integers(0, 60))
def test_pieces_mean_nothing(pieces: list[bytes], limit: int) -> None:
    """A body is whole exactly if its bytes are within the limit, wherever the network cut them."""
    sent = b"".join(pieces)
    found = read(whole(*pieces), limit)
    assert found.problem == (None if len(sent) <= limit else body.TOO_LARGE)
    assert found.content == sent[: len(found.content)]
    assert len(found.content) == len(sent) or len(found.content) > limit


def test_a_body_in_drops_weighs_no_more_than_its_bytes() -> None:
    """Kept as a list of pieces, the smallest ones would weigh thirty times what they are counted as."""
    drops = (number.to_bytes(2, "big") for number in range(50_000))
    tracemalloc.start()
    try:
        assert len(read(chain(endless(drops), whole(b"")), PLENTY).content) == 100_000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
