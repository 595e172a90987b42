"""At the first connection one line says that the bot is online and what to do next."""

from __future__ import annotations

import io
import json

import pytest

from bot import logs
from bot.config import LogConfig
from bot.frontends.discord_app.online import online_line
from tests.bot.frontends.discord_app.conftest import Start


@pytest.fixture
def output(clean_logging: None) -> io.StringIO:
    stream = io.StringIO()
    logs.setup(LogConfig(format="console", level="warning"), stream=stream)
    return stream


def lines(output: io.StringIO) -> list[str]:
    return [line for line in output.getvalue().splitlines() if "online as" in line]


async def test_line_is_said_once_with_a_hint_if_commands_are_new(start: Start, output: io.StringIO) -> None:
    async with start() as stage:
        await stage.discord.wait_command("imagine")
        name = stage.discord.bot.username
        stage.client.dispatch("ready")
        stage.discord.gateway.drop(resumable=False)
        await stage.discord.wait_offline()
        await stage.discord.wait_ready(count=2)
    assert lines(output) == [
        f"● online as {name} on 1 server: type /imagine "
        "(commands are new: reload Discord with Ctrl+R if they are not offered)"
    ]
    async with start() as stage:
        pass
    assert len(lines(output)) == 2


async def test_without_a_server_the_invitation_is_named_and_the_first_server_is_said(
    start: Start, output: io.StringIO
) -> None:
    async with start(allowed_guilds=(77,)) as stage:
        assert lines(output) == [
            f"● online as {stage.discord.bot.username}, but on none of the servers in [discord] allowed_guilds: "
            "`imagine-bot invite` prints the link that adds it to one"
        ]


def test_lines() -> None:
    assert online_line("imagebot", 2, is_listed=False, has_news=False) == (
        "● online as imagebot on 2 servers: type /imagine"
    )
    assert "but on no server yet: `imagine-bot invite`" in online_line("x", 0, is_listed=False, has_news=True)
    assert "\x1b" not in online_line("a\x1b[2Jb", 1, is_listed=False, has_news=False)


def test_line_is_json_among_json_lines_whatever_the_level(output: io.StringIO) -> None:
    logs.setup(LogConfig(format="json", level="error"), stream=output)
    for _ in range(2):  # never folded
        logs.announce("● online as imagebot on 2 servers: type /imagine")
    first, _ = [json.loads(line) for line in output.getvalue().splitlines()]
    assert first["message"] == "● online as imagebot on 2 servers: type /imagine"
    assert first["level"] == "info"
