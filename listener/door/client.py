"""Who called: the peer, or whoever the proxies that we trust say it was."""

import functools
import ipaddress
from collections.abc import Sequence
from typing import Final

_LONGEST: Final = 64  # an IPv6 address has 45 characters at most, and then comes the name of an interface

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Headers = Sequence[tuple[bytes, bytes]]


def client(peer: str, headers: Headers, trusted: Sequence[Network]) -> str:
    """The client's address. Every X-Forwarded-For line counts, read from right to left while a trusted proxy spoke.

    Each proxy appends the address it saw, so what stands left of the first untrusted one is the client's own invention.
    A hop that cannot be read ends the walk: what came before it proves nothing.
    """
    if not trusted or not within(peer, trusted):
        return canonical(peer)
    lines = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
    seen = canonical(peer)
    for hop in reversed(",".join(lines).split(",")):
        address = _address(_without_port(hop.strip()))
        if address is None:
            break
        seen = str(address)
        if not within(seen, trusted):
            break
    return seen


@functools.lru_cache(maxsize=4096)
def canonical(peer: str) -> str:
    """An address as it is compared and stored: ::ffff:192.0.2.1 is 192.0.2.1."""
    address = _address(peer)
    return peer if address is None else str(address)


def within(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of the networks."""
    return matching(address, networks) is not None


def matching(address: str, networks: Sequence[Network]) -> Network | None:
    """The first of the networks that holds the address."""
    parsed = _address(address)
    if parsed is None:
        return None
    return next((known for known in networks if parsed.version == known.version and parsed in known), None)


def _address(text: str) -> Address | None:
    return _parsed(text) if len(text) <= _LONGEST else None


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.scope_id is not None:
            return ipaddress.IPv6Address(int(address))
    return address


def _without_port(hop: str) -> str:
    """192.0.2.1:5000 and [2001:db8::1]:5000 without their port; a bare IPv6 address has colons of its own."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
