"""What can go wrong at a provider × a worker killed at any step: `scripts/matrix`.

Each trouble stands while a first worker lives, which is killed at one of its steps. A second one finds it lasting, and
another one on a copy of what was left finds it over, if it can be. Each document ends as it must.
"""

import argparse
import functools
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from listener import logs
from tests.crash import WAITING, Crashes, hurried
from tests.troubles import CASES, TROUBLES, Case
from tests.worlds import world

Say = Callable[[str], None]


class Step(NamedTuple):
    """What a worker does as its nth deed."""

    number: int
    name: str


class Played(NamedTuple):
    """A case: how many first workers were killed, how many second ones lived, what went wrong, in how many seconds."""

    case: Case
    steps: int
    lives: int
    wrong: Sequence[str]
    seconds: float


def steps(case: Case, folder: Path, crashes: Crashes) -> list[Step]:
    """What the first worker does if nobody kills it, as far as it differs: else the next one finds the same."""
    with world(folder, case) as found:
        found.begin()
        code = found.live(crashes)
        assert code == 0, f"nobody killed it; exit code {code}"
        taken: list[str] = json.loads((found.folder / "steps").read_text())
        lay: list[str] = json.loads((found.folder / "lay").read_text())
        assert taken, "it did nothing"
    return differing(taken, lay)


def differing(taken: Sequence[str], lay: Sequence[str]) -> list[Step]:
    """Steps before which something lay there that did not before the last one, or while another process runs."""
    before = ("", *lay)
    known = zip(itertools.count(1), taken, lay, before, strict=False)
    return [Step(number, name) for number, name, now, then in known if now != then or name == WAITING]


def play(case: Case, step: Step, folder: Path, crashes: Crashes) -> int:
    """All lives; how many second ones. Raises AssertionError for a document that ended in no good way."""
    with world(folder, case) as found, hurried():
        found.begin()
        code = found.live(crashes, step.number)
        assert code == -signal.SIGKILL, f"it was not killed; exit code {code}"
        left = folder / "left"
        shutil.copytree(found.folder, left)
        found.live_again(found.folder, over=False)
        if not case.passes:
            return 1
        found.mend(left)
        found.live_again(left, over=True)
        return 2


def whole(case: Case, folder: Path, crashes: Crashes) -> Played:
    """A case, its first worker killed at each of its steps. What goes wrong does not stop it."""
    began, wrong, lives, taken = time.monotonic(), [], 0, list[Step]()
    try:
        taken = steps(case, folder / "steps", crashes)
    except Exception as error:
        wrong.append(f"nobody killed it: {type(error).__name__}: {error}")
    for step in taken:
        try:
            lives += play(case, step, folder / str(step.number), crashes)
        except Exception as error:
            wrong.append(f"killed at step {step.number}, {step.name}: {type(error).__name__}: {error}")
        shutil.rmtree(folder / str(step.number), ignore_errors=True)
    return Played(case, len(taken), lives, wrong, time.monotonic() - began)


def some(count: int, seed: int, folder: Path, crashes: Crashes, say: Say) -> None:
    """So many cases of each provider in turn, each killed at a step by chance; the same for the same seed."""
    say(f"seed {seed}")
    for number, case in enumerate(itertools.islice(by_chance(chance := random.Random(seed)), count)):  # noqa: S311
        step = chance.choice(steps(case, folder / f"{number}-steps", crashes))
        say(f"{case.name}, killed at step {step.number}, {step.name}")
        play(case, step, folder / str(number), crashes)


def by_chance(chance: random.Random) -> Iterator[Case]:
    """Of each provider in turn, without end; one comes again when all have been there."""
    of = [_shuffled([case for case in CASES if case.provider == provider], chance) for provider in TROUBLES]
    while True:
        yield from map(next, of)


def _shuffled(cases: Sequence[Case], chance: random.Random) -> Iterator[Case]:
    while True:
        yield from chance.sample(cases, len(cases))


def every(cases: Sequence[Case], jobs: int, say: Say) -> bool:
    """All these, some at a time; whether all ended well."""
    began, played = time.monotonic(), list[Played]()
    with ProcessPoolExecutor(jobs, get_context("spawn"), logs.configure) as pool:
        for future in as_completed([pool.submit(_whole, case) for case in cases]):
            played.append(future.result())
            _tell(played, len(cases), say)
    wrong = sum(len(each.wrong) for each in played)
    kills, lives = sum(each.steps for each in played), sum(each.lives for each in played)
    say(
        f"{len(played)} cases, {kills} workers killed, {lives} lives after that, {wrong} gone wrong, "
        f"in {(time.monotonic() - began) / 60:.1f} minutes"
    )
    return wrong == 0


def _whole(case: Case) -> Played:
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
        return whole(case, Path(folder), _crashes())


@functools.cache
def _crashes() -> Crashes:
    """One for this process, which is one of several that play; it ends with it."""
    return Crashes()


def _tell(played: Sequence[Played], of: int, say: Say) -> None:
    """How far it is, and what went wrong in the last one."""
    case, taken, lives, wrong, seconds = played[-1]
    told = f"{taken:>3} killed {lives:>3} after them  {'WRONG' if wrong else 'well':<5} {seconds:>5.1f} s"
    say(f"{len(played):>3} of {of}  {case.name:<35} {told}")
    for each in wrong:
        say(f"    {case.name}: {each}")


def _named(part: str | None) -> list[Case]:
    return [case for case in CASES if part is None or part in case.name]


def _arguments() -> argparse.Namespace:
    told = argparse.ArgumentParser("scripts/matrix", description="Troubles of providers x workers killed at each step.")
    which = told.add_mutually_exclusive_group()
    which.add_argument("count", type=int, nargs="?", help="so many by chance, instead of all")
    which.add_argument("--only", metavar="CASE", help='those whose name has this in it: "onespan 500 fetched"')
    told.add_argument("--seed", type=int, help="to repeat what was by chance")
    told.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="so many at a time (default: processors)")
    return told.parse_args()


def main() -> None:
    """What the command line says; the exit status is 1 if anything went wrong."""
    asked, say = _arguments(), functools.partial(print, flush=True)
    if not _named(asked.only):
        sys.exit("there is no such case; there are:\n" + "\n".join(case.name for case in CASES))
    if asked.count is None:
        sys.exit(not every(_named(asked.only), asked.jobs, say))
    seed = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder, Crashes() as crashes:
        some(asked.count, seed, Path(folder), crashes, say)


if __name__ == "__main__":
    main()
