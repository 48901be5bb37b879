"""The page in evidence: what it tells, and that whatever strangers wrote is text on it and nothing else."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from listener.evidence import papers, verdicts
from listener.evidence.markup import Markup, joined, tag, text
from listener.evidence.verify import Check, Zip
from listener.log import reader
from listener.log.event import seal
from tests.dossier import Dossier, kept
from tests.site import callback, observation

PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
KNOWN = {"href", "id", "class", "scope", "lang", "charset", "name", "content", "http-equiv"}  # attributes


def test_text_is_text() -> None:
    """Unless it was made here; what shows nothing, or turns letters around, is told by its number."""
    assert text("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"
    assert text("a\x00\x1b\u202e\n\t😀") == "a\\u0000\\u001b\\u202e\n\t😀"
    assert tag("p", "<", tag("b", 7), class_='"') == '<p class="&quot;">&lt;<b>7</b></p>'
    assert joined(("<", Markup("<br>")), "&") == "&lt;&amp;<br>"


@pytest.fixture
def dossier(tmp_path: Path) -> Dossier:
    """A package that has lived a whole life."""
    return Dossier(tmp_path).lived()


def test_the_verdict_on_signatures_is_told(dossier: Dossier) -> None:
    """As the outcome has it; of what an outcome says of none, that it says nothing."""
    dossier.make()
    page = dossier.page()
    assert "The signatures are valid." in page
    assert "<td>Zoë &lt;b&gt;</td><td>–</td><td>yes</td><td>no</td><td>nobody judged</td>" in page
    assert page.count("no verdict on them was recorded") == 1


def test_a_callback_that_was_missed_is_told(tmp_path: Path) -> None:
    """Only where none came."""
    dossier = Dossier(tmp_path)
    dossier.filled(callback("PACKAGE_ACTIVATE"), observation({"status": "COMPLETED"}))
    for missed in (True, False):
        dossier.make(name=f"{missed}.zip")
        dossier.zip = tmp_path / f"{missed}.zip"
        assert ("Missed." in dossier.page()) is missed
        dossier.filled(callback("PACKAGE_COMPLETE"))


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ({"found": "unsigned", "due": True}, "There is no signature in it. There should be one."),
        ({"found": "unsigned"}, "There is no signature in it. None was due."),
        ({"found": "unreadable", "due": True, "reason": "no <PDF>"}, "could not be judged. no &lt;PDF&gt;"),
        ({"found": "invalid"}, "At least one signature is broken: the document is not what was signed."),
        ({"found": "glorious"}, "glorious"),
    ],
)
def test_verdicts_in_words(verdict: dict[str, object], said: str) -> None:
    """What is wrong is said as plainly as what is right; a word of a later version as it stands."""
    assert said in verdicts.shown(verdict)
    assert "no verdict on them was recorded" in verdicts.shown(None)


@pytest.mark.parametrize(
    "verdict", [7, [], "x", {"found": ["x"], "papers": 3}, {"papers": [1, {"signatures": [2, {}]}]}]
)
def test_a_verdict_of_a_later_version(verdict: object) -> None:
    """Whatever it is, the document is one."""
    found = papers.paper(seal(kept("evidence.pdf", verdict=verdict), b"of a log", 1, 1))
    assert found is not None
    assert "<b>Signatures, when it was stored: </b>" in verdicts.shown(found.verdict)


class Tags(HTMLParser):
    """The elements of a page, and where its links lead."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names, self.links = set[str](), set[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.names.add(tag)
        self.links.update(value or "" for name, value in attrs if name == "href")
        assert {name for name, _ in attrs} <= {
            "href",
            "id",
            "class",
            "scope",
            "lang",
            "charset",
            "name",
            "content",
            "http-equiv",
        }


HOSTILE = ["../../<img src=x onerror=alert(1)>", "-x\x00\x1b[31m\u202e", "a" * 300, "'\"></style></title><script>"]


@pytest.mark.parametrize("subject", HOSTILE)
def test_hostile_ids_and_texts(tmp_path: Path, subject: str) -> None:
    """No name in the zip is theirs; nothing on the page is an element of theirs, and no link leads out."""
    dossier = Dossier(tmp_path).lived(subject, message="</pre><script>alert(1)</script>")
    with dossier.opened() as database:
        events = list(reader.every(database))
    assert dossier.make(subject).documents == 2
    files, tags = dossier.files(), Tags(dossier.page())
    assert all(PLAIN.fullmatch(name) for name in files)
    assert not tags.names & {"script", "img", "iframe", "link", "base", "form", "object"}
    inside = {link for link in tags.links if not link.startswith("#")}
    assert inside <= files.keys()
    assert len(inside) > len(events)
    assert all(letter.isprintable() or letter == "\n" for letter in dossier.page())
    assert Check(Zip(str(dossier.zip))).problems == {}


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("evidence.pdf", "evidence.pdf"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("document-a%3Ab.pdf", "document-a_3Ab.pdf"),
        ("x" * 500 + ".pdf", "x" * 80 + ".pdf"),
        ("a." + "b" * 200, "a." + "b" * 78),
        ("", "document"),
        ("...", "document"),
        ("é\n\x00", "_"),
    ],
)
def test_names_of_documents(name: str, plain: str) -> None:
    """Letters that every system takes, no folders, not long."""
    assert papers.plain(name) == plain
    assert PLAIN.fullmatch(f"documents/1-{plain}")
