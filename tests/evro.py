"""An Evrotrust account to test with: its imitation, our keys, callbacks, and a worker that knows all of them."""

import functools
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from listener.demo.evrotrust import Evrotrust
from listener.demo.sealing import Seal, key_pair
from listener.demo.transactions import Transaction
from listener.log import event
from listener.log.event import Draft
from listener.settings import Source
from tests.rig import Worker

SOURCE = "evrotrust"
ID = "123456789012"
ENCRYPTED, DOCUMENTS = "encrypted.zip", "documents.zip"
BOTH = (ENCRYPTED, DOCUMENTS)
KEY = "ours.pem"
SEALS = {
    "rijndael in pieces": Seal(),
    "rijndael whole": Seal(whole=True),
    "aes in pieces": Seal(aes=True),
    "aes whole": Seal(aes=True, whole=True),
}


class Pair(NamedTuple):
    """A private and a public key, both in PEM."""

    private: bytes
    public: bytes


def pair(name: str = "ours", passphrase: bytes | None = None) -> Pair:
    """A pair of keys; the same for the same name."""
    return _pair(name, passphrase)


@functools.cache
def _pair(name: str, passphrase: bytes | None) -> Pair:
    return Pair(*key_pair(passphrase))


def key_file(folder: Path, name: str = "ours", passphrase: bytes | None = None) -> Path:
    """Its private half, as a file of that name."""
    path = folder / f"{name}.pem"
    path.write_bytes(pair(name, passphrase).private)
    return path


def account(**options: Any) -> Evrotrust:
    """An account whose submissions come with our public key."""
    return Evrotrust(public_key=pair().public, **options)


def signed(server: Evrotrust, subject: str = ID, **fields: Any) -> Transaction:
    """A transaction that is signed, and whose file is made."""
    return server.add(Transaction(subject, 2, **fields))


def source(folder: Path, url: str | None, keys: Sequence[Path] | None = None, **changes: Any) -> Source:
    """The source as it is configured: with access if there is a `url`, and with our private key."""
    paths = [key_file(folder)] if keys is None else keys
    access = {"api_url": url, "api_key": "demonstration", "vendor_number": "ahZsmRHbDHL6TeED"} if url else {}
    known = {"allow": ("192.0.2.1",), "private_keys": tuple(map(str, paths)), **access, **changes}
    return Source(provider="evrotrust", **known)


def worker(folder: Path, url: str | None, keys: Sequence[Path] | None = None, **changes: Any) -> Worker:
    """A worker with that source."""
    return Worker(folder, sources={SOURCE: source(folder, url, keys, **changes)})


def callback(subject: str = ID, status: int = 2, path: str = "/document/ready") -> Draft:
    """What the door appends for a callback of Evrotrust."""
    content = json.dumps({"transactionID": subject, "status": status}).encode()
    return Draft(event.CALLBACK, SOURCE, "evrotrust", content, method="POST", path=f"/callbacks/{SOURCE}{path}")


def entries(content: bytes) -> dict[str, bytes]:
    """What is in a zip, checked."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}
