"""Where a document lies: under a name that nothing else has, and that leads nowhere else, whatever its id is."""

import os
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener import errors
from listener.acts import Artifact
from listener.worker.places import place, safe

HOSTILE = (
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "-rf",
    "a=b",
    "=",
    "a\0b",
    "~root",
    "%2E%2E",
    "C:\\con",
    "żółw/é",
    "a" * 300,
    "/" * 300,
    ".incoming",
)
names = st.one_of(st.text(), st.text("aA.%-=/~\0", max_size=12), st.sampled_from(HOSTILE))


@given(st.sets(names, min_size=2, max_size=30))
def test_distinct_ids_have_distinct_names_where_case_is_ignored_too(ids: set[str]) -> None:
    """No two ids share a file name, on no file system."""
    assert len({safe(known).casefold() for known in ids}) == len(ids)


@given(st.text("aAbBzZ09.%=-", max_size=250))
def test_ids_that_differ_only_in_case_stay_apart(id: str) -> None:
    """OneSpan's ids are base64: their letters' case is all that tells some of them apart."""
    if id != id.swapcase():
        assert safe(id).casefold() != safe(id.swapcase()).casefold()


@given(names)
def test_a_name_is_a_harmless_file_name(id: str) -> None:
    """It is one element, in printable ASCII, short enough, no option, not hidden, and no way up or out."""
    name = safe(id)
    assert 0 < len(name) <= 255
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set('/\\\0:*?"<>| ')
    assert name[0] not in "-.~"


@given(names, st.sampled_from(["documents.zip", "evidence.pdf", "Evidence.pdf", "a.b.zip", "-.zip"]))
def test_a_path_stays_in_the_folder(subject: str, name: str) -> None:
    """Whatever the id is, the document lies exactly three levels down, and resolving the path changes nothing."""
    path = PurePosixPath(place(Artifact("onespan", subject, name)))
    assert PurePosixPath(os.path.normpath(path)) == path
    assert path.parts == ("onespan", safe(subject), path.name)
    assert path.suffix in {".zip", ".pdf"}


@given(st.sets(st.tuples(names, st.from_regex(r"[a-zA-Z.]{0,6}[a-z]\.(zip|pdf)", fullmatch=True)), min_size=2))
def test_distinct_artifacts_have_distinct_paths(keys: set[tuple[str, str]]) -> None:
    """Subject and name together, where case is ignored too."""
    found = {place(Artifact("onespan", *key)).casefold() for key in keys}
    assert len(found) == len(keys)


@pytest.mark.parametrize("name", ["documents", "documents.exe", "..", "zip", ".zip", "a.zip/../../b"])
def test_a_kind_that_cannot_be_checked_has_no_place(name: str) -> None:
    """Only what is known by its first bytes is put on disk."""
    with pytest.raises(errors.Unusable, match="no kind of document"):
        place(Artifact("onespan", "id", name))
