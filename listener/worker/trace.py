"""What a plan is about to take in, in a file: whoever finds it later knows what its process died of."""

from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from listener import errors
from listener.worker.piece import Stretch

TRYING: Final = "signlog-replay.trying"  # in the data folder


class Mark(msgspec.Struct, frozen=True):
    """Events that are about to be taken in, with this code."""

    stretch: Stretch
    tried_with: str


class Trace:
    """Left behind only by who died. `alone` is what the last plan with this code died of: to be taken in one by one.

    Only for who holds the lock of replays: whoever left a trace is dead then.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path = path
        self._fingerprint = fingerprint
        self.alone = self._left_behind()

    @property
    def last_words(self) -> str | None:
        """What to say beforehand: that the last plan died, and what is done about it."""
        if self.alone is None or _is_one(self.alone):
            return None
        return (
            f"The last plan ended while it took in {_listed(self.alone)}. They are taken in one by one now; if this "
            "ends as well, type the same again."
        )

    def _left_behind(self) -> Stretch | None:
        try:
            mark = msgspec.json.decode(self._path.read_bytes(), type=Mark)
        except (FileNotFoundError, msgspec.DecodeError):  # killed before it was written
            return None
        blamed = mark.tried_with == self._fingerprint and mark.stretch.after < mark.stretch.until
        return mark.stretch if blamed else None

    def __enter__(self) -> Self:
        """Raises Died if it is known what kills: that is said once, and then tried again."""
        if self.alone is not None and _is_one(self.alone):
            self._path.unlink()
            raise errors.Died(_told(self.alone), *self.alone)
        return self

    def about(self, stretch: Stretch) -> None:
        """These are to be taken in next."""
        self._path.write_bytes(msgspec.json.encode(Mark(stretch, self._fingerprint)))

    def __exit__(self, _kind: type[BaseException] | None, error: object, _traceback: TracebackType | None) -> None:
        self._path.unlink(missing_ok=True)
        if isinstance(error, errors.Died):  # not we, but who takes in a share of it
            died = Stretch(error.after, error.until)
            if not _is_one(died):
                self.about(died)
            raise errors.Died(_told(died), *died)


def _is_one(stretch: Stretch) -> bool:
    return stretch.until - stretch.after == 1


def _told(died: Stretch) -> str:
    """What happened, and what to type."""
    if _is_one(died):
        return (
            f"event {died.until} ended the process that took it in: 'signlog show {died.until}' shows it. Mend the "
            "code and plan again; if somebody else ended the process, type the same again"
        )
    return f"a process ended while it took in {_listed(died)}; type the same again: then they are taken in one by one"


def _listed(stretch: Stretch) -> str:
    after, until = stretch
    return f"events {after + 1} to {until}, which 'signlog events --after {after} --limit {until - after}' lists"
