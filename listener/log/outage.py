"""A time in which the database is away: since why, and when to ask it again."""

from collections.abc import Callable
from typing import Final

import structlog

_log = structlog.get_logger()

FIRST_SECONDS: Final = 1.0  # until it is asked again; twice as long each time
LONGEST_SECONDS: Final = 10.0
_QUIET_SECONDS: Final = 60.0  # between two lines in our logs that say the same


class Outage:
    """Goes on until `end`. `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float], away: bool) -> None:
        self.away = away
        self.why = "the database was away at the start"
        self._clock = clock
        self._pause = 0.0
        self._again_at = 0.0
        self._quiet_until = 0.0

    @property
    def is_to_be_asked(self) -> bool:
        """Whether it is time again. Whoever refuses is not asked all the time to look at what waits."""
        return self._clock() >= self._again_at

    def begin(self, why: str) -> None:
        """It is away from now on, if it was not before."""
        if not self.away:
            self.away, self.why = True, why
            _log.error("database_away", why=why)

    def asked_in_vain(self, said: str, waiting: int) -> None:
        """It is away still, and so many bytes wait for it."""
        self._pause = min(2 * self._pause or FIRST_SECONDS, LONGEST_SECONDS)
        self._again_at = self._clock() + self._pause
        if self._clock() > self._quiet_until:
            self._quiet_until = self._clock() + _QUIET_SECONDS
            _log.warning("database_still_away", error=said, spooled_bytes=waiting)

    def end(self, head: int) -> None:
        """It is back, and has what waited up to this position."""
        if self.away:
            _log.warning("database_back", head=head)
        self.away = False
        self._pause = self._again_at = 0.0
