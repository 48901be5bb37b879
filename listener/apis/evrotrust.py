"""Asking Evrotrust.

https://v.evrotrust.com/api/vendor/swagger.json (1.0.154), and what integrations in production met beside it.
"""

import contextlib
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple
from urllib.parse import urlencode

import msgspec

from listener import errors, wire
from listener.api import NOTHING, Access, Api, Known, Observation, Recipe, Stream
from listener.apis import evrotrust_answer
from listener.decryption import child
from listener.provider import Whole
from listener.providers import evrotrust
from listener.providers.evrotrust import Kept, Signing

ARTIFACTS: Final = {
    "encrypted.zip": "the signed documents, encrypted with the key given at submission",
    "documents.zip": "the signed documents",
}
DEFAULT_ARTIFACTS: Final = ("encrypted.zip", "documents.zip")
RECIPES: Final = {"documents.zip": Recipe("encrypted.zip", "private_keys", child.check, child.documents)}
# Of what is signed as a PDF ("PDF1" and so on, and results of an identification) the whole is a PDF signature; XML,
# CAdES and signatures of hashes lie beside as other files (swagger 1.0.154, `signInfo.type`), which are not judged.
PAPERS: Final = ("documents.zip",)
SIGNED: Final = ("documents.zip",)
DEFAULT_URL: Final = "https://v.evrotrust.com/vendor"
URLS: Final = {
    "production": DEFAULT_URL,
    "test": "https://et.test.iteco.bg/vendor",
    "sandbox": "https://api.sandbox.evrotrust.com/vendor",  # named by their newer pages alone
}
EVENTS: Final = ()
LISTS: Final = False
TAKES: Final = ("api_key", "vendor_number", "private_keys", "private_key_passphrases")

_NOT_FOUND: Final = 443  # also while a transaction that is known is still worked on
_REFUSED: Final = (_NOT_FOUND, 400)  # "invalid" it may well be where another sort is asked for
_NOT_YET: Final[Mapping[int, float | None]] = {_NOT_FOUND: None, 469: 60.0}  # seconds, as they say


class _Addresses(NamedTuple):
    """Where one sort of transaction is asked for, and its documents."""

    status: str
    download: str


_DOCUMENT: Final = _Addresses("/document/status", "/document/download")
_GROUP: Final = _Addresses("/document/group/status", "/document/group/download")
_OTP_HASH: Final = _Addresses("/hash/offline/check", "/hash/offline/download")
_OTP_HASH_GROUP: Final = _Addresses("/hash/group/offline/check", "/hash/group/offline/download")
_ALL: Final = (_DOCUMENT, _GROUP, _OTP_HASH, _OTP_HASH_GROUP)
_OF_KIND: Final[Mapping[str, _Addresses]] = {
    "group": _GROUP,
    "hash-group": _GROUP,
    "otp-group": _GROUP,
    "otp-hash": _OTP_HASH,
    "otp-hash-group": _OTP_HASH_GROUP,
}
_THREAD: Final = "/document/thread/status"


def missing(access: Access) -> str | None:
    """Its requests are signed with the key, and name the vendor."""
    if not access.key:
        return "api_key"
    return None if access.vendor_number else "vendor_number"


def connect(access: Access) -> Api:
    """The API, with an API key and a vendor number."""
    return _Api(access)


def authorization(key: str, content: bytes) -> str:
    """The header that signs a request: HMAC-SHA256 over its very bytes, under the SHA-256 of the key, in hex.

    https://help.evrotrust.com/portal/en/kb/articles/how-to-generate-the-authorization-header
    """
    return hmac.new(hashlib.sha256(key.encode()).digest(), content, hashlib.sha256).hexdigest()


class _Api:
    def __init__(self, access: Access) -> None:
        key = access.key or ""
        self._vendor = access.vendor_number
        self._wire = wire.Wire(
            access.url, {}, sign=lambda content: {"Authorization": authorization(key, content)}, not_yet=_NOT_YET
        )

    def ask(self, subject: str, known: Known = NOTHING) -> Observation:
        """The first place that knows the transaction answers; and its thread, if that is known."""
        place, code, whole = self._first(subject, _places(known))
        asked = {"transactionID": subject}
        if code != 200:
            return _observation(place, asked, code, Kept(answer=(Whole.of(whole),)))
        kept = evrotrust_answer.kept(whole)
        if known.thread is None:
            return _observation(place, asked, code, kept)
        asked["threadID"] = known.thread
        thread = self._thread(known.thread)
        if thread is None:
            return _observation(place, asked, code, kept, lacks=("thread",))
        kept.thread, about = thread
        kept.answer += (about,)
        return _observation(place, asked, code, kept)

    def fetch(self, subject: str, artifact: str, answer: Observation) -> AbstractContextManager[Stream]:
        """From where it was asked for."""
        status = answer.path.partition("?")[0]
        download = next(place.download for place in _ALL if place.status == status)
        return self._wire.stream("POST", download, self._content(transactionID=subject))

    def close(self) -> None:
        self._wire.close()

    def _first(self, subject: str, places: Sequence[_Addresses]) -> "_Answer":
        """The answer of the first place, unless another one knows better. Raises as `_elsewhere`."""
        likeliest, *others = places
        answer = _Answer(likeliest, *self._read(likeliest.status, transactionID=subject))
        if answer.code != _NOT_FOUND:
            return answer
        return self._elsewhere(subject, others) or answer

    def _elsewhere(self, subject: str, places: Sequence[_Addresses]) -> "_Answer | None":
        """The answer of the first of these that knows it.

        Raises ProviderError if nobody knows it and one of the places could not be asked: it may be there.
        """
        away: list[errors.ProviderError] = []
        for place in places:
            try:
                answer = self._guessed(subject, place)
            except errors.ProviderError as error:
                if error.retry_after is not None:
                    raise
                away.append(error)
            else:
                if answer is not None:
                    return answer
        if away:
            raise away[0]
        return None

    def _guessed(self, subject: str, place: _Addresses) -> "_Answer | None":
        """The answer of a place that knows it. It is a guess: not every account may ask everywhere."""
        with contextlib.suppress(errors.Unauthorized, errors.NotAccessible):
            code, whole = self._read(place.status, _REFUSED, transactionID=subject)
            if code == 200:
                return _Answer(place, code, whole)
        return None

    def _thread(self, thread: str) -> tuple[tuple[Signing, ...], Whole] | None:
        """Who signs in a thread. We were told which one it is: if that was wrong, it must not hold anything up.

        Raises Unusable if we are to ask for nothing at all for a while.
        """
        try:
            code, whole = self._read(_THREAD, threadID=thread)
            return (evrotrust_answer.signings(whole), Whole.of(whole)) if code == 200 else None
        except errors.Unusable as error:
            if error.retry_after is not None:
                raise
        except errors.ProviderError:  # "not yet" is said of the thread alone
            pass
        return None

    def _read(self, path: str, also: tuple[int, ...] = (_NOT_FOUND,), **named: str) -> tuple[int, bytes]:
        return self._wire.read("POST", path, also, self._content(**named))

    def _content(self, **named: str) -> bytes:
        return msgspec.json.encode({**named, "vendorNumber": self._vendor})


class _Answer(NamedTuple):
    """Who answered what: the place, its status code and the bytes."""

    place: _Addresses
    code: int
    whole: bytes


def _places(known: Known) -> Sequence[_Addresses]:
    """Where to look, in order. A kind that nobody vouched for is a guess, and so is a document: then everywhere."""
    likeliest = _OF_KIND.get(known.kind or "", _DOCUMENT)
    return (likeliest,) if known.certain else (likeliest, *(place for place in _ALL if place != likeliest))


def _observation(
    place: _Addresses, asked: Mapping[str, str], code: int, kept: Kept, lacks: tuple[str, ...] = ()
) -> Observation:
    path = f"{place.status}?{urlencode(asked)}"
    return Observation("POST", path, code, msgspec.json.encode(kept), evrotrust.complete(kept), lacks)
