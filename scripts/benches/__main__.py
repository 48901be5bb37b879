"""Runs the benches named, or all of them."""

import argparse

from scripts.benches import door, replay, start

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="door, replay, start; without any, all")
    parser.add_argument("--events", type=int, default=replay.EVENTS, help="how many callbacks a replay goes over")
    parser.add_argument("--keep", metavar="FOLDER", help="keep the log of the replay there, and use it again")
    asked = parser.parse_args()
    benches = {"door": door.run, "replay": lambda: replay.run(asked.events, asked.keep), "start": start.run}
    for name in asked.names or benches:
        benches[name]()
