"""Names for what came out of an archive: readable, and harmless wherever they are unpacked."""

import unicodedata
from typing import Final

_LONGEST: Final = 150  # characters; file systems stop at 255 bytes, and letters take up to four
_LONGEST_BYTES: Final = 200
_FORBIDDEN: Final = frozenset('/\\:*?"<>|')  # what some system takes for something else
_DEVICES: Final = frozenset(["con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))])


def safe(name: str, otherwise: str) -> str:
    """The last part of a path as a plain name; `otherwise` if nothing is left of it.

    Without what steers a terminal or turns letters around, without dots in front and behind; no device of Windows.
    """
    last = unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2])
    plain = "".join("_" if letter in _FORBIDDEN or not letter.isprintable() else letter for letter in last)
    plain = _short(plain.strip(" ."))
    if not plain.strip("_"):
        return otherwise
    return f"_{plain}" if plain.partition(".")[0].strip().lower() in _DEVICES else plain


def _short(name: str) -> str:
    """Not too long, with its ending kept."""
    stem, dot, kind = name.rpartition(".")
    if not stem or len(kind) > 10:
        stem, dot, kind = name, "", ""
    while stem and (len(stem + dot + kind) > _LONGEST or len((stem + dot + kind).encode()) > _LONGEST_BYTES):
        stem = stem[:-1]
    return stem.rstrip(" .") + dot + kind


def distinct(name: str, taken: set[str]) -> str:
    """The name, with a number if it is taken; case does not make names distinct. It is taken from then on."""
    stem, dot, kind = name.rpartition(".")
    if not stem:
        stem, dot, kind = name, "", ""
    found, number = name, 1
    while found.lower() in taken:
        number += 1
        found = f"{stem} ({number}){dot}{kind}"
    taken.add(found.lower())
    return found
