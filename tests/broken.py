"""Handlers that cannot take some events in: to read them, to apply them, or to live through them."""

import contextlib
from collections.abc import Collection, Iterator
from typing import Any

import pytest

from listener import errors
from listener.log.event import Readable
from listener.providers import onespan
from projections import packages
from projections.facts import Fact, Key

Subjects = Collection[tuple[int, str]]


@contextlib.contextmanager
def handlers(broken: Subjects = (), unreadable: Collection[int] = ()) -> Iterator[None]:
    """Code that fails on what some events say of a subject (position and subject), and cannot read others."""
    apply, interpret = packages.apply, onespan.interpret

    def fail(state: Any, key: Key, fact: Fact) -> Any:
        if (fact.position, fact.subject) in broken:
            raise KeyError("a bug")
        return apply(state, key, fact)

    def refuse(found: Readable) -> list[Fact]:
        if found.position in unreadable:
            raise errors.Fault("unreadable")
        return interpret(found)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(packages, "apply", fail)
        patched.setattr(onespan, "interpret", refuse)
        yield
