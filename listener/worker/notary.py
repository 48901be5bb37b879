"""The worker's part in signing: when a head is due, and what to say when none can be signed; all else goes on."""

import contextlib
import time
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from listener import errors
from listener.signing.signer import Signer

_log = structlog.get_logger()

GROW_SECONDS: Final = 0.2  # at a time, so that the worker folds and fetches meanwhile
RETRY_SECONDS: Final = 10.0
_UNKNOWN: Final = ""  # nobody has looked yet


class Notary:
    """Lets the tree grow, and signs: at the start, every so many events, every so often, and at the end."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._trouble: str | None = _UNKNOWN
        self._retry_at = 0.0

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
        except (errors.SignlogError, SQLAlchemyError, OSError) as error:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            self._tell(str(getattr(error, "orig", None) or error))

    def close(self) -> None:
        """Sign what nobody has signed yet, if that takes no time."""
        with contextlib.suppress(errors.SignlogError, SQLAlchemyError, OSError):  # the next start says what is wrong
            if not self._trouble and self._signer.grow(GROW_SECONDS):
                self._signer.sign()

    def _tell(self, trouble: str | None) -> None:
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble is not None:
            _log.error("no_head_is_signed", error=trouble)
        with contextlib.suppress(errors.TreeDamaged, SQLAlchemyError, OSError):  # then the disk is what is wrong
            self._signer.tree.tell(trouble)
