"""The newest heads that are known anywhere, and whether the log still is what they say."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection

from listener import errors, files
from listener.log import heads, merkle, note, reader
from listener.log.note import PublicKey
from listener.log.tree import Stored
from listener.signing import decided

HERE: Final = "the newest signed head"


class Seen(NamedTuple):
    """A head that was signed once, and where it was found; or that there may be one, and why nobody can read it."""

    where: str
    note: str
    unreadable: str | None = None


class Unmet(NamedTuple):
    """A head that the log does not live up to, and why. `differs`: by what the tree says, not by its length."""

    why: str
    note: str
    differs: bool = False


def outside(copy: Path | None) -> list[Seen]:
    """The head that lies outside. To be asked before the log is: the disk that it lies on may take its time."""
    where = f"the head in {copy}"
    try:
        found = kept(copy)
    except OSError as error:
        return [Seen(where, "", f"cannot be read: {error.strerror}")]
    return [] if found is None else [Seen(where, found)]


def unmet(log: Connection, stored: Stored, outside: Sequence[Seen]) -> list[Unmet]:
    """What somebody must decide about before anything is signed again.

    The log is compared with the head that was signed last and with those that lie outside. While the tree is behind a
    head, only its length is.
    """
    keys, left_behind = [known.key for known in decided.named(log)], decided.accepted(log)
    newest = heads.newest(log)
    seen = [*([] if newest is None else [Seen(HERE, newest.note)]), *outside]
    found = []
    for where, text, unreadable in seen:
        if unreadable is not None:
            found.append(Unmet(f"{where} {unreadable}", ""))
        elif text not in left_behind and (why := _why(text, keys, log, stored)) is not None:
            found.append(Unmet(f"{where} {why[0]}", text, why[1]))
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


def _why(text: str, keys: list[PublicKey], log: Connection, stored: Stored) -> tuple[str, bool] | None:
    try:
        found = note.read(text)
        signers = found.signers(keys)
    except errors.NotANote as error:
        return f"is none: {error}", False
    origin, size, root = found.head
    if not any(key.name == origin for key in signers):
        return f"is one of {origin} over {size} events, signed with a key that this log does not name", False
    if size > (last := reader.head(log)):
        return f"was signed over {size} events, and the log has {last}", False
    if 0 < size <= stored.size and not _begins_with(size, root, log, stored):
        return f"was signed over other events than the first {size} of the log", True
    return None


def _begins_with(size: int, root: bytes, log: Connection, stored: Stored) -> bool:
    """Whether the tree does, and the log with it: the tree may still be that of the log which lay here before."""
    path = stored.consistency(size, stored.size)
    proved = merkle.is_consistent(size, stored.size, root, stored.root(stored.size), path)
    return proved and reader.leaf(log, size) == stored.node(0, size - 1)
