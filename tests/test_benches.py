"""What the benches measure with: made-up callbacks, and a replay that is checked while it is timed."""

import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import update

from listener import errors, settings
from listener.log.event import Draft
from listener.provider import fields_of
from listener.settings import Settings
from listener.views_file import FileViews
from projections import packages
from scripts.benches import chores
from scripts.benches.door import configure
from scripts.benches.generator import drafts

EVENTS = 600


def taken(seed: int, number: int) -> list[Draft]:
    """The first of them."""
    return list(itertools.islice(drafts(seed), number))


def told(body: bytes) -> tuple[str, str, str] | None:
    """Package, name and time, of a body that can be read."""
    try:
        fields = fields_of(body)
        return fields["packageId"], fields["name"], fields["createdDate"]
    except (errors.Fault, KeyError):
        return None


def late(bodies: Sequence[bytes]) -> int:
    """How many tell of something that happened before what was already told of their package."""
    newest: dict[str, str] = {}
    found = 0
    for package, _name, at in filter(None, map(told, bodies)):
        found += at < newest.get(package, "")
        newest[package] = max(at, newest.get(package, ""))
    return found


def prepared(folder: Path) -> Settings:
    """A log of EVENTS made-up callbacks, folded."""
    found = settings.load(configure(4449, str(folder)))
    assert chores.fill(found, str(EVENTS)).events == EVENTS
    assert chores.live(found).events == EVENTS + 2  # what is in force comes first, what is live last
    return found


def test_a_seed_repeats() -> None:
    """The same seed makes the same drafts, so that two runs measure the same."""
    assert taken(7, 2000) == taken(7, 2000)


def test_another_seed_makes_others() -> None:
    """The seed decides everything: two have no readable callback in common."""
    bodies = [{draft.body for draft in taken(seed, 2000) if told(draft.body)} for seed in (7, 8)]
    assert not bodies[0] & bodies[1]


def test_the_mix_has_what_is_hard() -> None:
    """Late, doubled, unknown and unreadable callbacks come, and every end that a package can have."""
    bodies = [draft.body for draft in taken(7, 30_000)]
    names = Counter(name for _package, name, _at in filter(None, map(told, bodies)))
    ends = {"COMPLETE", "DECLINE", "EXPIRE", "OPT_OUT", "ARCHIVE", "TRASH", "RESTORE", "SHARED"}
    assert names.keys() >= {f"PACKAGE_{end}" for end in ends}
    assert 0.01 < late(bodies) / len(bodies) < 0.05
    assert 0.005 < 1 - len(set(bodies)) / len(bodies) < 0.02
    assert 0 < sum(told(body) is None for body in bodies) < 30
    assert any(b"default-consent" in body for body in bodies)


def test_what_is_in_order_is_not_late() -> None:
    """The count of the late ones is none when every package is told in order."""
    readable = [body for draft in taken(7, 2000) if told(body := draft.body)]
    assert late(readable) > 0
    assert late(sorted(readable, key=lambda body: (told(body) or ("", "", ""))[2])) == 0


def test_a_package_has_about_six_callbacks() -> None:
    """A hundred thousand callbacks are of about 17,000 packages, and none is ahead of our clock."""
    known = [found for draft in taken(7, 100_000) if (found := told(draft.body))]
    assert 0.16 < len({package for package, _name, _at in known}) / len(known) < 0.19
    assert max(at for _package, _name, at in known) < datetime.now(UTC).isoformat()


def test_chores_go_over_the_whole_log(tmp_path: Path) -> None:
    """The bare loop and the plan say that they went over every event; the live generation has them already."""
    found = prepared(tmp_path)
    assert chores.bare(found).events == chores.plan(found).events == EVENTS + 2
    assert chores.live(found).events == EVENTS + 3


def test_a_replay_that_makes_something_else_is_no_figure(tmp_path: Path) -> None:
    """A plan that differs from what the same code folded ends the bench: it measured something else."""
    found = prepared(tmp_path)
    views = FileViews(found.folder, 3)
    with views.writing() as connection:
        one = connection.execute(packages.TABLE.select()).first()
        assert one is not None
        other = packages.row((one.source, one.id), msgspec.structs.replace(packages.load(one), provider="evrotrust"))[
            -1
        ]
        connection.execute(update(packages.TABLE).where(packages.TABLE.c.id == one.id).values(fold=other))
    views.close()
    with pytest.raises(SystemExit, match="something else"):
        chores.plan(found)
