"""What happens to one made-up OneSpan package, from its creation to its archive or its trash."""

import base64
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from typing import Final, NamedTuple

from listener.demo.bodies import SENDER
from listener.demo.packages import CONSENT

_MINUTE: Final = 60.0
_DAY: Final = 86_400.0
_REASONS: Final = ("The rent is wrong.", "Not my name.", "Грешна сума", "I want to talk about clause 4 first.")
_BOUNCES: Final = ("BOUNCE", "OOTO", "COMPLAINT", "UNKNOWN")
_UNKNOWN: Final = "PACKAGE_SHARED"  # OneSpan adds names without notice; this one is made up


class Happening(NamedTuple):
    """Something that happens to a package, when and by whom: what a callback tells."""

    at: datetime
    name: str
    user: str
    document: str | None
    message: str | None


class Life:
    """One package. `random` decides everything; of the same state of it comes the same life."""

    def __init__(self, random: Random, created: datetime) -> None:
        self._random = random
        self._at = created
        self._signers = [self._uuid() for _ in range(self._number(0.2))]
        self._documents = [random.randbytes(24).hex() for _ in range(self._number(0.15))]
        self.package = base64.urlsafe_b64encode(random.randbytes(20)).decode()
        self.happenings: list[Happening] = []
        self._live()

    def _live(self) -> None:
        self._happens("PACKAGE_CREATE", 0)
        if self._chance(0.05):
            return  # a draft that nobody sent
        self._happens("PACKAGE_ACTIVATE", 5 * _MINUTE)
        if self._chance(0.01):
            self._happens("EMAIL_BOUNCE", _MINUTE, message=self._random.choice(_BOUNCES))
        if self._chance(0.001):
            self._happens(_UNKNOWN, 60 * _MINUTE)
        ends: tuple[Callable[[], None], ...] = (self._complete, self._expire, self._decline, self._opt_out, self._wait)
        self._random.choices(ends, weights=(62, 14, 9, 2, 8))[0]()
        self._put_away()

    def _complete(self) -> None:
        for signer in self._signers:
            self._look(signer, 0.6)
            if self._chance(0.7):
                self._happens("DOCUMENT_SIGNED", _MINUTE, signer, CONSENT)
            for document in self._documents:
                self._happens("DOCUMENT_SIGNED", 2 * _MINUTE, signer, document)
            self._happens("SIGNER_COMPLETE", 1, signer)
        self._happens("PACKAGE_COMPLETE", 1, self._signers[-1])

    def _expire(self) -> None:
        self._look(self._signers[0], 0.4)
        self._happens("PACKAGE_EXPIRE", 7 * _DAY)

    def _decline(self) -> None:
        self._look(self._signers[0], 0.9)
        self._happens("PACKAGE_DECLINE", 5 * _MINUTE, self._signers[0], message=self._random.choice(_REASONS))

    def _opt_out(self) -> None:
        self._look(self._signers[0], 0.5)
        self._happens("PACKAGE_OPT_OUT", 5 * _MINUTE, self._signers[0], message=self._random.choice(_REASONS))

    def _wait(self) -> None:
        self._look(self._signers[0], 0.5)

    def _look(self, signer: str, chance: float) -> None:
        self._at += timedelta(seconds=self._random.expovariate(1 / _DAY))
        if self._chance(chance):
            self._happens("DOCUMENT_VIEWED", 0, signer, self._documents[0])

    def _put_away(self) -> None:
        if self.happenings[-1].name == "PACKAGE_COMPLETE" and self._chance(0.1):
            self._happens("PACKAGE_ARCHIVE", 7 * _DAY)
        if self._chance(0.05):
            self._happens("PACKAGE_TRASH", 3 * _DAY)
            if self._chance(0.3):
                self._happens("PACKAGE_RESTORE", 60 * _MINUTE)

    def _happens(
        self, name: str, after: float, user: str = SENDER.id, document: str | None = None, message: str | None = None
    ) -> None:
        """Something more, about `after` seconds later."""
        if after:
            self._at += timedelta(seconds=self._random.expovariate(1 / after))
        self.happenings.append(Happening(self._at, name, user, document, message))

    def _uuid(self) -> str:
        return str(uuid.UUID(bytes=self._random.randbytes(16), version=4))

    def _number(self, chance_of_two: float) -> int:
        return 1 + self._chance(chance_of_two)

    def _chance(self, chance: float) -> bool:
        return self._random.random() < chance
