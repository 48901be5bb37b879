"""signlog register."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import Config, Json

if TYPE_CHECKING:
    from listener.api import Registration, Registry
    from listener.settings import Settings, Source

NONE, OURS, ANOTHER = "none", "ours", "another"
_KEYS = {NONE: "none", OURS: "one of callback_keys", ANOTHER: "another one, or the provider does not show it"}


def register(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source that calls back.")],
    url: Annotated[
        str | None, typer.Argument(metavar="URL", help="Its address as the provider reaches it, with https://.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only look; exit 1 if an event is off.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Register the address of your callbacks at the provider.

    It shows what is registered now, asks, registers address, key and all events, and shows the result.

    Example: signlog register onespan https://your.host/callbacks/onespan
    """
    if url is None and not check:
        options.fail(options.WRONG, "name the URL to register, or say --check to look only")
    if json and not yes and not check:
        options.fail(options.WRONG, "--json asks nothing; add --yes, or --check")
    with options.told():
        from listener import bootstrap, settings

        found = settings.load(config)
        with bootstrap.registry(found, source) as registry, _asked(source):
            _Registering(found, source, url, json).run(registry, check, yes)


@contextlib.contextmanager
def _asked(source: str) -> Iterator[None]:
    """Whatever the API answers instead."""
    try:
        yield
    except errors.ProviderError as error:
        raise errors.NotFoundError(f"{source}: the provider's API did not do it: {error}") from None


class _Registering:
    """One source, and the address that somebody wants for it."""

    def __init__(self, settings: "Settings", name: str, url: str | None, json: bool) -> None:
        from listener import api

        self.name = name
        self.url = url
        self.json = json
        self.source: Source = settings.sources[name]
        self.events = tuple(api.named(self.source.provider).EVENTS)

    def run(self, registry: "Registry", check: bool, yes: bool) -> None:
        """Look; and if that is not all, ask, register, and look again."""
        if self.url is not None:
            _assert_address(self.url)
        now = registry.registered()
        if not check:
            wanted = self._wanted(now)
            if not self.json:
                self._show("Registered now:", now)
                self._warn(wanted.url)
            if not yes and not typer.confirm(f"Register {self._hidden(wanted.url)} with all events?", err=True):
                output.note("Nothing was changed.")
                raise typer.Exit(options.NO)
            registry.register(wanted)
            now = registry.registered()
        self._show("Registered now:", now)
        if self._problems(now):
            raise typer.Exit(options.NO)

    def _wanted(self, now: "Registration") -> "Registration":
        """All that we know, and what is on beside it: whatever is not named is switched off."""
        from listener.api import Registration

        if self.source.callback_client_id is not None and not self.source.callback_keys:
            raise errors.ConfigurationError(
                f"sources.{self.name}.callback_keys: required to register; OAuth 2.0 for callbacks is set up in the "
                "provider's own pages, and registering could take it away. To look only: --check"
            )
        others = [event for event in now.events if event not in self.events]
        return Registration(self.url or "", self._key(), (*self.events, *others))

    def _key(self) -> str:
        """The newest key; none where it comes in a header of its own, or where none is asked for."""
        keys = () if self.source.callback_header else self.source.callback_keys
        return keys[0] if keys else ""

    def _told(self, now: "Registration") -> dict[str, Any]:
        from listener.door import comparison

        known = [comparison.same(now.key.encode(), key.encode()) for key in self.source.callback_keys]
        return {
            "source": self.name,
            "url": self._hidden(now.url),
            "key": (OURS if any(known) else ANOTHER) if now.key else NONE,
            "events": list(now.events),
            "off": [event for event in self.events if event not in now.events],
            "problems": self._problems(now),
        }

    def _problems(self, now: "Registration") -> list[str]:
        """What would cost callbacks."""
        problems = [] if now.url else ["no address is registered"]
        if now.url and self.url not in (None, now.url):
            problems.append("another address is registered")
        if now.url and not now.key and self._key():
            problems.append("no key is registered, and callbacks without one are refused")
        off = [event for event in self.events if event not in now.events]
        return [*problems, *([f"events are off: {', '.join(off)}"] if off else [])]

    def _hidden(self, url: str) -> str:
        """An address without the secret in its path."""
        secret = self.source.path_secret
        return url.replace(secret, "…") if secret else url

    def _show(self, title: str, now: "Registration") -> None:
        told = self._told(now)
        if self.json:
            output.json_value(told)
            return
        output.line(title)
        output.fields(
            {
                "address": told["url"] or "none",
                "key": _KEYS[told["key"]],
                "on": ", ".join(told["events"]) or "no event",
                "off": None if told["off"] else "no event",  # those that are stand among the problems
            }
        )
        for problem in told["problems"]:
            output.line(f"! {problem}")

    def _warn(self, url: str) -> None:
        """Say where the door would not look for it; a proxy in between may change the path."""
        from listener.door.address import Address, resolve

        path = urlsplit(url).path
        found = resolve(path.encode())
        secret = self.source.path_secret
        if not isinstance(found, Address) or found.source != self.name:
            output.note(f"The door takes no callbacks of {self.name} at {path or '/'}, but at /callbacks/{self.name}.")
        elif secret is not None and found.below[:1] != (secret,):
            output.note(f"The secret of sources.{self.name}.path_secret is not where it should be in this address.")


def _assert_address(url: str) -> None:
    """Raise ConfigurationError for what no provider could call."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("https", "http") and parts.hostname and parts.username is None and not parts.fragment
    except ValueError:
        usable = False
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise errors.ConfigurationError('URL: this is no address; write "https://…" and the name of your host')
    if url.startswith("http:"):
        raise errors.ConfigurationError("URL: the key would travel in the clear; write https://")
