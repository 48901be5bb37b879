"""What the process that decrypts is told by the one that wants it done."""

import msgspec


class Job(msgspec.Struct, frozen=True):
    """Which download to open, with which keys, and where there is room for what lies between."""

    download: str
    scratch: str
    keys: tuple[str, ...]
    passphrases: tuple[str, ...]
    named: str | None = None  # the key to try first
