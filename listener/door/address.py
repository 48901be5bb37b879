"""Whose callback is this? Read from the raw path, with slashes collapsed; a redirect would lose the callback."""

import functools
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

HEALTH: Final = "healthz"
# Addresses without a source in them: OneSpan's own sample, and a `urlCallback` that is a bare host (Evrotrust appends
# /document/ready and its like).
_ONESPAN_SAMPLE: Final = "callback"
_EVROTRUST_WORD: Final = "document"
_USUAL_BYTES: Final = 256  # of a path; what is longer is not remembered


class Address(NamedTuple):
    """A callback address: the source it names, and the raw path elements below that name."""

    source: str
    below: tuple[str, ...]


class TokenAddress(NamedTuple):
    """Where a provider is given tokens for the callbacks of a source. Older OneSpan wants it to end in `/token`."""

    source: str


def resolve(raw_path: bytes) -> Address | TokenAddress | str | None:
    """The address of callbacks or of tokens, the word HEALTH, or None for anything else.

    Remembered only if it is no longer than addresses are: a thousand paths of 32 KiB would weigh 700 MB.
    """
    return _resolve(raw_path) if len(raw_path) <= _USUAL_BYTES else _resolve.__wrapped__(raw_path)


@functools.lru_cache(maxsize=1024)
def _resolve(raw_path: bytes) -> Address | TokenAddress | str | None:
    """Elements are split before they are decoded: %2F in an id is no separator."""
    elements = [element for element in raw_path.decode("latin-1").split("/") if element]
    words = [decoded(element) for element in elements]
    if words == [HEALTH]:
        return HEALTH
    if len(words) >= 2 and words[0] == "callbacks":
        return Address(words[1], tuple(elements[2:]))
    if len(words) == 3 and (words[0], words[2]) == ("oauth", "token"):
        return TokenAddress(words[1])
    if words == [_ONESPAN_SAMPLE]:
        return Address("onespan", ())
    if words[:1] == [_EVROTRUST_WORD]:
        return Address("evrotrust", tuple(elements))
    return None


def decoded(element: str) -> str:
    """A path element without its percent-encoding, byte for byte."""
    return unquote_to_bytes(element.encode("latin-1")).decode("latin-1") if "%" in element else element
