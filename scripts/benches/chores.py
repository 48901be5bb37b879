"""What the replay bench times, each in a process: `python -m scripts.benches.chores CHORE CONFIG [EVENTS]`."""

import itertools
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from listener import bootstrap, logs, settings
from listener.log import reader
from listener.log.append import append
from listener.log.database import Database
from listener.settings import Settings
from scripts.benches.generator import drafts

SEED: Final = 20_261_122
_ROWS_AT_ONCE: Final = 10_000


def fill(found: Settings, events: int) -> None:
    """A log of so many callbacks, behind what is in force."""
    bootstrap.prepare(found)
    with bootstrap.existing_log(found) as database:
        made = itertools.islice(drafts(SEED), events)
        while page := list(itertools.islice(made, _ROWS_AT_ONCE)):
            with database.writing() as connection:
                append(connection, page)
            database.checkpoint()


def live(found: Settings) -> None:
    """The worker's first run: the live generation, from the first event to the head."""
    with bootstrap.existing_log(found) as database, bootstrap.worker(found, database) as (projector, _downloads):
        projector.catch_up()
        projector.close()


def bare(found: Settings) -> None:
    """What any replay in Python must at least do: read, decode, and fold into one dict."""
    with bootstrap.existing_log(found) as database:
        packages: dict[str, tuple[str, int]] = {}
        decode = msgspec.json.decode
        connection = database.engine.raw_connection()
        for _position, body in connection.cursor().execute("SELECT position, body FROM events ORDER BY position"):
            try:
                fields = decode(body)
                package, name = fields["packageId"], fields["name"]
            except (ValueError, KeyError, TypeError):
                continue
            packages[package] = name, packages.get(package, ("", 0))[1] + 1
        connection.close()


def plan(found: Settings) -> None:
    """signlog replay --plan: all projections built anew and compared with what is live."""
    with bootstrap.existing_log(found) as database:
        planned = bootstrap.replay(found, database).plan()
    if planned.different:
        raise SystemExit(f"the same code made something else of the same events: {planned.summary}")


CHORES: Final[dict[str, Callable[..., None]]] = {"fill": fill, "live": live, "bare": bare, "plan": plan}


def _timed(chore: Callable[..., None], config: Path, arguments: Sequence[int]) -> dict[str, float]:
    found = settings.load(config)
    started = time.perf_counter()
    chore(found, *arguments)
    seconds = time.perf_counter() - started
    with bootstrap.existing_log(found) as database:
        return {"seconds": seconds, "events": _head(database), "peak_mb": _peak_megabytes()}


def _head(database: Database) -> int:
    with database.reading() as connection:
        return reader.head(connection)


def _peak_megabytes() -> float:
    """Peak resident memory of this process, and of the largest that it waited for.

    Not ru_maxrss of our own: across exec that keeps the peak of whoever started us.
    """
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return (int(own.split()[1]) + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


if __name__ == "__main__":
    logs.configure()
    print(json.dumps(_timed(CHORES[sys.argv[1]], Path(sys.argv[2]), [int(number) for number in sys.argv[3:]])))
