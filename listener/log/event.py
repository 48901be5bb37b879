"""An event of the log: what is written, and how it is sealed so that a change shows."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

FORMAT: Final = 1
SALT_BYTES: Final = 16

CALLBACK: Final = "callback"
IMPORT: Final = "import"
OBSERVATION: Final = "observation"
OUTCOME: Final = "outcome"
DECISION: Final = "decision"
KINDS: Final = (CALLBACK, IMPORT, OBSERVATION, OUTCOME, DECISION)


class Draft(NamedTuple):
    """An event before it has a position: all that its author knows."""

    kind: str
    source: str
    provider: str
    body: bytes
    headers: str = "[]"
    method: str | None = None
    path: str | None = None
    peer: str | None = None
    client: str | None = None
    credential: str | None = None
    spooled_at: int | None = None
    salt: bytes | None = None  # drawn early, where one must be able to tell whether it was stored already


class Content(NamedTuple):
    """What of an event is interpreted: neither who sent it nor how it is sealed. No body: it was erased."""

    position: int
    recorded_at: int
    kind: str
    source: str
    provider: str
    path: str | None
    headers: str | None
    body: bytes | None


class Event(NamedTuple):
    """One row of the log, in the order of its columns. Erased events have no body, headers or salt."""

    position: int
    v: int
    recorded_at: int
    spooled_at: int | None
    kind: str
    source: str
    provider: str
    method: str | None
    path: str | None
    peer: str | None
    client: str | None
    headers: str | None
    credential: str | None
    body: bytes | None
    salt: bytes | None
    content: bytes
    leaf: bytes


Readable = Content | Event


class Entry(msgspec.Struct, gc=False):
    """What a leaf commits to. The fields stand in alphabetical order: that is the order they are encoded in."""

    client: str | None
    content: str
    credential: str | None
    kind: str
    log: str
    method: str | None
    path: str | None
    peer: str | None
    position: int
    provider: str
    recorded_at: int
    source: str
    spooled_at: int | None
    v: int


_encode = msgspec.json.Encoder().encode


def content_hash(salt: bytes, headers: str, body: bytes) -> bytes:
    """SHA-256(salt ‖ 8-byte big-endian length of headers ‖ headers ‖ body).

    The salt keeps an erased body from being guessed by hashing candidates. Raises ValueError for one of another length:
    bytes could move between it and what follows without changing the digest.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt of {len(salt)} bytes")
    written = headers.encode()
    return hashlib.sha256(salt + len(written).to_bytes(8, "big") + written + body).digest()


def leaf_hash(entry: Entry) -> bytes:
    """RFC 6962's leaf hash, SHA-256(0x00 ‖ E), of E: JSON in UTF-8, keys sorted, no spaces, no ASCII escapes."""
    return hashlib.sha256(b"\x00" + _encode(entry)).digest()


def seal(draft: Draft, log_id: bytes, position: int, recorded_at: int) -> Event:
    """Give a draft its place in the log `log_id` (16 bytes), at a time in microseconds UTC."""
    kind, source, provider, body, headers, method, path, peer, client, credential, spooled_at, drawn = draft
    salt = drawn or os.urandom(SALT_BYTES)
    content = content_hash(salt, headers, body)
    entry = Entry(
        client,
        content.hex(),
        credential,
        kind,
        log_id.hex(),
        method,
        path,
        peer,
        position,
        provider,
        recorded_at,
        source,
        spooled_at,
        FORMAT,
    )
    return Event(
        position,
        FORMAT,
        recorded_at,
        spooled_at,
        kind,
        source,
        provider,
        method,
        path,
        peer,
        client,
        headers,
        credential,
        body,
        salt,
        content,
        leaf_hash(entry),
    )


def entry_of(event: Event, log_id: bytes) -> Entry:
    """The entry that the leaf of `event` commits to, in the epoch `log_id`."""
    return Entry(
        event.client,
        event.content.hex(),
        event.credential,
        event.kind,
        log_id.hex(),
        event.method,
        event.path,
        event.peer,
        event.position,
        event.provider,
        event.recorded_at,
        event.source,
        event.spooled_at,
        event.v,
    )


def written(pairs: Iterable[Sequence[str]]) -> str:
    """Name-value pairs as the log writes headers: a JSON list of lists, order and duplicates kept."""
    return _encode(list(pairs)).decode()
