"""The process that decrypts, seen by the worker that waits for it."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, Final

import msgspec

from listener import errors
from listener.api import Access, Known, Material, Stream
from listener.decryption.job import HOPELESS, MOST_SAID, Job

_COMMAND: Final = (sys.executable, "-m", "listener.decryption")
_LOOK_SECONDS: Final = 0.2  # how often whoever waits may say that it is enough
_AT_ONCE: Final = 256 * 1024


def check(access: Access) -> None:
    """Read the private keys. Raises ConfigurationError."""
    from listener.decryption.keys import PrivateKeys  # cryptography: the door knows that we decrypt, and does not

    PrivateKeys(access.private_keys, access.private_key_passphrases).check()


@contextlib.contextmanager
def documents(material: Material, access: Access, known: Known) -> Iterator[Stream]:
    """A plain zip of what was encrypted in a download, as it comes; until then, empty pieces.

    Its pieces raise Hopeless if it cannot be opened, Unusable if the process came to an odd end. Ends the process.
    """
    job = Job(str(material.path), str(material.scratch), access.private_keys, access.private_key_passphrases, known.key)
    with tempfile.TemporaryFile(dir=material.scratch) as made, _started(job, made) as process:
        yield Stream(_coming(process, made), None)


@contextlib.contextmanager
def _started(job: Job, made: IO[bytes]) -> "Iterator[subprocess.Popen[bytes]]":
    with subprocess.Popen(  # noqa: S603  our own program
        _COMMAND, bufsize=0, stdin=subprocess.PIPE, stdout=made, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stdin is not None  # noqa: S101  it is a pipe; while it is open the process knows that we live
            with contextlib.suppress(BrokenPipeError):  # it ended already; its status says how
                process.stdin.write(msgspec.json.encode(job) + b"\n")
            yield process
        finally:
            process.kill()


def _coming(process: "subprocess.Popen[bytes]", made: IO[bytes]) -> Iterator[bytes]:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = process.wait(_LOOK_SECONDS)
            break
        yield b""
    if status != 0:
        _refuse(process, status)
    made.seek(0)
    while piece := made.read(_AT_ONCE):
        yield piece


def _refuse(process: "subprocess.Popen[bytes]", status: int) -> None:
    assert process.stderr is not None  # noqa: S101  it is a pipe
    said = process.stderr.read().decode("utf-8", "replace").strip()
    if status == HOPELESS:
        raise errors.Hopeless(said)
    raise errors.Unusable(f"decryption ended with {status}: {said[-MOST_SAID:]}")
