"""What the replay bench times, each in a process: `python -m scripts.benches.chores CHORE CONFIG [EVENTS]`."""

import itertools
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from listener import bootstrap, bootstrap_working, logs, settings
from listener.cli.replay import GIVES_WAY
from listener.log import reader
from listener.log.append import append
from listener.log.database import Database
from listener.settings import Settings
from listener.worker.building import PROCESSES
from listener.worker.replay import Replay
from scripts.benches.generator import drafts

SEED: Final = 20_261_122
_ROWS_AT_ONCE: Final = 10_000


class Timed(NamedTuple):
    """How many events it went over, how many seconds that took, and how many of all our processors' time."""

    events: int
    seconds: float
    cpu: float


def _timed(chore: Callable[[], int]) -> Timed:
    started, before = time.perf_counter(), _cpu_seconds()
    events = chore()
    return Timed(events, time.perf_counter() - started, _cpu_seconds() - before)


def _cpu_seconds() -> float:
    """Of this process and of those that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def fill(found: Settings, events: str) -> Timed:
    """A log of so many callbacks, behind what is in force."""
    bootstrap.prepare(found)
    with bootstrap.existing_log(found) as database:
        return _timed(lambda: _filled(database, int(events)))


def _filled(database: Database, events: int) -> int:
    made = itertools.islice(drafts(SEED), events)
    while page := list(itertools.islice(made, _ROWS_AT_ONCE)):
        with database.writing() as connection:
            append(connection, page)
        database.checkpoint()
    return events


def live(found: Settings) -> Timed:
    """The live generation, as the worker builds it where it finds that it is lost."""
    with bootstrap.existing_log(found) as database:
        with bootstrap_working.leading(found, database) as (projector, _downloads):
            projector.close()
        projector.views.discard()
        return _timed(lambda: _caught_up(found, database))


def _caught_up(found: Settings, database: Database) -> int:
    with bootstrap_working.leading(found, database) as (projector, _downloads), database.reading() as connection:
        projector.catch_up()
        projector.close()
        return reader.head(connection)


def bare(found: Settings) -> Timed:
    """What a replay in Python must at least do: read, decode, and fold into one dict."""
    with bootstrap.existing_log(found) as database:
        return _timed(lambda: _folded(database))


def _folded(database: Database) -> int:
    packages: dict[str, tuple[str, int]] = {}
    decode = msgspec.json.decode
    with database.reading() as connection:
        rows = connection.connection.cursor().execute("SELECT position, body FROM events ORDER BY position")
        for _position, body in rows:
            try:
                fields = decode(body)
                package, name = fields["packageId"], fields["name"]
            except (ValueError, KeyError, TypeError):
                continue
            packages[package] = name, packages.get(package, ("", 0))[1] + 1
        return reader.head(connection)


def plan(found: Settings) -> Timed:
    """signlog replay --plan: all projections built anew, and compared with what is live."""
    os.nice(GIVES_WAY)
    with bootstrap.existing_log(found) as database:
        replay = bootstrap.replay(found, database)
        return _timed(lambda: _planned(replay))


def _planned(replay: Replay) -> int:
    planned = replay.plan()
    if planned.different:
        raise SystemExit(f"the same code made something else of the same events: {planned.summary}")
    return planned.binding.position


def _peak_megabytes() -> float:
    """Peak resident memory of this process and of those that share a build, as if each were as large as the largest.

    Not our own ru_maxrss: that begins with the peak of whoever started us.
    """
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return (int(own.split()[1]) + PROCESSES * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


CHORES: Final[dict[str, Callable[..., Timed]]] = {"fill": fill, "live": live, "bare": bare, "plan": plan}

if __name__ == "__main__":
    logs.configure()
    timed = CHORES[sys.argv[1]](settings.load(Path(sys.argv[2])), *sys.argv[3:])
    print(json.dumps({**timed._asdict(), "peak_mb": _peak_megabytes()}))
