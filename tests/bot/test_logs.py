"""What the logs show, and what they must not."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sqlite3
import sys
import threading
import traceback
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import aiosqlite
import discord
import h11
import pytest
import structlog
from pydantic import BaseModel, SecretStr
from uvicorn.protocols.http.h11_impl import H11Protocol

from bot import logs
from bot.config import LogConfig
from bot.errors import StoreUnavailable
from pipeline.errors import EngineDead, GenerationFailed, InvalidSpec, OutOfMemory, UnknownModel
from tests.conftest import FrozenClock

BOT_TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GaBcDe.abcdefghijklmnopqrstuvwxyz0123456789AB"
INTERACTION_TOKEN = "aW50ZXJhY3Rpb246MTIzNDU2Nzg5MDEyMzQ1Njc4OmFiY2RlZg"


pytestmark = pytest.mark.usefixtures("clean_logging")


def set_up(level: str = "info", style: str = "json") -> io.StringIO:
    stream = io.StringIO()
    logs.setup(LogConfig.model_validate({"level": level, "format": style}), stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_its_extra_fields() -> None:
    stream = set_up()
    logging.getLogger("bot.scheduling.worker_pool").info("job %s done", 7, extra={"took_s": 1.5})
    [line] = lines(stream)
    assert line["message"] == "job 7 done"
    assert (line["level"], line["logger"], line["took_s"]) == ("info", "bot.scheduling.worker_pool", 1.5)
    assert line["timestamp"].endswith("Z")


def test_every_line_carries_the_job_of_its_context() -> None:
    stream = set_up()
    with structlog.contextvars.bound_contextvars(job=42):
        logging.getLogger("pipeline.families.flux.engine").info("drawn")
        logging.getLogger("somelibrary").warning("odd")
    logging.getLogger("bot.app").info("idle")
    assert [line.get("job") for line in lines(stream)] == [42, 42, None]


def test_libraries_speak_from_warnings_on_while_we_follow_the_level() -> None:
    stream = set_up("debug")
    for name in ("bot.scheduling.worker_pool", "discord.gateway", "aiosqlite", "PIL.PngImagePlugin"):
        logging.getLogger(name).debug("debug")
        logging.getLogger(name).warning("warning")
    assert [(line["logger"], line["level"]) for line in lines(stream)] == [
        ("bot.scheduling.worker_pool", "debug"),
        ("bot.scheduling.worker_pool", "warning"),
        ("discord.gateway", "warning"),
        ("aiosqlite", "warning"),
        ("PIL.PngImagePlugin", "warning"),
    ]


def test_a_higher_level_quiets_libraries_too() -> None:
    stream = set_up("error")
    logging.getLogger("discord.gateway").warning("warning")
    logging.getLogger("bot.scheduling.worker_pool").warning("warning")
    assert lines(stream) == []


def test_setting_up_twice_does_not_double_lines() -> None:
    set_up()
    stream = set_up()
    logging.getLogger("bot.app").info("once")
    assert len(lines(stream)) == 1


def test_auto_is_json_where_there_is_no_terminal() -> None:
    stream = set_up(style="auto")
    logging.getLogger("bot.app").info("hello")
    assert lines(stream)[0]["message"] == "hello"


def test_console_format_is_readable_and_keeps_chinese() -> None:
    stream = set_up(style="console")
    logging.getLogger("bot.app").info("画 %s", "熊猫", extra={"job": 3})
    assert "画 熊猫" in stream.getvalue()
    assert "job=3" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_python_warnings_become_log_lines() -> None:
    stream = set_up()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)  # catch_warnings has put its own hook in place
        logging.captureWarnings(capture=True)
        warnings.warn("old call", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "old call" in lines(stream)[0]["message"]


@pytest.mark.parametrize("key", logs.PERSONAL_KEYS)
def test_what_people_typed_shows_at_debug_only(key: str) -> None:
    stream = set_up("debug")
    for level in (logging.DEBUG, logging.INFO, logging.ERROR):
        logging.getLogger("bot.requests.service").log(level, "accepted", extra={key: "a secret cat"})
    assert ["a secret cat" in json.dumps(line) for line in lines(stream)] == [True, False, False]


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_registered_secret_is_gone_from_messages_fields_and_tracebacks(style: str) -> None:
    stream = set_up(style=style)
    logs.redact(SecretStr("correct-horse-battery"))
    logger = logging.getLogger("bot.app")
    try:
        raise ConnectionError("refused correct-horse-battery") from ValueError("correct-horse-battery")
    except ConnectionError:
        logger.exception("with correct-horse-battery", extra={"header": ["correct-horse-battery"]})
        logger.exception("again", extra={"header": "correct-horse-battery"})
    assert "correct-horse" not in stream.getvalue()
    assert stream.getvalue().count(logs.MASK) >= 6


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"token {BOT_TOKEN}", BOT_TOKEN),
        (f"first\n{BOT_TOKEN}\nlast", BOT_TOKEN),
        ("{'Authorization': 'Bot some-other-token-0123456789'}", "some-other-token"),
        ("POST https://discord.com/api/v10/webhooks/123456789/opaque_Token-value/messages/@original", "opaque_Token"),
        (f"PATCH /interactions/123456789/{INTERACTION_TOKEN}/callback", INTERACTION_TOKEN),
        (f"token={INTERACTION_TOKEN}", INTERACTION_TOKEN),
        ("407, message='', url='http://me:hidden@proxy:3128'", "hidden"),
        ("https://me:hid@den@proxy:3128/path", "hid@den"),
        ("socks5h://hidden@proxy", "hidden"),
    ],
)
def test_whatever_looks_like_a_discord_token_or_a_login_is_masked(style: str, text: str, secret: str) -> None:
    stream = set_up(style=style)
    logging.getLogger("discord.http").warning(text)
    assert secret not in stream.getvalue()
    assert logs.MASK in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "job 7 done in 3.5 s",
        "/channels/123456789012345678/messages/123456789012345678",
        "pipeline.families.flux.engine_with_a_long_module_name.and_a_long_function_name_too",
        "https://discord.com/api/v10/applications/123456789012345678/commands",
        "Robot arms and a Bot that draws",
    ],
)
def test_ordinary_text_passes_unchanged(text: str) -> None:
    assert logs.redacted(text) == text


def test_an_empty_secret_masks_nothing() -> None:
    logs.redact(SecretStr(""))
    assert logs.redacted("abc") == "abc"


# ── one line of a kind in a minute ──────────────────────────────────────────────────────────────────────


def test_lines_of_one_kind_are_folded_and_counted(clock: FrozenClock) -> None:
    stream = io.StringIO()
    logs.setup(LogConfig(format="json"), stream=stream, clock=clock)
    for _ in range(1235):
        library_warns()
    assert len(lines(stream)) == 1
    clock.advance(logs.FOLD_S)
    for _ in range(1000):
        library_warns()
    assert counts(stream) == [None, 1234]
    clock.advance(logs.FOLD_S)
    logging.getLogger("bot.app").info("something else")
    assert counts(stream) == [None, 1234, 1000, None]


def test_a_folded_minute_is_told_without_another_line(clock: FrozenClock) -> None:
    stream = io.StringIO()
    logs.setup(LogConfig(format="console"), stream=stream, clock=clock)
    for _ in range(3):
        logging.getLogger("bot.frontends.web.security.gate").warning("wrong password from %s", "192.0.2.7")
    logs.tell_folded()
    assert stream.getvalue().count("\n") == 1
    clock.advance(logs.FOLD_S)
    logs.tell_folded()
    logs.tell_folded()
    assert "192.0.2.7 … and 2 more like this in the last minute" in stream.getvalue().splitlines()[1]
    assert stream.getvalue().count("\n") == 2


def test_line_that_stands_for_folded_ones_says_as_much_as_the_first(clock: FrozenClock) -> None:
    stream = io.StringIO()
    logs.setup(LogConfig(format="json"), stream=stream, clock=clock)
    for _ in range(3):
        future: Future[None] = Future()
        future.set_result(None)
        future.add_done_callback(lambda _future: 1 / 0)
    clock.advance(logs.FOLD_S)
    logs.tell_folded()
    said = "exception calling callback for '***'"
    assert [line["message"] for line in lines(stream)] == [said, f"{said} … and 2 more like this in the last minute"]


def test_field_of_a_library_is_not_taken_for_the_number_of_folded_lines() -> None:
    stream = set_up()
    logging.getLogger("library").warning("a line", extra={"more": "a private word"})
    assert "private" not in stream.getvalue() and " more like this" not in stream.getvalue()


def test_what_was_folded_is_told_at_the_end(clock: FrozenClock) -> None:
    stream = io.StringIO()
    logs.setup(LogConfig(format="json"), stream=stream, clock=clock)
    for _ in range(3):
        library_warns()
    logging.getLogger().handlers[0].close()
    assert counts(stream) == [None, 2]


def test_critical_and_canonical_lines_are_never_folded(clock: FrozenClock) -> None:
    stream = io.StringIO()
    logs.setup(LogConfig(format="json"), stream=stream, clock=clock)
    for _ in range(20):
        logging.getLogger("bot.scheduling.worker_pool").info("job ended", extra={"model": "fake"})
        logging.getLogger("bot.scheduling.worker_pool").critical("the engine is dead")
    assert len(lines(stream)) == 40


def test_canonical_line_of_the_worker_is_the_one_that_is_never_folded() -> None:
    import inspect

    from bot.scheduling.worker_pool import WorkerPool

    assert any(f'"{text}"' in inspect.getsource(WorkerPool) for text in logs.NEVER_FOLDED)


def test_our_lines_about_different_things_are_kept_up_to_a_bound(clock: FrozenClock) -> None:
    stream = io.StringIO()
    logs.setup(LogConfig(format="json"), stream=stream, clock=clock)
    for number in range(100):
        logging.getLogger("bot.app").warning("job %s was interrupted", number)
    assert len(lines(stream)) == logs.OUR_LINES
    for number in (1, 2):
        with structlog.contextvars.bound_contextvars(job=number):
            logging.getLogger("bot.scheduling.worker_pool").error("job failed")
    assert len(lines(stream)) == logs.OUR_LINES + 2


def test_kinds_that_are_remembered_are_bounded(clock: FrozenClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_PLACES", 10)
    stream = io.StringIO()
    logs.setup(LogConfig(format="json"), stream=stream, clock=clock)
    [handler] = logging.getLogger().handlers
    for number in range(1000):
        logging.getLogger(f"library{number}").warning("a line")
    assert isinstance(handler, logs._Handler) and len(handler._folding._places) <= 10
    assert len(lines(stream)) == 1000


def test_folding_keeps_no_error_alive(clock: FrozenClock) -> None:
    logs.setup(LogConfig(format="json"), stream=io.StringIO(), clock=clock)
    errors = []
    for _ in range(3):
        error = Unspeakable("x")
        errors.append(weakref.ref(error))
        logging.getLogger("uvicorn.error").error("a line", exc_info=error)
        del error
    assert [reference() for reference in errors] == [None] * 3


def library_warns() -> None:
    logging.getLogger("uvicorn.error").warning("a line")


def counts(stream: io.StringIO) -> list[int | None]:
    """Of every line, how many more it stands for."""
    found = [re.search(r" … and (\d+) more like this in the last minute$", line["message"]) for line in lines(stream)]
    return [None if each is None else int(each[1]) for each in found]


# ── what people typed ───────────────────────────────────────────────────────────────────────────────────


PROMPT = 'zebra "wombat",\n\N{SNOWMAN} \\ quokka'
QUOTES = ("zebra", "wombat", "quokka", "SNOWMAN", "u2603", "\N{SNOWMAN}")


class Model(BaseModel):
    prompt: int


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError(PROMPT)


def invalid_value() -> None:
    Model.model_validate({"prompt": PROMPT})


def invalid_json() -> None:
    json.loads(PROMPT)


def not_encodable() -> None:
    f"{PROMPT}\ud800".encode()


def bad_key() -> None:
    {}[PROMPT]


def raised(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def group() -> None:
    raise ExceptionGroup(PROMPT, [ValueError(PROMPT), ExceptionGroup(PROMPT, [KeyError(PROMPT)])])


def chain() -> None:
    try:
        try:
            raise ValueError(PROMPT)
        except ValueError as error:
            raise GenerationFailed(str(error)) from error
    except GenerationFailed:
        error = RuntimeError(PROMPT)
        error.add_note(PROMPT)
        raise error  # noqa: B904 - the context is what is looked at


def syntax() -> None:
    compile(PROMPT, PROMPT, "exec")


def sql() -> None:
    async def ask() -> None:
        async with aiosqlite.connect(":memory:") as connection:
            await connection.execute(f"SELECT ? FROM [{PROMPT}]", (PROMPT,))

    asyncio.run(ask())


FAILURES = [
    invalid_value,
    invalid_json,
    not_encodable,
    bad_key,
    group,
    chain,
    syntax,
    sql,
    *map(
        raised,
        [
            ValueError(PROMPT),
            InvalidSpec("prompt", PROMPT),
            InvalidSpec(PROMPT, "is unknown"),
            UnknownModel(PROMPT, [PROMPT]),
            GenerationFailed(PROMPT),
            EngineDead(PROMPT),
            OSError(36, "File name too long", PROMPT),
            FileNotFoundError(PROMPT),
            sqlite3.OperationalError(PROMPT),
            UnicodeDecodeError("utf-8", PROMPT.encode(), 0, 1, PROMPT),
            Unspeakable(PROMPT),
            AssertionError(PROMPT),
            discord.app_commands.AppCommandError(PROMPT),
            Exception(PROMPT, {"prompt": PROMPT}),
            KeyboardInterrupt(PROMPT),
        ],
    ),
]


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("level", ["debug", "info"])
@pytest.mark.parametrize("fail", FAILURES, ids=lambda fail: fail.__name__)
def test_no_error_carries_a_prompt_into_the_log(fail: Callable[[], None], level: str, style: str) -> None:
    stream = set_up(level, style)
    try:
        fail()
    except BaseException as error:
        logging.getLogger("bot.frontends.web.handlers").exception("error at the page")
        logging.getLogger("bot.scheduling.worker_pool").error("job failed: %s", error)
        logging.getLogger("bot.scheduling.worker_pool").error("job %(id)s: %(error)r", {"id": 7, "error": error})
        logging.getLogger("bot.scheduling.worker_pool").error(error)
        logging.getLogger("bot.delivery").exception("delivery failed", extra={"error": error})
        logging.getLogger("uvicorn.error").error("Exception in ASGI application\n", exc_info=error)
        logging.getLogger("modelscope").error("bad input: %s", error)
        logging.getLogger("modelscope").error(error)
    shown = without_debug(stream.getvalue(), style)
    assert [word for word in QUOTES if word in shown] == []
    assert "test_logs.py" in shown and "Traceback" in shown
    assert shown.count("job failed") == 1


def without_debug(text: str, style: str) -> str:
    if style == "json":
        return "\n".join(line for line in text.splitlines() if '"level": "debug"' not in line)
    return re.sub(r"(?ms)^\S+ \[debug .*?(?=^\d{4}-|\Z)", "", text)


@pytest.mark.parametrize(
    "write",
    [
        lambda: logging.getLogger("transformers").warning("cut off: %s", [PROMPT]),
        lambda: logging.getLogger("transformers").warning(f"cut off: {PROMPT}"),  # noqa: G004 - as they do
        lambda: logging.getLogger("transformers").warning(PROMPT),
        lambda: logging.getLogger("transformers").warning("%(prompt)s", {"prompt": PROMPT}),
        lambda: logging.getLogger("uvicorn.error").warning(
            "odd", extra={"color_message": PROMPT, "prompt_text": PROMPT}
        ),
        lambda: logging.getLogger("gradio").warning({"prompt": PROMPT}),
        lambda: logging.getLogger("gradio").warning("%d of %s", PROMPT),
        lambda: logging.getLogger("asyncio").error(f"Task exception was never retrieved: {ValueError(PROMPT)!r}"),  # noqa: G004
        lambda: logging.getLogger("gradio").warning('zebra "wombat", a literal of a test is no text of the library'),
        lambda: logging.getLogger("bot.requests.service").warning("accepted", extra={"prompt": PROMPT}),
        lambda: sys.stderr.write(PROMPT + "\n"),
        lambda: sys.stderr.write("first line\n" + PROMPT * 1000),
        lambda: sys.stdout.write(PROMPT),
        lambda: traceback.print_exception(ValueError(PROMPT)),
        lambda: sys.stderr.writelines([PROMPT, "\n"]),
    ],
)
def test_no_line_of_a_library_carries_a_prompt_into_the_log(
    write: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    stream = set_up("info")
    with logs.captured_prints():
        write()
    assert [word for word in QUOTES if word in stream.getvalue()] == []
    assert capsys.readouterr() == ("", "")


def test_python_warnings_about_values_carry_none() -> None:
    stream = set_up()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn(f"the value {PROMPT} is not in the list of choices", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    [line] = lines(stream)
    assert "test_logs.py" in line["message"] and "UserWarning: ***" in line["message"]
    assert [word for word in QUOTES if word in line["message"]] == []


def test_what_stands_in_a_librarys_code_is_shown_with_its_numbers() -> None:
    stream = set_up()
    Scripted().handle_events()
    assert [line["message"] for line in lines(stream)] == ["Invalid HTTP request received."]


class Scripted:
    """Enough of uvicorn's connection to let it say what it says about nonsense."""

    def __init__(self) -> None:
        self.logger = logging.getLogger("uvicorn.error")
        self.conn = self

    def next_event(self) -> None:
        raise h11.RemoteProtocolError(PROMPT)

    def send_400_response(self, _message: str) -> None:
        pass

    handle_events = H11Protocol.handle_events


def test_what_the_system_and_the_operator_have_to_be_told_is_shown() -> None:
    stream = set_up()
    logger = logging.getLogger("bot.app")
    logger.error("refused: %s", StoreUnavailable("database is locked", is_full=False))
    logger.error("cannot be written: %s", OSError(28, "No space left on device", "/data/images/7.png"))
    logger.error("cannot be drawn: %s", OutOfMemory(12))
    try:
        sqlite3.connect(":memory:").execute("SELECT * FROM nowhere")
    except sqlite3.Error as error:
        logger.error("cannot be read: %s", error)
    logger.info("refused: %s", InvalidSpec("prompt", PROMPT))
    assert [line["message"].partition(": ")[2] for line in lines(stream)] == [
        "StoreUnavailable: database is locked",
        "OSError: No space left on device",
        "OutOfMemory: out of memory, 12 MiB of GPU were free",
        "OperationalError: SQLITE_ERROR",
        "InvalidSpec: prompt",
    ]


@pytest.mark.parametrize("style", ["json", "console"])
def test_the_whole_error_is_shown_at_debug(style: str) -> None:
    stream = set_up("debug", style)
    try:
        raise ValueError("quokka")
    except ValueError:
        logging.getLogger("bot.scheduling.worker_pool").exception("job failed")
    assert "quokka" in stream.getvalue()
    assert "quokka" not in without_debug(stream.getvalue(), style)


def test_prints_of_a_library_become_lines_of_its_module() -> None:
    stream = set_up("debug")
    with logs.captured_prints():
        try:
            raise ValueError(PROMPT)
        except ValueError:
            traceback.print_exc()
        sys.stderr.write("\r 50 %\n")
    printed = [line for line in lines(stream) if line["level"] == "warning"]
    assert {line["logger"] for line in printed} == {f"{__name__}.print"}
    assert "test_logs.py" in printed[0]["message"]
    assert len(printed) == 1
    assert "zebra" in stream.getvalue()


def test_error_that_ends_a_thread_is_a_line_of_the_log_and_hooks_are_put_back() -> None:
    stream = set_up()
    hooks = sys.stdout, sys.stderr, threading.excepthook, sys.unraisablehook
    with logs.captured_prints():
        thread = threading.Thread(target=raised(ValueError(PROMPT)))
        thread.start()
        thread.join()
    assert (sys.stdout, sys.stderr, threading.excepthook, sys.unraisablehook) == hooks
    [line] = lines(stream)
    assert line["message"] == "a thread ended by an error" and "test_logs.py" in line["exception"]
    assert [word for word in QUOTES if word in stream.getvalue()] == []


def test_log_that_cannot_be_written_says_nothing_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = set_up()
    [handler] = logging.getLogger().handlers
    monkeypatch.setattr(handler, "format", raised(ValueError(PROMPT)))
    with logs.captured_prints():
        logging.getLogger("bot.app").error("odd: %s", PROMPT)
    assert [word for word in QUOTES if word in stream.getvalue()] == []


@pytest.mark.parametrize("level", ["info", "debug"])
def test_latest_lines_are_kept_as_they_were_shown_without_those_at_debug(level: str) -> None:
    stream = set_up(level)
    logs.redact(SecretStr("hunter2"))
    logger = logging.getLogger("bot.scheduling.worker_pool")
    logger.debug("drawing a red apple")
    logger.info("the password is %s", "hunter2", extra={"prompt": "a red apple", "took_s": 1.5})
    logger.error("failed", exc_info=ValueError("a red apple"))
    said = logs.recent()
    assert len(said) == 2 and "[info" in said[0] and "took_s=1.5" in said[0]
    assert "***" in said[0] and "ValueError" in said[1]
    assert not any(word in line for line in said for word in ("hunter2", "apple", "\x1b["))
    assert ("red apple" in stream.getvalue()) is (level == "debug")


def test_latest_lines_are_bounded_in_number_and_length() -> None:
    set_up()
    for number in range(logs.RECENT_LINES + 5):
        logging.getLogger("bot.app").critical("%s %s", number, "x" * 10_000)
    said = logs.recent()
    assert len(said) == logs.RECENT_LINES and " 204 x" in said[-1]
    assert all(len(line) == logs.MAX_RECENT_CHARS for line in said)
