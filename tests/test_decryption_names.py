"""Names out of archives: harmless wherever they are unpacked, readable where they can be, and distinct."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.decryption import names


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("contract.pdf", "contract.pdf"),
        ("Договор за наем.pdf", "Договор за наем.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/absolute.pdf", "absolute.pdf"),
        ("C:\\x\\y.pdf", "y.pdf"),
        ("..", "document"),
        ("...", "document"),
        (".hidden.pdf", "hidden.pdf"),
        ("", "document"),
        ("a/", "document"),
        ("\0\n\r", "document"),
        ("contract\u202efdp.exe", "contract_fdp.exe"),
        ("a\x1b[31m.pdf", "a_[31m.pdf"),
        ('a<b>:"|?*.pdf', "a_b______.pdf"),
        ("con.pdf", "_con.pdf"),
        ("LPT1", "_LPT1"),
        ("console.pdf", "console.pdf"),
        ("trailing. ", "trailing"),
        ("ля́.pdf", "ля́.pdf"),
        ("-rf.pdf", "-rf.pdf"),
    ],
)
def test_a_name_is_made_harmless(name: str, safe: str) -> None:
    """Only the last part of a path, without what steers anything."""
    assert names.safe(name, "document") == safe


def test_a_long_name_keeps_its_ending() -> None:
    """In characters, and in bytes, of which file systems have 255."""
    assert names.safe("a" * 300 + ".pdf", "x") == "a" * 146 + ".pdf"
    short = names.safe("я" * 300 + ".pdf", "x")
    assert short.endswith("я.pdf")
    assert len(short.encode()) <= 200
    assert len(names.safe("." + "b" * 300, "x")) <= 150


@given(st.text(max_size=400))
def test_any_name_is_harmless(name: str) -> None:
    """It is one part of a path, printable, short, the same in one form of Unicode, and safe again."""
    safe = names.safe(name, "document")
    assert safe not in ("", ".", "..")
    assert not set(safe) & set('/\\:*?"<>|\0')
    assert safe.isprintable()
    assert safe[0] not in ". "
    assert len(safe.encode()) <= 205
    assert unicodedata.is_normalized("NFC", safe)


@given(st.lists(st.sampled_from(["a.pdf", "A.PDF", "b", ".c", "a (2).pdf"]), max_size=8))
def test_names_are_distinct_whatever_their_case(wanted: list[str]) -> None:
    """And the first one keeps its name."""
    taken: set[str] = set()
    found = [names.distinct(name, taken) for name in wanted]
    assert len({name.lower() for name in found}) == len(found)
    assert found[:1] == wanted[:1]


def test_a_number_stands_in_front_of_the_ending() -> None:
    """So that it still opens."""
    taken = {"a.pdf"}
    assert [names.distinct("a.pdf", taken) for _ in range(2)] == ["a (2).pdf", "a (3).pdf"]
    assert names.distinct("A.pdf", taken) == "A (4).pdf"
    assert [names.distinct("b", taken) for _ in range(2)] == ["b", "b (2)"]
