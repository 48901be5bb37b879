"""Having signatures checked in another process: what comes of it, what it may take, and that it ends."""

import os
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest

from listener import errors
from listener.checking import __main__ as program
from listener.checking import inspector, roots
from listener.checking.inspector import Inspector
from listener.confined import HOPELESS
from listener.demo.archive import archive
from projections import facts
from projections.facts import Verdict
from tests.logbook import nicer, until
from tests.signers import PLAIN, Party, authority, signed

HOLDS = frozenset({"documents.zip", "evidence.pdf", "document-*.pdf"})
DUE = frozenset({"documents.zip", "document-*.pdf"})
# A program with other limits than its own.
LIMITED = """
import sys, resource
from listener.checking import __main__ as program
program._LIMITS[resource.{limit}] = {value}
sys.exit(program.main())
"""


def checked(folder: Path, name: str, content: bytes, *trusted: Party, on: bool = True) -> Verdict | None:
    """What is found in a stored document."""
    path, scratch = folder / name, folder / "scratch"
    path.write_bytes(content)
    scratch.mkdir(exist_ok=True)
    look = Inspector(HOLDS, DUE, tuple(one.der for one in trusted), on).look(name, path, scratch, threading.Event())
    assert list(scratch.iterdir()) == []
    assert children() == set()
    return look.verdict if look is not None else None


def children() -> set[int]:
    """Processes of ours that check."""
    found = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = {int(pid) for path in found for pid in path.read_text().split()}
    return {pid for pid in pids if b"listener.checking" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def hungry() -> bytes:
    """A PDF whose table has millions of entries."""
    packed = zlib.compress(bytes(100_000_000))
    head = (
        b"%%PDF-1.5\n1 0 obj\n<< /Type /XRef /Size 19000000 /W [1 2 2] /Root 1 0 R /Filter /FlateDecode /Length %d >>"
    )
    return head % len(packed) + b"\nstream\n" + packed + b"\nendstream\nendobj\nstartxref\n9\n%%EOF\n"


def limited(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    """A process that may take less."""
    monkeypatch.setattr(inspector, "_COMMAND", (sys.executable, "-c", LIMITED.format(limit=limit, value=value)))


def test_limits_that_are_stricter_already_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may raise them: a container's are no reason to look at nothing."""
    less = program.MEMORY_BYTES - 1024**2
    strict = f"import resource\nresource.setrlimit(resource.RLIMIT_DATA, ({less}, {less}))"
    run = "import sys\nfrom listener.checking import __main__ as program\nsys.exit(program.main())"
    monkeypatch.setattr(inspector, "_COMMAND", (sys.executable, "-c", f"{strict}\n{run}"))
    found = checked(tmp_path, "document-1.pdf", signed(PLAIN, "Ana Lee"))
    assert found is not None
    assert (found.found, found.reason) == (facts.VALID, None)


def test_a_document_and_a_zip_of_documents(tmp_path: Path) -> None:
    """Each PDF, under its name; the worst of them stands for all."""
    good = checked(tmp_path, "document-1.pdf", signed(PLAIN, "Ana Lee"), authority())
    assert good is not None
    assert (good.found, good.due, good.doubtful, good.reason) == (facts.VALID, True, False, None)
    assert good.text == "signatures valid, by Ana Lee"
    content = archive({"a.pdf": signed(PLAIN, "Ana Lee", "Bob Ray"), "b.pdf": PLAIN, "c.txt": b""})
    mixed = checked(tmp_path, "documents.zip", content)
    assert mixed is not None
    assert [(paper.name, paper.found) for paper in mixed.papers] == [("a.pdf", facts.VALID), ("b.pdf", facts.UNSIGNED)]
    assert (mixed.found, mixed.doubtful, mixed.text) == (facts.UNSIGNED, True, "signatures missing: b.pdf")


@pytest.mark.parametrize("name", ["encrypted.zip", "audit.json", "attachments-1.zip", "documents.zip.pdf"])
def test_what_holds_no_papers_of_theirs_is_not_looked_at(tmp_path: Path, name: str) -> None:
    """It has no verdict, rather than one that says nothing."""
    assert checked(tmp_path, name, PLAIN) is None


def test_what_nobody_must_sign_is_in_no_doubt_without(tmp_path: Path) -> None:
    """But a broken signature is wrong wherever it is."""
    unsigned = checked(tmp_path, "evidence.pdf", PLAIN)
    assert unsigned is not None
    assert (unsigned.found, unsigned.due, unsigned.doubtful) == (facts.UNSIGNED, False, False)
    broken = checked(tmp_path, "evidence.pdf", signed(PLAIN, "Ana Lee").replace(b"first", b"worst"))
    assert broken is not None
    assert (broken.found, broken.due, broken.doubtful) == (facts.INVALID, False, True)


def test_a_zip_without_papers(tmp_path: Path) -> None:
    """What else is signed in it, nobody can tell; in an empty one there is nothing that should be."""
    other = checked(tmp_path, "documents.zip", archive({"a_OUT_SIGNED_HASH.xml": b"\x01"}))
    assert other == Verdict(facts.UNCHECKED, False, "it holds no PDF")
    assert not other.doubtful
    empty = checked(tmp_path, "documents.zip", archive({}))
    assert empty == Verdict(facts.UNREADABLE, True, "the zip is empty")
    assert empty.doubtful


def test_without_what_checks_nobody_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said, with what to type; and what is due a signature is not taken for signed."""
    monkeypatch.setitem(sys.modules, "pyhanko", None)
    found = checked(tmp_path, "documents.zip", b"")
    assert found == Verdict(facts.UNCHECKED, True, "pyhanko is not installed; pip install 'signlog[pdf]'")
    assert found.doubtful


def test_where_nobody_wants_it_nobody_looks(tmp_path: Path) -> None:
    """As it is configured."""
    assert checked(tmp_path, "evidence.pdf", b"", on=False) == Verdict(
        facts.UNCHECKED, False, "check_signatures = false"
    )


def test_what_takes_too_much_memory_is_told_and_the_others_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PDF that was made for it, between two that were not."""
    limited(monkeypatch, "RLIMIT_DATA", 96 * 1024**2)
    good = signed(PLAIN, "Ana Lee")
    found = checked(tmp_path, "documents.zip", archive({"a.pdf": good, "b.pdf": hungry(), "c.pdf": good}))
    assert found is not None
    told = [(paper.name, paper.found, paper.reason) for paper in found.papers]
    assert told[0] == ("a.pdf", facts.VALID, None)
    assert told[1] == ("b.pdf", facts.UNREADABLE, "it takes too much memory to read")
    assert told[2] == ("c.pdf", facts.VALID, None)


def test_who_looks_says_when_the_machine_was_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of memory, for one PDF or for all; a sound document, and one that nobody can read, say nothing of the machine."""

    def short(content: bytes) -> str | None:
        (tmp_path / "evidence.pdf").write_bytes(content)
        look = Inspector(HOLDS, DUE).look("evidence.pdf", tmp_path / "evidence.pdf", tmp_path, threading.Event())
        assert look is not None
        return look.short

    assert (short(signed(PLAIN, "Ana Lee")), short(b"%PDF-1.4 no"), short(b"PK no zip")) == (None, None, None)
    limited(monkeypatch, "RLIMIT_DATA", 96 * 1024**2)
    assert (short(signed(PLAIN, "Ana Lee")), short(hungry())) == (None, "it takes too much memory to read")
    hog = "from listener.checking import __main__ as program\ndef hog(job): raise MemoryError\nprogram._do = hog"
    run = "import sys\nsys.exit(program.main())"
    monkeypatch.setattr(inspector, "_COMMAND", (sys.executable, "-c", f"{hog}\n{run}"))
    assert short(PLAIN) == "the download takes more than 512 MiB of memory to open"


def test_what_takes_too_much_time_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was found before."""
    limited(monkeypatch, "RLIMIT_CPU", 4)
    content = archive({"a.pdf": signed(PLAIN, "Ana Lee"), "b.pdf": hungry()})
    found = checked(tmp_path, "documents.zip", content)
    assert found is not None
    assert (found.found, found.doubtful) == (facts.UNREADABLE, True)
    assert found.reason == "the check took more than its time"
    assert [paper.name for paper in found.papers] == ["a.pdf"]


def test_what_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock, though it takes no time of the machine's."""
    monkeypatch.setattr(inspector, "SECONDS", 0.5)
    monkeypatch.setattr(inspector, "_COMMAND", (sys.executable, "-c", "import time; time.sleep(600)"))
    found = checked(tmp_path, "evidence.pdf", PLAIN)
    assert found == Verdict(facts.UNREADABLE, False, "the check took more than 0.5 s")


def test_a_process_that_somebody_killed_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: the machine may have been short of memory. If it ends so again, that is told, and not tried for ever."""
    once = f"import os, pathlib, sys; pathlib.Path({str(tmp_path / 'tries')!r}).open('a').write('x'); "
    kill = "os.kill(os.getpid(), 9)"
    again = "from listener.checking import __main__ as program; sys.exit(program.main())"
    first = f"{once}\nif os.path.getsize({str(tmp_path / 'tries')!r}) < 2: {kill}\n{again}"
    monkeypatch.setattr(inspector, "_COMMAND", (sys.executable, "-W", "ignore", "-c", first))
    found = checked(tmp_path, "evidence.pdf", signed(PLAIN, "Ana Lee"))
    assert found is not None
    assert found.found == facts.VALID
    monkeypatch.setattr(inspector, "_COMMAND", (sys.executable, "-W", "ignore", "-c", f"{once}{kill}"))
    assert checked(tmp_path, "evidence.pdf", PLAIN) == Verdict(facts.UNREADABLE, False, "the check ended with -9")
    assert (tmp_path / "tries").read_text() == "x" * 4


def test_half_a_line_is_no_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was stopped amid it found nothing there."""
    says = """import sys; print('{"name":"a","found":"valid"}\\\\n{"name":"b"', end=''); sys.stderr.write('why'); """
    code = says.replace("\\\\n", "\\n") + f"sys.exit({HOPELESS})"
    monkeypatch.setattr(inspector, "_COMMAND", (sys.executable, "-c", code))
    found = checked(tmp_path, "documents.zip", PLAIN)
    assert found is not None
    assert ([paper.name for paper in found.papers], found.found, found.reason) == (["a"], facts.UNREADABLE, "why")


def test_it_ends_when_we_are_to_stop(tmp_path: Path) -> None:
    """Nothing is told then: it is checked at the next start."""
    (tmp_path / "documents.zip").write_bytes(archive({"a.pdf": hungry()}))
    stopping, ended = threading.Event(), []

    def check() -> None:
        with pytest.raises(errors.Unusable, match="signlog stops"):
            Inspector(HOLDS, DUE).look("documents.zip", tmp_path / "documents.zip", tmp_path, stopping)
        ended.append(True)

    thread = threading.Thread(target=check)
    thread.start()
    until(lambda: len(children()) == 1)
    stopping.set()
    thread.join(60)
    assert ended
    assert children() == set()


def test_it_ends_with_the_worker(tmp_path: Path) -> None:
    """Killed, the worker tells nobody; the process notices that nobody waits for it."""
    (tmp_path / "evidence.pdf").write_bytes(hungry())
    code = (
        "import threading; from pathlib import Path; from listener.checking.inspector import Inspector\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "Inspector(frozenset({'evidence.pdf'}), frozenset())."
        "look('evidence.pdf', folder / 'evidence.pdf', folder, threading.Event())\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as worker:
        child = Path(f"/proc/{worker.pid}/task/{worker.pid}/children")
        until(lambda: bool(child.read_text().split()))
        pid = int(child.read_text().split()[0])
        worker.kill()
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_limits_are_in_force(tmp_path: Path) -> None:
    """Of memory, and nicer than whoever started it."""
    (tmp_path / "evidence.pdf").write_bytes(hungry())
    stopping = threading.Event()
    arguments = ("evidence.pdf", tmp_path / "evidence.pdf", tmp_path, stopping)

    def check() -> None:
        with pytest.raises(errors.Unusable):
            Inspector(HOLDS, DUE).look(*arguments)

    thread = threading.Thread(target=check)
    thread.start()
    try:
        until(lambda: len(children()) == 1)
        pid = children().pop()
        limits = Path(f"/proc/{pid}/limits")
        until(lambda: f"Max data size             {program.MEMORY_BYTES} " in limits.read_text())
        assert os.getpriority(os.PRIO_PROCESS, pid) == nicer()
    finally:
        stopping.set()
        thread.join(60)


def test_whom_to_trust_is_read_from_files(tmp_path: Path) -> None:
    """One certificate or several, in PEM or DER."""
    (tmp_path / "a.pem").write_bytes(b"# somebody's\n" + authority().pem + authority("Another").pem)
    (tmp_path / "b.der").write_bytes(authority().der)
    found = roots.read("trust_roots", [str(tmp_path / "a.pem"), str(tmp_path / "b.der")])
    assert found == (authority().der, authority("Another").der, authority().der)
    assert roots.read("trust_roots", []) == ()


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\n", b"x" * 100, None])
def test_what_is_no_certificate_is_told_without_what_it_is(tmp_path: Path, content: bytes | None) -> None:
    """Which key and which entry; a key of somebody's may have been written there by mistake."""
    (tmp_path / "good.pem").write_bytes(authority().pem)
    bad = tmp_path / "s3cret.pem"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(errors.ConfigurationError, match=r"^trust_roots: entry 2 ") as raised:
        roots.read("trust_roots", [str(tmp_path / "good.pem"), str(bad)])
    assert "s3cret" not in str(raised.value)
