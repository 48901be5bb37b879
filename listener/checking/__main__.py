"""The process that checks signatures: `python -m listener.checking`, with a job on standard input.

It writes what it finds to standard output, a line of JSON for each PDF, as soon as it is found: what takes too much
time or memory takes nothing from what was found before.
"""

import logging
import resource
import sys
import warnings
from pathlib import Path
from typing import Final

import msgspec
from asn1crypto import x509

from listener import confined, files
from listener.checking import papers, pdf
from listener.checking.job import Job

MEMORY_BYTES: Final = 512 * 1024**2  # what it may allocate
CPU_SECONDS: Final = 60
_LIMITS: Final = {
    resource.RLIMIT_DATA: MEMORY_BYTES,
    resource.RLIMIT_CPU: CPU_SECONDS,
    resource.RLIMIT_FSIZE: papers.MOST_BYTES,
}


def main() -> int:
    """Do the job; the exit status."""
    logging.disable()  # what pyhanko would tell at length stands in what it finds
    warnings.simplefilter("ignore")
    return confined.run(Job, _do, _LIMITS)


def _do(job: Job) -> None:
    trusted = [x509.Certificate.load(each) for each in job.roots]
    with files.opened(Path(job.document)) as document, open(1, "wb", closefd=False) as made:
        for paper in papers.each(document, Path(job.scratch), lambda name, file: pdf.look(name, file, trusted)):
            made.write(msgspec.json.encode(paper) + b"\n")
            made.flush()


if __name__ == "__main__":
    sys.exit(main())
