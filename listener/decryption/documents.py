"""Makes a plain zip of signed documents out of an encrypted download."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final, NamedTuple
from zipfile import ZipFile, is_zipfile

from listener import errors, zips
from listener.decryption import archive, ciphers, names, payload
from listener.decryption.archive import Sealed
from listener.decryption.ciphers import Cipher
from listener.decryption.keys import PrivateKeys
from listener.decryption.payload import Garbled
from listener.decryption.plain import Plain

_SIGNED_HASH: Final = "OUT_SIGNED_HASH.xml"  # holds a signature as it is, whatever the ending says
_FRAMINGS: Final = (payload.in_pieces, payload.as_one)

Framing = Callable[[IO[bytes], Cipher], Iterator[bytes]]


class Way(NamedTuple):
    """How to come from the encrypted to the plain: the keys, the one to try first, and room for what lies between."""

    keys: PrivateKeys
    named: str | None
    scratch: Path


def make(download: IO[bytes], made: IO[bytes], way: Way) -> None:
    """Write to `made` all documents of the download; several lie in a folder for each transaction.

    Raises Hopeless for what no further try could open, ConfigurationError for a private key that cannot be read.
    """
    several = archive.count(download) > 1
    with Plain(made) as plain:
        for sealed in archive.documents(download, way.scratch):
            with _unlocked(sealed, way) as inner, zips.opened(inner, f"what is in {sealed.what}") as found:
                _copy(found, plain, sealed, names.safe(sealed.transaction, "transaction") if several else "")


def _copy(found: ZipFile, plain: Plain, sealed: Sealed, folder: str) -> None:
    infos = [info for info in found.infolist() if not info.is_dir()]
    if not infos:
        raise errors.Hopeless(f"{sealed.what} is an empty zip")
    for info in infos:
        plain.add(folder, _name(info.filename, sealed), info.file_size, zips.pieces(found, info, sealed.what))


def _name(entry: str, sealed: Sealed) -> str:
    """The name that the document was sent with; the entry's ending tells how it is signed."""
    own = names.safe(entry, "document")
    if sealed.name is None or entry.endswith(_SIGNED_HASH):
        return own
    sent, kind = names.safe(sealed.name, own), PurePosixPath(own).suffix
    return sent if sent.lower().endswith(kind.lower()) else sent + kind


@contextlib.contextmanager
def _unlocked(sealed: Sealed, way: Way) -> Iterator[IO[bytes]]:
    """What was encrypted, as a file that has no name and goes away by itself."""
    with zips.readable(sealed.what), sealed.opened() as text:
        first = text.read(payload.PIECE)
    cipher = _cipher(sealed, first, way)
    for framing in _FRAMINGS:
        with tempfile.TemporaryFile(dir=way.scratch) as file:
            if _is_written(file, sealed, cipher, framing):
                yield file
                return
    raise errors.Hopeless(f"{sealed.what} is damaged: it begins like a zip, and does not go on like one")


def _is_written(file: IO[bytes], sealed: Sealed, cipher: Cipher, framing: Framing) -> bool:
    """Write what was encrypted; False if that is not how it was done."""
    with zips.readable(sealed.what), sealed.opened() as text:
        try:
            file.writelines(framing(text, cipher))
        except Garbled:
            return False
    return is_zipfile(file)


def _cipher(sealed: Sealed, first: bytes, way: Way) -> Cipher:
    """The one that makes sense of the first piece, with one of the keys."""
    tried = []
    for private in way.keys.each(way.named):
        tried.append(private.name)
        key = private.opened(sealed.key)
        for cipher in ciphers.fitting(key, sealed.iv) if key is not None else ():
            if payload.opens(first, cipher):
                return cipher
    if not tried:
        raise errors.Hopeless("there is no private key")
    raise errors.Hopeless(f"no private key opens {sealed.what}; tried: {', '.join(tried)[:200]}")
