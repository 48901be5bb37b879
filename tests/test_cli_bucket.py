"""Commands and a server whose documents lie in a bucket, as they are typed, each in a process of its own."""

import hashlib
import importlib.util
from pathlib import Path

import pytest

from listener import bootstrap_documents, errors
from listener.acts import Act
from listener.demo import pdf
from projections import facts
from tests import s3
from tests.homes import InBucket
from tests.s3 import Wire
from tests.site import ID, ONESPAN, Site, callback, outcome, until
from tests.test_cli_serve import serving, stage

PDF = pdf.document("Lease", ["signed"])
PLACE = "onespan/LWsUTvGgE4WpOvaQPT16idnxNj8=.103955b/evidence.pdf"
STORED = Act(facts.STORED, attempt=1, sha256=hashlib.sha256(PDF).hexdigest(), size=len(PDF), path=PLACE)


@pytest.fixture
def home(tmp_path: Path, s3_url: str) -> InBucket:
    """Where documents lie."""
    return InBucket(tmp_path, s3_url, f"s3://{s3.BUCKET}/{tmp_path.name}")


@pytest.fixture
def site(tmp_path: Path, home: InBucket) -> Site:
    """A log that says that a document is stored, which lies in the bucket."""
    home.write(PLACE, PDF)
    site = Site(tmp_path, f'documents = "{home.documents}"\n{ONESPAN}')
    return site.filled(callback("PACKAGE_CREATE"), outcome("evidence.pdf", STORED))


def test_it_is_said_where_a_document_lies(site: Site, home: InBucket) -> None:
    """To copy and paste."""
    shown = site.run("status", "onespan", ID)
    assert f": {home.documents}/{PLACE}\n" in shown.out


def test_documents_are_verified_there(site: Site, home: InBucket) -> None:
    """What was changed or is gone is named, with the event that says what it should be."""
    found = site.run("verify", "--documents", "--json")
    assert (found.code, found.json["documents"], found.json["problems"]) == (0, 1, [])
    for content, told in (
        (PDF[:-1] + b" ", "is another document than the one that was stored"),
        (PDF + b" ", f"has {len(PDF) + 1} bytes, and {len(PDF)} were stored"),
        (None, "is gone"),
    ):
        home.delete(PLACE) if content is None else home.write(PLACE, content)
        found = site.run("verify", "--documents", "--json")
        assert found.code == 1
        assert [one["problem"] for one in found.json["problems"]] == [f"{PLACE} {told}"]
        assert found.json["problems"][0]["position"] > 1
    assert site.run("verify").code == 0


def test_a_bucket_that_is_away_is_no_answer(site: Site, home: InBucket, wire: Wire) -> None:
    """Neither yes nor no: a sentence, exit 1, and nothing secret in it. Health says it, too."""
    wire.always = s3.says(403, "InvalidAccessKeyId")
    for command in (["verify", "--documents"], ["evidence", "onespan", ID, "--output", "e.zip"]):
        found = site.run(*command)
        assert (found.code, found.out) == (1, "")
        assert f"signlog: {home.documents}: the access key is unknown; mend AWS_ACCESS_KEY_ID" in found.err
        assert s3.ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in found.err
    assert not (site.folder / "e.zip").exists()
    assert f"! no document can be stored: {home.documents}: the access key is unknown" in site.run("health").out
    wire.always = None
    assert "no document can be stored" not in site.run("health").out


def test_evidence_takes_documents_from_there(site: Site, home: InBucket) -> None:
    """And says which it could not have."""
    made = site.run("evidence", "onespan", ID, "--output", "a.zip", "--json")
    assert (made.code, made.json["documents"], made.json["missing"]) == (0, 1, [])
    home.delete(PLACE)
    made = site.run("evidence", "onespan", ID, "--output", "b.zip", "--json")
    assert (made.code, made.json["documents"], made.json["missing"]) == (1, 0, [PLACE])


def test_a_backup_has_them_and_restores_them_into_a_bucket(site: Site, home: InBucket, s3_url: str) -> None:
    """Another one here; what lies there already is compared, and nothing is written over."""
    assert site.run("backup", "b.db", "--documents", "--json").json["documents"] == 1
    assert (site.folder / "b.db.documents" / PLACE).read_bytes() == PDF
    other = InBucket(site.folder, s3_url, f"{home.documents}-new")
    for number, (content, code) in enumerate(((None, 0), (PDF, 0), (b"%PDF-another", 1))):
        if content is not None:
            other.write(PLACE, content)
        folder = site.folder / f"new{number}"
        folder.mkdir()
        new = Site(folder, f'documents = "{other.documents}"\n{ONESPAN}')
        restored = new.run("restore", "../b.db", "--json")
        assert restored.code == code
        assert other.read(PLACE) == (content or PDF)
        assert new.run("verify", "--documents").code == code
    assert "is not what was stored" in restored.err


def test_documents_are_erased_there(site: Site, home: InBucket) -> None:
    """Where asked; those of others stay."""
    home.write("onespan/other/evidence.pdf", PDF)
    assert site.run("erase", "onespan", ID, "--reason", "asked", "--json").json["documents"] == []
    erased = site.run("erase", "onespan", ID, "--reason", "asked", "--documents", "--json")
    assert (erased.code, erased.json["documents"]) == (0, [PLACE])
    assert home.objects.paths() == ["onespan/other/evidence.pdf"]


def test_a_store_that_writes_over_is_refused_at_the_start(site: Site, home: InBucket, wire: Wire) -> None:
    """Exit 2, and what to do; the door alone puts nothing there, and does not ask."""
    wire.always = s3.deaf
    for part in ([], ["--worker"]):
        refused = site.run("serve", *part)
        assert (refused.code, refused.out) == (2, "")
        assert refused.err.startswith(f"signlog: documents: {home.documents}: a second object is put over the first")
    assert "a second object is put over" in site.run("health").out
    wire.asked.clear()
    with serving(site, "--door") as served:
        served.call_back("PACKAGE_ACTIVATE")
    assert wire.asked == []


def test_a_server_starts_while_the_bucket_is_away(site: Site, home: InBucket, wire: Wire) -> None:
    """It says so; callbacks are taken and folded."""
    wire.always = s3.says(404, "NoSuchBucket")
    with serving(site) as served:
        assert f"no document can be stored, so they wait: {home.documents}: there is no such bucket" in served.said
        served.call_back("PACKAGE_COMPLETE")
        until(lambda: stage(site) == "completed")


def test_without_what_speaks_s3(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra; who lacks it is told what to type."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "obstore" else real(name))
    for call in (bootstrap_documents.cabinet, bootstrap_documents.store, bootstrap_documents.refuse_overwriting):
        with pytest.raises(errors.ConfigurationError, match=r"pip install 'signlog\[s3\]'"):
            call(site.settings)
    assert "pip install" in (bootstrap_documents.trouble(site.settings) or "")
