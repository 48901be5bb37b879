"""Runs `signlog` in processes of its own, forked from one that has everything imported: start-up is most of a command.

Each is the real `main` with real file descriptors, an exit status, and nothing in common with its predecessors.
"""

import atexit
import functools
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], given: bytes = b""
) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command that is `given` so much on standard input."""
    with TemporaryDirectory() as apart:
        out, err, read = Path(apart, "out"), Path(apart, "err"), Path(apart, "read")
        read.write_bytes(given)
        job = {"arguments": arguments, "folder": str(folder), "environment": dict(environment), "read": str(read)}
        server = _server()
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps({**job, "out": str(out), "err": str(err)}) + "\n")
        server.stdin.flush()
        return int(server.stdout.readline()), out.read_text("utf-8"), err.read_text("utf-8")


@functools.cache
def _server() -> "subprocess.Popen[str]":
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.forks"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(server.communicate)
    return server


def _serve() -> None:
    import typer._adapters  # noqa: F401  its heaviest part, which it loads late

    import listener.cli.app
    import listener.desk.health
    import listener.desk.quarantine
    import listener.desk.status
    import listener.door.gate  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(**json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(arguments: list[str], folder: str, environment: dict[str, str], read: str, out: str, err: str) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path, flags in ((0, read, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
        os.dup2(os.open(path, flags | os.O_CREAT), number)
    sys.argv = ["signlog", *arguments]
    code = _main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _main() -> int:
    from listener.cli.app import main

    code: Any = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    _serve()
