"""The configuration, read once: defaults < signlog.toml < environment. The only reader of the environment."""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from listener import api, settings_layers, settings_rules
from listener.api import Access
from listener.settings_layers import Form

SECRETS: Final = frozenset(
    {
        *("token", "callback_keys", "callback_client_secrets", "path_secret", "database_url"),
        *("api_key", "client_secret", "private_key_passphrases"),
    }
)
_HIDDEN: Final = SECRETS | {"private_keys"}  # paths; but somebody may write a key there
_ACCESS: Final = (
    *("api_key", "client_id", "client_secret", "api_auth", "api_sender"),
    *("vendor_number", "private_keys", "private_key_passphrases"),
)

Port = Annotated[int, Meta(ge=0, le=65535)]
# More than this at once would find no room in front of the log.
BodyBytes = Annotated[int, Meta(ge=1024, le=16 * 1024**2)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the configuration, shown without its secrets."""

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        pairs = [(name, getattr(self, name)) for name in self.__struct_fields__]
        return [(name, "…" if name in _HIDDEN and value else value) for name, value in pairs]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"


class Door(Section, frozen=True):
    """Where strangers reach us."""

    host: str = "127.0.0.1"
    port: Port = 4449


class Desk(Section, frozen=True):
    """Where operators look."""

    host: str = "127.0.0.1"
    port: Port = 4450
    token: str | None = None


class Source(Section, frozen=True):
    """One configured account of a provider."""

    provider: str = ""
    callback_keys: tuple[str, ...] = ()
    callback_header: str | None = None
    callback_client_id: str | None = None
    callback_client_secrets: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    path_secret: str | None = None
    unauthenticated: bool = False
    api_url: str | None = None
    api_key: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    api_auth: str | None = None
    api_sender: str | None = None
    vendor_number: str | None = None
    private_keys: tuple[str, ...] = ()
    private_key_passphrases: tuple[str, ...] = ()
    artifacts: tuple[str, ...] | None = None
    signed_artifacts: tuple[str, ...] | None = None
    trust_roots: tuple[str, ...] = ()

    @property
    def networks(self) -> tuple[Network, ...]:
        """The addresses that callbacks may come from."""
        return tuple(ipaddress.ip_network(cidr) for cidr in self.allow)

    @property
    def access(self) -> Access:
        """How to reach the provider's API, as far as it is configured. Some addresses have a name."""
        known = api.named(self.provider)
        url = known.DEFAULT_URL if self.api_url is None else known.URLS.get(self.api_url, self.api_url)
        return Access(
            url or "",
            self.api_key,
            self.client_id,
            self.client_secret,
            self.vendor_number,
            self.private_keys,
            self.private_key_passphrases,
            self.api_auth,
            self.api_sender,
        )


class Settings(Section, frozen=True):
    """Everything that can be configured, with its defaults."""

    data: str = "signlog-data"
    disk_reserve: Annotated[int, Meta(ge=0)] = 1024**3
    database_url: str | None = None
    documents: str | None = None
    door: Door = Door()
    desk: Desk = Desk()
    max_body_bytes: BodyBytes = 1048576
    max_spool_bytes: Annotated[int, Meta(ge=0)] = 1024**3
    trusted_proxies: tuple[str, ...] = ()
    origin: str | None = None
    checkpoint_key: str | None = None
    checkpoint_copy: str | None = None
    sources: dict[str, Source] = {}
    replay: Literal["ask", "auto"] = "ask"
    check_signatures: bool = True

    @property
    def folder(self) -> Path:
        """The local folder that holds the log."""
        return Path(self.data)

    @property
    def spool_folder(self) -> Path:
        """Where callbacks wait for the database."""
        return self.folder / "spool"

    @property
    def documents_folder(self) -> Path:
        """Where signed documents are put; or, if that is a bucket, where there is room for one that comes."""
        return Path(self.documents) if self.documents and self.bucket is None else self.folder / "documents"

    @property
    def bucket(self) -> str | None:
        """s3://BUCKET/PREFIX, if signed documents are put there."""
        return self.documents if self.documents and self.documents.startswith("s3://") else None

    @property
    def key_file(self) -> Path:
        """The private key of signed heads."""
        return Path(self.checkpoint_key) if self.checkpoint_key else self.folder / "checkpoint.key"

    @property
    def copy_file(self) -> Path | None:
        """Where the newest signed head is put, outside the log."""
        return Path(self.checkpoint_copy) if self.checkpoint_copy else None

    @property
    def proxies(self) -> tuple[Network, ...]:
        """The proxies whose X-Forwarded-For is believed."""
        return tuple(ipaddress.ip_network(cidr) for cidr in self.trusted_proxies)

    def without_effect(self) -> list[str]:
        """Keys that are set for parts that this version, or the provider of the source, does not have."""
        found = ["desk"] if self.desk != Desk() else []
        for name, source in self.sources.items():
            unknown = [key for key in _ACCESS if key not in api.named(source.provider).TAKES]
            found += [f"sources.{name}.{key}" for key in unknown if getattr(source, key)]
        return found


def load(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the configuration. Raises ConfigurationError with a sentence that says what to write instead."""
    tree = settings_layers.merged(Form(Settings, SECRETS), config, os.environ if environ is None else environ)
    for name, source in tree.get("sources", {}).items():
        source.setdefault("provider", name)
    found = msgspec.convert(tree, Settings)
    settings_rules.check(found)
    if found.bucket is not None:
        settings_rules.check_endpoint(os.environ if environ is None else environ)
    return found


def forget_environment() -> None:
    """Take all settings out of the environment, for this process and those that it starts."""
    for name in [name for name in os.environ if name.startswith(settings_layers.PREFIX)]:
        del os.environ[name]
