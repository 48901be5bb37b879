"""When a download that failed is tried again: by our clock, less and less often, and not for ever."""

import random
from collections.abc import Mapping
from typing import Final

from listener import errors

SECONDS: Final = (1, 3, 10, 30, 120, 600)
HOURLY: Final = 3600
DAYS: Final = 3
JITTER: Final = 0.2  # so that a thousand failures of one minute do not come back in one minute
RETRIES: Final = len(SECONDS) + DAYS * 24
RETRIES_NOT_ACCESSIBLE: Final = len(SECONDS) + 2  # a little over two hours: it may have been a role that changed
_RETRIES: Final[Mapping[type[Exception], int]] = {errors.NotAccessible: RETRIES_NOT_ACCESSIBLE, errors.Hopeless: 0}
_LONGEST_RETRY_AFTER: Final = 24 * 3600


def after(attempt: int, error: Exception) -> float | None:
    """Seconds until the next try after this many, None if there should be none."""
    if attempt > _RETRIES.get(type(error), RETRIES):
        return None
    seconds = SECONDS[attempt - 1] if attempt <= len(SECONDS) else HOURLY
    jittered = seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  not a secret
    return max(jittered, asked(error))


def asked(error: Exception) -> float:
    """Seconds that the provider asked us to wait, within reason; 0 if it named none."""
    seconds = error.retry_after if isinstance(error, errors.ProviderError) else None
    return min(seconds or 0.0, _LONGEST_RETRY_AFTER)
