"""The process that decrypts: `python -m listener.decryption`, with a job on standard input.

It writes to standard output, which must be a file.
"""

import resource
import sys
from pathlib import Path
from typing import Final

from listener import confined
from listener.decryption import documents
from listener.decryption.documents import Way
from listener.decryption.job import Job
from listener.decryption.keys import PrivateKeys

MEMORY_BYTES: Final = 256 * 1024**2  # what it may allocate; with its code that stays below 300 MB
CPU_SECONDS: Final = 600
FILE_BYTES: Final = 3 * 1024**3
_LIMITS: Final = {
    resource.RLIMIT_DATA: MEMORY_BYTES,
    resource.RLIMIT_CPU: CPU_SECONDS,
    resource.RLIMIT_FSIZE: FILE_BYTES,
}


def main() -> int:
    """Do the job; the exit status."""
    return confined.run(Job, _do, _LIMITS)


def _do(job: Job) -> None:
    way = Way(PrivateKeys(job.keys, job.passphrases), job.named, Path(job.scratch))
    with open(job.download, "rb") as download, open(1, "r+b", closefd=False) as made:
        documents.make(download, made, way)


if __name__ == "__main__":
    sys.exit(main())
