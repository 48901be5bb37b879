"""Whether what somebody shows is what is secret: the only place that compares the two."""

import hashlib
import hmac


def same(shown: bytes, secret: bytes) -> bool:
    """Equal, in constant time: hashed first, so that not even the length shows."""
    return hmac.compare_digest(hashlib.sha256(shown).digest(), hashlib.sha256(secret).digest())
