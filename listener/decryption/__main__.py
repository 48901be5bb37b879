"""The process that decrypts: `python -m listener.decryption`, with a job on standard input.

A process of its own, because what it reads may be made to take all memory and all time: both have limits here, and
whoever waits for it loses neither. It writes to standard output, which must be a file.
"""

import os
import resource
import sys
from pathlib import Path
from typing import Final

import msgspec

from listener import errors, parent
from listener.decryption import documents
from listener.decryption.documents import Way
from listener.decryption.job import HOPELESS, MOST_SAID, Job
from listener.decryption.keys import PrivateKeys

MEMORY_BYTES: Final = 256 * 1024**2  # what it may allocate; with its code that stays below 300 MB
CPU_SECONDS: Final = 600
FILE_BYTES: Final = 3 * 1024**3
_NICER: Final = 10  # than the door and the worker, who share the machine with it
_LIMITS: Final = {
    resource.RLIMIT_DATA: MEMORY_BYTES,
    resource.RLIMIT_CPU: CPU_SECONDS,
    resource.RLIMIT_FSIZE: FILE_BYTES,
    resource.RLIMIT_CORE: 0,  # it would hold private keys
}


def main() -> int:
    """Do the job; the exit status."""
    os.nice(_NICER)
    for limit, value in _LIMITS.items():
        resource.setrlimit(limit, (value, value))
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    parent.alive(sys.stdin.fileno(), lambda: os._exit(1))
    try:
        _do(job)
    except (errors.Hopeless, errors.ConfigurationError) as error:
        return _hopeless(str(error))
    except MemoryError:
        return _hopeless(f"the download takes more than {MEMORY_BYTES // 1024**2} MiB of memory to open")
    return 0


def _do(job: Job) -> None:
    way = Way(PrivateKeys(job.keys, job.passphrases), job.named, Path(job.scratch))
    with open(job.download, "rb") as download, open(1, "r+b", closefd=False) as made:
        documents.make(download, made, way)


def _hopeless(why: str) -> int:
    sys.stderr.write(why[:MOST_SAID])
    return HOPELESS


if __name__ == "__main__":
    sys.exit(main())
