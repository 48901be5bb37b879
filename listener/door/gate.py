"""Is it really them? One gate for each source, asked with the head of a request, before its body is read."""

import hmac
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from listener.door import comparison
from listener.door.address import decoded
from listener.door.client import Headers, matching
from listener.door.token import Tokens
from listener.provider import Provider, named, names
from listener.settings import Source

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
    """The credentials configured for a source. Of each kind configured one must be right.

    Keys and tokens are one kind: a provider shows either, and changes from one to the other.
    """

    def __init__(
        self, name: str, source: Source, provider: Provider, secret: bytes, others: Iterable[Source] = ()
    ) -> None:
        """`secret` is the key of all labels; what belongs to `others` is not written down here either."""
        self.source = source
        self.provider = provider
        self._hmac_key = secret
        self._header = (source.callback_header or "").lower().encode()
        self.tokens = _tokens(name, source, secret)
        keys = [key.encode() for key in source.callback_keys]
        self._keys = [(key, _label(secret, "key", key)) for key in keys]
        self._path_secret = source.path_secret.encode() if source.path_secret else None
        self._path_label = _label(secret, "path", self._path_secret)
        self._networks = source.networks
        self._secrets = _secrets([source, *others])
        self._usual = _longest_first(self._secrets)

    def ask(self, headers: Headers, below: Sequence[str], client: str) -> Verdict:
        """Judge a head. Missing and wrong look the same from outside, and take the same time."""
        keys = _values(headers, self._header) if self._header else _presented(self.provider, headers)
        token = _bearer(headers)
        element = below[0] if below else ""
        label = self._label_of(keys[0] if keys else b"", token)
        path_ok = self._path_secret is None or comparison.same(_bytes(element), self._path_secret)
        network = matching(client, self._networks) if self._networks else None
        secrets = self._hidden([*keys, token], element)
        if label is None:
            refused = (401, self._complaint(keys, token))
        elif not path_ok:
            refused = (401, "wrong or no secret in the path")
        elif self._networks and network is None:
            refused = (403, "address not allowed")
        else:
            labels = (label, self._path_label, f"address:{network}" if network else "")
            return Verdict(200, "", " ".join(filter(None, labels)) or "none", "", secrets)
        return Verdict(*refused, "", self._shown(keys, token, element), secrets)

    def allows(self, client: str) -> bool:
        """Whether callbacks may come from this address."""
        return not self._networks or matching(client, self._networks) is not None

    def would_admit(self, shown: str, client: str) -> bool:
        """Whether a head that showed this (its HMAC) would be let in now: for callbacks kept in quarantine."""
        wanted = {label for _, label in self._keys}
        parts = set(shown.split())
        keys_ok = bool(wanted & parts) or not (wanted or self.tokens)
        path_ok = self._path_secret is None or self._path_label in parts
        return keys_ok and path_ok and self.allows(client)

    def _label_of(self, key: bytes, token: bytes) -> str | None:
        """What let it in is called in the log: the key or token that is right, "" if none is needed, None if none is.

        Every key is compared, right or not: the time taken says nothing about which.
        """
        found = None if self._keys or self.tokens else ""
        for known, label in self._keys:
            if comparison.same(key, known):
                found = label
        if self.tokens is not None:
            held = self.tokens.secret_of(token)
            found = found or (_label(self._hmac_key, "token", held.encode()) if held else None)
        return found

    def _complaint(self, keys: Sequence[bytes], token: bytes) -> str:
        """What was wrong about what was shown, of what is asked for here."""
        asked = [("callback key", bool(keys), bool(self._keys)), ("token", bool(token), self.tokens is not None)]
        kinds = [(kind, shown) for kind, shown, wanted in asked if wanted]
        return f"{'wrong' if any(shown for _, shown in kinds) else 'no'} {' or '.join(kind for kind, _ in kinds)}"

    def _hidden(self, presented: Sequence[bytes], element: str) -> tuple[str, ...]:
        """What must not be written down: what is configured, wherever it stands, and what was shown in its place."""
        shown = {value.decode("latin-1") for value in presented if value}
        if self._path_secret is not None:
            shown |= _in_place_of_secret(element)
        return self._usual if shown <= self._secrets else _longest_first(shown | self._secrets)

    def _shown(self, keys: Sequence[bytes], token: bytes, element: str) -> str:
        path = _bytes(element) if self._path_secret is not None else b""
        kinds = (("key", keys[0] if keys else b""), ("token", token), ("path", path))
        return " ".join(filter(None, (_label(self._hmac_key, kind, value) for kind, value in kinds)))


class Nobody:
    """Stands where a source is not configured: lets nobody in, but notes what was shown, in case it is one soon."""

    def __init__(self, sources: Iterable[Source], secret: bytes) -> None:
        known = list(sources)
        self._hmac_key = secret
        self._secrets = _secrets(known)
        self._headers = sorted({source.callback_header.lower().encode() for source in known if source.callback_header})

    def ask(self, headers: Headers, below: Sequence[str], client: str) -> Verdict:
        """Judge a head like a gate, whosever key and secret it shows."""
        shown = {key for name in names() for key in _presented(named(name), headers)}
        keys = sorted(shown.union(*(_values(headers, header) for header in self._headers)))
        element = below[0] if below else ""
        labels = [_label(self._hmac_key, "key", key) for key in keys]
        labels.append(_label(self._hmac_key, "path", _bytes(element)))
        hidden = {key.decode("latin-1") for key in (*keys, _bearer(headers)) if key}
        secrets = self._secrets | hidden | _in_place_of_secret(element)
        return Verdict(404, "unknown source", "", " ".join(filter(None, labels)), _longest_first(secrets))


def _secrets(sources: Iterable[Source]) -> frozenset[str]:
    """What is secret about these sources: their callbacks may come to the wrong address, too."""
    values = [
        value
        for source in sources
        for value in (*source.callback_keys, *source.callback_client_secrets, source.path_secret or "")
    ]
    return frozenset(value for value in values if len(value) >= _SHORTEST)


def _tokens(name: str, source: Source, secret: bytes) -> Tokens | None:
    """What it gives to its client, if it has one."""
    if source.callback_client_id is None:
        return None
    return Tokens(name, source.callback_client_id, source.callback_client_secrets, secret)


def _presented(provider: Provider, headers: Headers) -> list[bytes]:
    """The key, where the provider shows one."""
    key = provider.presented(headers)
    return [] if key is None else [key]


def _values(headers: Headers, wanted: bytes) -> list[bytes]:
    """What stands in a header, line by line: the first line counts, and none of them is written down."""
    return [value.strip() for name, value in headers if name == wanted]


def _bearer(headers: Headers) -> bytes:
    """A token, as RFC 6750 shows it; empty if there is none."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.strip().partition(b" ")
            return token.strip() if scheme.lower() == b"bearer" else b""
    return b""


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
