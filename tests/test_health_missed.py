"""A completion that only the provider's API told of is a callback that was missed: shown, counted, and an alarm."""

from pathlib import Path
from typing import Any

import pytest

from listener import bootstrap
from listener.log import reader
from listener.log.append import now
from listener.log.event import Draft, seal
from tests.site import ID, ONESPAN, Site, callback, observation

API = 'api_url = "https://x"\napi_key = "k"\nartifacts = []\n'
MINUTE = 60 * 1_000_000
DAY = 24 * 60 * MINUTE
COMPLETED = observation({"status": "COMPLETED"})


def site(tmp_path: Path, *told: tuple[int, Draft]) -> Site:
    """One in which these were heard of, each so long ago (microseconds)."""
    found = Site(tmp_path, ONESPAN + API).filled()
    hear(found, *told)
    return found


def hear(found: Site, *told: tuple[int, Draft]) -> None:
    """Append as if it had been then, and fold."""
    with bootstrap.log(found.settings) as database, database.writing() as connection:
        for ago, draft in told:
            sealed = seal(draft, reader.log_id(connection), reader.head(connection) + 1, now() - ago)
            connection.exec_driver_sql(f"INSERT INTO events VALUES ({', '.join('?' * len(sealed))})", tuple(sealed))
    found.fold()


def health(found: Site) -> tuple[int, int, list[str]]:
    """How many are missed, how many anomalies there are, and the alarms."""
    report: dict[str, Any] = found.run("health", "--json").json
    return report["missed"], report["anomalies"], report["alarms"]


def missed(found: Site) -> bool:
    """What `signlog status` says of it."""
    told: bool = found.run("status", "onespan", ID, "--json").json["missed"]
    return told


def test_a_completion_without_a_callback_is_an_alarm(tmp_path: Path) -> None:
    """It names the package, and what to look at; people are told how many there were."""
    found = site(tmp_path, (2 * DAY, callback("PACKAGE_ACTIVATE")), (DAY, COMPLETED))
    count, anomalies, (alarm,) = health(found)
    assert (count, anomalies, missed(found)) == (1, 1, True)
    assert alarm.startswith("completions of the last week that only the provider's API told of: 1; the last: ")
    assert f"'signlog status onespan {ID}'" in alarm
    assert "missed      1 completed without a callback\n" in found.run("health").out


@pytest.mark.parametrize(
    "told",
    [
        [(DAY, callback("PACKAGE_COMPLETE")), (DAY, COMPLETED)],
        [(DAY, COMPLETED), (0, callback("PACKAGE_COMPLETE"))],
        [(DAY, callback("PACKAGE_ARCHIVE")), (DAY, observation({"status": "ARCHIVED"}))],
        [(DAY, observation({"status": "DECLINED"}))],
        [(DAY, observation({"status": "SENT"}))],
        [(DAY, COMPLETED), (DAY, observation({"status": "SENT"}))],
    ],
    ids=["told before", "told after", "archived", "declined", "not complete", "not complete any more"],
)
def test_what_a_callback_told_is_not_missed(tmp_path: Path, told: list[tuple[int, Draft]]) -> None:
    """Whenever it comes; and of what is no completion, providers need not tell."""
    found = site(tmp_path, *told)
    assert health(found) == (0, 0, [])
    assert not missed(found)


def test_a_callback_that_tells_of_less_is_none(tmp_path: Path) -> None:
    """That it came back from the trash says nothing of its completion."""
    found = site(tmp_path, (DAY, callback("PACKAGE_RESTORE")), (DAY, COMPLETED))
    assert (health(found)[0], missed(found)) == (1, True)


def test_a_callback_may_be_on_its_way(tmp_path: Path) -> None:
    """For a quarter of an hour nobody is alarmed."""
    found = site(tmp_path, (13 * MINUTE, COMPLETED))
    assert health(found) == (0, 0, [])
    assert missed(found)
    hear(found, (16 * MINUTE, observation({"status": "COMPLETED"}, "other")))
    assert health(found)[:2] == (1, 1)


def test_after_a_week_it_is_no_news(tmp_path: Path) -> None:
    """It is counted all the same."""
    found = site(tmp_path, (8 * DAY, COMPLETED))
    assert health(found) == (1, 1, [])
    hear(found, (6 * DAY, observation({"status": "COMPLETED"}, "other")))
    count, _, (alarm,) = health(found)
    assert (count, "told of: 1; the last: 'signlog status onespan other'" in alarm) == (2, True)


def test_the_callback_that_is_imported_ends_it(tmp_path: Path) -> None:
    """As it stands in the mail that the provider sent."""
    found = site(tmp_path, (DAY, COMPLETED))
    (tmp_path / "callback.json").write_bytes(callback("PACKAGE_COMPLETE").body)
    assert found.run("import", "callback.json", "--source", "onespan", "--reason", "from the mail").code == 0
    found.fold()
    assert health(found) == (0, 0, [])
