"""How the server starts and how it ends: a process that gets real signals."""

import os
import signal
from pathlib import Path

import pytest

from tests.echo import Door, until

HOLD = b"GET /hold HTTP/1.1\r\n\r\n"
POST = b"POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\n"


def limit(door: Door) -> int:
    """The soft limit on open files that the process has now."""
    lines = Path(f"/proc/{door.process.pid}/limits").read_text().splitlines()
    return next(int(line.split()[3]) for line in lines if line.startswith("Max open files"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_serving_and_not_the_process(number: signal.Signals) -> None:
    """After the lifespan has shut down, `serve` returns and the caller's `finally` runs."""
    with Door() as door:
        door.process.send_signal(number)
        assert door.finish() == (0, "")
        assert door.said == "lifespan over\nfinally\n"


def test_a_request_at_work_is_answered_before_the_end() -> None:
    """A stop does not cost a callback its answer."""
    with Door() as door, door.client() as client:
        client.send(HOLD)
        until(lambda: door.ask().seen["holding"] == 1)
        door.process.terminate()
        until(door.refuses)
        door.release()
        assert client.answer().status == 200
        assert client.ended()


def test_a_second_interrupt_does_not_wait() -> None:
    """Somebody at a terminal who means it; the caller's `finally` runs, and the log says what was cut short."""
    with Door() as door, door.client() as client:
        client.send(HOLD)
        until(lambda: door.ask().seen["holding"] == 1)
        door.process.send_signal(signal.SIGINT)
        until(door.refuses)
        door.process.send_signal(signal.SIGINT)
        status, complaints = door.finish()
        assert (status, door.said) == (0, "finally\n")
        assert "CancelledError" in complaints


def test_a_second_terminate_goes_on_waiting() -> None:
    """A supervisor that repeats itself has not changed its mind."""
    with Door() as door, door.client() as client:
        client.send(HOLD)
        until(lambda: door.ask().seen["holding"] == 1)
        for _ in range(2):
            door.process.terminate()
            until(door.refuses)
        door.release()
        assert client.answer().status == 200


def test_an_unfinished_head_does_not_delay_the_end() -> None:
    """It is closed at once, on a new connection as on a kept one."""
    with Door(HEAD_SECONDS=3600) as door, door.client() as new, door.client() as kept:
        new.send(b"POST / HT")
        assert kept.send(b"GET / HTTP/1.1\r\n\r\n", b"POST / HT").answer().status == 200
        door.process.terminate()
        assert new.ended()
        assert kept.ended()


def test_a_body_that_still_comes_is_taken() -> None:
    """It has some seconds left after the stop."""
    with Door() as door, door.client() as client:
        client.send(POST[:-2], b"expect: 100-continue\r\n\r\n")
        assert client.answer().status == 100
        door.process.terminate()
        until(door.refuses)
        assert client.send(b"hello").answer().seen["length"] == 5


def test_a_body_that_does_not_come_is_cut_off() -> None:
    """In time before uvicorn would cancel its task and log a traceback."""
    with Door(BODY_SECONDS=3600, STOP_SECONDS=0.2) as door, door.client() as client:
        client.send(POST[:-2], b"expect: 100-continue\r\n\r\n")
        assert client.answer().status == 100
        door.process.terminate()
        assert client.ended()


def test_a_process_whose_parent_is_gone_ends() -> None:
    """The parent holds the other end of a pipe; the kernel closes it however the parent dies."""
    reading, writing = os.pipe()
    with Door(pipe=reading) as door:
        os.close(reading)
        assert door.ask().status == 200
        os.close(writing)
        assert door.finish() == (0, "")
        assert door.said == "lifespan over\nfinally\n"


def test_the_limit_on_open_files_is_raised() -> None:
    """A thousand connections need more than the 256 that some systems start with."""
    with Door(before=("sh", "-c", 'ulimit -Sn 256; exec "$@"', "sh")) as door:
        assert limit(door) == 1256


def test_a_hard_limit_on_open_files_is_respected() -> None:
    """What cannot be raised is no reason not to serve."""
    with Door(before=("sh", "-c", 'ulimit -n 256; exec "$@"', "sh")) as door:
        assert (limit(door), door.ask().status) == (256, 200)


def test_what_lives_as_long_as_the_process_is_out_of_the_collectors_way() -> None:
    """The garbage collector's pauses would be the slowest answers."""
    with Door() as door:
        assert door.ask().seen["frozen"] > 10_000


def test_an_app_that_cannot_start_is_an_error() -> None:
    """The process fails, and is never ready."""
    with pytest.raises(AssertionError, match="cannot start"):
        Door(broken=True)
