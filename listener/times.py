"""Times as people write them: RFC 3339 in UTC with microseconds, and back to microseconds."""

import datetime

from listener import errors

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_FIRST = datetime.datetime.min.replace(tzinfo=datetime.UTC)
_LAST = datetime.datetime.max.replace(tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def written(micros: int | None) -> str | None:
    """2026-11-22T05:16:23.000001Z; None stays None. What RFC 3339 has no year for is written as its first or last."""
    if micros is None:
        return None
    within = min(max(micros, (_FIRST - _EPOCH) // _MICROSECOND), (_LAST - _EPOCH) // _MICROSECOND)
    moment = _EPOCH + within * _MICROSECOND
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def read(text: str) -> int:
    """Microseconds UTC of a time, a day, an age such as 15m, 2h, 7d, or +7d from now. Raises ConfigurationError."""
    try:
        moment = _away(text) or datetime.datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise errors.ConfigurationError(
            f"{text!r} is no time; write 2026-11-22T05:16:23Z, 2026-11-22, an age such as 15m, 2h, 7d, or +7d from now"
        ) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return (aware - _EPOCH) // _MICROSECOND


def _away(text: str) -> datetime.datetime | None:
    """When that long ago was, or with a plus in front will be; None if the text says neither."""
    number = text[:-1].removeprefix("+")
    if text[-1:] not in _UNITS or not number.isdecimal():
        return None
    away = datetime.timedelta(seconds=int(number) * _UNITS[text[-1]])
    return datetime.datetime.now(datetime.UTC) + (away if text.startswith("+") else -away)
