"""Runs the benches named, or all of them."""

import sys

from scripts.benches import door, start, verify

BENCHES = {"door": door.run, "start": start.run, "verify": verify.run}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHES:
        BENCHES[name]()
