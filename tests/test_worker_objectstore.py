"""What is special about a bucket: answers that are lost, others who write there, and things that lie there changed."""

import contextlib
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from listener import errors
from listener.api import Stream
from listener.demo.archive import archive
from listener.worker.objectstore import ObjectStore
from projections.facts import Stored
from tests import s3
from tests.homes import InBucket
from tests.s3 import Wire
from tests.test_worker_store import LEASE, PACKED, PDF, PLACE, stream

OTHER = archive({"Lease.pdf": PDF, "more": b""})
STORED = Stored(hashlib.sha256(PACKED).hexdigest(), len(PACKED), PLACE)


@pytest.fixture
def home(tmp_path: Path, s3_url: str) -> InBucket:
    """Where documents lie."""
    return InBucket(tmp_path / "documents", s3_url, f"s3://{s3.BUCKET}/{tmp_path.name}")


def proven(home: InBucket) -> ObjectStore:
    """A store that has put something there already."""
    store = home.store()
    store.assert_room(0)
    return store


def test_the_same_bytes_are_no_conflict(home: InBucket) -> None:
    """The answer to an earlier try was lost, or another worker was faster: it lies there, and that is all."""
    assert home.store().store(LEASE, stream(PACKED)) == STORED
    assert home.store().store(LEASE, stream(PACKED)) == STORED
    assert home.paths() == [PLACE]


def test_a_put_whose_answer_is_lost_is_adopted_at_the_next_try(home: InBucket, wire: Wire) -> None:
    """It was done, and nobody fetches it again; one that was not done is done then."""
    store = proven(home)
    wire.goes_wrong("PUT", s3.unanswered)
    assert store.store(LEASE, stream(PACKED)) == STORED
    home.delete(PLACE)
    wire.goes_wrong("PUT", s3.unanswered, s3.unanswered)
    with pytest.raises(errors.StoreAway):
        store.store(LEASE, stream(PACKED))
    assert store.adopt(LEASE) == STORED
    home.delete(PLACE)
    wire.goes_wrong("PUT", s3.passed, s3.unheard, s3.unheard)
    with pytest.raises(errors.StoreAway):
        store.store(LEASE, stream(PACKED))
    assert store.adopt(LEASE) is None
    assert store.store(LEASE, stream(PACKED)) == STORED


def test_a_put_that_fails_once_is_done(home: InBucket, wire: Wire) -> None:
    """An error of theirs is tried again, and told of to nobody."""
    store = proven(home)
    wire.goes_wrong("PUT", s3.says(500, "InternalError"))
    assert store.store(LEASE, stream(PACKED)) == STORED


def test_what_is_read_back_must_be_what_was_put_there(home: InBucket, wire: Wire) -> None:
    """A store that loses or changes it is told of, and not believed."""
    store = proven(home)
    wire.goes_wrong("GET", lambda handler: handler.say(200, handler.asked()[0].getheaders(), OTHER))
    with pytest.raises(errors.Unusable, match="is not what was put there just now"):
        store.store(LEASE, stream(PACKED))
    home.delete(PLACE)
    wire.goes_wrong("GET", s3.says(404, "NoSuchKey"))
    with pytest.raises(errors.Unusable, match="is not what was put there just now"):
        store.store(LEASE, stream(PACKED))


def test_what_was_changed_there_is_not_adopted(home: InBucket, wire: Wire) -> None:
    """Its hash in the metadata is that of another document; what has none is looked at like a file."""
    store = proven(home)
    store.store(LEASE, stream(PACKED))
    wire.goes_wrong("GET", lambda handler: handler.say(200, handler.asked()[0].getheaders(), OTHER))
    with pytest.raises(errors.Unusable, match="is not what was put there; look at it"):
        store.adopt(LEASE)
    assert store.adopt(LEASE) == STORED
    home.write(PLACE, OTHER)
    adopted = store.adopt(LEASE)
    assert adopted is not None
    assert adopted.sha256 == hashlib.sha256(OTHER).hexdigest()


def test_what_is_shown_as_a_file_is_what_was_stored(home: InBucket) -> None:
    """Nobody checks the signatures of something else."""
    store = home.store()
    stored = store.store(LEASE, stream(PACKED))
    home.write(PLACE, OTHER)
    with pytest.raises(errors.Unusable, match="is not what was stored"), store.lying(stored):
        pytest.fail("went on")
    assert home.paths() == [PLACE]


def test_what_was_moved_to_an_archive_is_in_the_way(home: InBucket, wire: Wire) -> None:
    """Nobody can tell whether it is the document: a person must look."""
    store = proven(home)
    store.store(LEASE, stream(PACKED))
    wire.goes_wrong("GET", s3.says(403, "InvalidObjectState"), s3.says(403, "InvalidObjectState"))
    with pytest.raises(errors.Unusable, match="is in the way: it was moved to an archive"):
        store.adopt(LEASE)
    with pytest.raises(errors.Hopeless, match="it was moved to an archive"), store.material(LEASE):
        pytest.fail("went on")


def test_nothing_is_begun_while_the_bucket_is_away(home: InBucket, wire: Wire) -> None:
    """Neither a question whether it lies there nor a fetch: who comes for room hears it."""
    store = home.store()
    wire.always = s3.says(403, "AccessDenied")
    for call in (lambda: store.adopt(LEASE), lambda: store.assert_room(0), lambda: store.remove("onespan", "a")):
        with pytest.raises(errors.StoreAway, match="access is denied"):
            call()
    wire.always = None
    store.assert_room(0)
    assert store.adopt(LEASE) is None


def test_a_thing_too_large_to_be_a_document_is_not_read_whole(home: InBucket, s3_url: str, wire: Wire) -> None:
    """Somebody put it there; it would find no room here."""
    store = proven(home)
    reserve = home.store(reserve=2**62)
    home.write(PLACE, PACKED)
    with pytest.raises(errors.DiskReserve):
        reserve.adopt(LEASE)
    assert store.adopt(LEASE) == STORED
    with pytest.raises(errors.DiskReserve):
        reserve.store(LEASE, Stream(iter(()), None))


def test_of_several_at_once_one_wins(home: InBucket, wire: Wire) -> None:
    """And all others are told; at the next try each of them finds what that one put there."""
    turn, begin = threading.Lock(), threading.Barrier(4)

    def in_turn(handler: s3.Handler) -> None:
        """The server of the tests looks and then writes; S3 does so at once."""
        with turn:
            s3.passed(handler)

    wire.always = in_turn
    stores = [home.store() for _ in range(4)]
    for store in stores:
        store.assert_room(0)

    def put(number: int) -> Stored | None:
        content = archive({"Lease.pdf": PDF, "number": bytes([number])})
        begin.wait(60)
        with contextlib.suppress(errors.Unusable):
            return stores[number].store(LEASE, stream(content))
        return None

    with ThreadPoolExecutor(4) as pool:
        [stored] = [found for found in pool.map(put, range(4)) if found is not None]
    assert [store.adopt(LEASE) for store in stores] == [stored] * 4
