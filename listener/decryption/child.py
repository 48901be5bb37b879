"""The process that decrypts, seen by the worker that waits for it."""

import contextlib
import tempfile
from collections.abc import Iterator
from typing import IO, Final

from listener import confined, errors, parent
from listener.api import Access, Known, Material, Stream
from listener.confined import Process
from listener.decryption.job import Job

_COMMAND: Final = parent.command("listener.decryption")
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
    with tempfile.TemporaryFile(dir=material.scratch) as made, confined.started(_COMMAND, job, made) as process:
        yield Stream(_coming(process, made), None)


def _coming(process: Process, made: IO[bytes]) -> Iterator[bytes]:
    yield from confined.waiting(process)
    if process.returncode in (confined.HOPELESS, confined.SHORT):
        raise errors.Hopeless(confined.said(process))
    if process.returncode != 0:
        raise errors.Unusable(f"decryption ended with {process.returncode}: {confined.said(process)}")
    made.seek(0)
    while piece := made.read(_AT_ONCE):
        yield piece
