"""What a spool notes of its log: which one it is, and where that ended when somebody last looked."""

import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from listener.log.reader import Tip


class Mark(NamedTuple):
    """The id of the log, in hexadecimal; and its end, then or earlier."""

    log: str
    tip: Tip


_decode = msgspec.json.Decoder(Mark).decode


def read(path: Path) -> Mark | None:
    """What was noted; None if nothing was, or nobody can read it."""
    try:
        return _decode(path.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError, ValueError):
        return None


def write(path: Path, mark: Mark) -> None:
    """Whole; durable when its folder was synced."""
    with path.with_suffix(".new").open("wb") as draft:
        draft.write(msgspec.json.encode(mark) + b"\n")
        draft.flush()
        os.fsync(draft.fileno())
    os.replace(draft.name, path)
