"""Which code gives the log its meaning: its digest, and the code itself, to be kept in the log."""

import base64
import functools
import hashlib
import json
import lzma
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[1]
# Everything between the bytes of an event and the state it leads to.
_MEANING: Final = (
    "projections/*.py",
    "listener/providers/*.py",
    "listener/provider.py",
    "listener/interpreter.py",
    "listener/acts.py",
)


@functools.cache
def _sources() -> bytes:
    files = sorted(path for pattern in _MEANING for path in _ROOT.glob(pattern))
    texts = {path.relative_to(_ROOT).as_posix(): path.read_text(encoding="utf-8") for path in files}
    return json.dumps(texts, sort_keys=True, ensure_ascii=False).encode()


def fingerprint() -> str:
    """A digest of the code as it is: bytes, not a version that somebody must remember to raise."""
    return hashlib.sha256(_sources()).hexdigest()


@functools.cache
def code() -> str:
    """The code, so that an answer of years ago can be given again: base64 of xz of JSON {path: text}."""
    return base64.b64encode(lzma.compress(_sources())).decode()
