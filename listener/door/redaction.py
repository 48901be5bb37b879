"""What must not be written down is left out of a head before it is kept for ever."""

import re
from collections.abc import Sequence
from typing import Final

from listener.door.address import decoded
from listener.door.client import Headers

_ALWAYS_REDACTED: Final = frozenset({b"authorization", b"proxy-authorization", b"cookie"})
_REDACTED: Final = "redacted"
_GAP: Final = "\0"  # stands in no head: what replaces one secret must not hold another
_UNIT: Final = re.compile("%[0-9A-Fa-f]{2}|.", re.DOTALL)


def redacted(headers: Headers, secrets: Sequence[str]) -> list[tuple[str, str]]:
    """Headers as they may be kept for ever. Proxies copy the path into other headers, hence the search."""
    return [
        (name.decode("latin-1"), _REDACTED if name in _ALWAYS_REDACTED else hide(value.decode("latin-1"), secrets))
        for name, value in headers
    ]


def hide(text: str, secrets: Sequence[str]) -> str:
    """`text` without these secrets, whether or not they stand there percent-encoded."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, _GAP)
        if "%" in text and secret in decoded(text):
            text = _hide_encoded(text, secret)
    return text.replace(_GAP, _REDACTED)


def _hide_encoded(text: str, secret: str) -> str:
    """Leave out what decodes to the secret, and nothing else: each unit of the text stands for one character."""
    units = _UNIT.findall(text)
    plain = decoded(text)
    kept: list[str] = []
    start = 0
    while (at := plain.find(secret, start)) >= 0:
        kept += [*units[start:at], _GAP]
        start = at + len(secret)
    return "".join(kept + units[start:])
