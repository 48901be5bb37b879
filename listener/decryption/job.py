"""What the process that decrypts is told by the one that wants it done, and how it says what came of it."""

from typing import Final

import msgspec

HOPELESS: Final = 3  # the exit status that says: trying again changes nothing; why stands on standard error
MOST_SAID: Final = 1000  # characters of it


class Job(msgspec.Struct, frozen=True):
    """Which download to open, with which keys, and where there is room for what lies between."""

    download: str
    scratch: str
    keys: tuple[str, ...]
    passphrases: tuple[str, ...]
    named: str | None = None  # the key to try first
