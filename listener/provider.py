"""What a provider says and means, and which ones there are: each is one module in `listener/providers/`.

How it is asked is a module of the same name in `listener/apis/`.
"""

import functools
import hashlib
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

import msgspec

from listener import errors, providers
from listener.log.event import Readable
from projections.facts import Fact

_Shape = TypeVar("_Shape")


class Provider(Protocol):
    """A module of `listener/providers/`."""

    NOUN: str  # what is signed, in the provider's word
    SENDS_KEY: bool  # whether its callbacks carry a key of ours
    KINDS: Mapping[str, str]  # the ways in which something is signed, where they differ for us: name → what it is

    def presented(self, headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
        """The key that a callback shows, from its headers (lower-case names)."""

    def recognises(self, path: str, body: bytes) -> bool:
        """Whether this looks like one of the provider's callbacks, authenticated or not."""

    def interpret(self, event: Readable) -> list[Fact]:
        """What a callback, import or observation says. Raises Fault if it cannot be read."""


@functools.cache
def names() -> tuple[str, ...]:
    """The names of all providers, from the files that are there."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(providers.__path__)))


@functools.cache
def named(name: str) -> Provider:
    """The provider of that name. Raises Fault for one that this version does not know."""
    if name not in names():
        raise errors.Fault(f"this version knows no provider {name!r}")
    return cast(Provider, importlib.import_module(f"listener.providers.{name}"))


def fields_of(body: bytes) -> dict[str, Any]:
    """A body as the JSON object it should be. Raises Fault if it is none."""
    return as_json(body, _object)


def as_json(body: bytes, decode: Callable[[bytes], _Shape]) -> _Shape:
    """A body as `decode` reads it, with or without a byte order mark. Raises Fault if it cannot."""
    try:
        return decode(body.removeprefix(b"\xef\xbb\xbf"))
    except msgspec.ValidationError as error:
        raise errors.Fault(f"not a JSON object: {error}") from None
    except (ValueError, RecursionError) as error:
        raise errors.Fault(f"not JSON: {error}") from None


class Whole(msgspec.Struct, frozen=True):
    """An answer of an API, of which only a part may be kept: its size in bytes, its SHA-256 in hex."""

    size: int
    sha256: str

    @classmethod
    def of(cls, answer: bytes) -> "Whole":
        """What stands for these bytes."""
        return cls(len(answer), hashlib.sha256(answer).hexdigest())


def answer_of(found: Readable, shape: type[_Shape]) -> tuple[_Shape, int]:
    """The kept part of an answer, and the status code that it came with. Raises Fault if it cannot be read."""
    try:
        headers = msgspec.json.decode(found.headers or "[]", type=list[tuple[str, str]])
        return msgspec.json.decode(found.body or b"", type=shape), int(dict(headers)[":status"])
    except (KeyError, ValueError, RecursionError) as error:
        raise errors.Fault(f"an unreadable answer: {error!r}") from None


_object = msgspec.json.Decoder(dict[str, Any]).decode
