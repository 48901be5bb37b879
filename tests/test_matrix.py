"""Whatever goes wrong at a provider, and whenever the worker dies; `scripts/matrix` does all of it."""

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from listener import acts
from listener.acts import Act, Artifact
from listener.worker.filestore import FileStore
from projections import facts
from tests import evro, matrix, rig, worlds
from tests.crash import NEVER, WAITING, Crashes, lies, worker_of
from tests.endings import BEHIND, STORED, End, assert_ended, given_up
from tests.matrix import Step
from tests.rig import Worker
from tests.troubles import ASKED, CASES, EVROTRUST, FETCHED, ONESPAN, TROUBLES, Case
from tests.worlds import World

SLOW = [Case(provider, "slow", FETCHED) for provider in TROUBLES]
GIVEN_UP = given_up("^HTTP 500$")


@pytest.fixture(scope="module")
def crashes() -> Iterator[Crashes]:
    """One for all."""
    with Crashes() as found:
        yield found


def test_every_document_ends_stored_once_or_with_a_reason(tmp_path: Path, crashes: Crashes) -> None:
    """Eight of all combinations, half of them at each provider, others each time."""
    matrix.some(8, random.SystemRandom().randrange(10**6), tmp_path, crashes, print)


def test_there_are_all_troubles() -> None:
    """At both providers, each met where it can be met; and what only one of them says."""
    assert len(CASES) == len(set(CASES)) == (3 + 2 * 12) + (3 + 2 * 12) + (2 * 2 + 3)
    for provider in (ONESPAN, EVROTRUST):
        known = {case.trouble for case in CASES if case.provider == provider}
        assert known >= {"refused", "slow", "cut", "too short", "too long", "HTML", "unsigned", "bad TLS"}
        assert known >= {"401", "403", "404", "429", "429 with a time", "500", "503"}
    assert {case.trouble for case in CASES if case.provider == EVROTRUST} >= {"443", "469", "another's key"}


def test_by_chance_is_the_same_for_the_same_seed_and_both_providers_in_turn() -> None:
    """Whatever the seed: all cases of both come before one comes again."""
    [one, same] = [[case for case, _ in zip(matrix.by_chance(random.Random(7)), CASES)] for _ in "ab"]  # noqa: B905, S311
    assert one == same
    assert {case.provider for case in one[::2]} == {ONESPAN}
    assert {case.provider for case in one[1::2]} == {EVROTRUST}
    assert len(set(one[:54])) == 54


# What must be noticed


def ended_with(folder: Path, provider: str, *told: Act) -> Worker:
    """A worker that did this about the first document of a subject that is complete there, and stored the second."""
    if provider == ONESPAN:
        worker, subject, names = Worker(folder), rig.ID, rig.BOTH
        worker.add(rig.callback("PACKAGE_COMPLETE"))
    else:
        worker, subject, names = evro.worker(folder, None), evro.ID, evro.BOTH
        worker.add(evro.callback())
    first, second = (Artifact(provider, subject, name) for name in names)
    worker.add(*(acts.outcome(first, provider, act) for act in told), acts.outcome(second, provider, _stored()))
    return worker


def _stored(attempt: int = 1) -> Act:
    return Act(facts.STORED, attempt=attempt, sha256="00", size=1, path="x")


def _failed(next_at: int | None) -> Act:
    return Act(facts.FAILED, attempt=1, next_at=next_at, reason="HTTP 500")


def _ends(provider: str, first: End) -> Mapping[str, End]:
    return dict(zip(rig.BOTH if provider == ONESPAN else evro.BOTH, (first, STORED), strict=True))


@pytest.mark.parametrize("provider", TROUBLES)
@pytest.mark.parametrize(
    ("told", "end"),
    [
        ((_stored(),), STORED),
        ((_failed(1), _stored(2)), STORED),
        ((Act(facts.ABANDONED, attempt=1, reason="HTTP 500"),), GIVEN_UP),
        ((_failed(None),), End("failed", "^HTTP 500$")),
        ((), BEHIND),
    ],
    ids=str,
)
def test_what_ended_well_is_let_through(tmp_path: Path, provider: str, told: tuple[Act, ...], end: End) -> None:
    """Else what follows would prove nothing."""
    with ended_with(tmp_path, provider, *told) as worker:
        assert_ended(worker, _ends(provider, end))


@pytest.mark.parametrize("provider", TROUBLES)
@pytest.mark.parametrize(
    ("told", "end", "said"),
    [
        ((_stored(), _stored(2)), STORED, "stored twice"),
        ((_failed(1), _stored()), STORED, "told twice"),
        ((_failed(1),), STORED, "is failed, not stored"),
        ((_failed(1),), End("failed", "HTTP 500"), "is due again"),
        ((), STORED, "is wanted, not stored"),
        ((), GIVEN_UP, "is wanted, not abandoned"),
        ((Act(facts.ABANDONED, attempt=1, reason="HTTP 500"),), STORED, "is abandoned, not stored"),
        ((Act(facts.ABANDONED, attempt=1, reason="HTTP 500"),), End("failed", "HTTP 500"), "abandoned, not failed"),
        ((Act(facts.ABANDONED, attempt=1),), GIVEN_UP, "says ''"),
        ((Act(facts.ABANDONED, attempt=1, reason="HTTP 404"),), GIVEN_UP, "says 'HTTP 404'"),
        ((_stored(),), GIVEN_UP, "is stored, not abandoned"),
    ],
    ids=str,
)
def test_what_ended_badly_is_noticed(tmp_path: Path, provider: str, told: tuple[Act, ...], end: End, said: str) -> None:
    """Stored twice, told twice, waiting for nothing, without its reason, or otherwise than it must."""
    with ended_with(tmp_path, provider, *told) as worker, pytest.raises(AssertionError, match=said):
        assert_ended(worker, _ends(provider, end))


@pytest.mark.parametrize("case", SLOW, ids=lambda case: case.provider)
def test_who_was_not_killed_is_noticed(tmp_path: Path, crashes: Crashes, case: Case) -> None:
    """A life that ends by itself proves nothing of a kill."""
    with pytest.raises(AssertionError, match="it was not killed; exit code 0"):
        matrix.play(case, Step(NEVER - 1, "never"), tmp_path / "play", crashes)


@pytest.mark.parametrize("case", SLOW, ids=lambda case: case.provider)
def test_who_does_nothing_is_noticed(
    tmp_path: Path, crashes: Crashes, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    """Nobody could be killed at any of its steps, and all would be well."""
    monkeypatch.setattr(World, "live", lambda world, _: _written(world.folder, "steps", "lay"))
    played = matrix.whole(case, tmp_path, crashes)
    assert (played.steps, played.wrong) == (0, ["nobody killed it: AssertionError: it did nothing"])


def _written(folder: Path, *names: str) -> int:
    for name in names:
        (folder / name).write_text("[]")
    return 0


@pytest.mark.parametrize("case", SLOW, ids=lambda case: case.provider)
def test_who_forgets_what_lies_there_is_noticed(
    tmp_path: Path, crashes: Crashes, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    """A program whose next worker does not find a document in its place; as it is, the same play goes well."""
    step = next(
        step for step in matrix.steps(case, tmp_path / "steps", crashes) if step.name == "fsync" and step.number > 8
    )
    matrix.play(case, step, tmp_path / "well", crashes)
    monkeypatch.setattr(FileStore, "adopt", lambda *_: None)
    with pytest.raises(AssertionError):
        matrix.play(case, step, tmp_path / "badly", crashes)


@pytest.mark.parametrize("case", SLOW, ids=lambda case: case.provider)
def test_other_bytes_and_other_files_are_noticed(tmp_path: Path, crashes: Crashes, case: Case) -> None:
    """What lies there must be what the provider made, and all that does must be stored."""
    with worlds.world(tmp_path / "world", case) as world:
        assert world.live(crashes) == 0
        folder = world.folder / "data" / "documents"
        with worker_of(case.provider, world.folder, str(folder), world.server.url, False) as worker:
            world.assert_lies(worker)
            (folder / "beside").write_bytes(b"")
            with pytest.raises(AssertionError, match="there lies"):
                world.assert_lies(worker)
            (found,) = folder.rglob(world.names[0])
            found.unlink()
            found.write_bytes(b"PK other")
            with pytest.raises(AssertionError, match="is not what the provider made"):
                world.assert_lies(worker)


def test_a_case_goes_on_after_a_failure(tmp_path: Path, crashes: Crashes, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an end that cannot be, each of its plays is told as wrong, however many there are."""
    troubles = {**TROUBLES[EVROTRUST], "401": TROUBLES[EVROTRUST]["401"]._replace(ends={ASKED: GIVEN_UP})}
    monkeypatch.setitem(TROUBLES, EVROTRUST, troubles)
    played = matrix.whole(Case(EVROTRUST, "401", ASKED), tmp_path, crashes)
    assert len(played.wrong) == played.steps > 1
    assert all("encrypted.zip is failed, not abandoned" in wrong for wrong in played.wrong)


def test_all_go_on_after_a_failure_and_the_end_tells_of_it() -> None:
    """One case that is none, beside one that goes well: both are told, and it did not go well."""
    told: list[str] = []
    well, badly = Case(EVROTRUST, "401", ASKED), Case(EVROTRUST, "401", "nowhere")
    assert not matrix.every([badly, well], 1, told.append)
    assert sum("well" in line for line in told) == sum("WRONG" in line for line in told) == 1
    assert "2 cases" in told[-1]
    assert "1 gone wrong" in told[-1]
    assert matrix.every([], 1, told.append)
    assert "0 gone wrong" in told[-1]


def test_steps_are_left_out_only_where_nothing_changed() -> None:
    """Whoever comes next finds the same; but a process that still runs is something else."""
    taken = ["INSERT", "commit", "wait", "fsync", "link", "fsync"]
    assert matrix.differing(taken, ["a", "a", "b", "b", "b", "c"]) == [(1, "INSERT"), (3, "wait"), (6, "fsync")]
    assert matrix.differing(taken, ["b", "b", "b", "b", "b", "b"]) == [(1, "INSERT"), (3, "wait")]
    assert matrix.differing([], []) == []


def test_steps_that_differ_are_those_of_every_sort(tmp_path: Path, crashes: Crashes) -> None:
    """A commit shows, and so do a document in its place and one that is being made."""
    for case in SLOW:
        names = [step.name for step in matrix.steps(case, tmp_path / case.provider, crashes)]
        assert {"INSERT INTO claims", "INSERT INTO events", "fsync", "link"} <= {*names}, names
    assert WAITING in names


def test_what_was_done_shows_in_what_lies_there(tmp_path: Path) -> None:
    """A commit, a file, its name and its mode; nothing where nothing was done, or where views were folded."""
    seen = []
    with Worker(tmp_path) as worker:
        document = tmp_path / "document"
        rig.add(worker.database, rig.callback("PACKAGE_COMPLETE"))
        seen.append(lies(tmp_path))
        worker.projector.catch_up()
        assert lies(tmp_path) == seen[-1]
        for do in (
            lambda: rig.add(worker.database, rig.callback("PACKAGE_COMPLETE")),
            lambda: document.write_bytes(b"%PDF-"),
            lambda: document.chmod(0o400),
            lambda: document.rename(tmp_path / "placed"),
        ):
            do()
            seen.append(lies(tmp_path))
    assert len(set(seen)) == 5


def test_a_case_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the names of those that are, and an exit status that is not 0."""
    monkeypatch.setattr("sys.argv", ["scripts/matrix", "--only", "no such"])
    with pytest.raises(SystemExit, match="evrotrust 443 asked"):
        matrix.main()
