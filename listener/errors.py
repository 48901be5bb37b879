"""Every error signlog raises on purpose.

SignlogError
├── ConfigurationError      the operator mends a setting; exit 2
├── NotFoundError           what was named does not exist; exit 1
├── LogError                the log cannot do it now
│   ├── LogUnavailable      not stored: the sender hears 503 and may try again
│   ├── Overloaded          the queue in front of the log is full: 503 as well
│   ├── Sealed              it was copied elsewhere, and goes on there
│   ├── UnsuitableDatabase  the file, its SQLite or its pragmas are not what durability needs
│   ├── TreeDamaged         the tree beside the log cannot be read: it is made anew
│   └── Died                who took events in ended meanwhile: one of them may be to blame
├── NotANote                what should be a signed note is none, or its signature is wrong
├── SigningStopped          the log or the key is not what was signed with: a person must decide
├── CopyRefused             a backup or evidence would not be whole, or would lie upon something else
├── Fault                   an event that a provider or a projection could not take in
├── ReplayRefused           what was planned is not what would happen now: plan again
├── ErasureRefused          a legal hold, or something under way, is in the way of an erasure
├── ViewsError              the views are missing or damaged
│   └── Parted              they were folded from another log
├── AgendaDamaged           the agenda cannot be read: it is made anew
├── Superseded              somebody else holds the claim now: stop, change nothing
├── LeaseLost               another worker leads now: nothing was written, stand by
├── DiskReserve             too little room left: only the door goes on writing
├── StoreAway               object storage does not answer, or refuses: what is to be put there waits
│   └── Overwrites          it would put one document over another: nothing is put there
└── ProviderError           a provider's API did not give what was asked
    ├── Unauthorized        it refused our key: an alarm, not a retry loop
    ├── NotAccessible       403 or 404: asked again a few times, then abandoned
    ├── NotReady            not complete yet
    ├── Hopeless            it cannot be opened: no further try changes that, a person must
    └── Unusable            no answer, a refusal to serve now, or bytes that are no document
"""


class SignlogError(Exception):
    """The root: whatever is below it carries a message for a person."""


class ConfigurationError(SignlogError):
    """A setting is wrong; the message names the key, the problem and what to write instead."""


class NotFoundError(SignlogError):
    """What the caller named does not exist."""


class LogError(SignlogError):
    """The log cannot do what was asked."""


class LogUnavailable(LogError):  # noqa: N818  a state of the world, named as one
    """The event was not stored, or nobody can tell whether it was."""


class Overloaded(LogError):  # noqa: N818
    """More bytes wait to be stored than the queue may hold."""


class Sealed(LogError):  # noqa: N818
    """The log was copied to another database: only that one is appended to."""


class UnsuitableDatabase(LogError):  # noqa: N818
    """The database cannot promise that what was acknowledged stays."""


class TreeDamaged(LogError):  # noqa: N818
    """The file of the tree cannot be read; it is worked out from the log again."""


class Died(LogError):  # noqa: N818
    """A process ended before its time; it was about to take in the events behind `after`, up to `until`."""

    def __init__(self, message: str, after: int = 0, until: int = 0) -> None:
        super().__init__(message)
        self.after = after
        self.until = until


class NotANote(SignlogError):  # noqa: N818
    """The text is no signed note, or one of its signatures is wrong."""


class SigningStopped(SignlogError):  # noqa: N818
    """No head of the log is signed until a person has decided; the message says what to type."""


class CopyRefused(SignlogError):  # noqa: N818
    """A backup, a restored log or evidence would not be whole, or something is in its way: nothing was written."""


class Fault(SignlogError):  # noqa: N818
    """An event that could not be taken in; it blocks nobody else."""


class ViewsError(SignlogError):
    """The views are missing, or belong to another log."""


class Parted(ViewsError):  # noqa: N818
    """The log is not the one that the views were folded from."""


class ReplayRefused(SignlogError):  # noqa: N818
    """What was decided on is not what would happen now; the message says what to type."""


class ErasureRefused(SignlogError):  # noqa: N818
    """Nothing was erased, or not all of it yet; the message says why, and what to do."""


class AgendaDamaged(SignlogError):  # noqa: N818
    """The file of what is to be asked cannot be read; without it everything is asked once more."""


class Superseded(SignlogError):  # noqa: N818
    """Somebody else was faster: another worker holds the claim, or another generation is shown."""


class LeaseLost(SignlogError):  # noqa: N818
    """Another process does now what only one may do; nothing of what we did since is written."""


class DiskReserve(SignlogError):  # noqa: N818
    """Less than `disk_reserve` is free."""


class StoreAway(SignlogError):  # noqa: N818
    """Object storage cannot be used now; the message says why, and what to do."""


class Overwrites(StoreAway):
    """Object storage does not refuse a second object in the place of a first."""


class ProviderError(SignlogError):
    """A provider's API did not give what was asked; `retry_after` is in seconds, if it named one."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unauthorized(ProviderError):  # noqa: N818
    """The provider refused our key."""


class NotAccessible(ProviderError):  # noqa: N818
    """The provider says there is no such thing, or that it is not for us."""


class NotReady(ProviderError):  # noqa: N818
    """The provider says that it is not complete yet."""


class Hopeless(ProviderError):  # noqa: N818
    """What came cannot be opened: trying again changes nothing until a person did something about it."""


class Unusable(ProviderError):  # noqa: N818
    """No answer in time, a refusal to serve now, or bytes that are not the document."""
