"""What a provider's API is to us, and which ones there are: each is one module in `listener/apis/`.

They are no part of the meaning: how we ask may change without a replay. Who is content with one file has both in it.
"""

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NamedTuple, Protocol, cast

CLIENT_APP: Final = "client_app"  # how tokens are got with client_id and client_secret
OAUTH2: Final = "oauth2"
AUTHS: Final = (CLIENT_APP, OAUTH2)


class Access(NamedTuple):
    """How to reach a provider's API for one source, as far as it is configured. Each API says what it needs."""

    url: str
    key: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    vendor_number: str | None = None
    private_keys: tuple[str, ...] = ()
    private_key_passphrases: tuple[str, ...] = ()
    auth: str | None = None
    sender: str | None = None

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Access(url={self.url!r})"


class Known(NamedTuple):
    """What the log knows of a subject that helps to ask for it, and to open what comes.

    `certain`: somebody told us the kind; else it is a guess.
    """

    kind: str | None = None
    certain: bool = False
    thread: str | None = None
    key: str | None = None


NOTHING: Final = Known()


class Observation(NamedTuple):
    """An answer of a provider's API, reduced to what may be kept: the status code and allow-listed fields as JSON.

    `lacks` names fields that could not be had this time: what an earlier answer said of them is not taken back.
    """

    method: str
    path: str
    code: int
    body: bytes
    complete: bool
    lacks: tuple[str, ...] = ()


class Stream(NamedTuple):
    """A document on its way: its bytes, and how many there must be if the provider said so."""

    chunks: Iterator[bytes]
    length: int | None


class Registration(NamedTuple):
    """Where a provider calls back, what key it shows there (the provider may tell it masked), and about what events."""

    url: str
    key: str
    events: tuple[str, ...]

    def __repr__(self) -> str:
        """Without the key."""
        return f"Registration(url={self.url!r}, events={self.events!r})"


class Listed(NamedTuple):
    """A subject in a list of a provider: its status in their word, and when it last moved (microseconds UTC)."""

    subject: str
    status: str
    trashed: bool
    updated: int  # 0 where they do not tell


class Page(NamedTuple):
    """A part of such a list, and the words with which to go on behind it: to us they mean nothing."""

    listed: Sequence[Listed]
    cursor: str


class Material(NamedTuple):
    """A stored document that another one is made of, and a folder for what lies between."""

    path: Path
    scratch: Path


class Recipe(NamedTuple):
    """How an artifact is made of another one of its subject, once that is stored."""

    of: str  # that one
    needs: str  # the key of the configuration that it takes
    check: Callable[[Access], None]  # raises ConfigurationError for a value that cannot be right
    make: Callable[[Material, Access, Known], AbstractContextManager[Stream]]  # raises ProviderError

    def possible(self, access: Access) -> bool:
        """Whether what it takes is configured."""
        return bool(getattr(access, self.needs))


class Api(Protocol):
    """A provider's API for one source. All of it raises ProviderError."""

    def ask(self, subject: str, known: Known = NOTHING) -> Observation:
        """Where does the subject stand?"""

    def fetch(self, subject: str, artifact: str, answer: Observation) -> AbstractContextManager[Stream]:
        """One of its documents; `answer` said that it is complete."""

    def close(self) -> None:
        """Let go of the connections."""


class Registry(Protocol):
    """An API at which callbacks are registered, once for an account. Elsewhere each request names their address.

    All of it raises ProviderError.
    """

    def registered(self) -> Registration:
        """What is registered now; empty where nothing is."""

    def register(self, wanted: Registration) -> None:
        """Replace what is registered, all of it. No key registers none."""

    def close(self) -> None:
        """Let go of the connections."""


class Lister(Protocol):
    """An API that lists what moved. All of it raises ProviderError."""

    def updated(self, since: int, cursor: str | None = None) -> Iterator[Page]:
        """What moved since a time, or a little before, page by page; behind a cursor, if there is one."""


class Speaker(Protocol):
    """A module of `listener/apis/`, or one of `listener/providers/` that says how to ask, too."""

    ARTIFACTS: Mapping[str, str]  # what it can be asked for: name → what it is
    DEFAULT_ARTIFACTS: tuple[str, ...]
    RECIPES: Mapping[str, Recipe]  # those of them that are made of another one
    PAPERS: tuple[str, ...]  # those of them that hold PDFs of the provider's making
    SIGNED: tuple[str, ...]  # those of these whose PDFs are due a signature, each of them
    DEFAULT_URL: str | None
    URLS: Mapping[str, str]  # what `api_url` may be called by name: name → address
    EVENTS: Sequence[str]  # what callbacks can be registered for, in its words; none where each request names them
    LISTS: bool  # whether its API is a Lister too; else each subject that has not ended is asked for
    TAKES: tuple[str, ...]  # the keys of the configuration, beside api_url, that have an effect on it

    def missing(self, access: Access) -> str | None:
        """The key of the configuration that is needed still to ask it; None when it can be asked.

        `api_key` where nothing is there yet, another one where half of it is.
        """

    def connect(self, access: Access) -> Api:
        """The API, for one source."""


def named(provider: str) -> Speaker:
    """How to ask a provider; there is one for each, in a file of its own or in the one that says what it means."""
    beside = f"listener.apis.{provider}"
    alone = importlib.util.find_spec(beside) is None
    return cast(Speaker, importlib.import_module(f"listener.providers.{provider}" if alone else beside))
