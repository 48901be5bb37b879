"""A door's way into the spool and out of it, killed at a step: `python -m tests.spool_crash` forks one for each line.

Forked from a process with one thread and no open files, because starting Python anew for each step takes a second.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Engine

from listener import logs
from listener.log import reader
from listener.log.append import append
from listener.log.drain import Drain, Known
from listener.log.spool import Spool
from listener.log.spooled import Spooled
from tests.logbook import callback, connected

TOLD = "told"  # the file of what was acknowledged
WRITTEN = os.write


class Steps:
    """What is done to disk and log, counted; the nth step is the last. A write may end in its middle."""

    def __init__(self, last: int) -> None:
        self.taken: list[str] = []
        self.last = last
        for name in ("open", "write", "fdatasync", "fsync", "unlink", "ftruncate"):
            setattr(os, name, self.before(name, getattr(os, name)))
        sqlalchemy.event.listen(Engine, "before_cursor_execute", self.before_statement)
        sqlalchemy.event.listen(Engine, "commit", lambda _connection: self.step("commit"))

    def before(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, with a step before it."""

        def do(*arguments: Any, **named: Any) -> Any:
            if name == "write":
                self.torn(*arguments)
            self.step(name)
            return call(*arguments, **named)

        return do

    def torn(self, fd: int, content: Any) -> None:
        """A step in which only a part is written."""
        if len(self.taken) + 1 == self.last:
            WRITTEN(fd, bytes(content)[: len(content) // 2])
        self.step("half a write")

    def before_statement(self, *arguments: Any) -> None:
        """A step before everything that writes."""
        if arguments[2].startswith("INSERT"):
            self.step("INSERT")

    def step(self, name: str) -> None:
        """Take one."""
        self.taken.append(name)
        if len(self.taken) == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def live(folder: Path, last: int) -> list[str]:
    """One commit whose answer nobody heard, three callbacks spooled, drained, and one more; the steps that it took."""
    told = os.open(folder / TOLD, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with closing(connected(folder)) as database:
        with database.reading() as connection:
            head = reader.head(connection)
        drafts = [callback(b"%d" % number)._replace(salt=bytes([number] * 16), spooled_at=1) for number in range(4)]
        steps = Steps(last)
        spool = Spool(folder / "spool")
        with database.writing() as connection:
            append(connection, drafts[:1])
        for some in (drafts[:1], drafts[1:3], drafts[3:]):
            spool.keep([Spooled(head, draft) for draft in some])
            for draft in some:
                WRITTEN(told, draft.body + b"\n")
            if some is not drafts[:1]:
                Drain(database, spool).run()
    return steps.taken


def main() -> None:
    """Fork, wait, tell how it ended; one line each. With "blind" in it, what stands in the log is not looked for."""
    for line in sys.stdin:
        folder, last, blind = json.loads(line)
        child = os.fork()
        if child == 0:
            os.dup2(2, 1)
            logs.configure()
            if blind:
                Known.has = lambda *_: False  # type: ignore[method-assign]
            taken = live(Path(folder), last)
            Path(folder, "steps").write_text(json.dumps(taken))
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
