"""One question to a provider about one subject: it is put when somebody wants the answer, and only once."""

from collections.abc import Callable

from listener import errors
from listener.api import Observation


class Asking:
    """The answer holds for each artifact of the subject."""

    def __init__(self, ask: Callable[[], Observation]) -> None:
        self._ask = ask
        self._came_to: Observation | errors.ProviderError | None = None

    def complete(self) -> Observation:
        """Ask, if nobody did. Raises the ProviderError that it came to."""
        if self._came_to is None:
            try:
                self._came_to = self._ask()
            except errors.ProviderError as error:
                self._came_to = error
        if isinstance(self._came_to, errors.ProviderError):
            raise self._came_to
        return self._came_to
