"""The right to do what only one process may do at a time, and the proof of it in each write."""

from abc import ABC, abstractmethod
from typing import ClassVar, Self

from sqlalchemy import Connection

from listener import errors


class Lease(ABC):
    """Taken, and let go of. As a block it is refused while another process has it."""

    shared: ClassVar[bool]  # between machines: then it may be lost while we believe that we have it

    @abstractmethod
    def take(self) -> bool:
        """Take it, without waiting; whether it is ours now."""

    @abstractmethod
    def let_go(self) -> None:
        """Leave it to the next one."""

    @property
    @abstractmethod
    def held(self) -> bool:
        """Whether it is ours, as far as we have heard. Only `assert_held` knows."""

    @abstractmethod
    def assert_held(self, connection: Connection) -> None:
        """Let this transaction commit only while the lease is ours. Raises LeaseLost if it is not."""

    @property
    @abstractmethod
    def taken(self) -> str:
        """What to tell a person who cannot have it."""

    def __enter__(self) -> Self:
        """Raises ConfigurationError if another process has it."""
        if not self.take():
            raise errors.ConfigurationError(self.taken)
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
