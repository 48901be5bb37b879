"""A child notices the end of its parent."""

import os
import threading

from listener import parent


def test_the_end_of_the_pipe_is_the_end_of_the_parent() -> None:
    """`stop` is called when the last writer is gone, and not while one is there, whatever it writes."""
    reading, writing = os.pipe()
    stopped = threading.Event()
    parent.alive(reading, stopped.set)
    os.write(writing, b"still here")
    assert not stopped.wait(0.05)
    os.close(writing)
    assert stopped.wait(20)
    os.close(reading)
