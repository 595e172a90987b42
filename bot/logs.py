"""Log set-up: readable on a terminal, JSON otherwise, on standard output, with secrets taken out.

Every line carries what was bound with `structlog.contextvars` (the job id), also in the GPU thread, which
runs in a copy of the caller's context. Must not know what is logged: `logging.getLogger(__name__)` with
`extra={…}` and `structlog.stdlib.get_logger(__name__)` with keywords both arrive here. Importing does
nothing; `setup` does.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from bot.config import LogConfig

MASK: Final = "***"
OUR_PACKAGES: Final = ("bot", "pipeline")
PERSONAL_KEYS: Final = ("prompt", "spec", "options")  # what people typed: debug only, whoever forgets it

# Each pattern keeps group 1, which says what stood there, and masks the rest. No `\\b`: in JSON a line break
# is `\\n`, and its n would hide the boundary.
_SECRET_SHAPES: Final = (
    # A bot token: base64 of the decimal id (so it begins with M, N or O), a time stamp, a signature.
    # https://docs.discord.com/developers/reference#authentication
    re.compile(r"()[MNO][\w-]{22,30}\.[\w-]{5,8}\.[\w-]{25,}"),
    re.compile(r"((?:Bot|Bearer) )[\w.~+/=-]{16,}"),
    # Interaction tokens are webhook tokens and stand in the address: /webhooks/<application>/<token>/…
    re.compile(r"(/(?:webhooks|interactions)/\d+/)[\w.~-]{8,}"),
    re.compile(r"()aW50ZXJhY3Rpb2[\w=-]{16,}"),  # base64 of "interaction:…", which each of them begins with
)
_secrets: set[str] = set()


def setup(config: LogConfig, *, stream: TextIO | None = None) -> None:
    """Send all logging to `stream` (default: standard output). Calling it again replaces the first set-up.

    Our own packages log from `config.level` on; every library from warnings on.
    """
    stream = sys.stdout if stream is None else stream
    is_console = config.format == "console" or (config.format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(is_console=is_console, has_colors=stream.isatty()))

    level = logging.getLevelNamesMapping()[config.level.upper()]
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    for package in OUR_PACKAGES:
        logging.getLogger(package).setLevel(level)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def redact(secret: SecretStr) -> None:
    """Never let this text through again, in no log line, traceback or error message."""
    if text := secret.get_secret_value():
        _secrets.add(text)


def redacted(text: str) -> str:
    """`text` without the secrets we were told and without anything shaped like a Discord token."""
    for secret in _secrets:
        text = text.replace(secret, MASK)
    for shape in _SECRET_SHAPES:
        text = shape.sub(rf"\1{MASK}", text)
    return text


class _RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Redacts the finished line, so that nothing can slip past: message, fields, traceback, cause."""

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


def _formatter(*, is_console: bool, has_colors: bool) -> logging.Formatter:
    renderer: list[Processor]
    if is_console:
        # Plain tracebacks: the fancy ones wrap lines, and a secret broken in two is not recognised.
        plain = structlog.dev.plain_traceback
        renderer = [structlog.dev.ConsoleRenderer(colors=has_colors, exception_formatter=plain, pad_event_to=0)]
    else:
        renderer = [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    return _RedactingFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ExtraAdder(),
            *_shared_processors(),
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
    )


def _shared_processors() -> list[Processor]:
    """What happens to our lines and to those of libraries alike."""
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _drop_personal,
    ]


def _drop_personal(_logger: WrappedLogger, _method: str, event: EventDict) -> MutableMapping[str, Any]:
    """Take what people typed out of everything above debug."""
    if event.get("level") != "debug":
        for key in PERSONAL_KEYS:
            event.pop(key, None)
    return event
