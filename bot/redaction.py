"""What a line of the log may say above debug: nothing that people typed, whoever writes it.

A prompt cannot be told from other text, and errors and libraries quote what they are given, whole, in part, or escaped.
So of their text only that is shown which stands in the code itself, and of arguments numbers. Of an error there are
its type, the places, and its text if that cannot quote a request: ours, the system's, the graphics card's; else how it
begins, up to the first value. What errors hold besides is logged at debug, by `logs.py`.
"""

from __future__ import annotations

import copy
import logging
import re
import sqlite3
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import CodeType, TracebackType
from typing import Any, Final

from bot.errors import BotError
from pipeline.errors import EngineDead, GenerationFailed, InvalidSpec, PipelineError, UnknownModel

MASK: Final = "***"
OUR_PACKAGES: Final = ("bot", "pipeline")
PRINTED: Final = ".print"  # behind the name of a module: the logger of what it prints
QUOTING: Final = (InvalidSpec, UnknownModel, GenerationFailed, EngineDead)  # of our errors: a name, an engine's words
STANDARD_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
NUMBERS: Final = (bool, int, float, type(None))
MIN_BEGINNING_CHARS: Final = 4
MAX_ERRORS: Final = 20  # of one chain or group
# What the system is about to say no more, never a value: their text may be shown.
ABOUT_CODE: Final = frozenset({"DeprecationWarning", "PendingDeprecationWarning", "FutureWarning", "ResourceWarning"})
_WARNING: Final = re.compile(r"(?P<place>.+?:\d+): (?P<category>\w+): (?P<text>.*)", re.DOTALL)


def is_ours(record: logging.LogRecord) -> bool:
    """Whether this program wrote it, and no library."""
    return record.name.partition(".")[0] in OUR_PACKAGES and not record.name.endswith(PRINTED)


def discreet(record: logging.LogRecord) -> logging.LogRecord:
    """The record without what people typed; itself if there is nothing to hide. To be called where it was made."""
    if record.levelno <= logging.DEBUG:
        return record
    shown = _of_ours(record) if is_ours(record) else _of_a_library(record)
    if record.exc_info and record.exc_info[1] is not None:
        shown = copy.copy(record) if shown is record else shown
        shown.exc_info = shown.exc_text = None
        shown.exception = "".join(_lines(record.exc_info[1]))
    return shown


def said(record: logging.LogRecord) -> str | None:
    """The message of a record; None if its parts do not fit."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - of an argument's own making
        return None


def told(error: BaseException) -> str:
    """An error in one line: its type, and of its text what cannot quote a request."""
    return _told(error, list(_codes_of(error.__traceback__)))


# ── lines ───────────────────────────────────────────────────────────────────────────────────────────────


def _of_ours(record: logging.LogRecord) -> logging.LogRecord:
    """Our own lines are written with care, but for errors that they pass on."""
    fields = {key: value for key, value in vars(record).items() if key not in STANDARD_ATTRIBUTES}
    if not any(isinstance(value, BaseException) for value in (record.msg, *_values(record), *fields.values())):
        return record
    shown = copy.copy(record)
    shown.msg, shown.args = _without_quotes(record.msg), _mapped(record.args, _without_quotes)
    vars(shown).update({key: _without_quotes(value) for key, value in fields.items()})
    return shown


def _without_quotes(value: object) -> object:
    return told(value) if isinstance(value, BaseException) else value


def _of_a_library(record: logging.LogRecord) -> logging.LogRecord:
    """What stands in the code; the rest of it, and fields beside it, might be anything."""
    message = said(record)
    if record.name == "py.warnings" and (found := _WARNING.fullmatch((message or "").strip())):
        text = found["text"].partition("\n")[0]
        is_public = found["category"] in ABOUT_CODE or _is_in_code(text, _codes_of_callers())
        public = f"{found['place']}: {found['category']}: {text if is_public else MASK}"
    elif isinstance(record.msg, str) and _is_in_code(record.msg, _codes_of_callers()):
        public = _filled(record.msg, _mapped(record.args, lambda value: value if isinstance(value, NUMBERS) else MASK))
    else:
        public = f"{MASK} ({'/'.join(Path(record.pathname).parts[-2:])}:{record.lineno})"
    fields = {key for key in vars(record) if key not in STANDARD_ATTRIBUTES}
    if public == message and not fields and not record.stack_info:
        return record
    shown = copy.copy(record)
    shown.msg, shown.args = public, ()
    for key in fields:
        delattr(shown, key)
    return shown


def _values(record: logging.LogRecord) -> list[object]:
    args = record.args
    return list(args.values()) if isinstance(args, Mapping) else list(args or ())


def _mapped(args: Any, change: Any) -> Any:
    """Arguments of a line, each changed; logging takes a tuple or one mapping."""
    if isinstance(args, Mapping):
        return {key: change(value) for key, value in args.items()}
    return tuple(change(value) for value in args or ())


def _filled(template: str, args: Any) -> str:
    try:
        return template % args if args else template
    except (TypeError, ValueError):  # a number was wanted where a text was given
        return template


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────


def _lines(error: BaseException) -> Iterator[str]:
    """A traceback as Python prints it, without text that may quote a request."""
    seen: set[int] = set()

    def of(error: BaseException, indent: str, outer: Sequence[CodeType]) -> Iterator[str]:
        if id(error) in seen or len(seen) >= MAX_ERRORS:
            return
        seen.add(id(error))
        codes = [*_codes_of(error.__traceback__), *outer]
        if error.__cause__ is not None:
            yield from of(error.__cause__, indent, outer)
            yield f"{indent}… which caused:\n"
        elif error.__context__ is not None and not error.__suppress_context__:
            yield from of(error.__context__, indent, outer)
            yield f"{indent}… during which happened:\n"
        if error.__traceback__ is not None:
            yield f"{indent}Traceback (most recent call last):\n"
            for frame in traceback.extract_tb(error.__traceback__):
                yield f'{indent}  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n'
        yield f"{indent}{_told(error, codes)}\n"
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from of(inner, f"{indent}  ", codes)

    yield from of(error, "", ())


def _told(error: BaseException, codes: Sequence[CodeType]) -> str:
    """The type of an error, and what may be shown of its text, knowing the code that it came through."""
    kind = type(error).__qualname__
    text = _text(error)
    if not text:
        return kind
    if not _may_be_told(error) and not _is_in_code(text, codes):
        text = _detail(error) or f"{_beginning_in_code(text, codes)}{MASK}"
    return f"{kind}: {text}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an error that cannot even say what it is
        return MASK


def _may_be_told(error: BaseException) -> bool:
    if isinstance(error, (BotError, PipelineError)) and not isinstance(error, QUOTING):
        return True
    return type(error).__module__.partition(".")[0] == "torch"  # the allocator's and CUDA's


def _detail(error: BaseException) -> str:
    """What is known of an error beside its text: numbers, and names that the system gives."""
    match error:
        case InvalidSpec():
            return error.field if error.field.isidentifier() else ""
        case OSError(strerror=str() as reason):
            return reason
        case sqlite3.Error():
            return getattr(error, "sqlite_errorname", "")
    numbers = {name: getattr(error, name, None) for name in ("status", "code")}  # of HTTP, and of Discord
    return ", ".join(f"{name} {value}" for name, value in numbers.items() if type(value) is int)


# ── what stands in the code ─────────────────────────────────────────────────────────────────────────────


@cache
def _code_folders() -> tuple[str, ...]:
    """Where the code of libraries and our own lies: text in it was written by programmers."""
    ours = Path(__file__).resolve().parents[1]
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return (*(f"{ours / package}/" for package in OUR_PACKAGES), *(f"{folder}/" for folder in libraries if folder))


def _beginning_in_code(text: str, codes: Sequence[CodeType]) -> str:
    """What stands in the code before the first value that was put into a text."""
    constants = (constant for code in codes for constant in code.co_consts if isinstance(constant, str))
    beginnings = (each for each in constants if MIN_BEGINNING_CHARS <= len(each) < len(text) and text.startswith(each))
    return max(beginnings, key=len, default="")


def _is_in_code(text: str, codes: Iterable[CodeType]) -> bool:
    return any(
        isinstance(constant, str) and constant == text
        for code in codes
        if code.co_filename.startswith(_code_folders())
        for constant in code.co_consts
    )


def _codes_of_callers() -> Iterator[CodeType]:
    frame = sys._getframe(1)
    while frame is not None:
        yield frame.f_code
        frame = frame.f_back  # type: ignore[assignment]


def _codes_of(trace: TracebackType | None) -> Iterator[CodeType]:
    while trace is not None:
        yield trace.tb_frame.f_code
        trace = trace.tb_next
