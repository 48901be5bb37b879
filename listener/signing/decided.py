"""What was decided about signing: which key, from which event on, and which restored log was accepted."""

from typing import Final, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection

from listener import acts, errors
from listener.log import event, note, reader
from listener.log.event import Draft
from listener.log.note import PublicKey

KEY_PATH: Final = "/checkpoint-key"
RESTORED_PATH: Final = "/restored"


class NewKey(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="action", tag="checkpoint key"):
    """From here on heads are signed with this key, written as verifiers of signed notes take it."""

    key: str
    operator: str | None = None
    reason: str | None = None


class Restored(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="action", tag="restored"):
    """The log goes on from a backup, in an epoch of its own; `heads` are notes that it does not live up to."""

    heads: tuple[str, ...]
    operator: str
    reason: str


class Named(NamedTuple):
    """A key, and where the log names it."""

    position: int
    key: PublicKey


_Body = TypeVar("_Body", NewKey, Restored)


def new_key(key: PublicKey, operator: str | None = None, reason: str | None = None) -> Draft:
    """The decision for a key, as an event to append."""
    return _draft(NewKey(str(key), operator, reason), KEY_PATH, operator)


def restored(heads: tuple[str, ...], operator: str, reason: str) -> Draft:
    """The decision to go on from a backup, as an event to append."""
    return _draft(Restored(heads, operator, reason), RESTORED_PATH, operator)


def _draft(body: NewKey | Restored, filed: str, operator: str | None) -> Draft:
    credential = None if operator is None else f"operator:{operator}"
    content = msgspec.json.encode(body)
    return Draft(event.DECISION, acts.SIGNLOG, acts.SIGNLOG, content, path=filed, credential=credential)


def named(connection: Connection) -> list[Named]:
    """The keys that the log names, in order; what cannot be read names none."""
    found = []
    for position, body in _read(connection, KEY_PATH, NewKey):
        try:
            found.append(Named(position, note.key(body.key)))
        except errors.NotANote:
            continue
    return found


def accepted(connection: Connection) -> frozenset[str]:
    """The notes that somebody decided to leave behind."""
    return frozenset(head for _, body in _read(connection, RESTORED_PATH, Restored) for head in body.heads)


def _read(connection: Connection, filed: str, kind: type[_Body]) -> list[tuple[int, _Body]]:
    decoder, found = msgspec.json.Decoder(kind), []
    for decision in reversed(reader.acts(connection, event.DECISION, filed)):
        try:
            found.append((decision.position, decoder.decode(decision.body or b"")))
        except (msgspec.MsgspecError, ValueError):
            continue
    return found
