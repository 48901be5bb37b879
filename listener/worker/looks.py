"""Whether bytes begin and end like the document that they should be: an error page may come with status 200."""

import zipfile
from typing import IO, Final

from listener import errors

_FIRST_BYTES: Final = {".pdf": (b"%PDF-",), ".zip": (b"PK\x03\x04", b"PK\x05\x06"), ".json": (b"{", b"[")}
_LAST_BYTES: Final = {b"{": b"}", b"[": b"]"}
KINDS: Final = frozenset(_FIRST_BYTES)  # the endings of names whose documents can be looked at


def check(file: IO[bytes], suffix: str, size: int) -> None:
    """Raise Unusable unless this begins and ends as it should."""
    file.seek(0)
    first = file.read(8)
    if not first.startswith(_FIRST_BYTES[suffix]):
        raise errors.Unusable(f"not a {suffix[1:]}: {size} bytes that begin with {first!r}")
    file.seek(max(0, size - 2048))
    end = file.read()
    if suffix == ".zip" and not _ends_like_a_zip(file):
        raise errors.Unusable("a zip without its end")
    if suffix == ".pdf" and b"%%EOF" not in end:
        raise errors.Unusable("a PDF without its end")
    if suffix == ".json" and not end.rstrip().endswith(_LAST_BYTES[first[:1]]):
        raise errors.Unusable("JSON without its end")


def _ends_like_a_zip(file: IO[bytes]) -> bool:
    try:
        return zipfile.is_zipfile(file)
    except zipfile.BadZipFile:  # an end of 64 bits that contradicts itself
        return False
