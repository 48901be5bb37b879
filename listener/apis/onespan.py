"""Asking OneSpan Sign, and its white labels (ValidSign, Conga Sign).

https://docs.onespan.com/reference (OpenAPI 11.51)
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Final
from urllib.parse import quote

import msgspec

from listener import errors, wire
from listener.api import NOTHING, Access, Api, Known, Observation, Recipe, Stream
from listener.provider import Whole
from listener.providers import onespan
from listener.providers.onespan import Kept, Plain
from projections import facts
from projections.facts import Named

ARTIFACTS: Final = {
    "documents.zip": "all signed documents",
    "evidence.pdf": "the evidence summary",
}
DEFAULT_ARTIFACTS: Final = ("documents.zip", "evidence.pdf")
RECIPES: Final[Mapping[str, Recipe]] = {}
DEFAULT_URL: Final = None  # nine regions; none is a safe guess

_PATHS: Final = {"documents.zip": "documents/zip", "evidence.pdf": "evidence/summary"}


def missing(access: Access) -> str | None:
    """An API key is all it takes."""
    return None if access.key else "api_key"


def connect(access: Access) -> Api:
    """The API, with an API key."""
    return _Api(access)


class _Api:
    def __init__(self, access: Access) -> None:
        # The key is sent as it is: keys have no fixed length and are never decoded (release notes 26.R5).
        url = access.url.rstrip("/").removesuffix("/api")  # people copy it with and without
        self._wire = wire.Wire(url, {"Authorization": f"Basic {access.key}"})

    def ask(self, subject: str, known: Known = NOTHING) -> Observation:
        path = "/api/packages/" + quote(subject, safe="")
        code, answer = self._wire.read("GET", path, also=(403, 404))
        kept = _kept(code, answer)
        complete = onespan.STAGES.get(kept.status) == facts.COMPLETED
        return Observation("GET", path, code, msgspec.json.encode(kept), complete)

    def fetch(self, subject: str, artifact: str, answer: Observation) -> AbstractContextManager[Stream]:
        return self._wire.stream("GET", f"/api/packages/{quote(subject, safe='')}/{_PATHS[artifact]}")

    def close(self) -> None:
        self._wire.close()


def _kept(code: int, answer: bytes) -> Kept:
    """What of an answer may be kept: it also holds challenge answers, social security numbers and callback keys."""
    whole = Whole.of(answer)
    if code != 200:
        return Kept(answer=whole)
    try:
        package = msgspec.json.decode(answer, type=_Package)
    except (ValueError, RecursionError) as error:
        raise errors.Unusable(f"HTTP 200 with something that is no package: {error}") from None
    return Kept(
        **{name: getattr(package, name) for name in Plain.__struct_fields__},
        documents=tuple(Named(known.id, known.name) for known in package.documents if known.id != onespan.CONSENT),
        signers=tuple(Named(known.id, known.named) for role in package.roles for known in role.signers),
        reason=package.messages[0].content if package.messages else None,
        answer=whole,
    )


class _Signer(msgspec.Struct):
    id: str = ""
    firstName: str | None = None  # noqa: N815  their spelling
    lastName: str | None = None  # noqa: N815

    @property
    def named(self) -> str:
        return " ".join(part for part in (self.firstName, self.lastName) if part)


class _Role(msgspec.Struct):
    signers: tuple[_Signer, ...] = ()


class _Document(msgspec.Struct):
    id: str = ""
    name: str = ""


class _Message(msgspec.Struct):
    content: str | None = None


class _Package(Plain):
    status: str
    documents: tuple[_Document, ...] = ()
    roles: tuple[_Role, ...] = ()
    messages: tuple[_Message, ...] = ()
