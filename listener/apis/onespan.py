"""Asking OneSpan Sign, and its white labels (ValidSign, Conga Sign).

https://docs.onespan.com/reference (OpenAPI 11.51)
"""

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final
from urllib.parse import quote

import msgspec

from listener import api, errors, tokens, wire
from listener.api import NOTHING, Access, Known, Observation, Page, Recipe, Registration, Stream
from listener.apis import onespan_listing, onespan_package
from listener.providers import onespan
from listener.tokens import Token, Tokens
from projections import facts

ARTIFACTS: Final = {
    "documents.zip": "all signed documents",
    "evidence.pdf": "the evidence summary",
    "document-*.pdf": "each signed document by itself",
    "attachments-*.zip": "for each signer who uploaded some, the attachments",
    "audit.json": "the audit trail",
    "fields.json": "the values of all fields",
}
DEFAULT_ARTIFACTS: Final = ("documents.zip", "evidence.pdf")
RECIPES: Final[Mapping[str, Recipe]] = {}
# Attachments are what signers uploaded: whatever is signed in them is none of OneSpan's.
PAPERS: Final = ("documents.zip", "evidence.pdf", "document-*.pdf")
# Before completion OneSpan hands out documents without the pending signatures, and with status 200
# (https://docs.onespan.com/docs/downloading-documents). That the evidence summary is signed, nobody says.
SIGNED: Final = ("documents.zip", "document-*.pdf")
DEFAULT_URL: Final = None  # nine regions; none is a safe guess
LISTS: Final = True
TAKES: Final = ("api_key", "client_id", "client_secret", "api_auth", "api_sender")
# Mind the hyphens: e-signlive is the older platform of the United States, "US10", esignlive the newer one.
URLS: Final = {
    "us11": "https://apps.esignlive.com",
    "us11-sandbox": "https://sandbox.esignlive.com",
    "us10": "https://apps.e-signlive.com",
    "us10-sandbox": "https://sandbox.e-signlive.com",
    "ca": "https://apps.e-signlive.ca",
    "ca-sandbox": "https://sandbox.e-signlive.ca",
    "eu": "https://apps.esignlive.eu",
    "au": "https://apps.esignlive.com.au",
    "gov": "https://signer-gov.esignlive.com",
    "gov-sandbox": "https://signer-sandbox-gov.esignlive.com",
    "validsign-nl": "https://my.validsign.nl",
    "validsign-nl-sandbox": "https://try.validsign.nl",
    "validsign-eu": "https://my.validsign.eu",
    "validsign-eu-sandbox": "https://try.validsign.eu",
}
# Which of our artifacts lies where, below the address of its package.
_PATHS: Final = {
    "documents.zip": "documents/zip",
    "evidence.pdf": "evidence/summary",
    "audit.json": "audit",
    "fields.json": "fieldSummary",
}
_PATHS_OF_EACH: Final = {"document-*.pdf": "documents/{}/pdf", "attachments-*.zip": "attachment/zip/{}"}

# All that the API's description has, and DOCUMENT_VIEWED, which came later (SDK for Java, May 2021).
EVENTS: Final = (
    *("PACKAGE_CREATE", "PACKAGE_ACTIVATE", "PACKAGE_DEACTIVATE", "PACKAGE_READY_FOR_COMPLETE", "PACKAGE_COMPLETE"),
    *("PACKAGE_DECLINE", "PACKAGE_OPT_OUT", "PACKAGE_EXPIRE", "PACKAGE_ARCHIVE", "PACKAGE_TRASH", "PACKAGE_RESTORE"),
    *("PACKAGE_DELETE", "PACKAGE_ATTACHMENT", "TEMPLATE_CREATE", "DOCUMENT_SIGNED", "DOCUMENT_VIEWED"),
    *("SIGNER_COMPLETE", "SIGNER_LOCKED", "ROLE_REASSIGN", "KBA_FAILURE", "EMAIL_BOUNCE"),
)
_SDK_LEEWAY: Final = 60.0  # seconds that OneSpan's SDK renews a client app's token early …
_OAUTH2_LEEWAY: Final = 10.0  # … and one of OAuth 2, which lives for 299
_ACCESS_TOKEN: Final = "/apitoken/clientApp/accessToken"  # noqa: S105  where one is got
_OAUTH2_TOKEN: Final = "/oauth2/token"  # noqa: S105


def missing(access: Access) -> str | None:
    """An API key is all it takes; or an id and a secret, and what they are good for."""
    needed = {"client_id": access.client_id, "client_secret": access.client_secret, "api_auth": access.auth}
    lacking = [name for name, value in needed.items() if not value]
    if access.key or not lacking:
        return None
    return "api_key" if len(lacking) == len(needed) else lacking[0]


def connect(access: Access) -> "_Api":
    """The API, with an API key or with tokens."""
    url = access.url.rstrip("/").removesuffix("/api")  # people copy it with and without
    if access.key is None:
        return _Api(wire.Wire(url, {}, Tokens(lambda: _renewed(url, access))))
    # The key is sent as it is: keys have no fixed length and are never decoded (release notes 26.R5).
    return _Api(wire.Wire(url, {"Authorization": f"Basic {access.key}"}))


class _Api:
    def __init__(self, wire: wire.Wire) -> None:
        self._wire = wire

    def ask(self, subject: str, known: Known = NOTHING) -> Observation:
        path = "/api/packages/" + quote(subject, safe="")
        code, answer = self._wire.read("GET", path, also=(403, 404))
        kept = onespan_package.kept(code, answer)
        complete = onespan.STAGES.get(kept.status) == facts.COMPLETED
        return Observation("GET", path, code, msgspec.json.encode(kept), complete)

    def fetch(self, subject: str, artifact: str, answer: Observation) -> AbstractContextManager[Stream]:
        return self._wire.stream("GET", f"/api/packages/{quote(subject, safe='')}/{_path(artifact)}")

    def registered(self) -> Registration:
        found = wire.decoded(self._wire.read("GET", "/api/callback")[1], _Callback, "registration")
        return Registration(found.url or "", found.key or "", tuple(found.events or ()))

    def register(self, wanted: Registration) -> None:
        given = _Callback(wanted.url, wanted.key or None, wanted.events)
        self._wire.read("POST", "/api/callback", content=msgspec.json.encode(given))

    def updated(self, since: int, cursor: str | None = None) -> Iterator[Page]:
        return onespan_listing.updated(lambda path: self._wire.read("GET", path, also=(400,)), since, cursor)

    def close(self) -> None:
        self._wire.close()


def _path(artifact: str) -> str:
    if artifact in _PATHS:
        return _PATHS[artifact]
    for kind, path in _PATHS_OF_EACH.items():
        known = facts.which(kind, artifact)
        if known is not None:
            return path.format(quote(known, safe=""))
    raise errors.NotAccessible(f"this version knows no {artifact!r} of OneSpan's")


# Tokens


def _renewed(url: str, access: Access) -> Token:
    """Another token. Raises ProviderError."""
    once = wire.Wire(url, _basic(access) if access.auth == api.OAUTH2 else {})
    try:
        return _oauth2(once) if access.auth == api.OAUTH2 else _client_app(once, access)
    finally:
        once.close()


def _client_app(once: wire.Wire, access: Access) -> Token:
    """For about 30 minutes (https://github.com/OneSpan/esl.sdk.java), on behalf of the account or of one sender."""
    whose = {"type": "SENDER", "email": access.sender} if access.sender else {"type": "OWNER"}
    given = {"clientId": access.client_id, "secret": access.client_secret, **whose}
    granted = _granted(once, _ACCESS_TOKEN, msgspec.json.encode(given), wire.JSON)
    found = wire.decoded(granted, _AppToken, "token")
    return tokens.token(found.accessToken, found.expiresAt / 1000 - time.time() - _SDK_LEEWAY)


def _oauth2(once: wire.Wire) -> Token:
    """RFC 6749, section 4.4 (https://docs.onespan.com/docs/oauth-20)."""
    granted = _granted(once, _OAUTH2_TOKEN, b"grant_type=client_credentials", wire.FORM)
    found = wire.decoded(granted, _OAuth2Token, "token")
    return tokens.token(found.access_token, found.expires_in - _OAUTH2_LEEWAY)


def _basic(access: Access) -> dict[str, str]:
    """Here, and nowhere else at OneSpan, it is the `Basic` of RFC 7617."""
    pair = f"{access.client_id}:{access.client_secret}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _granted(once: wire.Wire, path: str, content: bytes, kind: str) -> bytes:
    """What the call for a token answers. Whatever it refuses is no word about a document."""
    code, answer = once.read("POST", path, (400, 401, 403, 404, 406), content, kind)
    if code != 200:
        raise errors.Unauthorized(f"HTTP {code}: no token for client_id and client_secret; is api_auth right?")
    return answer


class _AppToken(msgspec.Struct):
    accessToken: str  # noqa: N815  their spelling
    expiresAt: float  # noqa: N815  milliseconds since 1970


class _OAuth2Token(msgspec.Struct):
    access_token: str
    expires_in: float = 299


# Answers


class _Callback(msgspec.Struct, omit_defaults=True):
    url: str | None = None
    key: str | None = None
    events: Sequence[str] | None = None
