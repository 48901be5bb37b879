"""One step of a play: what changes at a provider, and the callback that tells of it."""

import base64
import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from listener.demo.evrotrust import Evrotrust
from listener.demo.onespan import OneSpan


@dataclass(frozen=True)
class Stage:
    """The two imitated providers that a play moves."""

    onespan: OneSpan
    evrotrust: Evrotrust


@dataclass(frozen=True)
class Step:
    """One callback, and what has happened at the provider just before it.

    `path` goes below the source's address at the door. A step is played once: `move` changes the objects that it was
    made with.
    """

    provider: str  # onespan or evrotrust
    path: str
    body: bytes
    text: str
    move: Callable[[Stage], object]


def noise(seed: int, name: str, size: int) -> bytes:
    """Return `size` bytes that look random and are the same for the same seed and name."""
    return hashlib.shake_256(f"{seed} {name}".encode()).digest(size)


def package_id(seed: int, name: str, *, dash: bool = False) -> str:
    """Return an id as OneSpan's are, 20 bytes in URL-safe base64; it starts with "-" if `dash`, else a letter."""
    raw = noise(seed, name, 20)
    lead = 0xF8 | raw[0] & 3 if dash else raw[0] & 0x7F  # six bits 62 are "-", below 32 they are a letter
    return base64.urlsafe_b64encode(bytes([lead]) + raw[1:]).decode()


def user_id(seed: int, name: str) -> str:
    """Return an id as OneSpan's signers have."""
    return str(uuid.UUID(bytes=noise(seed, name, 16), version=4))
