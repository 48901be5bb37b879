"""What the process that checks signatures is told by the one that wants it done."""

from typing import Final

import msgspec

TOO_MUCH_MEMORY: Final = "it takes too much memory to read"  # what is said of a PDF where that ran out


class Job(msgspec.Struct, frozen=True):
    """Which document to check, certificates (DER) of whom to trust, and where there is room for what lies between."""

    document: str
    scratch: str
    roots: tuple[bytes, ...]
