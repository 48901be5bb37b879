"""Logs: events with keys, one a line on standard error; never a secret, never a body."""

import logging
import sys
from typing import Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_BEFORE: Final[list[Processor]] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure() -> None:
    """For people on a terminal, as JSON elsewhere. Libraries are heard from warnings on, in the same form."""
    ending = _for_people() if sys.stderr.isatty() else _for_machines()
    structlog.configure(
        processors=[*_BEFORE, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_BEFORE, processors=[remove, *ending]))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def _for_people() -> list[Processor]:
    # The default would show tracebacks with the values of all variables: secrets among them.
    return [_harmless, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]


def _for_machines() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(default=repr, ensure_ascii=False),
    ]


def _harmless(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Without what steers a terminal: strangers choose the names of sources that we say we do not know."""
    return {
        key: repr(value)[1:-1] if isinstance(value, str) and not value.isprintable() else value
        for key, value in event.items()
    }
