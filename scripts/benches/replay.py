"""How fast, in how much memory and how evenly a replay goes, beside a bare loop over the same log."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.benches.door import FOLDER, configure, free_port

EVENTS = 1_000_000


def run(events: int = EVENTS, keep: str | None = None) -> None:
    """Print the figures for a log of so many callbacks. `keep`: a folder for the logs, which are not made twice."""
    Path(FOLDER).mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        config = _prepared(Path(keep or folder), events)
        bare = chore("bare", config)
        plan = chore("plan", config)
        print(f"bare loop        {_rate(bare):>9,.0f}/s")
        print(f"replay           {_rate(plan):>9,.0f}/s  peak {plan['peak_mb']:.0f} MB (promised: 300)")
        print(f"replay / bare    {_rate(plan) / _rate(bare):>9.3f}    (promised: 0.15)")


def _prepared(folder: Path, events: int) -> Path:
    """The configuration of a log of so many callbacks and its live generation, made if they are not there."""
    here = folder.resolve() / str(events)
    here.mkdir(parents=True, exist_ok=True)
    config = configure(free_port(), str(here))
    if not (here / "filled").exists():
        filled = chore("fill", config, str(events))
        (here / "filled").touch()
        print(f"log filled       {_rate(filled):>9,.0f}/s  ({filled['events']:,.0f} events)")
    live = chore("live", config)
    print(f"live built       {_rate(live):>9,.0f}/s  peak {live['peak_mb']:.0f} MB  (already there if it took no time)")
    return config


def _rate(found: dict[str, Any]) -> float:
    return float(found["events"] / found["seconds"])


def chore(name: str, config: Path, *arguments: str) -> dict[str, Any]:
    """Let a process of its own do it; how long it took, over how many events, and its peak memory."""
    command = [sys.executable, "-m", "scripts.benches.chores", name, str(config), *arguments]
    done = subprocess.run(command, check=False, capture_output=True)
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    found: dict[str, Any] = json.loads(done.stdout)
    return found
