"""The newest heads that are known anywhere, and whether the log still is what they say."""

from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection

from listener import errors, files
from listener.log import heads, merkle, note, reader
from listener.log.note import PublicKey
from listener.log.tree import Stored
from listener.signing import decided

HERE: Final = "the newest signed head"


class Unmet(NamedTuple):
    """A head that the log does not live up to, and why. `differs`: by what the tree says, not by its length."""

    why: str
    note: str
    differs: bool = False


def unmet(log: Connection, stored: Stored, copy: Path | None) -> list[Unmet]:
    """What somebody must decide about before anything is signed again.

    The log is compared with the head that was signed last and with the one that lies outside. While the tree is behind
    a head, only its length is.
    """
    keys, left_behind = [known.key for known in decided.named(log)], decided.accepted(log)
    newest = heads.newest(log)
    seen = [] if newest is None else [(HERE, newest.note)]
    found = []
    try:
        outside = kept(copy)
    except OSError as error:
        found.append(Unmet(f"the head in {copy} cannot be read: {error.strerror}", ""))
    else:
        seen += [] if outside is None else [(f"the head in {copy}", outside)]
    for where, text in seen:
        why = None if text in left_behind else _why(text, keys, reader.head(log), stored)
        found += [] if why is None else [Unmet(f"{where} {why[0]}", text, why[1])]
    return found


def kept(copy: Path | None) -> str | None:
    """The head that lies outside; None if none does, or nobody said where. Raises OSError."""
    if copy is None:
        return None
    try:
        with files.opened(copy) as file:
            return file.read(4 * note.MOST_CHARACTERS).decode(errors="replace") or None
    except FileNotFoundError:
        return None


def _why(text: str, keys: list[PublicKey], head: int, stored: Stored) -> tuple[str, bool] | None:
    try:
        found = note.read(text)
        signers = found.signers(keys)
    except errors.NotANote as error:
        return f"is none: {error}", False
    origin, size, root = found.head
    if not any(key.name == origin for key in signers):
        return f"is one of {origin} over {size} events, signed with a key that this log does not name", False
    if size > head:
        return f"was signed over {size} events, and the log has {head}", False
    if 0 < size <= stored.size and not _begins_with(size, root, stored):
        return f"was signed over other events than the first {size} of the log", True
    return None


def _begins_with(size: int, root: bytes, stored: Stored) -> bool:
    path = stored.consistency(size, stored.size)
    return merkle.is_consistent(size, stored.size, root, stored.root(stored.size), path)
