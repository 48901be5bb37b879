"""Times as people write and read them."""

import datetime
import re

import pytest

from listener import errors, times

NOON = 1_795_348_800_000_000  # 2026-11-22T12:00:00Z in microseconds


def test_written_is_rfc_3339_in_utc_with_microseconds() -> None:
    """Always so many digits, so that texts sort as times do."""
    assert times.written(NOON) == "2026-11-22T12:00:00.000000Z"
    assert times.written(NOON + 1) == "2026-11-22T12:00:00.000001Z"
    assert times.written(0) == "1970-01-01T00:00:00.000000Z"
    assert times.written(-1) == "1969-12-31T23:59:59.999999Z"


def test_no_time_is_written_as_none() -> None:
    """JSON's null."""
    assert times.written(None) is None


@pytest.mark.parametrize(
    ("micros", "text"), [(2**63 - 1, "9999-12-31T23:59:59.999999Z"), (-(2**63), "0001-01-01T00:00:00.000000Z")]
)
def test_a_time_beyond_all_years_is_written_as_the_last_or_first(micros: int, text: str) -> None:
    """A provider's clock may say anything: 9999-12-31T23:59:59-12:00 is in the year 10000."""
    assert times.written(micros) == text


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T12:00:00Z",
        "2026-11-22T12:00:00.000000Z",
        "2026-11-22T12:00:00",
        "2026-11-22 12:00",
        "2026-11-22T13:00:00+01:00",
        "20261122T120000Z",
    ],
)
def test_a_time_is_read_however_it_is_written(text: str) -> None:
    """Without a zone it is UTC."""
    assert times.read(text) == NOON


def test_a_day_is_its_first_moment() -> None:
    """In UTC."""
    assert times.read("2026-11-22") == NOON - 12 * 3600 * 1_000_000


def test_what_was_written_is_read_again() -> None:
    """To the microsecond."""
    assert times.read(times.written(NOON + 123_456) or "") == NOON + 123_456


@pytest.mark.parametrize(
    ("age", "seconds"), [("0s", 0), ("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604800), ("+7d", -604800)]
)
def test_an_age_counts_back_from_now(age: str, seconds: int) -> None:
    """Between the moment before the call and the moment after it; with a plus it counts forward."""
    before = datetime.datetime.now(datetime.UTC)
    read = times.read(age)
    after = datetime.datetime.now(datetime.UTC)
    then = datetime.timedelta(seconds=seconds)
    assert before - then <= datetime.datetime.fromtimestamp(read / 1_000_000, datetime.UTC) + _HALF
    assert datetime.datetime.fromtimestamp(read / 1_000_000, datetime.UTC) - _HALF <= after - then


_HALF = datetime.timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2h ago", "h", "-1h", "1.5h", "2026-13-01", "25:00", "9" * 30 + "d", "2026-11-22T12:00:00X"],
)
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    """The sentence says how to write one."""
    told = f"{text!r} is no time; write 2026-11-22T05:16:23Z, 2026-11-22, an age such as 15m, 2h, 7d, or +7d from now"
    with pytest.raises(errors.ConfigurationError, match=f"^{re.escape(told)}$"):
        times.read(text)
