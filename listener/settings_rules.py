"""What the types of settings cannot say: which values go together, and what is no key, no network, no address.

No message shows a value, for it might be a secret in the wrong place.
"""

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from listener import api, provider
from listener.errors import ConfigurationError

if TYPE_CHECKING:
    from listener.settings import Desk, Settings, Source

NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
ORIGIN: Final = re.compile(r"[^\s+\x00-\x1f\x7f]{1,200}")  # https://c2sp.org/signed-note: the name of a key
PATH_SECRET: Final = re.compile(r"[A-Za-z0-9._~-]{12,}")
DATABASE: Final = re.compile(r"postgresql\+psycopg://[^/?#\s]*/[^/?#\s]+(\?\S*)?")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?=.{0,300}$)(/[A-Za-z0-9_=-][A-Za-z0-9._=-]*)*/?")
ENDPOINT: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9./_-]*)?")
ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,50}")  # OneSpan's limit; underscores are dropped by proxies
_LONGEST_IN_HEADER: Final = 100  # OneSpan's limit, too
_TAKEN: Final = frozenset(
    {
        *("authorization", "proxy-authorization", "cookie", "host", "connection", "content-length", "content-type"),
        *("transfer-encoding", "accept", "accept-encoding", "user-agent", "x-forwarded-for"),
    }
)
_SHORTEST_SECRET: Final = 12  # characters: a client may guess ten times a minute


def check(settings: "Settings") -> None:
    """Raise ConfigurationError for the first thing that is wrong."""
    if settings.database_url is not None and not DATABASE.fullmatch(settings.database_url):
        raise ConfigurationError(
            "database_url: this is no address of a PostgreSQL; write "
            "postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE, or leave it out for SQLite in data"
        )
    if settings.documents and "://" in settings.documents and not BUCKET.fullmatch(settings.documents):
        raise ConfigurationError(
            "documents: this is neither a folder nor a bucket; write a path, or s3://BUCKET/PREFIX "
            "(the prefix may be left out: A-Z a-z 0-9 . _ = -, with / between its parts)"
        )
    _check_signing(settings)
    _check_networks("trusted_proxies", settings.trusted_proxies)
    _check_desk(settings.desk)
    for name, source in settings.sources.items():
        _check_source(f"sources.{name}", name, source)
        _check_overlap(f"sources.{name}", source, settings)


def check_endpoint(environ: Mapping[str, str]) -> None:
    """Where the bucket is, if that is not at AWS."""
    for name in ENDPOINTS:
        if name in environ and not ENDPOINT.fullmatch(environ[name]):
            raise ConfigurationError(f"{name}: this is no address; write https:// and the name of a host, or unset it")


def _check_signing(settings: "Settings") -> None:
    if settings.origin is not None and not ORIGIN.fullmatch(settings.origin):
        raise ConfigurationError("origin: a name without spaces and +; write one like example.com/signlog")
    copy = settings.copy_file
    if copy is not None and copy.absolute().is_relative_to(settings.folder.absolute()):
        raise ConfigurationError(
            "checkpoint_copy: whoever changes the log could change what lies in data too; name a file elsewhere, "
            "best on another machine's disk"
        )


def _check_desk(desk: "Desk") -> None:
    if not _is_loopback(desk.host) and desk.token is None:
        raise ConfigurationError(
            'desk.token: required while desk.host is not this machine alone; set it, or desk.host = "127.0.0.1"'
        )
    if desk.token is not None:
        _check_key("desk.token", desk.token)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_source(where: str, name: str, source: "Source") -> None:
    if not NAME.fullmatch(name):
        raise ConfigurationError(f"{where}: a source is named with a-z, 0-9 and _, beginning with a letter")
    if source.provider not in provider.names():
        known = " or ".join(f'"{known}"' for known in provider.names())
        raise ConfigurationError(f"{where}.provider: there is no such provider; write {known}")
    _check_networks(f"{where}.allow", source.allow)
    _check_credentials(where, source)
    _check_access(where, source)
    _check_signed(where, source)


def _check_signed(where: str, source: "Source") -> None:
    """What is due a signature must be able to hold one that can be checked."""
    papers = api.named(source.provider).PAPERS
    for artifact in source.signed_artifacts or ():
        if artifact not in papers:
            raise ConfigurationError(
                f"{where}.signed_artifacts: {source.provider} makes no PDFs of that name; "
                f"write some of: {', '.join(papers)}"
            )


def _check_credentials(where: str, source: "Source") -> None:
    sends_key = provider.named(source.provider).SENDS_KEY
    if not sends_key:
        for key in ("callback_keys", "callback_header", "callback_client_id", "callback_client_secrets"):
            if getattr(source, key):
                raise ConfigurationError(f"{where}.{key}: {source.provider} sends no key; set allow or path_secret")
    for key in source.callback_keys:
        _check_key(f"{where}.callback_keys", key)
    _check_header(where, source)
    _check_client(where, source)
    if source.path_secret is not None and not PATH_SECRET.fullmatch(source.path_secret):
        raise ConfigurationError(
            f"{where}.path_secret: at least 12 of the characters A-Z a-z 0-9 . _ ~ -; "
            "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(24))'"
        )
    has = bool(source.callback_keys or source.callback_client_secrets or source.allow or source.path_secret)
    if not has and not source.unauthenticated:
        kinds = "callback_keys, allow or path_secret" if sends_key else "allow or path_secret"
        raise ConfigurationError(
            f"{where}: nothing tells its callbacks from forged ones; set {kinds}, "
            "or unauthenticated = true to accept whatever comes"
        )
    if has and source.unauthenticated:
        raise ConfigurationError(f"{where}.unauthenticated: true beside a credential; leave one of them out")


def _check_header(where: str, source: "Source") -> None:
    """A header of one's own, in which the provider shows the key."""
    if source.callback_header is None:
        return
    if not HEADER.fullmatch(source.callback_header) or source.callback_header.lower() in _TAKEN:
        raise ConfigurationError(
            f"{where}.callback_header: up to 50 of the characters A-Z a-z 0-9 -, and no header that has a meaning; "
            "write one such as 'X-Signlog-Key'"
        )
    if not source.callback_keys:
        raise ConfigurationError(f"{where}.callback_keys: required with callback_header: what it must hold")
    if max(map(len, source.callback_keys)) > _LONGEST_IN_HEADER:
        raise ConfigurationError(f"{where}.callback_keys: a header holds no more than {_LONGEST_IN_HEADER} characters")


def _check_client(where: str, source: "Source") -> None:
    """What the provider shows at our own token endpoint."""
    secrets = source.callback_client_secrets
    if (source.callback_client_id is None) != (not secrets):
        lacking = "callback_client_secrets" if source.callback_client_id else "callback_client_id"
        raise ConfigurationError(f"{where}.{lacking}: id and secret are shown together; set both, or none")
    for key, values in (
        ("callback_client_id", [source.callback_client_id or "-"]),
        ("callback_client_secrets", secrets),
    ):
        for value in values:
            _check_key(f"{where}.{key}", value)
    if ":" in (source.callback_client_id or ""):
        raise ConfigurationError(f"{where}.callback_client_id: a colon ends it where it is shown; write one without")
    if secrets and min(map(len, secrets)) < _SHORTEST_SECRET:
        raise ConfigurationError(
            f"{where}.callback_client_secrets: at least {_SHORTEST_SECRET} characters; "
            "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(24))'"
        )


def _check_access(where: str, source: "Source") -> None:
    if source.api_key is not None:
        _check_key(f"{where}.api_key", source.api_key)
        if source.client_id is not None:
            raise ConfigurationError(f"{where}.client_id: beside api_key; the account takes one of them, leave one out")
    for key in ("client_id", "client_secret", "api_sender", "vendor_number"):
        value = getattr(source, key)
        if value is not None:
            _check_key(f"{where}.{key}", value)
    if source.api_auth not in (None, *api.AUTHS):
        known = " or ".join(f'"{auth}"' for auth in api.AUTHS)
        raise ConfigurationError(f"{where}.api_auth: there is no such way to get a token; write {known}")
    if source.api_url is not None:
        _check_url(f"{where}.api_url", source.api_url, api.named(source.provider).URLS)


def _check_url(where: str, text: str, names: Collection[str]) -> None:
    if text in names:
        return
    if names and not re.search("[:/.]", text):
        raise ConfigurationError(f"{where}: there is no region of that name; write one of: {', '.join(names)}")
    try:
        url = urlsplit(text)
        host = url.hostname
    except ValueError:
        host = None
    if not host or url.scheme not in ("https", "http") or url.query or url.fragment or url.username is not None:
        named = f", or one of: {', '.join(names)}" if names else ""
        raise ConfigurationError(f'{where}: this is no address; write "https://…" and the name of a host{named}')
    if url.scheme == "http" and not _is_loopback(host):
        raise ConfigurationError(f"{where}: the API key would travel in the clear; write https://")


def _check_key(where: str, key: str) -> None:
    if key != key.strip() or not key.isascii() or not key.isprintable():
        raise ConfigurationError(f"{where}: a key is printable ASCII without spaces around it; copy it once more")


def _check_networks(where: str, cidrs: tuple[str, ...]) -> None:
    for number, cidr in enumerate(cidrs, 1):
        try:
            network = ipaddress.ip_network(cidr)
        except ValueError:
            network = None
        if network is None or getattr(network.network_address, "ipv4_mapped", None):
            example = '"192.0.2.0/24", "192.0.2.7" or "2001:db8::/32", with nothing set behind the prefix'
            raise ConfigurationError(f"{where}: entry {number} is no network; write one such as {example}")


def _check_overlap(where: str, source: "Source", settings: "Settings") -> None:
    """An allowed address that is a proxy's would let in whatever comes through that proxy."""
    for number, network in enumerate(source.networks, 1):
        for proxy in settings.proxies:
            if network.version == proxy.version and network.overlaps(proxy):
                raise ConfigurationError(
                    f"{where}.allow: entry {number} overlaps trusted_proxies, so whatever comes through the proxy "
                    "would be let in; name the provider's addresses only"
                )
