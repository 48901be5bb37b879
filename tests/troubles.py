"""What can go wrong at a provider, or on the way there, and how each document ends if that lasts."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from listener.demo import faults
from listener.demo.faults import Fault
from tests.endings import STORED, End, given_up, waits

ASKED, FETCHED, MADE, EVERYWHERE = "asked", "fetched", "made", "on the way"
ONESPAN, EVROTRUST = "onespan", "evrotrust"


class Trouble(NamedTuple):
    """Something that is wrong: where it can be met, and the end of the first document that meets it there.

    Without a `fault` it is no answer that is wrong. What does not `pass` is not mended by the provider.
    """

    ends: Mapping[str, End]
    fault: Fault | None = None
    passes: bool = True


def _answers(fault: Fault, asked: End, fetched: End | None = None) -> Trouble:
    return Trouble({ASKED: asked, FETCHED: fetched or asked}, fault)


def _status(code: int, **headers: str) -> Trouble:
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return _answers(faults.Status(code, told), given_up(f"^HTTP {code}, after 3 tries$"))


_CUT: Final = given_up("^no whole answer: .*after 3 tries$")
_NO_ANSWER: Final = given_up("^HTTP 200 with something that is no.*after 3 tries$")
_NO_END: Final = given_up("^(a|an) (zip|PDF) without its end, after 3 tries$")
_REFUSED: Final = waits("^HTTP 401: the provider refused the API key$")
_AWAY: Final = given_up("^no whole answer: ConnectError: .*after 3 tries$")
_BAD_TLS: Final = given_up("^no whole answer: ConnectError: .*SSL.*after 3 tries$")
_NOT_COMPLETE: Final = given_up("^the provider says that it is not complete yet, after 3 tries$")

_COMMON: Final[Mapping[str, Trouble]] = {
    "refused": Trouble({EVERYWHERE: _AWAY}),
    "bad TLS": Trouble({EVERYWHERE: _BAD_TLS}),
    "unsigned": Trouble({EVERYWHERE: STORED}, passes=False),
    "slow": _answers(faults.Slow(0.02), STORED),
    "cut": _answers(faults.Truncated(), _CUT),
    "too short": _answers(faults.WrongLength(-7), _NO_ANSWER, _NO_END),
    "too long": _answers(faults.WrongLength(7), _CUT),
    "HTML": _answers(faults.Page(), _NO_ANSWER, given_up("^not a (zip|pdf): .*after 3 tries$")),
    "401": _answers(faults.Status(401), _REFUSED),
    "403": _status(403),
    "404": _status(404),
    "429": _status(429),
    "429 with a time": _status(429, Retry_After="60"),
    "500": _status(500),
    "503": _status(503),
}
TROUBLES: Final[Mapping[str, Mapping[str, Trouble]]] = {
    ONESPAN: _COMMON,
    EVROTRUST: {
        **_COMMON,
        "443": _answers(faults.Status(443), _NOT_COMPLETE, given_up("^HTTP 443: not yet, after 3 tries$")),
        "469": _answers(faults.Status(469), given_up("^HTTP 469: not yet, after 3 tries$")),
        "in the making": Trouble({ASKED: _NOT_COMPLETE}),
        "another's key": Trouble(
            {MADE: given_up("^no private key opens the document of transaction [0-9]+; tried: ours$")}
        ),
        "damaged": Trouble({MADE: given_up("is damaged")}, passes=False),
    },
}


class Case(NamedTuple):
    """A trouble of a provider, and which request or deed of ours meets it."""

    provider: str
    trouble: str
    place: str

    @property
    def name(self) -> str:
        """As it is shown, and named by whoever wants it alone."""
        return f"{self.provider} {self.trouble} {self.place}"

    @property
    def fault(self) -> Fault | None:
        """What answers are like."""
        return self._trouble.fault

    @property
    def end(self) -> End:
        """Of the first document that meets it, if it lasts."""
        return self._trouble.ends[self.place]

    @property
    def passes(self) -> bool:
        """Whether it can be over."""
        return self._trouble.passes

    @property
    def _trouble(self) -> Trouble:
        return TROUBLES[self.provider][self.trouble]


CASES: Final = [
    Case(provider, name, place)
    for provider, troubles in TROUBLES.items()
    for name, trouble in troubles.items()
    for place in trouble.ends
]
