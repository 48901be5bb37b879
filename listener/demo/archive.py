"""A zip whose bytes depend on nothing but what is in it."""

import io
import zipfile
from collections.abc import Mapping

EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip entry can carry


def archive(entries: Mapping[str, bytes]) -> bytes:
    """Return a zip of `entries` (name → content) in the order given, uncompressed: no clock, no zlib version shows."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name, EARLIEST)
            entry.create_system = 3
            file.writestr(entry, content)
    return out.getvalue()
