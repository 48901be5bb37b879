"""What was let go passes the sieve, however many; little else does."""

from hypothesis import given
from hypothesis import strategies as st

from listener.worker.sieve import Sieve
from projections.facts import Key

keys = st.lists(st.tuples(st.sampled_from(["one", "other"]), st.text(max_size=3)))


@given(keys, keys)
def test_what_was_added_passes(added: list[Key], others: list[Key]) -> None:
    """In order, and also where few bits stand for many keys."""
    for bits in (8, 2**24):
        sieve = Sieve(bits)
        sieve.add(added)
        assert [key for key in sieve.sift([*others, *added]) if key in added] == [
            key for key in [*others, *added] if key in added
        ]


def test_little_else_passes() -> None:
    """Of ten thousand others, as many as share a bit with one of ten thousand: six in all."""
    sieve = Sieve()
    sieve.add(("one", str(number)) for number in range(10_000))
    passed = sieve.sift(("other", str(number)) for number in range(10_000))
    assert len(passed) < 100
    assert Sieve().sift([("one", "1")]) == []
