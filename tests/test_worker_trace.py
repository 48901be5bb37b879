"""A plan of which an event is the death says so, names it, and says what to type: with code that really dies."""

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from listener.worker.piece import Stretch
from listener.worker.trace import TRYING, Mark, Trace
from tests.site import Done, Site, callback, environment

ROOT = Path(__file__).parents[1]
DIED = 7
DEADLY = 5
BUG = f"""
import os as _os
_right = {{name}}

def {{name}}(*given):
    if any(getattr(each, "position", 0) == {DEADLY} for each in given):
        _os._exit({DIED})
    return _right(*given)
"""
TO_FOLD = ("projections/packages.py", "apply")
TO_MAKE_ROWS = ("projections/timeline.py", "apply")
TO_READ = ("listener/providers/onespan.py", "interpret")
NAMED = (
    f"event {DEADLY} ended the process that took it in: 'signlog show {DEADLY}' shows it. Mend the code and plan "
    "again; if somebody else ended the process, type the same again"
)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """What right code has folded: a declaration and eight callbacks."""
    found = Site(tmp_path)
    return found.filled(
        *(callback(name, subject) for name in ("PACKAGE_CREATE", "PACKAGE_TRASH") for subject in "abcd")
    )


def deploy(site: Site, file: str, function: str, beside: bool = False) -> Path:
    """The code with a bug in it; `beside`: in processes of their own, however short the log is."""
    code = site.folder / "code"
    for package in ("listener", "projections", "migrations"):
        shutil.copytree(ROOT / package, code / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (code / file).open("a", encoding="utf-8") as deployed:
        deployed.write(BUG.format(name=function))
    if beside:
        building = code / "listener" / "worker" / "building.py"
        building.write_text(building.read_text(encoding="utf-8").replace("= 20_000", "= 1"), encoding="utf-8")
    return code


def plan(site: Site, code: Path) -> Done:
    """`signlog replay --plan` with this code."""
    command = [sys.executable, "-P", "-m", "listener", "replay", "--plan", "--json"]
    env = {**environment(), "PYTHONPATH": str(code)}
    done = subprocess.run(command, cwd=site.folder, env=env, text=True, capture_output=True, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(("file", "function"), [TO_FOLD, TO_READ])
def test_a_plan_that_died_is_followed_by_one_that_finds_out_of_what(site: Site, file: str, function: str) -> None:
    """The first dies of a piece; the second says of which and goes one by one; the third names the event."""
    code = deploy(site, file, function)
    first, second, third = (plan(site, code) for _ in range(3))
    assert (first.code, first.out) == (second.code, second.out) == (DIED, "")
    assert "The last plan ended" not in first.err
    assert "The last plan ended while it took in events 1 to 9, which 'signlog events --after 0" in _flat(second.err)
    assert (third.code, third.out) == (1, "")
    assert NAMED in _flat(third.err)
    assert plan(site, code).code == DIED
    assert plan(site, ROOT).json["summary"]["unchanged"] == 4
    assert not (site.data / TRYING).exists()


@pytest.mark.parametrize(("file", "function", "after"), [(*TO_MAKE_ROWS, 4), (*TO_FOLD, 0)])
def test_a_plan_of_which_a_process_died_says_what_to_type(site: Site, file: str, function: str, after: int) -> None:
    """At once between which events, then which; nothing of it stays. Each process reads one half of so short a log."""
    listed = f"'signlog events --after {after} --limit {9 - after}' lists"
    died = f"in events {after + 1} to 9, which {listed}; type the same"
    code = deploy(site, file, function, beside=True)
    first, second = plan(site, code), plan(site, code)
    assert (first.code, second.code) == (1, 1)
    assert died in _flat(first.err)
    assert NAMED in _flat(second.err)
    assert not (site.data / TRYING).exists()
    assert [path.name for path in site.data.glob("signlog-views-*")] == ["signlog-views-1.db"]
    assert died in _flat(plan(site, code).err)


def test_who_dies_of_an_event_that_was_only_looked_at_is_told_of_it_at_once(site: Site) -> None:
    """Some are interpreted first, one by one, to find out how the subjects are to be parted."""
    code = deploy(site, *TO_READ, beside=True)
    died = plan(site, code)
    assert (died.code, died.out) == (1, "")
    assert NAMED in _flat(died.err)
    assert plan(site, ROOT).json["summary"]["unchanged"] == 4


def _flat(said: str) -> str:
    return " ".join(said.split())


def trace(folder: Path, code: str = "code") -> Trace:
    """Of a plan with some code."""
    return Trace(folder / TRYING, code)


@pytest.mark.parametrize(
    ("left", "alone"),
    [
        (msgspec.json.encode(Mark(Stretch(2, 4), "code")), Stretch(2, 4)),
        (msgspec.json.encode(Mark(Stretch(2, 4), "before it was mended")), None),
        (msgspec.json.encode(Mark(Stretch(9, 9), "code")), None),
        (b"", None),
        (b'{"stretch":', None),
    ],
)
def test_only_what_this_code_died_of_is_taken_in_alone(tmp_path: Path, left: bytes, alone: Stretch | None) -> None:
    """Not what other code died of, nor what nobody had begun, nor what was killed while it was written."""
    (tmp_path / TRYING).write_bytes(left)
    assert trace(tmp_path).alone == alone


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("disk")])
def test_who_fails_or_is_interrupted_leaves_no_trace(tmp_path: Path, error: BaseException) -> None:
    """Only who dies does: no event is to blame for anything else."""
    begun = trace(tmp_path)
    with pytest.raises(type(error)), begun:
        _fail(begun, error)
    assert not (tmp_path / TRYING).exists()


def _fail(begun: Trace, error: BaseException) -> None:
    begun.about(Stretch(2, 4))
    assert begun._path.exists()
    raise error
