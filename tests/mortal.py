"""A worker that folds what there is with code that may kill it: `python -m tests.mortal` forks one for each line.

Forked from a process with one thread and no open files, because starting Python anew for each takes a second.
"""

import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from listener.shelf import shelf
from listener.worker import intake
from listener.worker.projector import Projector
from tests.broken import handlers
from tests.rig import opened


def live(address: str, code: str, batch: int, bugs: Mapping[str, Sequence[Any]]) -> None:
    """One life, until the views are up to date."""
    intake.BATCH = batch  # type: ignore[misc]
    known: dict[str, Any] = {
        name: [tuple(each) if isinstance(each, list) else each for each in found] for name, found in bugs.items()
    }
    with handlers(**known):
        database = opened(address)
        projector = Projector(database, shelf(database), code)
        projector.catch_up()
        projector.close()


def main() -> None:
    """Fork, wait, tell how it ended; one line each."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _end(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _end(arguments: Sequence[Any]) -> None:
    os.dup2(2, 1)  # what is logged is no answer
    code = 0
    try:
        live(*arguments)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
