"""What the logs show, and what they must not."""

from __future__ import annotations

import io
import json
import logging
import warnings
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from bot import logs
from bot.config import LogConfig

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
    logging.getLogger("bot.worker").info("job %s done", 7, extra={"took_s": 1.5})
    [line] = lines(stream)
    assert line["message"] == "job 7 done"
    assert (line["level"], line["logger"], line["took_s"]) == ("info", "bot.worker", 1.5)
    assert line["timestamp"].endswith("Z")


def test_structlog_loggers_arrive_in_the_same_form() -> None:
    stream = set_up()
    structlog.stdlib.get_logger("bot.delivery").warning("late", waited_s=3)
    [line] = lines(stream)
    assert (line["message"], line["level"], line["logger"], line["waited_s"]) == ("late", "warning", "bot.delivery", 3)


def test_every_line_carries_the_job_of_its_context() -> None:
    stream = set_up()
    with structlog.contextvars.bound_contextvars(job=42):
        logging.getLogger("pipeline.flux.engine").info("drawn")
        logging.getLogger("somelibrary").warning("odd")
    logging.getLogger("bot.app").info("idle")
    assert [line.get("job") for line in lines(stream)] == [42, 42, None]


def test_libraries_speak_from_warnings_on_while_we_follow_the_level() -> None:
    stream = set_up("debug")
    for name in ("bot.worker", "discord.gateway", "aiosqlite", "PIL.PngImagePlugin"):
        logging.getLogger(name).debug("debug")
        logging.getLogger(name).warning("warning")
    assert [(line["logger"], line["level"]) for line in lines(stream)] == [
        ("bot.worker", "debug"),
        ("bot.worker", "warning"),
        ("discord.gateway", "warning"),
        ("aiosqlite", "warning"),
        ("PIL.PngImagePlugin", "warning"),
    ]


def test_a_higher_level_quiets_libraries_too() -> None:
    stream = set_up("error")
    logging.getLogger("discord.gateway").warning("warning")
    logging.getLogger("bot.worker").warning("warning")
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
        logging.getLogger("bot.service").log(level, "accepted", extra={key: "a secret cat"})
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
        structlog.stdlib.get_logger("bot.app").exception("again", header="correct-horse-battery")
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
    ],
)
def test_whatever_looks_like_a_discord_token_is_masked(style: str, text: str, secret: str) -> None:
    stream = set_up(style=style)
    logging.getLogger("discord.http").warning(text)
    assert secret not in stream.getvalue()
    assert logs.MASK in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "job 7 done in 3.5 s",
        "/channels/123456789012345678/messages/123456789012345678",
        "pipeline.flux.engine_with_a_long_module_name.and_a_long_function_name_too",
        "https://discord.com/api/v10/applications/123456789012345678/commands",
        "Robot arms and a Bot that draws",
    ],
)
def test_ordinary_text_passes_unchanged(text: str) -> None:
    assert logs.redacted(text) == text


def test_an_empty_secret_masks_nothing() -> None:
    logs.redact(SecretStr(""))
    assert logs.redacted("abc") == "abc"
