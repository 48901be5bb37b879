"""Handlers that cannot take some events in: to read them, to apply them, to keep the state, or to live through them."""

import contextlib
import os
import signal
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import msgspec
import pytest

from listener import errors
from listener.log.event import Readable
from listener.providers import onespan
from projections import artifacts, packages, timeline
from projections.facts import ALONE, Beside, Fact, Key

TOO_LARGE: Final = 2**70  # for a column of SQLite


def die() -> None:
    """At once, as when the kernel needs the memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def freeze() -> None:
    """Until somebody thaws it."""
    os.kill(os.getpid(), signal.SIGSTOP)


def fail() -> None:
    """As a bug does."""
    raise KeyError("a bug")


def refuse() -> None:
    """As a provider's file does with what it cannot read."""
    raise errors.Fault("unreadable")


@contextlib.contextmanager
def handlers(
    broken: Collection[tuple[int, str]] = (),
    unreadable: Collection[int] = (),
    deadly: Collection[tuple[int, str]] = (),
    deadly_to_read: Collection[int] = (),
    unkeepable: Collection[tuple[int, str]] = (),
    freezing: Collection[tuple[int, str]] = (),
    lasting: bool = False,
) -> Iterator[None]:
    """Code that fails on events at these positions, or on what they say of a subject.

    Where it is `broken` it fails to make the row of an event, or, if `lasting`, to say where anything stands after it.
    """
    apply, interpret = timeline.apply, onespan.interpret

    def badly_apply(state: Any, key: Key, fact: Fact, _beside: Beside = ALONE) -> Any:
        of = (fact.position, fact.subject)
        _if(of in broken and not lasting, fail)
        _if(of in deadly, die)
        _if(of in freezing, freeze)
        applied = apply(state, key, fact)
        return msgspec.structs.replace(applied, recorded_at=TOO_LARGE) if of in unkeepable else applied

    def badly_interpret(found: Readable) -> list[Fact]:
        _if(found.position in unreadable, refuse)
        _if(found.position in deadly_to_read, die)
        return interpret(found)

    def badly(right: Any) -> Any:
        def stand(state: Any, key: Key, fact: Fact, beside: Beside = ALONE) -> Any:
            _if((fact.position, fact.subject) in broken, fail)
            return right(state, key, fact, beside)

        return stand if lasting else right

    with pytest.MonkeyPatch.context() as patched:
        for projection in (packages, artifacts):
            patched.setattr(projection, "apply", badly(projection.apply))
        patched.setattr(timeline, "apply", badly_apply)
        patched.setattr(onespan, "interpret", badly_interpret)
        yield


def _if(bad: bool, act: Callable[[], None]) -> None:
    if bad:
        act()
