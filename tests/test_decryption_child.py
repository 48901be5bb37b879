"""The process that decrypts: what comes of a job, what it may take, how it ends, and that it ends."""

import io
import os
import signal
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from listener import errors
from listener.api import Access, Known, Material, Stream
from listener.confined import HOPELESS
from listener.decryption import __main__ as program
from listener.decryption import child
from listener.decryption.job import Job
from listener.demo.archive import archive
from listener.demo.sealing import Seal
from listener.demo.transactions import Transaction, package
from tests.evro import DOCUMENTS, ENCRYPTED, ID, entries, key_file, pair
from tests.logbook import nicer, until

# The peak of what a process had in memory, told by the kernel while a parent waits for it: the parent is a small one,
# because Linux counts what a child had in common with its parent before it became another program.
MEASURE = """
import os, sys
child = os.fork()
if child == 0:
    os.execv(sys.executable, [sys.executable, "-m", "listener.decryption"])
_, status, used = os.wait4(child, 0)
sys.stderr.write(str(used.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def material(folder: Path, content: bytes) -> Material:
    """A stored download, and an empty folder."""
    path, scratch = folder / ENCRYPTED, folder / "scratch"
    path.write_bytes(content)
    scratch.mkdir(exist_ok=True)
    return Material(path, scratch)


@contextmanager
def decrypting(folder: Path, content: bytes, *keys: str, passphrases: tuple[str, ...] = ()) -> Iterator[Stream]:
    """A download on its way to plain documents."""
    access = Access("", private_keys=keys or (str(key_file(folder)),), private_key_passphrases=passphrases)
    with child.documents(material(folder, content), access, Known()) as stream:
        yield stream


def plain(folder: Path, content: bytes, *keys: str, passphrases: tuple[str, ...] = ()) -> bytes:
    """What came of a download."""
    with decrypting(folder, content, *keys, passphrases=passphrases) as stream:
        return b"".join(stream.chunks)


def sealed(content: bytes | None = None) -> bytes:
    """A download for our key."""
    return package(Transaction(ID, content=content, seal=Seal(pair().public)))


def children() -> set[int]:
    """Processes of ours that decrypt."""
    found = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = {int(pid) for path in found for pid in path.read_text().split()}
    return {pid for pid in pids if b"listener.decryption" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def running() -> int:
    """The one that decrypts; for a moment after its start the kernel does not tell what it is."""
    until(lambda: len(children()) == 1)
    return children().pop()


def test_documents_come_as_they_were_signed(tmp_path: Path) -> None:
    """And nothing is left: no process, and no file beside those that were there."""
    assert entries(plain(tmp_path, sealed(b"signed" * 5000))) == {"contract.pdf": b"signed" * 5000}
    assert list((tmp_path / "scratch").iterdir()) == []
    assert children() == set()


def test_what_cannot_be_opened_is_hopeless(tmp_path: Path) -> None:
    """With the sentence that the process said, and nothing of a document before it."""
    theirs = str(key_file(tmp_path, "theirs"))
    for content, keys, told in (
        (sealed(), (theirs,), "no private key opens the document of transaction 123456789012; tried: theirs"),
        (sealed(), (str(tmp_path / "s3cret.pem"),), "entry 1 cannot be read: No such file or directory"),
        (b"<html>", (), "the download is no whole zip"),
    ):
        with pytest.raises(errors.Hopeless, match=told) as raised:
            plain(tmp_path, content, *keys)
        assert "s3cret" not in str(raised.value)


def test_a_passphrase_reaches_it_unseen(tmp_path: Path) -> None:
    """Not among its arguments, which everybody on the machine may read."""
    protected = str(key_file(tmp_path, "protected", b"pa55phrase"))
    made = package(Transaction(ID, seal=Seal(pair("protected", b"pa55phrase").public)))
    with decrypting(tmp_path, made, protected, passphrases=("pa55phrase",)) as stream:
        pid = running()
        shown = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert b"pa55phrase" not in shown
        assert list(entries(b"".join(stream.chunks))) == ["contract.pdf"]


def test_a_process_that_is_killed_is_no_verdict(tmp_path: Path) -> None:
    """The system may be short of memory: it is tried again."""
    with decrypting(tmp_path, sealed(bytes(5_000_000))) as stream:
        pid = running()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(errors.Unusable, match="decryption ended with -9"):
            list(stream.chunks)


def test_whoever_waits_may_stop(tmp_path: Path) -> None:
    """At any time: empty pieces come until there is something, and the process ends with whoever wanted it."""
    with decrypting(tmp_path, sealed(bytes(20_000_000))) as stream:
        assert next(iter(stream.chunks)) == b""
        assert running()
    assert children() == set()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_it_ends_with_the_worker(tmp_path: Path) -> None:
    """Though nobody is left to tell it so, because the worker was killed."""
    found = material(tmp_path, sealed(bytes(80_000_000)))
    with open(tmp_path / "out", "w+b") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "listener.decryption"], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE
        )
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(job(tmp_path, found)) + b"\n")
        process.stdin.close()
        assert process.stderr is not None
        assert (process.wait(60), process.stderr.read()) == (1, b"")
        process.stderr.close()


def job(folder: Path, found: Material) -> Job:
    """To open it with our key."""
    return Job(str(found.path), str(found.scratch), (str(key_file(folder)),), ())


def measured(folder: Path, content: bytes, program: str = MEASURE) -> tuple[int, str, bytes]:
    """Exit status of the process, what it said and how much it had in memory at most (KiB), and what it made."""
    found, out = material(folder, content), folder / DOCUMENTS
    with open(out, "w+b") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=file, stderr=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(msgspec.json.encode(job(folder, found)) + b"\n")
        process.stdin.flush()
        status, said = process.wait(120), process.stderr.read().decode()
        process.communicate()
    return status, said, out.read_bytes()


def test_a_large_document_takes_little_memory(tmp_path: Path) -> None:
    """25 MB within 300 MB; it is read, decrypted and written piece by piece."""
    content = bytes(range(256)) * 100_000
    status, said, made = measured(tmp_path, sealed(content))
    assert status == 0
    assert entries(made) == {"contract.pdf": content}
    assert 0 < int(said) < 300 * 1024


def test_one_that_took_much_would_be_noticed(tmp_path: Path) -> None:
    """A program that holds the document thirteen times."""
    wasteful = MEASURE.replace('"-m", "listener.decryption"', '"-c", "held = bytes(range(256)) * 1_300_000"')
    assert wasteful != MEASURE
    status, said, _ = measured(tmp_path, b"", wasteful)
    assert status == 0
    assert int(said) > 300 * 1024


def hungry() -> bytes:
    """A zip whose directory is many times its size, once somebody makes objects of it."""
    entry = zipfile.ZipInfo("x" * 20)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(entry, b"")
        file.filelist = [entry] * 60_000  # the same entry again and again
        file.NameToInfo = {}
    return out.getvalue()


def test_what_takes_too_much_memory_is_hopeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a limit of its own, and says so instead of taking others' memory."""
    monkeypatch.setattr(child, "_COMMAND", (sys.executable, "-c", LIMITED.format(bytes=24 * 1024**2)))
    with pytest.raises(errors.Hopeless, match="takes more than 24 MiB of memory to open"):
        plain(tmp_path, hungry())


LIMITED = """
import sys, resource
from listener.decryption import __main__ as program
program._LIMITS[resource.RLIMIT_DATA] = {bytes}
sys.exit(program.main())
"""


def test_limits_are_in_force(tmp_path: Path) -> None:
    """Memory, time and size of files; no core is dumped, for it would hold keys. The door and the worker go first."""
    with decrypting(tmp_path, sealed(bytes(20_000_000))) as stream:
        assert next(iter(stream.chunks)) == b""
        pid = running()
        until(lambda: limits(pid).split()[3] == b"%d" % program.MEMORY_BYTES)
        assert os.getpriority(os.PRIO_PROCESS, pid) == nicer()


def limits(pid: int) -> bytes:
    """What the kernel allows a process to allocate."""
    lines = Path(f"/proc/{pid}/limits").read_bytes().splitlines()
    return next(line for line in lines if line.startswith(b"Max data size"))


def test_an_odd_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it said last; a program that never read its job is no broken pipe."""
    monkeypatch.setattr(child, "_COMMAND", (sys.executable, "-c", "raise SystemExit('what a pity')"))
    with pytest.raises(errors.Unusable, match="decryption ended with 1: what a pity"):
        plain(tmp_path, sealed())
    monkeypatch.setattr(child, "_COMMAND", (sys.executable, "-c", f"raise SystemExit({HOPELESS})"))
    with pytest.raises(errors.Hopeless):
        plain(tmp_path, archive({"a": zlib.compress(b"")}))
