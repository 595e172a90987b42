"""Log set-up: readable on a terminal, JSON otherwise, on standard output, without secrets and what people typed.

Every line carries what was bound with `structlog.contextvars` (the job id), also in the GPU thread, which
runs in a copy of the caller's context. Must not know what is logged: everything comes through
`logging.getLogger(__name__)`, fields as `extra={…}`. What a line may say is `bot/redaction.py`. Importing does
nothing; `setup` does.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, TextIO

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from bot.config import LogConfig
from bot.redaction import MASK, OUR_PACKAGES, PRINTED, discreet, is_ours, said

log = logging.getLogger(__name__)

FOLD_S: Final = 60.0
OUR_LINES: Final = 10  # of one place and minute that differ; a library's place gets one
MAX_PLACES: Final = 500
NEVER_FOLDED: Final = frozenset({"job ended"})  # statistics count these
RECENT_LINES: Final = 200
MAX_RECENT_CHARS: Final = 2000  # of one of them, its traceback included
MAX_PRINTED_CHARS: Final = 8192  # of a line that never ends
PRINTING: Final = frozenset({"bot.logs", "traceback", "contextlib", "warnings", "logging", "threading"})
PERSONAL_KEYS: Final = ("prompt", "negative_prompt", "spec", "options")  # typed by people: debug only

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
    # Name and password in an address, of a proxy for example, which libraries quote whole.
    re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20}://)[^/\s'\"]{1,512}(?=@)"),
)
_secrets: set[str] = set()


def setup(config: LogConfig, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
    """Send all logging to `stream` (default: standard output). Calling it again replaces the first set-up.

    Our own packages log from `config.level` on; every library from warnings on.
    """
    stream = sys.stdout if stream is None else stream
    is_console = config.format == "console" or (config.format == "auto" and stream.isatty())
    level = logging.getLevelNamesMapping()[config.level.upper()]
    handler = _Handler(stream, Folding(clock), shows_debug=level <= logging.DEBUG, is_console=is_console)
    handler.setFormatter(_formatter(is_console=is_console, has_colors=stream.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))
    for package in OUR_PACKAGES:
        logging.getLogger(package).setLevel(level)
    logging.captureWarnings(capture=True)


def announce(text: str) -> None:
    """Write one line for whoever started the program, whatever the level: bare where people read, JSON elsewhere."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Handler):
            handler.announce(text)


def recent() -> list[str]:
    """Return the latest lines as people read them, redacted like all; those at debug, which hold prompts, are left out.

    At most `RECENT_LINES` of `MAX_RECENT_CHARS`, the oldest first.
    """
    return [
        line for handler in logging.getLogger().handlers if isinstance(handler, _Handler) for line in handler.recent()
    ]


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


@contextlib.contextmanager
def captured_prints() -> Iterator[None]:
    """Make lines of the log of what libraries print, and of errors that end a thread: they may quote a prompt.

    What goes to standard error is a warning, the rest is at info, where libraries are not heard.
    """
    hooks = threading.excepthook, sys.unraisablehook

    def thread_ended(args: threading.ExceptHookArgs) -> None:
        log.error("a thread ended by an error", exc_info=args.exc_value)

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        log.error("an error that nobody could catch", exc_info=args.exc_value)

    threading.excepthook, sys.unraisablehook = thread_ended, unraisable
    out, err = _Printed(logging.INFO, sys.stdout), _Printed(logging.WARNING, sys.stderr)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield
    finally:
        threading.excepthook, sys.unraisablehook = hooks


def tell_folded() -> None:
    """Say of kinds of lines that were folded how many there were, if their minute is over."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Handler):
            handler.tell_folded()


class Folding:
    """One line of a kind in a minute; how many more there were is said with the next, or when the minute is over.

    A kind is a place in the code and an error's type, for our own lines also what they say: up to `OUR_LINES`.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._places: dict[tuple[object, ...], _Place] = {}  # the oldest first

    def pass_on(self, record: logging.LogRecord) -> list[logging.LogRecord]:
        """What is to be shown now that there is this record: perhaps it, perhaps what is said of earlier ones.

        What may be shown of a record is decided here, where it was made, and not when its minute is over.
        """
        due = self.due()
        is_canonical = isinstance(record.msg, str) and record.msg in NEVER_FOLDED
        if record.levelno <= logging.DEBUG or record.levelno >= logging.CRITICAL or is_canonical:
            return [*due, discreet(record)]
        key, text = _kind(record)
        place = self._places.get(key)
        if place is None:
            if len(self._places) >= MAX_PLACES:
                due += self._close(next(iter(self._places)))
            self._places[key] = _Place(since=self._clock(), texts={text})
            return [*due, discreet(record)]
        if text in place.texts or len(place.texts) >= (OUR_LINES if is_ours(record) else 1):
            place.more += 1
            if place.example is None:
                place.example, place.example_text = discreet(_without_error(record)), text
            return due
        place.texts.add(text)
        return [*due, discreet(record)]

    def due(self, *, is_all: bool = False) -> list[logging.LogRecord]:
        """What is to be said of minutes that are over, or of all."""
        told: list[logging.LogRecord] = []
        over = self._clock() - FOLD_S
        for key in [key for key, place in self._places.items() if is_all or place.since <= over]:
            told += self._close(key)
        return told

    def _close(self, key: tuple[object, ...]) -> list[logging.LogRecord]:
        place = self._places.pop(key)
        if place.example is None:
            return []
        # Having said that is this minute's line of the kind.
        self._places[key] = _Place(since=self._clock(), texts={place.example_text})
        place.example.more = place.more
        return [place.example]


@dataclass(slots=True)
class _Place:
    since: float
    texts: set[str]
    more: int = 0
    example: logging.LogRecord | None = None  # the first that was folded
    example_text: str = ""


def _kind(record: logging.LogRecord) -> tuple[tuple[object, ...], str]:
    """Where a line comes from, and what tells it apart from others that come from there."""
    error = record.exc_info[0] if record.exc_info else None
    place = (record.name, record.levelno, record.pathname, record.lineno, error)
    if record.name == "py.warnings":  # "path:line: Category: text"
        return (*place, *str(record.msg).split(":", 2)[:2]), ""
    if not is_ours(record):
        return place, ""
    job = structlog.contextvars.get_contextvars().get("job")
    return place, f"{job} {said(record)}"


def _without_error(record: logging.LogRecord) -> logging.LogRecord:
    """A copy that keeps nothing alive: an error's traceback holds all that its functions held."""
    kept = copy.copy(record)
    kept.exc_info = kept.exc_text = None
    return kept


def _holds_more(record: logging.LogRecord) -> bool:
    """Whether it is an error's or a print's, whose text the line does not show."""
    return bool(record.exc_info) or record.name.endswith(PRINTED)


def _at_debug(record: logging.LogRecord) -> logging.LogRecord:
    whole = copy.copy(record)
    whole.levelno, whole.levelname = logging.DEBUG, "DEBUG"
    return whole


class _Handler(logging.StreamHandler[TextIO]):
    """Folds what repeats itself, hides what people typed, and shows at debug what errors and prints hold."""

    def __init__(self, stream: TextIO, folding: Folding, *, shows_debug: bool, is_console: bool) -> None:
        super().__init__(stream)
        self._is_console = is_console
        self._folding = folding
        self._shows_debug = shows_debug
        self._recent: deque[str] = deque(maxlen=RECENT_LINES)
        self._plain = _formatter(is_console=True, has_colors=False)

    def emit(self, record: logging.LogRecord) -> None:
        """Write what there is to say now."""
        try:
            self._write(self._folding.pass_on(record))
            if self._shows_debug and record.levelno > logging.DEBUG and _holds_more(record):
                super().emit(_at_debug(record))
        except Exception:  # noqa: BLE001 - a line that cannot be written ends nothing
            self.handleError(record)

    def announce(self, text: str) -> None:
        """Write a line that is never folded."""
        record = log.makeRecord(log.name, logging.INFO, __file__, 0, text, (), None)
        try:
            with self.lock or contextlib.nullcontext():
                if self._is_console:
                    self.stream.write(f"{redacted(text)}{self.terminator}")
                    self.flush()
                else:
                    super().emit(record)
        except Exception:  # noqa: BLE001 - a line that cannot be written ends nothing
            self.handleError(record)

    def tell_folded(self, *, is_all: bool = False) -> None:
        """Write how many lines were folded in minutes that are over."""
        with self.lock or contextlib.nullcontext():
            self._write(self._folding.due(is_all=is_all))

    def close(self) -> None:
        """Say what was folded to the last."""
        if not self.stream.closed:
            self.tell_folded(is_all=True)
        super().close()

    def _write(self, records: list[logging.LogRecord]) -> None:
        for record in records:
            try:
                super().emit(record)
                if record.levelno > logging.DEBUG:
                    self._recent.append(self._plain.format(record)[:MAX_RECENT_CHARS])
            except Exception:  # noqa: BLE001 - a line that cannot be written ends nothing
                self.handleError(record)

    def recent(self) -> list[str]:
        """Return the latest lines."""
        with self.lock or contextlib.nullcontext():
            return list(self._recent)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - as logging calls it
        """Say that a line could not be written; logging itself would print it, with all that it holds."""
        with contextlib.suppress(Exception):
            self.stream.write(f"a line of {record.name} could not be written ({record.pathname}:{record.lineno})\n")


class _Printed(io.TextIOBase):
    """A standard stream whose lines become those of the log, from the module that printed them."""

    encoding = "utf-8"

    def __init__(self, level: int, stream: TextIO) -> None:
        self._level = level
        self._stream = stream
        self._printing = threading.local()

    def writable(self) -> bool:
        """Yes."""
        return True

    def fileno(self) -> int:
        """The real stream's, for child processes."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Take a piece; a line is logged when it is whole. Progress bars are left out."""
        mine = self._printing
        if getattr(mine, "is_busy", False):  # the log itself is in trouble
            return len(text)
        line = getattr(mine, "line", "") + text
        *whole, mine.line = line.split("\n")
        if len(mine.line) > MAX_PRINTED_CHARS:
            whole, mine.line = [*whole, mine.line], ""
        mine.is_busy = True
        try:
            for each in whole:
                if each.strip() and "\r" not in each:
                    self._log(each)
        finally:
            mine.is_busy = False
        return len(text)

    def _log(self, line: str) -> None:
        frame = sys._getframe(2)
        while frame.f_back is not None and frame.f_globals.get("__name__") in PRINTING:
            frame = frame.f_back
        logger = logging.getLogger(f"{frame.f_globals.get('__name__', 'unknown')}{PRINTED}")
        if logger.isEnabledFor(self._level):
            place = frame.f_code.co_filename, frame.f_lineno
            logger.handle(logger.makeRecord(logger.name, self._level, *place, line, (), None))


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
        _say_how_many,
    ]


def _drop_personal(_logger: WrappedLogger, _method: str, event: EventDict) -> MutableMapping[str, Any]:
    """Take what people typed out of everything above debug."""
    if event.get("level") != "debug":
        for key in PERSONAL_KEYS:
            event.pop(key, None)
    return event


def _say_how_many(_logger: WrappedLogger, _method: str, event: EventDict) -> MutableMapping[str, Any]:
    """Put how many lines were folded behind the one that stands for them."""
    if (more := event.pop("more", None)) is not None:
        event["event"] = f"{event['event']} … and {more} more like this in the last minute"
    return event
