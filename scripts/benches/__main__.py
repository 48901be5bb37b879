"""Runs the benches named, or all of them."""

import sys

from scripts.benches import ask, door, start

BENCHES = {"ask": ask.run, "door": door.run, "start": start.run}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHES:
        BENCHES[name]()
