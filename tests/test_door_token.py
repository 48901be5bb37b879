"""Tokens of the door: good for one source, one secret and a few minutes, and for nobody who made them up."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.door import token
from listener.door.token import Tokens

HMAC_KEY = bytes(range(32))
OLD, NEW = "correct-horse-battery", "staple-of-tomorrow"
NOW = 1_795_348_800.0


class Clock:
    """A clock that stands."""

    def __init__(self, at: float = NOW) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def tokens(
    *secrets: str, source: str = "here", client_id: str = "onespan", key: bytes = HMAC_KEY, clock: Clock | None = None
) -> Tokens:
    """What a source gives."""
    return Tokens(source, client_id, secrets or (OLD,), key, clock or Clock())


def issued(found: Tokens, client_id: str = "onespan", secret: str = OLD) -> bytes:
    """A token, as it is shown."""
    made = found.issue([(client_id.encode(), secret.encode())])
    assert made is not None
    return made.encode()


def test_a_token_is_good_for_whom_it_was_given() -> None:
    """It says which secret it was given for, and needs no memory of ours."""
    assert tokens().secret_of(issued(tokens())) == OLD
    both = tokens(OLD, NEW)
    assert [both.secret_of(issued(both, secret=secret)) for secret in (OLD, NEW)] == [OLD, NEW]


@pytest.mark.parametrize(
    ("client_id", "secret"),
    [("onespan", ""), ("onespan", OLD[:-1]), ("onespan", OLD + "x"), ("", OLD), ("other", OLD), ("onespanc", OLD[1:])],
)
def test_a_wrong_client_is_given_none(client_id: str, secret: str) -> None:
    """Neither with a wrong id, nor with a wrong secret, nor where the one only begins otherwise."""
    assert tokens().issue([(client_id.encode(), secret.encode())]) is None
    assert tokens().issue([]) is None
    assert tokens().issue([(client_id.encode(), secret.encode()), (b"onespan", OLD.encode())]) is not None


def test_a_token_ends() -> None:
    """A minute later than it says: clocks differ, and a callback under way is not sent twice."""
    clock = Clock()
    found = tokens(clock=clock)
    made = issued(found)
    for seconds, good in ((0, True), (token.SECONDS, True), (token.SECONDS + 59, True), (token.SECONDS + 61, False)):
        clock.at = NOW + seconds
        assert (found.secret_of(made) is not None) is good


@pytest.mark.parametrize(
    "other",
    [
        tokens(source="there"),
        tokens(client_id="other"),
        tokens(NEW),
        tokens(key=bytes(32)),
    ],
)
def test_a_token_is_good_nowhere_else(other: Tokens) -> None:
    """Not for another source, client or secret, nor with another data folder."""
    assert other.secret_of(issued(tokens())) is None


def test_a_token_ends_with_its_secret() -> None:
    """Whoever takes a secret out of the configuration has no tokens of it left."""
    made = issued(tokens(OLD, NEW))
    assert tokens(NEW, OLD).secret_of(made) == OLD
    assert tokens(NEW).secret_of(made) is None


def test_no_two_tokens_are_alike() -> None:
    """Though they were given in the same second."""
    found = tokens()
    assert issued(found) != issued(found)


@pytest.mark.parametrize("length", [0, 1, 47, 49, 48])
def test_bytes_of_any_length_are_no_token(length: int) -> None:
    """Signed by nobody."""
    assert tokens().secret_of(base64.urlsafe_b64encode(bytes(length))) is None


@given(at=st.integers(0, 63), letter=st.sampled_from("AZaz09-_=+/ \n"))
def test_a_token_with_another_letter_is_none(at: int, letter: str) -> None:
    """Whether it changes the time, the noise or the signature."""
    found = tokens()
    made = issued(found).decode()
    changed = made[:at] + letter + made[at + 1 :]
    assert (found.secret_of(changed.encode()) is not None) is (changed == made)


@pytest.mark.parametrize(("ours", "theirs"), [("-", "+"), ("_", "/")])
def test_a_token_has_one_spelling(ours: str, theirs: str) -> None:
    """The other alphabet of base64 would say the same bytes; nobody was given them like that."""
    found = tokens()
    made = next(made for made in (issued(found).decode() for _ in range(1000)) if ours in made)
    assert found.secret_of(made.encode()) == OLD
    assert found.secret_of(made.replace(ours, theirs).encode()) is None


@given(shown=st.binary(max_size=200))
def test_any_bytes_are_no_token(shown: bytes) -> None:
    """And no error."""
    assert tokens().secret_of(shown) is None


def test_a_token_fits_into_a_header() -> None:
    """Letters, digits, - and _ only."""
    made = issued(tokens()).decode()
    assert len(made) == 64
    assert set(made) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
