"""Is it really them? One gate for each source, asked with the head of a request, before its body is read."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from listener.door.address import decoded
from listener.door.client import Headers, matching
from listener.provider import Provider, named, names
from listener.settings import Source

_ALWAYS_REDACTED: Final = frozenset({b"authorization", b"proxy-authorization", b"cookie"})
_REDACTED: Final = "redacted"
_GAP: Final = "\0"  # stands in no head: what replaces one secret must not hold another
_UNIT: Final = re.compile("%[0-9A-Fa-f]{2}|.", re.DOTALL)
_HEX: Final = 12
_SHORTEST: Final = 8  # shorter words are hidden only where they were shown as a key: it would garble all else


class Verdict(NamedTuple):
    """Whether a head is let in (status 200), by what, and what of it must not be written down."""

    status: int
    reason: str
    credential: str
    shown: str  # an HMAC of the credential shown, so that one mixed up can be told from a forged one
    secrets: tuple[str, ...]  # longest first: one may hold another


class Gate:
    """The credentials configured for a source. Of each kind configured one must be right."""

    def __init__(self, source: Source, provider: Provider, secret: bytes, others: Iterable[Source] = ()) -> None:
        """`secret` is the key of all labels; what belongs to `others` is not written down here either."""
        self.source = source
        self.provider = provider
        self._hmac_key = secret
        keys = [key.encode() for key in source.callback_keys]
        self._keys = [(hashlib.sha256(key).digest(), _label(secret, "key", key)) for key in keys]
        self._path_secret = source.path_secret.encode() if source.path_secret else None
        self._path_label = _label(secret, "path", self._path_secret)
        self._networks = source.networks
        self._secrets = _secrets([source, *others])
        self._usual = _longest_first(self._secrets)

    def ask(self, headers: Headers, below: Sequence[str], client: str) -> Verdict:
        """Judge a head. Missing and wrong look the same from outside, and take the same time."""
        presented = self.provider.presented(headers)
        element = below[0] if below else ""
        key_label = self._key(presented or b"")
        path_ok = self._path_secret is None or _same(_bytes(element), self._path_secret)
        network = matching(client, self._networks) if self._networks else None
        secrets = self._hidden(presented, element)
        if key_label is None:
            refused = (401, "no callback key" if presented is None else "wrong callback key")
        elif not path_ok:
            refused = (401, "wrong or no secret in the path")
        elif self._networks and network is None:
            refused = (403, "address not allowed")
        else:
            labels = (key_label, self._path_label, f"address:{network}" if network else "")
            return Verdict(200, "", " ".join(filter(None, labels)) or "none", "", secrets)
        return Verdict(*refused, "", self._shown(presented, element), secrets)

    def would_admit(self, shown: str, client: str) -> bool:
        """Whether a head that showed this (its HMAC) would be let in now: for callbacks kept in quarantine."""
        wanted = {label for _, label in self._keys}
        parts = set(shown.split())
        keys_ok = not wanted or bool(wanted & parts)
        path_ok = self._path_secret is None or self._path_label in parts
        return keys_ok and path_ok and (not self._networks or matching(client, self._networks) is not None)

    def _key(self, presented: bytes) -> str | None:
        """What the key that matches is called in the log, None if none does, "" if none is needed.

        Every key is compared, right or not: the time taken says nothing about which.
        """
        found = None if self._keys else ""
        digest = hashlib.sha256(presented).digest()
        for known, label in self._keys:
            if hmac.compare_digest(digest, known):
                found = label
        return found

    def _hidden(self, presented: bytes | None, element: str) -> tuple[str, ...]:
        """What must not be written down: what is configured, wherever it stands, and what was shown in its place."""
        shown = {presented.decode("latin-1")} if presented else set()
        if self._path_secret is not None:
            shown |= _in_place_of_secret(element)
        return self._usual if shown <= self._secrets else _longest_first(shown | self._secrets)

    def _shown(self, presented: bytes | None, element: str) -> str:
        path = _bytes(element) if self._path_secret is not None else b""
        labels = (_label(self._hmac_key, "key", presented), _label(self._hmac_key, "path", path))
        return " ".join(filter(None, labels))


class Nobody:
    """Stands where a source is not configured: lets nobody in, but notes what was shown, in case it is one soon."""

    def __init__(self, sources: Iterable[Source], secret: bytes) -> None:
        self._hmac_key = secret
        self._secrets = _secrets(sources)

    def ask(self, headers: Headers, below: Sequence[str], client: str) -> Verdict:
        """Judge a head like a gate, whosever key and secret it shows."""
        keys = sorted({key for name in names() if (key := named(name).presented(headers))})
        element = below[0] if below else ""
        labels = [_label(self._hmac_key, "key", key) for key in keys]
        labels.append(_label(self._hmac_key, "path", _bytes(element)))
        secrets = self._secrets | {key.decode("latin-1") for key in keys} | _in_place_of_secret(element)
        return Verdict(404, "unknown source", "", " ".join(filter(None, labels)), _longest_first(secrets))


def redacted(headers: Headers, secrets: Sequence[str]) -> list[tuple[str, str]]:
    """Headers as they may be kept for ever. Proxies copy the path into other headers, hence the search."""
    return [
        (name.decode("latin-1"), _REDACTED if name in _ALWAYS_REDACTED else hide(value.decode("latin-1"), secrets))
        for name, value in headers
    ]


def hide(text: str, secrets: Sequence[str]) -> str:
    """`text` without these secrets, whether or not they stand there percent-encoded."""
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, _GAP)
        if "%" in text and secret in decoded(text):
            text = _hide_encoded(text, secret)
    return text.replace(_GAP, _REDACTED)


def _hide_encoded(text: str, secret: str) -> str:
    """Leave out what decodes to the secret, and nothing else: each unit of the text stands for one character."""
    units = _UNIT.findall(text)
    plain = decoded(text)
    kept: list[str] = []
    start = 0
    while (at := plain.find(secret, start)) >= 0:
        kept += [*units[start:at], _GAP]
        start = at + len(secret)
    return "".join(kept + units[start:])


def _secrets(sources: Iterable[Source]) -> frozenset[str]:
    """What is secret about these sources: their callbacks may come to the wrong address, too."""
    values = [value for source in sources for value in (*source.callback_keys, source.path_secret or "")]
    return frozenset(value for value in values if len(value) >= _SHORTEST)


def _in_place_of_secret(element: str) -> set[str]:
    """What stands where a path's secret should. What Evrotrust appends to our address is there if it is missing."""
    word = decoded(element)
    return {word} if len(word) >= _SHORTEST and word != "document" else set()


def _longest_first(secrets: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(secrets, key=len, reverse=True))


def _label(hmac_key: bytes, kind: str, credential: bytes | None) -> str:
    """What a credential is called where it may be read for ever."""
    return f"{kind}:{hmac.digest(hmac_key, credential, 'sha256').hex()[:_HEX]}" if credential else ""


def _bytes(element: str) -> bytes:
    return decoded(element).encode("latin-1")


def _same(one: bytes, other: bytes) -> bool:
    """Equal, in constant time: hashed first, so that not even the length shows."""
    return hmac.compare_digest(hashlib.sha256(one).digest(), hashlib.sha256(other).digest())
