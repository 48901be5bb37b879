"""Signed documents in object storage that speaks S3: a bucket, and what every key in it begins with.

Who we are and where it is stand in the environment, in AWS's own words (AWS_ACCESS_KEY_ID, AWS_REGION,
AWS_ENDPOINT_URL_S3 …), or come from the role of the machine: https://developmentseed.org/obstore/latest/api/store/aws/
"""

import contextlib
import errno
import mmap
import tempfile
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, Final, NamedTuple

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError
from obstore.store import S3Store

from listener import cabinet, errors, files, refusals

MARKER: Final = ".signlog"
_MARKED: Final = b"signlog keeps signed documents here. Nothing is put over another: this object shows that it holds.\n"
_PIECE: Final = 4 * 1024**2
_SHA256: Final = "sha256"  # in the metadata of each document
_CONNECT_SECONDS: Final = 5
QUICK_SECONDS: Final = 10
LARGE_SECONDS: Final = 300  # to put a document of 1 GiB
_SILENT_SECONDS: Final = 30  # while one is read
_IMPOSSIBLE: Final = "what the environment says of S3 (AWS_REGION, AWS_ACCESS_KEY_ID …) cannot be; mend it"


class Lying(NamedTuple):
    """What lies in a bucket: its size, the SHA-256 that it was put there with, and its bytes as they come."""

    size: int
    sha256: str | None
    chunks: Iterator[bytes]


class Bucket:
    """A cabinet; `address` is s3://BUCKET/PREFIX, and `folder` has room for what is on its way.

    All of it raises StoreAway when it is not there, or will not.
    """

    def __init__(self, address: str, folder: Path) -> None:
        self._address = address.rstrip("/")
        self.folder = folder
        self._quick = _connected(address, QUICK_SECONDS, QUICK_SECONDS, 1)
        self._reading = _connected(address, LARGE_SECONDS, _SILENT_SECONDS, 2)
        self._writing = _connected(address, LARGE_SECONDS, LARGE_SECONDS, 1)
        self._proven = False

    def __str__(self) -> str:
        return self._address

    def chunks(self, path: str) -> Iterator[bytes]:
        """What lies there, piece by piece. Raises FileNotFoundError, OSError, CopyRefused."""
        yield from self.open(path).chunks

    def open(self, path: str) -> Lying:
        """What lies there. Raises as `chunks` does."""
        with self._told(path):
            found = obstore.get(self._reading, _key(path))
        return Lying(found.meta["size"], found.attributes.get(_SHA256), self._pieces(path, found))

    def _pieces(self, path: str, found: "obstore.GetResult") -> Iterator[bytes]:
        with self._told(path):
            for piece in found.stream(_PIECE):
                yield bytes(piece)

    def add(self, path: str, content: Iterable[bytes]) -> None:
        """Put it there, whole or not at all, and read it back. Raises FileExistsError for something else there."""
        with tempfile.TemporaryFile(dir=self.folder) as draft:
            draft.writelines(content)
            draft.seek(0)
            put = files.digest(draft)
            with contextlib.suppress(FileExistsError):  # it may be ours: the answer to a put was lost
                self.put(path, draft, put[0])
        if files.hashed(self.chunks(path)) != put:
            raise self._taken(path)

    def put(self, path: str, file: IO[bytes], sha256: str) -> None:
        """Put a file there, which is not read into memory. Raises FileExistsError if something lies there.

        That may be this very file: a put that broke off was perhaps done, and is tried again.
        """
        self.prove()
        file.seek(0, 2)
        # Not closed here: a request that was given up may look at it for a moment longer.
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if file.tell() else b""
        try:
            self._create(self._writing, path, content, {_SHA256: sha256})
        except errors.StoreAway:
            self._proven = False
            raise

    def remove(self, folder: str) -> list[str]:
        """Delete everything below; its paths. A bucket with versions keeps the old ones."""
        with self._told(folder):
            pages = obstore.list(self._quick, prefix=_key(folder))
            paths = sorted(meta["path"] for page in pages for meta in page)
            for path in paths:
                obstore.delete(self._quick, path)
        return paths

    def prove(self) -> None:
        """Once: that we may put something there, and that nothing is ever put over it. Raises Overwrites."""
        if not self._proven:
            self._prove()
            self._proven = True

    def _prove(self) -> None:
        """Put the same object there twice, unless it is there since the last time: the second must be refused."""
        for _ in range(2):
            try:
                self._create(self._quick, MARKER, _MARKED, {})
            except FileExistsError:
                return
        raise self._overwrites()

    def _create(self, store: S3Store, path: str, content: bytes | mmap.mmap, attributes: dict[str, str]) -> None:
        with self._told(path):
            obstore.put(store, _key(path), content, mode="create", use_multipart=False, attributes=attributes)

    @contextlib.contextmanager
    def _told(self, path: str) -> Iterator[None]:
        """What goes wrong, in our words."""
        try:
            yield
        except AlreadyExistsError:
            raise self._taken(path) from None
        except (NotSupportedError, NotImplementedError):  # AWS_CONDITIONAL_PUT=disabled
            raise self._overwrites() from None
        except (BaseError, FileNotFoundError) as error:
            raise self._refused(error, path) from None
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # it has no module to be imported from
                raise
            raise self._away(_IMPOSSIBLE) from None

    def _refused(self, error: Exception, path: str) -> Exception:
        code = refusals.code(error)
        if isinstance(error, FileNotFoundError) and code != refusals.NO_BUCKET:
            return FileNotFoundError(errno.ENOENT, "nothing lies there", f"{self}/{path}")
        if code == refusals.ARCHIVED:
            return OSError(errno.EACCES, refusals.said(error), f"{self}/{path}")
        return self._overwrites() if code == refusals.UNCONDITIONAL else self._away(refusals.said(error))

    def _taken(self, path: str) -> FileExistsError:
        return FileExistsError(errno.EEXIST, "something lies there already", f"{self}/{path}")

    def _away(self, why: str) -> errors.StoreAway:
        return errors.StoreAway(f"{self}: {why}")

    def _overwrites(self) -> errors.Overwrites:
        return errors.Overwrites(
            f"{self}: a second object is put over the first there (If-None-Match is not obeyed), so a "
            "document could be lost; use a store that knows conditional writes, or write a folder"
        )


def _key(path: str) -> str:
    """Below the prefix. Raises CopyRefused for what leads elsewhere."""
    key = "/".join(cabinet.inside(path))
    if not key.isascii() or not key.isprintable():
        raise cabinet.misplaced(path)
    return key


def _connected(address: str, seconds: int, silent: int, retries: int) -> S3Store:
    """A client that waits so long for an answer, and for its next byte. Raises ConfigurationError."""
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    try:
        return S3Store(
            bucket,
            prefix=prefix.strip("/") or None,
            client_options={
                "allow_http": True,  # whoever writes http:// into AWS_ENDPOINT_URL_S3 means it
                "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
                "timeout": timedelta(seconds=seconds),
                "read_timeout": timedelta(seconds=silent),
            },
            retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=2 * silent)},
            disable_bulk_delete=True,  # what not every S3 speaker knows
        )
    except (BaseError, ValueError):
        raise errors.ConfigurationError(f"documents: {_IMPOSSIBLE}") from None
