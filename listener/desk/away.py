"""What waits for the database; and what can be said while it is away."""

from typing import Any, Final

from listener import api, times
from listener.log import spool
from listener.quarantine import Quarantine
from listener.settings import Settings

_UNKNOWN: Final = (
    *(
        "head",
        "projected",
        "lag_events",
        "lag_seconds",
        "wanted",
        "held",
        "stored",
        "failed",
        "abandoned",
        "signatures",
    ),
    *("faults", "missed", "anomalies", "heartbeat", "replay_pending", "workers"),
)


def spooled(settings: Settings, alarms: list[str]) -> dict[str, Any]:
    """How many callbacks wait in the spool of this machine, and since when."""
    folder = settings.spool_folder
    found = spool.standing(folder)
    since = times.written(found.since)
    if found.callbacks:
        alarms.append(
            f"callbacks that wait in {folder}: {found.callbacks}, since {since}; the door appends them when the "
            "database is back. Start the database, or end whoever holds its lock; and keep 'signlog serve' running"
        )
    if found.damaged:
        alarms.append(
            f"lines of the spool that cannot be read: {found.damaged}, in {folder / spool.DAMAGED}; "
            "'signlog import' appends what can be saved of them; then remove the file"
        )
    return {"spooled": found.callbacks, "spooled_since": since}


def health(settings: Settings, quarantine: Quarantine, why: str) -> dict[str, Any]:
    """The keys of any report; null is what only the database knows."""
    alarms = list[str]()
    alarms.append(f"the database cannot be used: {why.strip()}")
    waits = spooled(settings, alarms)
    rows, _ = quarantine.count()
    sources = {name: _source(settings, name) for name in settings.sources}
    known = {"sources": sources, "quarantined": rows, "alarms": alarms, "notes": []}
    return {**dict.fromkeys(_UNKNOWN), **waits, **known}


def _source(settings: Settings, name: str) -> dict[str, Any]:
    source = settings.sources[name]
    has_access = api.named(source.provider).missing(source.access) is None
    return {"provider": source.provider, "last_callback": None, "api_access": has_access, "reconciled": None}
