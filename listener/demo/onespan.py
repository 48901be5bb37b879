"""OneSpan Sign's API and callbacks, imitated: what a listener needs of https://docs.onespan.com, nothing more.

Addresses, shapes and content types follow OneSpan's OpenAPI description 11.51 (servers at `{base}/api`).
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from urllib.parse import parse_qs, quote

from listener.demo import bodies, papers
from listener.demo.imitation import Call, Imitation
from listener.demo.listing import Habits, Listing
from listener.demo.packages import Package, iso
from listener.demo.wire import Answer, Asked, json_answer

EVENT_CLASS = "com.silanis.esl.packages.event.ESLProcessEvent"
VERSIONED = "esl-api-version=11"
# What callbacks tell of: the description's events, and two that came later, DOCUMENT_VIEWED and COBROWSE_REQUEST.
EVENTS = {f"PACKAGE_{what}" for what in ("CREATE", "ACTIVATE", "DEACTIVATE", "READY_FOR_COMPLETE", "COMPLETE")}
EVENTS |= {f"PACKAGE_{what}" for what in ("DECLINE", "OPT_OUT", "EXPIRE", "ARCHIVE", "TRASH", "RESTORE", "DELETE")}
EVENTS |= {"PACKAGE_ATTACHMENT", "TEMPLATE_CREATE", "DOCUMENT_SIGNED", "DOCUMENT_VIEWED", "SIGNER_COMPLETE"}
EVENTS |= {"SIGNER_LOCKED", "ROLE_REASSIGN", "KBA_FAILURE", "EMAIL_BOUNCE", "COBROWSE_REQUEST"}
APP_SECONDS, OAUTH2_SECONDS = 1800, 299  # how long tokens live


def _error(code: int, key: str, message: str, name: str) -> Answer:
    return json_answer(bodies.error(code, key, message, name), status=code)


# The shape is known, which keys exist is not published: clients go by the code.
UNAUTHORIZED = _error(401, "error.unauthorised", "The credentials are not valid.", "Unauthorized")
NOTHING_THERE = _error(404, "error.notFound.resource", "The specified resource was not found.", "Not Found")
NO_PACKAGE = _error(404, "error.notFound.package", "The specified package was not found.", "Not Found")
NO_DOCUMENT = _error(404, "error.notFound.document", "The specified document was not found.", "Not Found")
NO_ROLE = _error(404, "error.notFound.role", "The specified role was not found.", "Not Found")
NO_ATTACHMENTS = _error(406, "error.notAcceptable.attachments", "The package has no attachments.", "Not Acceptable")
UNREADABLE = _error(400, "error.validation.callback", "The callback could not be read.", "Validation Error")


def callback(
    name: str,
    package_id: str,
    *,
    session_user: str,
    document_id: str | None = None,
    message: str | None = None,
    created: datetime | None,
    **extra: object,
) -> bytes:
    """Return a callback's body as the real ones look: key order, explicit nulls, no spaces.

    `extra` (such as newRoleId) stands before createdDate; `created=None` leaves createdDate out, as in 2017.
    Source: the capture in the valid_sign tests of https://github.com/GemeenteUtrecht/bptl.
    """
    fields: dict[str, object] = {"@class": EVENT_CLASS, "name": name, "sessionUser": session_user}
    fields |= {"packageId": package_id, "message": message, "documentId": document_id, **extra}
    fields |= {} if created is None else {"createdDate": iso(created)}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


class OneSpan(Imitation):
    """One OneSpan account: its packages by id, its callback registration, and who may ask.

    A setting of the account decides how: with `oauth2` only tokens of OAuth 2, else only the key and a client app's.
    """

    def __init__(
        self,
        api_key: str = "demonstration",
        *,
        client_id: str = "",
        client_secret: str = "",
        oauth2: bool = False,
        port: int = 0,
    ) -> None:
        super().__init__(port)
        self.api_key = api_key
        self.client = (client_id, client_secret)
        self.oauth2 = oauth2
        self.packages: dict[str, Package] = {}
        self.habits = Habits()
        self.registration: dict[str, object] = {"url": "", "key": "", "events": []}
        self.tokens: dict[str, float] = {}  # token → when it ends, seconds since 1970

    def add(self, package: Package) -> Package:
        """Put a package into the account and return it."""
        with self.lock:
            self.packages[package.id] = package
        return package

    def calls(self) -> Sequence[Call]:
        """Return the calls, named as faults and counts name them."""
        one = "/api/packages/{id}"
        return [
            Call("token", "POST", "/apitoken/clientApp/accessToken", self._token),
            Call("oauth2", "POST", "/oauth2/token", self._oauth2_token),
            Call("callback.read", "GET", "/api/callback", lambda _: json_answer(self.registration)),
            Call("callback.register", "POST", "/api/callback", self._register),
            Call("packages", "GET", "/api/packages", self._list),
            Call("package", "GET", one, self._of(_package)),
            Call("signingStatus", "GET", f"{one}/signingStatus", self._of(_signing_status)),
            Call("documents.zip", "GET", f"{one}/documents/zip", self._of(_documents)),
            Call("document.pdf", "GET", f"{one}/documents/{{document}}/pdf", self._of(_document)),
            Call("evidence", "GET", f"{one}/evidence/summary", self._of(_evidence)),
            Call("audit", "GET", f"{one}/audit", self._of(_audit)),
            Call("attachment.zip", "GET", f"{one}/attachment/zip", self._of(_attachments)),
            Call("attachment.role", "GET", f"{one}/attachment/zip/{{role}}", self._of(_attachments)),
            Call("fieldSummary", "GET", f"{one}/fieldSummary", self._of(_field_summary)),
        ]

    def refuse(self, asked: Asked) -> Answer | None:
        """Ask for the API key, raw behind "Basic" (not RFC 7617), or for a token that is still good."""
        shown = asked.headers.get("authorization", "")
        if asked.call in ("token", "oauth2"):
            return None
        if not self.oauth2 and hmac.compare_digest(shown.encode(), f"Basic {self.api_key}".encode()):
            return None
        if self.tokens.get(shown.removeprefix("Bearer "), 0) > time.time():
            return None
        return UNAUTHORIZED

    def unknown(self, asked: Asked) -> Answer:
        """Answer an address that the API does not have, or that is not imitated."""
        return NOTHING_THERE

    def _of(self, answer: Callable[[Package, Asked], Answer]) -> Callable[[Asked], Answer]:
        def found(asked: Asked) -> Answer:
            kept = self.packages.get(asked.ids["id"])
            return NO_PACKAGE if kept is None or kept.deleted else answer(kept, asked)

        return found

    def _list(self, asked: Asked) -> Answer:
        try:
            listing = Listing.of(asked.params, self.habits)
        except ValueError as problem:
            return _error(400, "error.validation.parameter", str(problem), "Validation Error")
        return json_answer(listing.answer(list(self.packages.values())), content_type=f"application/json; {VERSIONED}")

    def _register(self, asked: Asked) -> Answer:
        given = _fields(asked)
        events = given.get("events", [])
        if "url" not in given or not isinstance(events, list) or not EVENTS.issuperset(events):
            return UNREADABLE
        # The whole set is replaced: an event that is not named is switched off.
        self.registration = {"url": given["url"], "key": given.get("key", ""), "events": events}
        return json_answer(self.registration)

    def _token(self, asked: Asked) -> Answer:
        given = _fields(asked)
        if self.oauth2 or not self.client[0] or (given.get("clientId"), given.get("secret")) != self.client:
            return UNAUTHORIZED
        if given.get("type") != ("SENDER" if "email" in given else "OWNER"):
            return _error(400, "error.validation.type", "The type is not valid.", "Validation Error")
        token = self._issue(APP_SECONDS)
        return json_answer({"accessToken": token, "expiresAt": int(self.tokens[token] * 1000)})

    def _oauth2_token(self, asked: Asked) -> Answer:
        """RFC 6749, section 4.4; the client shows itself as in RFC 7617."""
        pair = base64.b64encode(":".join(self.client).encode()).decode()
        if not self.oauth2 or asked.headers.get("authorization") != f"Basic {pair}":
            return json_answer({"error": "invalid_client"}, status=401)
        if parse_qs(asked.body.decode()).get("grant_type") != ["client_credentials"]:
            return json_answer({"error": "unsupported_grant_type"}, status=400)
        token = self._issue(OAUTH2_SECONDS)
        return json_answer({"access_token": token, "token_type": "Bearer", "expires_in": OAUTH2_SECONDS})

    def _issue(self, seconds: int) -> str:
        token = hashlib.sha256(f"{self.client}{len(self.tokens)}".encode()).hexdigest()
        self.tokens[token] = time.time() + seconds
        return token


def _fields(asked: Asked) -> dict[str, object]:
    try:
        given = json.loads(asked.body)
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}


def _package(kept: Package, asked: Asked) -> Answer:
    return json_answer(bodies.package(kept), content_type=f"application/json; {VERSIONED}")


def _signing_status(kept: Package, asked: Asked) -> Answer:
    status = kept.signing_status()
    alone = [signer for signer in kept.signers if signer.id == asked.params.get("signer")]
    if status == "SIGNING_PENDING" and alone and kept.signed_by(alone[0]):
        status = "SIGNING_COMPLETE"
    return json_answer({"status": status})


def _documents(kept: Package, asked: Asked) -> Answer:
    return _file(papers.documents(kept), "application/zip", f"{kept.name}.zip")


def _document(kept: Package, asked: Asked) -> Answer:
    for wanted in kept.documents:
        if wanted.id == asked.ids["document"]:
            found = papers.document(kept, wanted)
            return _file(found, f"application/octet-stream; {VERSIONED}", papers.file_name(wanted))
    # Also for default-consent: whether the real API has a file for it is not published, and nobody should want it.
    return NO_DOCUMENT


def _evidence(kept: Package, asked: Asked) -> Answer:
    return _file(papers.evidence(kept), f"application/pdf; {VERSIONED}", "Evidence summary.pdf")


def _audit(kept: Package, asked: Asked) -> Answer:
    return json_answer(bodies.audit(kept))


def _field_summary(kept: Package, asked: Asked) -> Answer:
    return json_answer(bodies.field_summary(kept))


def _attachments(kept: Package, asked: Asked) -> Answer:
    role = asked.ids.get("role")
    if role is not None and all(signer.role != role for signer in kept.signers):
        return NO_ROLE
    if not any(role in (None, uploader) for uploader, _ in kept.attachments):
        return NO_ATTACHMENTS
    return _file(papers.attachments(kept, role), "application/zip", "attachments.zip")


def _file(content: bytes, content_type: str, name: str) -> Answer:
    return Answer(200, content, content_type, {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"})
