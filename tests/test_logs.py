"""Logs: an event a line, for machines and for people, without what strangers or secrets would put into it."""

import json
import os
import pty
import subprocess
import sys
from typing import Any

SAYING = """
import logging, structlog
from listener import logs
logs.configure()
log = structlog.get_logger()
"""


def said(script: str) -> list[dict[str, Any]]:
    """What a program says where there is no terminal; all of it on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", SAYING + script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def shown(script: str) -> str:
    """What it shows on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", SAYING + script], stderr=theirs)
    os.close(theirs)
    found = bytearray()
    try:
        while chunk := os.read(ours, 65536):
            found += chunk
    except OSError:  # Linux says so when nobody holds the other end any more
        pass
    os.close(ours)
    assert process.wait(60) == 0
    return found.decode()


def test_an_event_is_a_line_of_json() -> None:
    """With its name, its keys, a level and a time."""
    (line,) = said("log.info('callback_recorded', position=7, source='Ана')")
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "callback_recorded", "level": "info", "position": 7, "source": "Ана"}


def test_lines_stay_lines() -> None:
    """Whatever is in a value, and whatever a value is."""
    (line,) = said("log.warning('x', reason='a\\nb\\x1b[2J', body=b'\\xff', where=[1])")
    assert (line["reason"], line["body"], line["where"]) == ("a\nb\x1b[2J", "b'\\xff'", [1])


def test_what_is_for_developers_is_not_said() -> None:
    """Neither by us nor by a library."""
    assert said("log.debug('x'); logging.getLogger('uvicorn').info('started')") == []


def test_libraries_speak_the_same_way() -> None:
    """A warning of theirs is a line like ours; so is an error with its traceback."""
    warned, failed = said("""
logging.getLogger('uvicorn.error').warning('refused a request with %d', 400)
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger('uvicorn.error').exception('Exception in ASGI application')
""")
    assert (warned["event"], warned["level"]) == ("refused a request with 400", "warning")
    assert failed["level"] == "error"
    assert "ZeroDivisionError" in failed["exception"]


def test_people_see_what_happened() -> None:
    """On a terminal, as text."""
    text = shown("log.info('callback_recorded', position=7)")
    assert "callback_recorded" in text
    assert "{" not in text


def test_strangers_do_not_steer_the_terminal() -> None:
    """They choose the names of sources that we say we do not know."""
    text = shown("log.warning('callback_refused', source='a\\x1b]0;title\\x07\\u202eb', reason='Грешен')")
    assert "a\\x1b]0;title\\x07\\u202eb" in text
    assert "\x07" not in text
    assert "Грешен" in text


def test_tracebacks_show_no_values() -> None:
    """Neither ours nor a library's: a secret may be in any variable."""
    script = """
def work(secret):
    1 / 0
try:
    work('hun' + 'ter2')
except ZeroDivisionError:
    log.exception('broke_off')
    logging.getLogger('uvicorn.error').exception('Exception')
"""
    for text in (shown(script), json.dumps(said(script))):
        assert text.count("ZeroDivisionError") >= 2
        assert "hunter2" not in text
