"""Runs the benches named, or all of them."""

import argparse
import functools
from collections.abc import Callable

from scripts.benches import ask, door, evidence, postgres, replay, start, verify

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="ask, door, evidence, postgres, replay, start, verify; without any, all",
    )
    parser.add_argument("--events", type=int, default=replay.EVENTS, help="how many callbacks a replay goes over")
    parser.add_argument("--rounds", type=int, default=replay.ROUNDS, help="how many times it does so")
    parser.add_argument("--keep", metavar="FOLDER", help="keep the log of the replay there, and use it again")
    asked = parser.parse_args()
    replayed = functools.partial(replay.run, asked.events, asked.rounds, asked.keep)
    benches: dict[str, Callable[[], None]] = {"ask": ask.run, "door": door.run, "replay": replayed, "start": start.run}
    benches |= {"evidence": evidence.run, "postgres": postgres.run, "verify": verify.run}
    if unknown := set(asked.names) - benches.keys():
        parser.error(f"no such bench: {', '.join(sorted(unknown))}")
    for name in asked.names or benches:
        benches[name]()
