"""A failed download is tried again less and less often, by our clock, and not for ever."""

import pytest

from listener import errors
from listener.worker import schedule

HOUR = 3600.0
EXPECTED = [1, 3, 10, 30, 120, 600] + [HOUR] * 72
BROKEN = errors.Unusable("HTTP 500")
MISSING = errors.NotAccessible("HTTP 404")


def test_the_waits_are_those_of_the_design() -> None:
    """1, 3, 10, 30 s, 2, 10 min, then hourly for three days, each ± 20 %."""
    for attempt, seconds in enumerate(EXPECTED, start=1):
        waits = [schedule.after(attempt, BROKEN) or 0.0 for _ in range(50)]
        assert all(0.8 * seconds <= wait <= 1.2 * seconds for wait in waits)


def test_it_ends_after_three_days() -> None:
    """The try after the last wait was the last one."""
    assert schedule.after(len(EXPECTED), BROKEN) is not None
    assert schedule.after(len(EXPECTED) + 1, BROKEN) is None
    assert schedule.after(len(EXPECTED) + 100, BROKEN) is None


def test_what_is_not_for_us_is_asked_for_a_few_times_only() -> None:
    """403 and 404: a little over two hours, then a person must look."""
    waits = [schedule.after(attempt, MISSING) for attempt in range(1, 12)]
    assert waits[8:] == [None] * 3
    assert 2 * HOUR * 0.8 <= sum(wait or 0 for wait in waits) <= 2.3 * HOUR * 1.2


def test_what_cannot_be_opened_is_not_tried_again() -> None:
    """Nothing changes until a person does something; what only broke is tried again."""
    assert schedule.after(1, errors.Hopeless("no private key opens it")) is None
    assert schedule.after(1, errors.Unusable("decryption ended with -9")) is not None


def test_equal_failures_do_not_come_back_at_once() -> None:
    """The jitter is drawn anew each time."""
    assert len({schedule.after(5, BROKEN) for _ in range(20)}) > 10


@pytest.mark.parametrize(
    ("asked", "least", "most"), [(5.0, 5, 5), (0.0, 0.8, 1.2), (0.5, 0.8, 1.2), (1e9, 86400, 86400)]
)
def test_a_provider_may_ask_for_patience(asked: float, least: float, most: float) -> None:
    """Retry-After is respected where it is longer than our own wait, and never for more than a day."""
    wait = schedule.after(1, errors.Unusable("HTTP 429", asked))
    assert wait is not None
    assert least <= wait <= most


def test_patience_does_not_prolong_the_end() -> None:
    """A provider that always asks for a minute is given up like any other."""
    assert schedule.after(len(EXPECTED) + 1, errors.Unusable("HTTP 503", 60.0)) is None


def test_an_error_of_our_own_has_a_schedule_too() -> None:
    """Whatever broke, it is tried again."""
    assert schedule.after(1, OSError("disk")) is not None
