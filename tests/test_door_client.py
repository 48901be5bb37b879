"""Whose address counts behind proxies, and whose does not."""

import ipaddress
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.door.client import Network, canonical, client, matching, within

PROXIES = ("127.0.0.0/8", "10.0.0.0/8", "fd00::/8")
REAL = "198.51.100.7"


def networks(*cidrs: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(cidr) for cidr in cidrs)


def seen(*lines: str, peer: str = "127.0.0.1", trusted: tuple[str, ...] = PROXIES) -> str:
    """The client's address when `peer` sends these X-Forwarded-For lines."""
    headers = [(b"host", b"203.0.113.1"), *((b"x-forwarded-for", line.encode("latin-1")) for line in lines)]
    return client(peer, headers, networks(*trusted))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((REAL,), REAL),
        (("198.51.100.7:41234",), REAL),
        (("  198.51.100.7\t",), REAL),
        (("::ffff:198.51.100.7",), REAL),
        (("[::ffff:198.51.100.7]:443",), REAL),
        (("2001:db8::1",), "2001:db8::1"),
        (("2001:0DB8:0::1",), "2001:db8::1"),
        (("[2001:db8::1]",), "2001:db8::1"),
        (("[2001:db8::1]:41234",), "2001:db8::1"),
        (("198.51.100.7, 10.0.0.2",), REAL),
        (("198.51.100.7,10.0.0.2,127.0.0.9",), REAL),
        (("198.51.100.7, fd00::2",), REAL),
        (("198.51.100.7, ::ffff:10.0.0.2",), REAL),
        ((REAL, "10.0.0.2"), REAL),
        (("203.0.113.9", "198.51.100.7, 10.0.0.2", "10.0.0.3"), REAL),
        (("10.0.0.9",), "10.0.0.9"),
        (("10.0.0.9, 10.0.0.2",), "10.0.0.9"),
    ],
)
def test_the_hop_that_the_last_trusted_proxy_saw_is_the_client(lines: tuple[str, ...], expected: str) -> None:
    """All lines joined, read from right to left, with ports, brackets and mapped addresses understood."""
    assert seen(*lines) == expected


@pytest.mark.parametrize(
    "spoofed",
    [
        "203.0.113.9, 198.51.100.7",
        "203.0.113.9, 10.0.0.1, 198.51.100.7, 10.0.0.2",
        "127.0.0.1, 198.51.100.7",
        ",,198.51.100.7",
    ],
)
def test_what_a_client_wrote_itself_is_not_believed(spoofed: str) -> None:
    """A proxy appends; what stands left of the first address that is no proxy's proves nothing."""
    assert seen(spoofed) == REAL


@given(st.lists(st.text(st.characters(max_codepoint=255, exclude_characters="\r\n")), max_size=3))
def test_no_invention_of_a_client_moves_its_address(invented: list[str]) -> None:
    """Whatever lines it sends, the proxy's own word comes last."""
    assert seen(*invented, REAL) == REAL


@pytest.mark.parametrize(
    "unreadable", ["", " ", "unknown", "_hidden", "198.51.100", "198.51.100.7.8", "[", "[]:1", ":443", "x" * 30_000]
)
def test_a_hop_that_cannot_be_read_ends_the_walk(unreadable: str) -> None:
    """What is left of it may be anybody's: the last address that was readable counts."""
    assert seen(f"203.0.113.9, {unreadable}") == "127.0.0.1"
    assert seen(f"203.0.113.9, {unreadable}, 10.0.0.2") == "10.0.0.2"


def test_hops_that_are_no_addresses_are_not_remembered() -> None:
    """Addresses are, because the same few come again; a stranger has any number of other things to send."""
    tracemalloc.start()
    try:
        for number in range(100):
            assert seen(f"{number:030000}") == "127.0.0.1"
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("peer", "trusted"), [("203.0.113.5", PROXIES), ("127.0.0.1", ()), ("::ffff:203.0.113.5", PROXIES)]
)
def test_nobody_but_a_trusted_proxy_is_believed(peer: str, trusted: tuple[str, ...]) -> None:
    """From a stranger the header is only a claim, and without proxies everyone is a stranger."""
    assert seen(REAL, peer=peer, trusted=trusted) == canonical(peer)


@pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3", "fd00::5", "fd00::5%eth0"])
def test_a_proxy_is_known_however_its_address_is_written(peer: str) -> None:
    """A socket that listens on IPv6 shows IPv4 peers as mapped, and local ones with the interface."""
    assert seen(REAL, peer=peer) == REAL


def test_without_the_header_a_proxy_is_the_client() -> None:
    """It may be what asks for our health."""
    assert seen() == "127.0.0.1"


def test_other_headers_are_not_read() -> None:
    """X-Real-IP and Forwarded can be set by anyone whose proxy does not remove them."""
    headers = [(b"x-real-ip", b"198.51.100.7"), (b"forwarded", b"for=198.51.100.7"), (b"client-ip", b"198.51.100.7")]
    assert client("127.0.0.1", headers, networks(*PROXIES)) == "127.0.0.1"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:C000:0201", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_an_address_has_one_spelling(written: str, expected: str) -> None:
    """As it is stored, so it is compared; what is no address stays what it is."""
    assert canonical(written) == expected


def test_the_first_network_that_holds_an_address_is_named() -> None:
    """It is what let the callback in, and stands in the log."""
    known = networks("2001:db8::/32", "198.51.100.0/24", "198.51.0.0/16")
    assert matching(REAL, known) == known[1]
    assert matching("::ffff:198.51.7.7", known) == known[2]
    assert matching("2001:db8:ffff::1", known) == known[0]


@pytest.mark.parametrize("address", ["198.52.0.1", "2001:db9::1", "::198.51.100.7", "localhost", ""])
def test_an_address_outside_matches_none(address: str) -> None:
    """Neither does what is no address, nor an IPv6 address whose end looks like an IPv4 one."""
    assert not within(address, networks("198.51.0.0/16", "2001:db8::/32"))


def test_nothing_is_within_no_network() -> None:
    """An empty list allows nobody here; that it is empty is for the gate to judge."""
    assert not within(REAL, ())
