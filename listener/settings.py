"""The configuration, read once: defaults < signlog.toml < environment. The only reader of the environment."""

import difflib
import ipaddress
import os
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from listener import errors, provider

PREFIX: Final = "SIGNLOG_"
FILE: Final = "signlog.toml"
NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
SECRETS: Final = frozenset({"token", "callback_keys", "path_secret", "api_key", "client_secret", "private_keys"})
# Names that the configuration already has, for parts that this version does not have yet.
_WITHOUT_EFFECT: Final = ("client_id", "client_secret", "vendor_number", "private_keys")

Port = Annotated[int, Meta(ge=0, le=65535)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Door(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where strangers reach us."""

    host: str = "127.0.0.1"
    port: Port = 4449


class Desk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where operators look."""

    host: str = "127.0.0.1"
    port: Port = 4450
    token: str | None = None


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One configured account of a provider."""

    provider: str = ""
    callback_keys: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    path_secret: str | None = None
    unauthenticated: bool = False
    api_url: str | None = None
    api_key: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    vendor_number: str | None = None
    private_keys: tuple[str, ...] = ()
    artifacts: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        """Never the values: most are secret."""
        return f"Source(provider={self.provider!r})"

    @property
    def networks(self) -> tuple[Network, ...]:
        """The addresses that callbacks may come from."""
        return tuple(ipaddress.ip_network(cidr) for cidr in self.allow)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that can be configured, with its defaults."""

    data: str = "signlog-data"
    disk_reserve: Annotated[int, Meta(ge=0)] = 1024**3
    database_url: str | None = None
    documents: str | None = None
    door: Door = Door()
    desk: Desk = Desk()
    max_body_bytes: Annotated[int, Meta(ge=1024, le=64 * 1024**2)] = 1048576
    trusted_proxies: tuple[str, ...] = ()
    origin: str | None = None
    checkpoint_key: str | None = None
    sources: dict[str, Source] = {}

    def __repr__(self) -> str:
        """Never the values: some are secret."""
        return f"Settings(data={self.data!r}, sources={sorted(self.sources)})"

    @property
    def folder(self) -> Path:
        """The local folder that holds the log."""
        return Path(self.data)

    @property
    def documents_folder(self) -> Path:
        """Where signed documents are put."""
        return Path(self.documents) if self.documents else self.folder / "documents"

    def without_effect(self) -> list[str]:
        """Keys that are set for parts that this version does not have yet."""
        found = [key for key in ("origin", "checkpoint_key") if getattr(self, key) is not None]
        found += ["desk"] if self.desk != Desk() else []
        for name, source in self.sources.items():
            found += [f"sources.{name}.{key}" for key in _WITHOUT_EFFECT if getattr(source, key)]
        return found

    @property
    def proxies(self) -> tuple[Network, ...]:
        """The proxies whose X-Forwarded-For is believed."""
        return tuple(ipaddress.ip_network(cidr) for cidr in self.trusted_proxies)


def load(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the configuration. Raises ConfigurationError with a sentence that says what to write instead."""
    env = dict(os.environ if environ is None else environ)
    path = config or (Path(env[PREFIX + "CONFIG"]) if env.get(PREFIX + "CONFIG") else None)
    tree = _from_file(path)
    _overlay(tree, _from_environment(env))
    _read_secret_files(tree)
    return _checked(tree)


def _from_file(path: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads((path or Path(FILE)).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if path is None:
            return {}
        raise errors.ConfigurationError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise errors.ConfigurationError(f"{path or FILE}: {error}") from None


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    """SIGNLOG_DOOR__PORT=1 as {"door": {"port": "1"}}, lists split where the key holds a list."""
    tree: dict[str, Any] = {}
    for name, value in env.items():
        if not name.startswith(PREFIX) or name == PREFIX + "CONFIG":
            continue
        *levels, key = name.removeprefix(PREFIX).lower().split("__")
        branch = tree
        for level in levels:
            branch = branch.setdefault(level, {})
            if not isinstance(branch, dict):
                raise errors.ConfigurationError(f"{name}: {level} is set as a value and as a section")
        branch[key] = _listed(name, value) if _is_list(levels, key) else value
    return tree


def _is_list(levels: list[str], key: str) -> bool:
    struct: Any = Settings
    if levels:
        struct = {"door": Door, "desk": Desk, "sources": Source}.get(levels[0])
    hint = typing.get_type_hints(struct).get(key) if struct else None
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return any(typing.get_origin(option) is tuple for option in options)


def _listed(name: str, value: str) -> list[str]:
    if value.lstrip().startswith("["):
        try:
            return msgspec.json.decode(value, type=list[str])
        except msgspec.MsgspecError as error:
            raise errors.ConfigurationError(f'{name}: not a JSON list of strings ({error}); write ["a", "b"]') from None
    return [part.strip() for part in value.split(",") if part.strip()]


def _overlay(tree: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _overlay(tree[key], value)
        else:
            tree[key] = value


def _read_secret_files(tree: dict[str, Any]) -> None:
    """X_FILE names a file that holds X, one value a line."""
    for key, value in list(tree.items()):
        if isinstance(value, dict):
            _read_secret_files(value)
        elif key.endswith("_file") and (secret := key.removesuffix("_file")) in SECRETS:
            tree[secret] = _secret(key, value, secret.endswith("s"))
            del tree[key]


def _secret(key: str, path: Any, several: bool) -> Any:
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, TypeError, ValueError) as error:
        raise errors.ConfigurationError(f"{key}: cannot be read: {error}") from None
    if several:
        return lines
    if len(lines) != 1:
        raise errors.ConfigurationError(f"{key}: {path} has {len(lines)} lines; it must hold one value on one line")
    return lines[0]


def _checked(tree: dict[str, Any]) -> Settings:
    for name, source in (tree.get("sources") or {}).items() if isinstance(tree.get("sources"), dict) else ():
        if isinstance(source, dict):
            source.setdefault("provider", name)
    _refuse_unknown(tree)
    try:
        settings = msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at ")
        key = where.strip("`").removeprefix("$.").replace("[...]", ".NAME") or "the file"
        raise errors.ConfigurationError(f"{key}: {problem}") from None
    _check(settings)
    return settings


def _refuse_unknown(tree: Mapping[str, Any], struct: Any = Settings, where: str = "") -> None:
    known = struct.__struct_fields__
    for key, value in tree.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, 0.5)
            hint = f"did you mean {where}{near[0]}?" if near else f"known here: {', '.join(known)}"
            raise errors.ConfigurationError(f"{where}{key}: there is no such key; {hint}")
        below = {"door": Door, "desk": Desk}.get(key) if not where else None
        if below and isinstance(value, dict):
            _refuse_unknown(value, below, f"{key}.")
        if key == "sources" and isinstance(value, dict):
            for name, source in value.items():
                if isinstance(source, dict):
                    _refuse_unknown(source, Source, f"sources.{name}.")


def _check(settings: Settings) -> None:
    """What types cannot say."""
    if settings.database_url is not None:
        raise errors.ConfigurationError(
            "database_url: this version keeps its log in SQLite; leave the key out, and set data to the folder"
        )
    if settings.documents and "://" in settings.documents:
        raise errors.ConfigurationError("documents: this version writes to a local folder; write its path")
    _networks("trusted_proxies", settings.trusted_proxies)
    _check_desk(settings.desk)
    for name, source in settings.sources.items():
        _check_source(f"sources.{name}", name, source)
        _check_overlap(f"sources.{name}", source, settings)


def _check_desk(desk: Desk) -> None:
    try:
        loopback = desk.host == "localhost" or ipaddress.ip_address(desk.host).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not desk.token:
        raise errors.ConfigurationError(
            f"desk.token: required while desk.host is {desk.host}; set one, or desk.host = '127.0.0.1'"
        )


def _check_source(where: str, name: str, source: Source) -> None:
    if not NAME.fullmatch(name):
        raise errors.ConfigurationError(f"{where}: a source is named with a-z, 0-9 and _, beginning with a letter")
    if source.provider not in provider.names():
        near = difflib.get_close_matches(source.provider, provider.names(), 1, 0.4)
        raise errors.ConfigurationError(
            f"{where}.provider: there is no provider {source.provider!r}; "
            f"write one of: {', '.join(near or provider.names())}"
        )
    _networks(f"{where}.allow", source.allow)
    _check_credentials(where, source)


def _check_credentials(where: str, source: Source) -> None:
    sends_key = provider.named(source.provider).SENDS_KEY
    if source.callback_keys and not sends_key:
        raise errors.ConfigurationError(
            f"{where}.callback_keys: {source.provider} sends no key; set allow or path_secret"
        )
    for key in source.callback_keys:
        if not key or key != key.strip() or not key.isascii() or not key.isprintable():
            raise errors.ConfigurationError(f"{where}.callback_keys: a key is printable ASCII without spaces around it")
    if source.path_secret is not None and not re.fullmatch(r"[A-Za-z0-9._~-]{12,}", source.path_secret):
        raise errors.ConfigurationError(
            f"{where}.path_secret: at least 12 of the characters A-Z a-z 0-9 . _ ~ -; "
            "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(24))'"
        )
    has = bool(source.callback_keys or source.allow or source.path_secret)
    if not has and not source.unauthenticated:
        kinds = "callback_keys, allow or path_secret" if sends_key else "allow or path_secret"
        raise errors.ConfigurationError(
            f"{where}: nothing tells its callbacks from forged ones; set {kinds}, "
            "or unauthenticated = true to accept whatever comes"
        )
    if has and source.unauthenticated:
        raise errors.ConfigurationError(f"{where}.unauthenticated: true beside a credential; leave one of them out")


def _networks(where: str, cidrs: tuple[str, ...]) -> None:
    for cidr in cidrs:
        try:
            ipaddress.ip_network(cidr)
        except ValueError as error:
            raise errors.ConfigurationError(f"{where}: {error}; write a network such as '192.0.2.0/24'") from None


def _check_overlap(where: str, source: Source, settings: Settings) -> None:
    """An allowed address that is a proxy's would let in whatever comes through that proxy."""
    for network in source.networks:
        for proxy in settings.proxies:
            if network.version == proxy.version and network.overlaps(proxy):
                raise errors.ConfigurationError(
                    f"{where}.allow: {network} overlaps trusted_proxies {proxy}; name the provider's addresses only"
                )
