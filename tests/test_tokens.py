"""Tokens that end: got once for everybody, renewed in time, and by one thread at a time."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from listener import errors, tokens
from listener.tokens import Token, Tokens

THREADS = 8


class Issuer:
    """Gives one token after another, and notices when two ask at once."""

    def __init__(self, seconds: float = 100.0) -> None:
        self.seconds = seconds
        self.given = 0
        self.at_once = 0
        self._asking = threading.Semaphore(1)

    def __call__(self) -> Token:
        if not self._asking.acquire(blocking=False):
            self.at_once += 1
            raise AssertionError("two at once")
        time.sleep(0.02)  # long enough for others to come in, if they could
        self.given += 1
        self._asking.release()
        return Token(f"token {self.given}", time.monotonic() + self.seconds)


def together(ask: Callable[[], str]) -> set[str]:
    """What threads get that ask at the same moment."""
    start = threading.Barrier(THREADS)

    def one(_: int) -> str:
        start.wait(20)
        return ask()

    with ThreadPoolExecutor(THREADS) as pool:
        return set(pool.map(one, range(THREADS)))


def test_nobody_is_asked_before_a_token_is_needed() -> None:
    """An account that fetches nothing gets none."""
    issuer = Issuer()
    found = Tokens(issuer)
    assert issuer.given == 0
    assert (found.current(), found.current(), issuer.given) == ("token 1", "token 1", 1)


def test_a_token_is_renewed_when_it_ends() -> None:
    """The next one who needs it gets another."""
    issuer = Issuer(seconds=0)
    found = Tokens(issuer)
    assert (found.current(), found.current()) == ("token 1", "token 2")


def test_threads_share_one_renewal() -> None:
    """However many come at once: the first asks, the others wait and take what it got."""
    issuer = Issuer()
    found = Tokens(issuer)
    assert together(found.current) == {"token 1"}
    assert together(lambda: found.instead_of("token 1")) == {"token 2"}
    assert (issuer.given, issuer.at_once) == (2, 0)


def test_two_renewals_at_once_would_be_noticed() -> None:
    """The test above is able to fail."""
    issuer = Issuer()
    with pytest.raises(AssertionError, match="two at once"):
        together(lambda: issuer().value)


def test_a_token_that_was_renewed_meanwhile_is_not_renewed_again() -> None:
    """Whose request was under way with the old one takes the new one."""
    issuer = Issuer()
    found = Tokens(issuer)
    old = found.current()
    assert found.instead_of(old) == "token 2"
    assert found.instead_of(old) == "token 2"
    assert issuer.given == 2


def test_a_renewal_that_fails_is_tried_again_by_the_next_one() -> None:
    """The error reaches who needed the token, and nobody else."""
    left = iter([errors.Unusable("HTTP 503"), errors.Unauthorized("HTTP 401")])

    def renew() -> Token:
        for error in left:
            raise error
        return Token("good", time.monotonic() + 100)

    found = Tokens(renew)
    for error in (errors.Unusable, errors.Unauthorized):
        with pytest.raises(error):
            found.current()
    assert found.current() == "good"


@pytest.mark.parametrize(
    ("seconds", "counts"),
    [
        (300.0, 300.0),
        (-1e300, tokens.SHORTEST_SECONDS),
        (0.0, tokens.SHORTEST_SECONDS),
        (1e300, tokens.LONGEST_SECONDS),
    ],
)
def test_how_long_it_lives_is_a_hint(seconds: float, counts: float) -> None:
    """A clock that differs from ours neither makes us ask all the time nor keep it for ever."""
    ends = tokens.token("abc", seconds).ends
    assert counts - 10 < ends - time.monotonic() <= counts


@pytest.mark.parametrize("value", ["", "a b", "a\nb", "\u00e9", "a\x00"])
def test_a_token_that_fits_into_no_header_is_none(value: str) -> None:
    """It would end as another header, or as an error far from here."""
    with pytest.raises(errors.Unusable, match="fits into no header"):
        tokens.token(value, 300)
    assert tokens.token("abc.def-_~+/=", 300).value == "abc.def-_~+/="


def test_a_token_is_not_shown() -> None:
    """In no log and no traceback."""
    assert "s3cret" not in repr(Token("s3cret", 1.0))
