"""Which paths are callback addresses, and of which source."""

import pytest

from listener.door.address import HEALTH, Address, TokenAddress, resolve


@pytest.mark.parametrize(
    ("path", "source", "below"),
    [
        (b"/callbacks/onespan", "onespan", ()),
        (b"/callbacks/onespan/", "onespan", ()),
        (b"//callbacks///onespan//x//", "onespan", ("x",)),
        (b"/callbacks/onespan_sandbox/a/b", "onespan_sandbox", ("a", "b")),
        (b"/callbacks/nobody_knows_it", "nobody_knows_it", ()),
        (b"/callbacks/callbacks", "callbacks", ()),
        (b"/callbacks/healthz", "healthz", ()),
        (b"/callbacks/evrotrust/document/ready", "evrotrust", ("document", "ready")),
        (b"/callbacks/evrotrust//document/ready", "evrotrust", ("document", "ready")),
        (b"/callbacks/evrotrust/SECRET/document/ready", "evrotrust", ("SECRET", "document", "ready")),
        (b"/callback", "onespan", ()),
        (b"//callback/", "onespan", ()),
        (b"/document/ready", "evrotrust", ("document", "ready")),
        (b"//document/ready", "evrotrust", ("document", "ready")),
        (b"/document/offline/ready/", "evrotrust", ("document", "offline", "ready")),
        (b"/document", "evrotrust", ("document",)),
    ],
)
def test_an_address_names_its_source(path: bytes, source: str, below: tuple[str, ...]) -> None:
    """Doubled and trailing slashes change nothing, and what stands below is kept as it came."""
    assert resolve(path) == Address(source, below)


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/",
        b"*",
        b"/callbacks",
        b"/callbacks//",
        b"/callbackss/onespan",
        b"/Callbacks/onespan",
        b"/x/callbacks/onespan",
        b"/callback/onespan",
        b"/documents/ready",
        b"/x/document/ready",
        b"/healthz/x",
        b"/favicon.ico",
    ],
)
def test_anything_else_is_no_address(path: bytes) -> None:
    """Nothing is guessed: not from the end of a path, and not in spite of its spelling."""
    assert resolve(path) is None


@pytest.mark.parametrize("path", [b"/oauth/onespan/token", b"//oauth//onespan/token/", b"/oauth/%6Fnespan/token"])
def test_the_address_of_tokens_names_its_source(path: bytes) -> None:
    """And ends as OneSpan wants it."""
    assert resolve(path) == TokenAddress("onespan")


@pytest.mark.parametrize("path", [b"/oauth/token", b"/oauth/onespan", b"/oauth/onespan/token/x", b"/x/onespan/token"])
def test_nothing_else_is_an_address_of_tokens(path: bytes) -> None:
    """Neither less nor more."""
    assert resolve(path) is None


@pytest.mark.parametrize("path", [b"/healthz", b"//healthz/", b"/%68ealthz"])
def test_the_address_of_health(path: bytes) -> None:
    """It tolerates the slashes that the others do."""
    assert resolve(path) == HEALTH


@pytest.mark.parametrize(
    ("path", "source", "below"),
    [
        (b"/callbacks/%6Fne%73pan", "onespan", ()),
        (b"/%63allbacks/onespan", "onespan", ()),
        (b"/%64ocument/ready", "evrotrust", ("%64ocument", "ready")),
        (b"/callbacks/onespan%2Fx/y", "onespan/x", ("y",)),
        (b"/callbacks/onespan/a%2Fb", "onespan", ("a%2Fb",)),
        (b"/callbacks/caf%C3%A9", "caf\xc3\xa9", ()),
        (b"/callbacks/100%", "100%", ()),
        (b"/callbacks/%zz", "%zz", ()),
        (b"/callbacks/%00", "\0", ()),
    ],
)
def test_percent_encoding_hides_no_name_and_makes_no_separator(
    path: bytes, source: str, below: tuple[str, ...]
) -> None:
    """Elements are split first and decoded then, byte for byte; those below stay as they came."""
    assert resolve(path) == Address(source, below)


@pytest.mark.parametrize("path", [b"/callbacks%2Fonespan", b"%2Fcallback", b"/document%2Fready"])
def test_an_encoded_slash_does_not_split_an_address(path: bytes) -> None:
    """It would be another address to the proxy in front, which may guard it differently."""
    assert resolve(path) is None


def test_dots_are_names_like_any_other() -> None:
    """Who resolves `..` may find himself on an address that the proxy in front never saw."""
    assert resolve(b"/callbacks/../healthz") == Address("..", ("healthz",))
    assert resolve(b"/./callback") is None


def test_addresses_of_usual_length_are_remembered() -> None:
    """The same few come again and again."""
    assert resolve(b"/callbacks/onespan/" + b"x" * 200) is resolve(b"/callbacks/onespan/" + b"x" * 200)


def test_longer_ones_are_not() -> None:
    """A stranger has any number of them, and each would stay in memory with all its elements."""
    found = resolve(b"/callbacks/onespan" + b"/x" * 200)
    assert found == Address("onespan", ("x",) * 200)
    assert found is not resolve(b"/callbacks/onespan" + b"/x" * 200)
