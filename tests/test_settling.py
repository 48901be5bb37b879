"""Large files beside a log: they reach the disk little by little, and so they go."""

import itertools
import os
from pathlib import Path

import pytest

from listener import settling
from listener.settling import remove


def test_what_is_removed_is_gone(tmp_path: Path) -> None:
    """Of any size, and whether it was there or not."""
    for size in (0, 1, settling._STEP, 2 * settling._STEP + 1):
        path = tmp_path / "file"
        with path.open("wb") as file:
            file.truncate(size)
        remove(path)
        assert not path.exists()
        remove(path)


def test_who_reads_it_reads_on(tmp_path: Path) -> None:
    """To its end, as if it were there: only what nobody has open is cut."""
    path = tmp_path / "file"
    path.write_bytes(b"all of it")
    with path.open("rb") as reader:
        remove(path)
        assert not path.exists()
        assert reader.read() == b"all of it"


def test_what_nobody_reads_is_given_back_a_little_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a door beside it would wait until the file system has given all of it back."""
    path, cut, right = tmp_path / "file", [3 * settling._STEP + 1], os.ftruncate

    def spy(file: int, size: int) -> None:
        cut.append(size)
        right(file, size)

    monkeypatch.setattr(os, "ftruncate", spy)
    with path.open("wb") as file:
        right(file.fileno(), cut[0])
    with path.open("rb"):
        remove(path)
    assert len(cut) == 1
    with path.open("wb") as file:
        right(file.fileno(), cut[0])
    remove(path)
    assert all(0 <= before - after <= settling._STEP for before, after in itertools.pairwise(cut))
    assert cut[-1] <= settling._STEP
