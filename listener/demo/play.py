"""The play of the demonstration: several signings at both imitated providers, told to a running door by HTTP."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from listener.demo import stories
from listener.demo.evrotrust import Evrotrust
from listener.demo.onespan import OneSpan
from listener.demo.steps import Stage, Step

__all__ = ["START", "Played", "Player", "Step", "script"]

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
BETWEEN = timedelta(seconds=41)
AN_HOUR = timedelta(hours=1)


def script(seed: int, start: datetime = START) -> list[Step]:
    """Return the callbacks of ten signings in the order in which they arrive; the same seed and start, the same bytes.

    What they tell of happens from `start` on, 41 seconds apart, less than an hour in all.
    """
    clock = _clock(start)
    told = (stories.completed_early, stories.completed_twice, stories.crossed, stories.declined, stories.expired)
    steps = [step for story in (*told, stories.trashed) for step in story(seed, clock)]
    return steps + stories.transactions(seed)


@dataclass(frozen=True)
class Played:
    """One step as it went; `status` is what the door answered, None when it did not answer."""

    step: Step
    status: int | None


@dataclass(frozen=True)
class Player:
    """Plays a script against the door at `door_url`, as the providers would: a client over HTTP, nothing nearer.

    `callback_key` is the key that OneSpan shows; "" sends none. `pause` is in seconds, between callbacks. Without
    `start`, what is told of happened within the last hour. `say` gets a line for people per callback.
    """

    door_url: str
    onespan: OneSpan
    evrotrust: Evrotrust
    callback_key: str = ""
    seed: int = 1
    pause: float = 0.05
    start: datetime | None = None
    say: Callable[[str], None] = lambda _: None
    onespan_path: str = "/callbacks/onespan"
    evrotrust_path: str = "/callbacks/evrotrust"

    def play(self) -> list[Played]:
        """Play everything, in order, and return how it went."""
        steps = script(self.seed, self.start or datetime.now(UTC) - AN_HOUR)
        with httpx.Client(trust_env=False, timeout=10) as client:
            return [self._play(client, step) for step in steps]

    def _play(self, client: httpx.Client, step: Step) -> Played:
        with self.onespan.lock, self.evrotrust.lock:
            step.move(Stage(self.onespan, self.evrotrust))
        played = Played(step, self._post(client, step))
        self.say(f"{step.provider:<10} {step.text:<48} {'no answer' if played.status is None else played.status}")
        time.sleep(self.pause)
        return played

    def _post(self, client: httpx.Client, step: Step) -> int | None:
        base = self.onespan_path if step.provider == "onespan" else self.evrotrust_path
        try:
            # A string, because joining URLs would take the doubled slash for a host.
            return client.post(
                f"{self.door_url}{base}{step.path}", content=step.body, headers=self._headers(step)
            ).status_code
        except httpx.TransportError:
            return None

    def _headers(self, step: Step) -> dict[str, str]:
        if step.provider == "evrotrust":
            return {"Content-Type": "application/json"}
        # As in a capture of 2020: an empty User-Agent, and the key raw behind "Basic". Not sent again when it fails
        # (https://support.onespan.com, KB0014510).
        known = {"Authorization": f"Basic {self.callback_key}"} if self.callback_key else {}
        sent = {"Content-Type": "application/json; charset=utf-8", "Accept-Encoding": "gzip,deflate", "User-Agent": ""}
        return sent | known


def _clock(start: datetime) -> Iterator[datetime]:
    return (start + n * BETWEEN for n in itertools.count())
