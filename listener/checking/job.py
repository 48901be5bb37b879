"""What the process that checks signatures is told by the one that wants it done."""

import msgspec


class Job(msgspec.Struct, frozen=True):
    """Which document to check, certificates (DER) of whom to trust, and where there is room for what lies between."""

    document: str
    scratch: str
    roots: tuple[bytes, ...]
