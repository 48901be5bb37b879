"""A replay of a long log: how fast, in how much memory, how evenly, and what the door feels of it."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from scripts.benches.door import FOLDER, configure, fdatasync_ms, free_port, serve, wait_for

EVENTS: Final = 1_000_000
ROUNDS: Final = 3
PER_SECOND: Final = 200
_BARE: Final = 2  # bare loops before a plan, and behind it: one takes two seconds, in which a machine has one mood

Found = dict[str, Any]  # what a child measured


class Round(NamedTuple):
    """Each thing once, one after the other, so that the machine's moods hit all alike."""

    bare: Found
    tenth: Found
    plan: Found
    slowed: Found  # a plan while the door takes callbacks …
    beside: Found  # … and what the door's clients saw
    without: Found


class Figure(NamedTuple):
    """A number of a round, and what is promised of it."""

    name: str
    promised: str
    of: Callable[[Round], float]
    form: str


def _rate(found: Found) -> float:
    return float(found["events"] / found["seconds"])


def _cpu(found: Found) -> float:
    return float(found["cpu"] / found["events"])


_FIGURES: Final = (
    Figure("replay / bare loop", "≥ 0.15", lambda one: _rate(one.plan) / _rate(one.bare), ".3f"),
    Figure("  in CPU only", "", lambda one: _cpu(one.bare) / _cpu(one.plan), ".3f"),
    Figure("  events a second, replay", "", lambda one: _rate(one.plan), ",.0f"),
    Figure("  events a second, bare loop", "", lambda one: _rate(one.bare), ",.0f"),
    Figure("  events a second, replay beside the door", "", lambda one: _rate(one.slowed), ",.0f"),
    Figure("peak memory of a replay, MB", "≤ 300", lambda one: one.plan["peak_mb"], ".0f"),
    Figure("  of a tenth", "", lambda one: one.tenth["peak_mb"], ".0f"),
    Figure("cost of an event, all / a tenth", "≤ 1.3", lambda one: _rate(one.tenth) / _rate(one.plan), ".2f"),
    Figure("  in CPU only", "", lambda one: _cpu(one.plan) / _cpu(one.tenth), ".2f"),
    Figure("worst append beside a replay, ms", "≤ 50", lambda one: one.beside["worst_ms"], ".1f"),
    Figure("  99.9th percentile", "", lambda one: one.beside["p999_ms"], ".1f"),
    Figure("  callbacks not answered with 200", "0", lambda one: one.beside["lost"], ".0f"),
    Figure("worst append without, ms", "", lambda one: one.without["worst_ms"], ".1f"),
    Figure("  99.9th percentile", "", lambda one: one.without["p999_ms"], ".1f"),
)


def run(events: int = EVENTS, rounds: int = ROUNDS, keep: str | None = None) -> None:
    """Print the middle of some rounds over a log of so many callbacks, and behind it each round.

    `keep`: a folder for the logs, which are not made twice; what the door took stays in them.
    """
    Path(FOLDER).mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        small, large = (_prepared(Path(keep or folder), number) for number in (events // 10, events))
        print(f"median fdatasync {fdatasync_ms():.2f} ms", flush=True)
        _show([_round(small, large) for _ in range(rounds)])


def _prepared(folder: Path, events: int) -> Path:
    """The configuration of a log of so many callbacks with its live generation, made if they are not there."""
    here = folder.resolve() / str(events)
    here.mkdir(parents=True, exist_ok=True)
    config = configure(free_port(), str(here))
    filled = here / "filled"
    if not filled.exists():
        print(f"{events:,} callbacks appended at {_rate(_chore('fill', config, str(events))):,.0f}/s", flush=True)
        filled.touch()
    live = _chore("live", config)
    if live["events"]:
        print(f"{live['events']:,} folded at {_rate(live):,.0f}/s, peak {live['peak_mb']:.0f} MB", flush=True)
    return config


def _round(small: Path, large: Path) -> Round:
    tenth = _chore("plan", small)
    before = [_chore("bare", large) for _ in range(_BARE)]
    plan = _chore("plan", large)
    after = [_chore("bare", large) for _ in range(_BARE)]
    with _door(large) as beside:
        slowed = _chore("plan", large)
    with _door(large) as without:
        time.sleep(slowed["seconds"])
    return Round(_together([*before, *after]), tenth, plan, slowed, beside, without)


def _together(found: Sequence[Found]) -> Found:
    """All of them as if they were one."""
    return {name: sum(one[name] for one in found) for name in ("events", "seconds", "cpu")}


@contextmanager
def _door(config: Path) -> Iterator[Found]:
    """A door that takes PER_SECOND callbacks a second meanwhile; what its clients saw is there afterwards."""
    port = free_port()
    server = serve(configure(port, str(config.parent)), "--door")
    found: Found = {}
    try:
        wait_for(port)
        command = [sys.executable, "-m", "scripts.benches.steady", str(port), str(PER_SECOND)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            time.sleep(2)  # until it has warmed the door up
            yield found
            found.update(json.loads(client.communicate()[0]))
    finally:
        server.terminate()
        server.wait()


def _show(rounds: Sequence[Round]) -> None:
    print(f"{'':<44}{'promised':>9}{'found':>12}    rounds")
    for name, promised, of, form in _FIGURES:
        values = [of(one) for one in rounds]
        each = "  ".join(format(value, form) for value in values)
        print(f"{name:<44}{promised:>9}{format(statistics.median(values), form):>12}    {each}")


def _chore(name: str, config: Path, *arguments: str) -> Found:
    """Let a process of its own do it: how long it took, over how many events, how much memory at most."""
    command = [sys.executable, "-m", "scripts.benches.chores", name, str(config), *arguments]
    done = subprocess.run(command, check=False, capture_output=True)
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    found: Found = json.loads(done.stdout)
    return found
