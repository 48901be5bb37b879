"""Times as people write them: RFC 3339 in UTC with microseconds, and back to microseconds."""

import datetime

from listener import errors


def written(micros: int | None) -> str | None:
    """2026-11-22T05:16:23.000001Z; None stays None."""
    if micros is None:
        return None
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=micros)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def read(text: str) -> int:
    """Microseconds UTC of a time, a day, or an age such as 15m, 2h, 7d. Raises ConfigurationError."""
    age = text[-1:] in _UNITS and text[:-1].isdecimal()
    if age:
        seconds = int(text[:-1]) * _UNITS[text[-1]]
        moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds)
    else:
        try:
            moment = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise errors.ConfigurationError(
                f"{text!r} is no time; write 2026-11-22T05:16:23Z, 2026-11-22, or an age such as 15m, 2h, 7d"
            ) from None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return (aware - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(microseconds=1)


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
