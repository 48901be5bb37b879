"""Code as it was before somebody mended it, or as somebody will spoil it: each is worn for the length of a block."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
import pytest

from listener.log.event import Readable
from listener.providers import onespan
from projections import course, facts, packages
from projections.course import Course
from projections.facts import ALONE, Beside, Fact, Key
from projections.packages import Signer, State

MARKED: Final = "marked"  # the subject that a bug is about
RIGHT: Final = "right"

Patch = tuple[object, str, Any]
Apply = Callable[[State, Key, Fact], State]
Signers = dict[str, Signer]


def meaning(**names: str) -> Patch:
    """A mapping that takes some names of callbacks for others."""
    return onespan, "_MEANINGS", {**onespan._MEANINGS, **{name: onespan._MEANINGS[by] for name, by in names.items()}}


def _fragile(state: State, key: Key, fact: Fact, _beside: Beside = ALONE, real: Apply = packages.apply) -> State:
    if fact.subject == MARKED and fact.what == facts.DOCUMENT_SIGNED:
        raise KeyError("a bug")
    return real(state, key, fact)


def _misled(found: Readable, real: Callable[[Readable], Fact] = onespan._called_back) -> Fact:
    fact = real(found)
    return msgspec.structs.replace(fact, subject=MARKED) if fact.what == facts.TEMPLATE else fact


def _counting(signers: Signers, fact: Fact, real: Callable[[Signers, Fact], Signers] = packages._signers) -> Signers:
    counted = signers.get("", Signer()).documents
    return {**real(signers, fact), "": Signer(documents=(*counted, "a fact"))}


def _latest(known: Course, fact: Fact, real: Callable[[Course, Fact], Course] = course.take) -> Course:
    return real(Course() if fact.what in course.STEPS else known, fact)


CODES: Final[Mapping[str, tuple[Patch, ...]]] = {
    RIGHT: (),
    "late": (meaning(PACKAGE_COMPLETE="PACKAGE_ACTIVATE"),),
    "hasty": (meaning(PACKAGE_ACTIVATE="PACKAGE_COMPLETE"),),
    "blind": (meaning(PACKAGE_CREATE="TEMPLATE_CREATE", SIGNER_COMPLETE="DOCUMENT_VIEWED"),),
    "refusing": (meaning(PACKAGE_ACTIVATE="PACKAGE_DECLINE", TEMPLATE_CREATE="PACKAGE_CREATE"),),
    "misled": ((onespan, "_called_back", _misled),),  # takes a template for another subject
    "fragile": ((packages, "apply", _fragile),),  # cannot take in a signature of the marked subject
    "counting": ((packages, "_signers", _counting),),  # a state tells how often a fact was taken in
    "register": ((course, "take", _latest),),  # of all that changes a status only the newest that was heard
}


@contextlib.contextmanager
def wearing(*names: str) -> Iterator[None]:
    """With this code, and what it does not say as it is."""
    with worn(*(patch for name in names for patch in CODES[name])):
        yield


@contextlib.contextmanager
def worn(*patches: Patch) -> Iterator[None]:
    """With these attributes of modules."""
    with pytest.MonkeyPatch.context() as patched:
        for module, name, value in patches:
            patched.setattr(module, name, value)
        yield
