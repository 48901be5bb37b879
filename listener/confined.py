"""Programs of ours that open what strangers made: each job in a process of its own, which limits itself.

What it reads may be made to take all memory and all time; whoever waits for it loses neither. It is told its job on
standard input, writes to a file, and says on standard error why it cannot.
"""

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Final, TypeVar

import msgspec

from listener import errors, parent

HOPELESS: Final = 3  # the exit status that says: trying again changes nothing; why stands on standard error
SHORT: Final = 4  # the one that says: it took more memory than there was; what it reads may be as sound as ever
MOST_SAID: Final = 1000  # characters of it
NICER: Final = 10  # than the door and the worker, who share the machine with it
_LOOK_SECONDS: Final = 0.2  # how often whoever waits may say that it is enough

_Job = TypeVar("_Job", bound=msgspec.Struct)
Process = subprocess.Popen[bytes]


# The process itself


def run(kind: type[_Job], do: Callable[[_Job], None], limits: Mapping[int, int]) -> int:
    """Do the job that stands on standard input, within limits of `resource`; the exit status."""
    os.nice(NICER)
    for limit, value in {**limits, resource.RLIMIT_CORE: 0}.items():  # a core would hold keys and documents
        _limit(limit, value)
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=kind)
    parent.alive(sys.stdin.fileno(), lambda: os._exit(1))
    try:
        do(job)
    except (errors.Hopeless, errors.ConfigurationError) as error:
        return _ended(HOPELESS, str(error))
    except MemoryError:
        most = limits[resource.RLIMIT_DATA] // 1024**2
        return _ended(SHORT, f"the download takes more than {most} MiB of memory to open")
    return 0


def _limit(limit: int, value: int) -> None:
    """Set it, or leave what is stricter already: nobody may raise that."""
    strict = resource.getrlimit(limit)[1]
    # Beyond the first limit of CPU a signal says so; at the second nothing would be said.
    wanted = (value, value + (limit == resource.RLIMIT_CPU))
    if strict != resource.RLIM_INFINITY:
        wanted = (min(wanted[0], strict), min(wanted[1], strict))
    resource.setrlimit(limit, wanted)


def _ended(status: int, why: str) -> int:
    sys.stderr.write(why[:MOST_SAID])
    return status


# Whoever waits for it


@contextlib.contextmanager
def started(command: tuple[str, ...], job: msgspec.Struct, made: IO[bytes]) -> Iterator[Process]:
    """A process at work on a job, which writes to a file. It ends with the block, or with us."""
    with subprocess.Popen(  # noqa: S603  our own program
        command, bufsize=0, stdin=subprocess.PIPE, stdout=made, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdin is not None  # noqa: S101  it is a pipe; while it is open the process knows that we live
            with contextlib.suppress(BrokenPipeError):  # it ended already; its status says how
                process.stdin.write(msgspec.json.encode(job) + b"\n")
            yield process
        finally:
            process.kill()


def waiting(process: Process) -> Iterator[bytes]:
    """Empty pieces until it has ended."""
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_SECONDS)
            return
        yield b""


def said(process: Process) -> str:
    """What a process that has ended said on standard error, the end of it."""
    assert process.stderr is not None  # noqa: S101  it is a pipe
    return process.stderr.read().decode("utf-8", "replace").strip()[-MOST_SAID:]
