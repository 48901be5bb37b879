"""A replay of a long log: how fast, in how much memory, how evenly, and what the door feels of it."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.benches.door import FOLDER, configure, free_port, serve, wait_for

EVENTS = 1_000_000
ROUNDS = 3  # of the bare loop: it is over so soon that noise shows
PER_SECOND = 200

Figures = dict[str, Any]


def run(events: int = EVENTS, keep: str | None = None) -> None:
    """Print the figures for a log of so many callbacks.

    `keep`: a folder for the logs, which are not made twice; what the door took stays in them.
    """
    Path(FOLDER).mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        small, large = (_prepared(Path(keep or folder), number) for number in (events // 10, events))
        bare = statistics.median(_rate(_chore("bare", large)) for _ in range(ROUNDS))
        tenth, plan = _chore("plan", small), _chore("plan", large)
        replay = _rate(plan)
        print(f"{'figure':<40}{'promised':>12}{'found':>12}")
        _row("replay / bare loop", "0.15", f"{replay / bare:.3f}", f"{replay:,.0f}/s beside {bare:,.0f}/s")
        _row("peak memory of a replay", "300 MB", f"{plan['peak_mb']:.0f} MB", f"a tenth: {tenth['peak_mb']:.0f} MB")
        _row("an event of all / of a tenth", "1.3", f"{_rate(tenth) / replay:.2f}", f"a tenth: {_rate(tenth):,.0f}/s")
        _door(large)


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


def _door(config: Path) -> None:
    """The door's latency beside a replay, then for as long without one."""
    with _steady(config) as beside:
        plan = _chore("plan", config)
    with _steady(config) as without:
        time.sleep(plan["seconds"])
    for name, promised, found in (("beside a replay", "50 ms", beside), ("without", "", without)):
        told = f"{found['sent']:,.0f} at {PER_SECOND}/s, refused {found['refused'] + found['unanswered']}"
        _row(f"worst append {name}", promised, f"{found['worst_ms']:.1f} ms", told)
        _row(f"99.9th percentile {name}", "", f"{found['p999_ms']:.1f} ms", "")
    _row("replay beside the door", "", f"{_rate(plan):,.0f}/s", "")


@contextmanager
def _steady(config: Path) -> Iterator[Figures]:
    """A door that takes PER_SECOND callbacks a second meanwhile; the figures are there afterwards."""
    port = free_port()
    server = serve(configure(port, str(config.parent)), "--door")
    figures: Figures = {}
    try:
        wait_for(port)
        command = [sys.executable, "-m", "scripts.benches.steady", str(port), str(PER_SECOND)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            time.sleep(2)  # until it has warmed the door up
            yield figures
            figures.update(json.loads(client.communicate()[0]))
    finally:
        server.terminate()
        server.wait()


def _row(figure: str, promised: str, found: str, told: str) -> None:
    print(f"{figure:<40}{promised:>12}{found:>12}  {told}".rstrip(), flush=True)


def _rate(found: Figures) -> float:
    return float(found["events"] / found["seconds"])


def _chore(name: str, config: Path, *arguments: str) -> Figures:
    """Let a process of its own do it; how long it took, over how many events, and its peak memory."""
    command = [sys.executable, "-m", "scripts.benches.chores", name, str(config), *arguments]
    done = subprocess.run(command, check=False, capture_output=True)
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    found: Figures = json.loads(done.stdout)
    return found
