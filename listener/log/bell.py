"""Rings when something was appended, as far as anybody tells us; whoever waits for it looks anyway, only later."""

import threading
from typing import Any, Final, Self

import structlog

from listener.log.append import CHANNEL
from listener.log.postgres import Postgres

_log = structlog.get_logger()

_HEAR_SECONDS: Final = 0.5  # at a time, so that a stop need not wait
_AWAY_SECONDS: Final = 2.0  # until a server that is away is asked again: nobody waits for it


class Bell:
    """Listens on a connection of its own, in a thread of its own, while its block runs.

    Behind a pooler that gives each transaction another connection nothing is ever heard.
    """

    def __init__(self, database: Postgres) -> None:
        self._database = database
        self._rung = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)

    def wait(self, seconds: float) -> bool:
        """Until it rings, or for so long; whether it rang."""
        rang = self._rung.wait(seconds)
        self._rung.clear()
        return rang

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._listen()
            except Exception as error:  # whatever it is, whoever waits looks anyway
                _log.info("nothing_is_heard", error=str(getattr(error, "orig", None) or error))
                self._over.wait(_AWAY_SECONDS)

    def _listen(self) -> None:
        with self._database.engine.execution_options(begin="").connect() as connection:
            driver: Any = connection.connection.driver_connection
            try:
                driver.execute(f"LISTEN {CHANNEL}")
                while not self._over.is_set():
                    for _ in driver.notifies(timeout=_HEAR_SECONDS, stop_after=1):
                        self._rung.set()
            finally:
                connection.invalidate()  # nobody else should get one that listens
