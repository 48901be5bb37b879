"""A bucket that does not answer, refuses, or lies: what is said of it, and that nothing is ever put over another."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from listener import bucket, errors
from listener.bucket import MARKER, Bucket
from tests import s3
from tests.s3 import Fault, Objects, Wire

PATH = "onespan/p/documents.zip"
CONTENT = b"PK\x05\x06" + b"signed" * 100
SECRETS = (s3.ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], s3.ENVIRONMENT["AWS_ACCESS_KEY_ID"])


@pytest.fixture
def objects(s3_url: str, tmp_path: Path) -> Objects:
    """What lies there."""
    return Objects(s3_url, address(tmp_path))


def address(folder: Path) -> str:
    """Of a prefix of its own for each test."""
    return f"s3://{s3.BUCKET}/{folder.name}"


def opened(folder: Path, at: str | None = None) -> Bucket:
    """The bucket, as a worker opens it."""
    return Bucket(at or address(folder), folder)


def put(found: Bucket, content: bytes = CONTENT, path: str = PATH) -> None:
    """Put it there."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        found.put(path, file, "0" * 64)


def read(found: Bucket, path: str = PATH) -> bytes:
    """Read it."""
    return b"".join(found.chunks(path))


def test_what_is_put_there_lies_there_and_is_never_written_over(tmp_path: Path, wire: Wire, objects: Objects) -> None:
    """With the hash that it came with; whoever comes second is told."""
    found = opened(tmp_path)
    put(found)
    with pytest.raises(FileExistsError):
        put(found, b"another")
    lying = found.open(PATH)
    assert (lying.size, lying.sha256, b"".join(lying.chunks)) == (len(CONTENT), "0" * 64, CONTENT)
    assert objects.read(PATH) == CONTENT


def test_what_is_added_is_read_back(tmp_path: Path, wire: Wire, objects: Objects) -> None:
    """The same bytes may lie there, as after an answer that was lost; nothing else may."""
    found = opened(tmp_path)
    found.prove()
    wire.goes_wrong("PUT", s3.unanswered)
    for _ in range(2):
        found.add(PATH, iter([CONTENT[:100], CONTENT[100:]]))
        assert objects.read(PATH) == CONTENT
    with pytest.raises(FileExistsError):
        found.add(PATH, [b"another"])
    with pytest.raises(ZeroDivisionError):
        found.add("onespan/q/documents.zip", (bytes(1 // 0) for _ in range(1)))
    assert objects.paths() == [PATH]


def test_what_is_not_there_is_not_there(tmp_path: Path, wire: Wire) -> None:
    """As of a file."""
    with pytest.raises(FileNotFoundError):
        read(opened(tmp_path))


def test_a_store_that_writes_over_is_found_out_before_anything_is_put(
    tmp_path: Path, wire: Wire, objects: Objects
) -> None:
    """Whether it ignores the condition or does not know it; one that knows it is proven with one question."""
    for fault in (s3.deaf, s3.says(501, "NotImplemented")):
        wire.always = fault
        for _ in range(2):
            with pytest.raises(errors.Overwrites, match="If-None-Match is not obeyed"):
                put(opened(tmp_path))
    assert objects.paths() == []
    wire.always = None
    wire.asked.clear()
    put(opened(tmp_path))
    assert wire.asked == [f"PUT /{s3.BUCKET}/{tmp_path.name}/{name}" for name in (MARKER, PATH)]


def test_an_environment_that_switches_the_condition_off(
    tmp_path: Path, wire: Wire, objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not obeyed either."""
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    with pytest.raises(errors.Overwrites):
        put(opened(tmp_path))
    assert objects.paths() == []


REFUSALS = {
    "AccessDenied": (403, "access is denied; allow s3:PutObject"),
    "NoSuchBucket": (404, "there is no such bucket; make it"),
    "InvalidAccessKeyId": (403, "the access key is unknown; mend AWS_ACCESS_KEY_ID"),
    "SignatureDoesNotMatch": (403, "the secret key is wrong; mend AWS_ACCESS_KEY_ID"),
    "ExpiredToken": (400, "the credentials have expired"),
    "RequestTimeTooSkewed": (403, "its clock and the one of this machine differ too much"),
    "PermanentRedirect": (301, "the bucket is in another region; set AWS_REGION"),
    "Odd": (401, "the access key is unknown"),
    "Odder": (418, "it answers 418 Odder"),
    "SlowDown": (503, "it answers 503 SlowDown"),
}
CALLS: dict[str, Callable[[Bucket], object]] = {
    "GET": read,
    "PUT": put,
    "LIST": lambda found: found.remove("onespan/p"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_is_told_in_our_words(tmp_path: Path, wire: Wire, code: str, call: str) -> None:
    """What is wrong and what to do; nothing of the answer, which may hold anything, but its code."""
    status, told = REFUSALS[code]
    wire.always = s3.says(status, code)
    with pytest.raises(errors.StoreAway) as caught:
        CALLS[call](opened(tmp_path))
    assert str(caught.value).startswith(f"{address(tmp_path)}: {told}")
    assert no_secret(caught.value)


def no_secret(error: BaseException) -> bool:
    """Neither in it, nor in what it came of."""
    return error.__cause__ is None and error.__suppress_context__ and not any(s in repr(error) for s in SECRETS)


@pytest.mark.parametrize("fault", [s3.unheard, s3.unanswered], ids=["unheard", "unanswered"])
@pytest.mark.parametrize("call", CALLS)
def test_a_connection_that_breaks_is_a_bucket_that_is_away(tmp_path: Path, wire: Wire, fault: Fault, call: str) -> None:
    """Every time, that is; nothing is said of how often it was tried."""
    wire.always = fault
    with pytest.raises(errors.StoreAway, match=r"it does not answer$"):
        CALLS[call](opened(tmp_path))


def test_what_fails_once_is_tried_again(tmp_path: Path, wire: Wire, objects: Objects) -> None:
    """An answer that is cut off, an error of theirs; a put that was done all the same finds itself there."""
    found = opened(tmp_path)
    wire.goes_wrong("PUT", s3.passed, s3.passed, s3.says(500, "InternalError"))
    put(found)
    wire.goes_wrong("GET", s3.half, s3.says(503, "SlowDown"))
    assert read(found) == CONTENT
    wire.goes_wrong("PUT", s3.unanswered)
    with pytest.raises(FileExistsError):
        put(found, path="onespan/q/documents.zip")
    assert objects.read("onespan/q/documents.zip") == CONTENT


def test_one_that_is_silent_is_not_waited_for_without_end(
    tmp_path: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To prove, to read and to put: each has its time."""
    for name in ("QUICK_SECONDS", "LARGE_SECONDS", "_SILENT_SECONDS"):
        monkeypatch.setattr(bucket, name, 1)
    found = opened(tmp_path)
    wire.goes_wrong("PUT", s3.passed, s3.passed)
    found.prove()
    wire.always = s3.silent
    for call in CALLS.values():
        with pytest.raises(errors.StoreAway, match="it does not answer in time"):
            call(found)


def test_nobody_there(tmp_path: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is down, and a name that nobody has."""
    for where in ("http://127.0.0.1:1", "http://nowhere.invalid"):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", where)
        with pytest.raises(errors.StoreAway, match="nobody answers there"):
            opened(tmp_path).prove()


def test_no_credentials(tmp_path: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine has no role either: whom obstore asks for one is played by nobody."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(errors.StoreAway, match="there are no credentials; set AWS_ACCESS_KEY_ID"):
        opened(tmp_path).prove()


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_REGION", "eu west"), ("AWS_ACCESS_KEY_ID", "a\nb"), ("AWS_SESSION_TOKEN", "a\nb")]
)
def test_an_environment_that_cannot_be(
    tmp_path: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """What speaks S3 panics on some of it, and there is a sentence all the same."""
    monkeypatch.setenv(name, value)
    if name == "AWS_REGION":
        monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    with pytest.raises((errors.StoreAway, errors.ConfigurationError)) as caught:
        opened(tmp_path).prove()
    assert "what the environment says of S3" in str(caught.value)


@pytest.mark.parametrize("value", ["maybe", "{"])
def test_an_environment_that_is_no_setting(
    tmp_path: Path, s3_url: str, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """Refused where the bucket is opened."""
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", value)
    with pytest.raises((errors.StoreAway, errors.ConfigurationError)):
        opened(tmp_path).prove()


def test_a_bucket_that_is_not_there(tmp_path: Path, s3_url: str) -> None:
    """As the server says it."""
    with pytest.raises(errors.StoreAway, match="there is no such bucket"):
        opened(tmp_path, "s3://nonesuch/p").prove()


def test_what_was_moved_to_an_archive_cannot_be_read(tmp_path: Path, wire: Wire) -> None:
    """That is about one document, and no reason to leave the others."""
    found = opened(tmp_path)
    put(found)
    wire.goes_wrong("GET", s3.says(403, "InvalidObjectState"))
    with pytest.raises(OSError, match="it was moved to an archive"):
        read(found)
    assert read(found) == CONTENT


def test_after_a_put_that_failed_the_bucket_is_proven_again(tmp_path: Path, wire: Wire) -> None:
    """So that nothing is fetched that could not be put there; while all is well it is proven once."""
    found = opened(tmp_path)
    put(found)
    wire.goes_wrong("PUT", s3.says(403, "AccessDenied"))
    with pytest.raises(errors.StoreAway):
        put(found, path="onespan/q/documents.zip")
    wire.asked.clear()
    found.prove()
    found.prove()
    assert wire.asked == [f"PUT /{s3.BUCKET}/{tmp_path.name}/{MARKER}"]


@pytest.mark.parametrize("path", ["", "/", "../x", "a/../../b", "a\nb", "a\0b", "ż"])
def test_a_path_that_leads_elsewhere_is_no_place(tmp_path: Path, wire: Wire, path: str) -> None:
    """The log says where a document lies, and whoever forged the log may have said anything."""
    with pytest.raises(errors.CopyRefused, match="is no place for a document"):
        read(opened(tmp_path), path)
    assert wire.asked == []


def test_versions_stay(tmp_path: Path, s3_url: str) -> None:
    """What is removed lies there no more, but a bucket that keeps versions has it: so the documentation says."""
    objects = Objects(s3_url, "s3://versions/p")
    objects.make()
    objects.keep_versions()
    found = opened(tmp_path, "s3://versions/p")
    put(found)
    assert found.remove("onespan/p") == [PATH]
    assert (objects.paths(), objects.versions()) == ([], [PATH])
    put(found)
    assert objects.paths() == [PATH]


MOST = 64 * 1024**2


def test_memory_does_not_grow_with_a_document(tmp_path: Path, s3_url: str) -> None:
    """Neither on the way there nor back: what is allocated is far less than it holds."""
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(MOST)
    found = opened(tmp_path)
    before = allocated()
    with big.open("rb") as file:
        found.put(PATH, file, "0" * 64)
    assert sum(len(chunk) for chunk in found.chunks(PATH)) == MOST
    assert allocated() - before < MOST // 2


def allocated() -> int:
    """Bytes of memory that no file stands behind."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024
