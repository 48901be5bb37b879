"""A token that a provider's API gives for a while: got when it is needed, renewed before it ends."""

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from listener import errors

SHORTEST_SECONDS: Final = 20.0  # a clock that differs from ours must not make us ask for each request
LONGEST_SECONDS: Final = 24 * 3600.0  # whatever they say: what never ends would never be asked for again


class Token(NamedTuple):
    """What to show, and until when: seconds of the monotonic clock."""

    value: str
    ends: float

    def __repr__(self) -> str:
        """Without the value."""
        return f"Token(ends={self.ends!r})"


def token(value: str, seconds: float) -> Token:
    """A token for so many seconds, which are a hint: whether it is still good the provider says. Raises Unusable."""
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise errors.Unusable("HTTP 200 with a token that fits into no header")
    return Token(value, time.monotonic() + min(max(seconds, SHORTEST_SECONDS), LONGEST_SECONDS))


class Tokens:
    """The token of one account. All threads share it, and one at a time renews it while the others wait for it."""

    def __init__(self, renew: Callable[[], Token]) -> None:
        """`renew` asks the provider; what it raises reaches whoever needed the token."""
        self._renew = renew
        self._renewing = threading.Lock()
        self._token = Token("", 0.0)

    def current(self) -> str:
        """The token to show now."""
        with self._renewing:
            if time.monotonic() >= self._token.ends:
                self._token = self._renew()
            return self._token.value

    def instead_of(self, refused: str) -> str:
        """The token to show after this one was refused; another thread may have renewed it meanwhile."""
        with self._renewing:
            if self._token.value == refused:
                self._token = self._renew()
            return self._token.value
