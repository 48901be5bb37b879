"""Is it really them? One gate for each source, asked with the head of a request, before its body is read."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from listener.door.address import decoded
from listener.door.client import Headers, matching
from listener.provider import Provider
from listener.settings import Source

_ALWAYS_REDACTED: Final = frozenset({b"authorization", b"proxy-authorization", b"cookie"})
_REDACTED: Final = "redacted"
_HEX: Final = 12


class Verdict(NamedTuple):
    """Whether a head is let in (status 200), by what, and what it showed that the log must not keep."""

    status: int
    reason: str
    credential: str
    shown: str  # an HMAC of the credential shown, so that one mixed up can be told from a forged one
    secrets: tuple[str, ...]  # as they stand in this head


class Gate:
    """The credentials configured for a source. Of each kind configured one must be right."""

    def __init__(self, source: Source, provider: Provider, secret: bytes) -> None:
        self.source = source
        self.provider = provider
        self._secret = secret
        keys = [key.encode() for key in source.callback_keys]
        self._keys = [(hashlib.sha256(key).digest(), self._label("key", key)) for key in keys]
        self._path_secret = source.path_secret.encode() if source.path_secret else None
        self._path_label = self._label("path", self._path_secret)
        self._networks = source.networks

    def ask(self, headers: Headers, below: Sequence[str], client: str) -> Verdict:
        """Judge a head. Missing and wrong look the same from outside, and take the same time."""
        presented = self.provider.presented(headers)
        element = below[0] if below else ""
        key_label = self._key(presented or b"")
        path_ok = self._path_secret is None or _same(decoded(element).encode("latin-1"), self._path_secret)
        network = matching(client, self._networks) if self._networks else None
        secrets = self._secrets(presented, element)
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

    def _secrets(self, presented: bytes | None, element: str) -> tuple[str, ...]:
        """What must not be written down: the key, and what stands where the path's secret does."""
        secrets = [presented.decode("latin-1")] if presented else []
        if self._path_secret is not None and element and not _is_address_word(element):
            secrets += [element, decoded(element)]
        return tuple(secrets)

    def _shown(self, presented: bytes | None, element: str) -> str:
        labels = [self._label("key", presented or None)]
        if self._path_secret is not None and element:
            labels.append(self._label("path", decoded(element).encode("latin-1")))
        return " ".join(label for label in labels if label)

    def _label(self, kind: str, credential: bytes | None) -> str:
        if credential is None:
            return ""
        return f"{kind}:{hmac.digest(self._secret, credential, 'sha256').hex()[:_HEX]}"


def redacted(headers: Headers, secrets: Iterable[str]) -> list[tuple[str, str]]:
    """Headers as they may be kept for ever. Proxies copy the path into other headers, hence the search."""
    hidden = [secret for secret in secrets if secret]
    pairs = []
    for name, value in headers:
        text = _REDACTED if name in _ALWAYS_REDACTED else hide(value.decode("latin-1"), hidden)
        pairs.append((name.decode("latin-1"), text))
    return pairs


def hide(text: str, secrets: Iterable[str]) -> str:
    """`text` without these secrets."""
    for secret in secrets:
        if secret and secret in text:
            text = text.replace(secret, _REDACTED)
    return text


def _is_address_word(element: str) -> bool:
    """What Evrotrust appends to our address stands in the secret's place when the secret is missing."""
    return element == "document"


def _same(one: bytes, other: bytes) -> bool:
    """Equal, in constant time: hashed first, so that not even the length shows."""
    return hmac.compare_digest(hashlib.sha256(one).digest(), hashlib.sha256(other).digest())
