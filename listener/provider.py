"""What a provider is, and which ones there are: each is one module in `listener/providers/`."""

import functools
import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, cast

import msgspec

from listener import errors, providers
from listener.log.event import Event
from projections.facts import Fact


class Access(NamedTuple):
    """How to reach a provider's API for one source."""

    url: str
    key: str

    def __repr__(self) -> str:
        """Without the key."""
        return f"Access(url={self.url!r})"


class Observation(NamedTuple):
    """An answer of a provider's API, reduced to what may be kept: the status code and allow-listed fields as JSON."""

    method: str
    path: str
    code: int
    body: bytes
    complete: bool


class Stream(NamedTuple):
    """A document on its way: its bytes, and how many there must be if the provider said so."""

    chunks: Iterator[bytes]
    length: int | None


class Api(Protocol):
    """A provider's API for one source. All of it raises ProviderError."""

    def ask(self, subject: str) -> Observation:
        """Where does the subject stand?"""

    def fetch(self, subject: str, artifact: str) -> AbstractContextManager[Stream]:
        """One of its documents."""

    def close(self) -> None:
        """Let go of the connections."""


class Provider(Protocol):
    """A module of `listener/providers/`."""

    NOUN: str  # what is signed, in the provider's word
    SENDS_KEY: bool  # whether its callbacks carry a key of ours
    SPEAKS_API: bool  # whether this version can ask it and fetch from it
    ARTIFACTS: Mapping[str, str]  # what it can be asked for: name → what it is
    DEFAULT_ARTIFACTS: tuple[str, ...]
    DEFAULT_URL: str | None

    def presented(self, headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
        """The key that a callback shows, from its headers (lower-case names)."""

    def recognises(self, path: str, body: bytes) -> bool:
        """Whether this looks like one of the provider's callbacks, authenticated or not."""

    def interpret(self, event: Event) -> list[Fact]:
        """What a callback, import or observation says. Raises Fault if it cannot be read."""

    def connect(self, access: Access) -> Api:
        """Its API, for one source."""


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
    try:
        fields = msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (ValueError, RecursionError) as error:
        raise errors.Fault(f"not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise errors.Fault(f"not a JSON object but {type(fields).__name__}")
    return fields
