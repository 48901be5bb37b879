"""The worker's part in reconciling: every source again and again, each in a thread of its own."""

import threading
import time
from typing import Final, Self

import structlog

from listener import errors
from listener.worker import schedule
from listener.worker.findings import Findings
from listener.worker.reconcile import Order, Reconciler

_log = structlog.get_logger()

EVERY_SECONDS: Final = 300.0
PATIENCE: Final = 5.0  # seconds that a stop waits for an answer: what was asked for nobody needs any more


class Rounds:
    """Runs while its block does. A provider that does not answer keeps nobody else waiting."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(source,), name=f"reconcile-{source}", daemon=True)
            for source in reconciler.accounts
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        until = time.monotonic() + PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self, source: str) -> None:
        wait = 0.0
        while not self._stopping.wait(wait):
            wait = self.turn(source)

    def turn(self, source: str) -> float:
        """One round; how many seconds to wait until the next. What is wrong is said, and the thread lives."""
        findings = Findings()
        try:
            self._reconciler.run(source, Order(), findings, self._stopping.wait)
        except errors.Unauthorized as error:
            _log.error("api_key_refused", source=source, error=str(error))
            return schedule.HOURLY
        except errors.ProviderError as error:
            _log.warning("reconciling_broke_off", source=source, error=str(error))
            return max(EVERY_SECONDS, schedule.asked(error))
        except Exception as error:  # the log or the views are away: it is tried again
            if not self._stopping.is_set():
                _log.error("reconciling_broke_off", source=source, error=repr(error))
        finally:
            _tell(source, findings)
        return EVERY_SECONDS


def _tell(source: str, findings: Findings) -> None:
    for missed in findings.missing:
        _log.error("callback_missed", source=source, subject=missed.id, status=missed.status)
    counts = {"asked": findings.asked, "differed": findings.differed, "unanswered": findings.unanswered}
    if findings.unanswered:
        _log.warning("reconciled", source=source, **counts)
    elif findings.differed:
        _log.info("reconciled", source=source, **counts)
