"""Tokens that the door gives to a provider's client: signed, short-lived, and kept nowhere."""

import base64
import binascii
import hashlib
import hmac
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from listener.door import comparison

SECONDS: Final = 300  # that the provider is told
_GRACE: Final = 60  # that a token is taken longer: clocks differ, and a callback is not sent twice
_TIME, _NONCE, _MAC = 8, 8, 32  # bytes; together 64 characters
_NOTHING: Final = bytes(_TIME + _NONCE + _MAC)

Pair = tuple[bytes, bytes]


class Tokens:
    """Of one source: until when, something random, and an HMAC over both.

    The key of the HMAC comes of the source's name, the client's id and secret: a token is good for one source, and
    ends with the secret that it was given for. `hmac_key` is the secret of the data folder.
    """

    def __init__(
        self,
        source: str,
        client_id: str,
        secrets: Sequence[str],
        hmac_key: bytes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._clients = [(secret, _digest(client_id.encode(), secret.encode())) for secret in secrets]
        self._keys = {
            secret: hmac.digest(hmac_key, "\0".join(("token", source, client_id, secret)).encode(), "sha256")
            for secret in secrets
        }

    def issue(self, shown: Iterable[Pair]) -> str | None:
        """A token for whoever shows, in one of these pairs, the client's id and one of its secrets; else None."""
        digests = [_digest(*pair) for pair in shown]
        held = None
        for secret, known in self._clients:
            for digest in digests:
                if comparison.same(digest, known):
                    held = secret
        if held is None:
            return None
        told = (int(self._clock()) + SECONDS).to_bytes(_TIME, "big") + os.urandom(_NONCE)
        return base64.urlsafe_b64encode(told + self._mac(held, told)).decode()

    def secret_of(self, shown: bytes) -> str | None:
        """The secret that a token was given for; None if it is not ours, or over. Takes the same time for either."""
        token = _decoded(shown)
        told, mac = token[:-_MAC], token[-_MAC:]
        found = None
        for secret in self._keys:
            if comparison.same(mac, self._mac(secret, told)):
                found = secret
        return found if int.from_bytes(told[:_TIME], "big") + _GRACE > self._clock() else None

    def _mac(self, secret: str, told: bytes) -> bytes:
        return hmac.digest(self._keys[secret], told, "sha256")


def _decoded(shown: bytes) -> bytes:
    """What a token holds; nothing that anybody signed, if it is none or spelt otherwise than we spell it."""
    try:
        token = base64.urlsafe_b64decode(shown)
    except binascii.Error:
        return _NOTHING
    same = len(token) == len(_NOTHING) and base64.urlsafe_b64encode(token) == shown
    return token if same else _NOTHING


def _digest(client_id: bytes, secret: bytes) -> bytes:
    """Both in one, so that they are compared at once and not even their length shows."""
    return hashlib.sha256(hashlib.sha256(client_id).digest() + hashlib.sha256(secret).digest()).digest()
