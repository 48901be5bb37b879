"""The worker's part in signing: when a head is due, and what to say when none can be signed; all else goes on."""

import contextlib
import threading
import time
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from listener import errors
from listener.signing.signer import Signer

_log = structlog.get_logger()

EVERY_SECONDS: Final = 0.5
GROW_SECONDS: Final = 0.2  # at a time, so that a stop need not wait
RETRY_SECONDS: Final = 10.0
PATIENCE: Final = 5.0  # seconds that a stop waits for the last head: the disk outside may not answer at all
_UNKNOWN: Final = ""  # nobody has looked yet


class Notary:
    """Lets the tree grow, and signs: at the start, every so many events, every so often, and at the end.

    In a thread of its own: a disk outside that does not answer must not keep the worker from anything. With a lease
    that is `shared` another worker may go on, and then it is that one's to say what is wrong.
    """

    def __init__(self, signer: Signer, shared: bool = False) -> None:
        self._signer = signer
        self._shared = shared
        self._trouble: str | None = _UNKNOWN
        self._retry_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notary", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Sign what nobody has signed yet, and end, if that takes no time."""
        self._stopping.set()
        if self._thread.ident is not None:  # it began
            self._thread.join(PATIENCE)
        if self._shared:
            self._tell(None)

    def tick(self) -> None:
        """Do what is due. What is wrong is said once, and kept for `signlog health` until it is over."""
        if time.monotonic() < self._retry_at:
            return
        try:
            if self._trouble == _UNKNOWN:
                self._signer.look()
            if self._signer.grow(GROW_SECONDS) and (self._trouble is not None or self._signer.due()):
                self._signer.sign()
                self._tell(None)
        except errors.LeaseLost:  # another worker signs; ours is about to stand by
            self._retry_at = time.monotonic() + RETRY_SECONDS
        except Exception as error:  # whatever it is, it is said and tried again: the thread must live
            self._retry_at = time.monotonic() + RETRY_SECONDS
            self._tell(str(getattr(error, "orig", None) or error))

    def last(self) -> None:
        """Sign what nobody has signed yet. What is wrong, the next start says."""
        with contextlib.suppress(Exception):
            if not self._trouble and self._signer.grow(GROW_SECONDS):
                self._signer.sign()

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_SECONDS):
            self.tick()
        self.last()

    def _tell(self, trouble: str | None) -> None:
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble is not None:
            _log.error("no_head_is_signed", error=trouble)
        with contextlib.suppress(errors.TreeDamaged, SQLAlchemyError, OSError):  # then the disk is what is wrong
            self._signer.tree.tell(trouble)
