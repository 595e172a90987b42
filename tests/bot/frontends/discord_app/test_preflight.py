"""What `check` finds of the token and on Discord, and that every problem has a way out."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from discord.http import Route
from pydantic import SecretStr

from bot.config import DiscordConfig
from bot.findings import Finding, Mark
from bot.frontends.discord_app.preflight import COMMANDS, MENU, check_token, preflight
from tests.bot.cli.command_line import BOT_TOKEN
from tests.bot.findings import only
from tests.discord_server import Discord, Permission

pytestmark = pytest.mark.usefixtures("clean_place", "clean_logging")


# --- token ------------------------------------------------------------------------------------------------


def test_no_token_is_noted_with_where_to_get_one() -> None:
    token, [finding] = check_token(DiscordConfig())
    assert token is None
    assert finding.mark is Mark.NOTE
    assert "discord.com/developers" in finding.way_out


def test_a_token_is_judged_by_its_shape_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, mark in ((BOT_TOKEN, Mark.OK), ("client-secret", Mark.PROBLEM)):
        monkeypatch.setenv("DISCORD_TOKEN", text)
        token, [finding] = check_token(DiscordConfig())
        assert token == SecretStr(text)
        assert finding.mark is mark
        assert text not in finding.text + finding.way_out


def test_token_of_an_odd_shape_is_left_to_discord_if_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "client-secret")
    _, [finding] = check_token(DiscordConfig(), is_asked=True)
    assert finding.mark is Mark.NOTE
    assert finding.text == "has 13 characters and does not look like a bot token: Discord's answer decides"


@pytest.mark.skipif(os.name == "nt", reason="file modes are POSIX")
def test_a_token_file_that_others_may_read_is_noted(clean_place: Path) -> None:
    file = clean_place / "token.txt"
    file.write_text(BOT_TOKEN)
    for mode, mark in ((0o600, Mark.OK), (0o644, Mark.NOTE)):
        file.chmod(mode)
        _, [finding] = check_token(DiscordConfig(token_file=file))
        assert finding.mark is mark


def test_a_token_file_that_is_not_there_is_a_problem(clean_place: Path) -> None:
    _, [finding] = check_token(DiscordConfig(token_file=clean_place / "none.txt"))
    assert finding.mark is Mark.PROBLEM
    assert "none.txt" in finding.text


def test_an_empty_token_file_asks_for_the_token(clean_place: Path) -> None:
    file = clean_place / "token.txt"
    file.touch()
    _, [finding] = check_token(DiscordConfig(token_file=file))
    assert finding.text == f"[discord] token_file: {file} is empty"
    assert finding.way_out.startswith("put the token, and nothing else, into the file")


# --- Discord ----------------------------------------------------------------------------------------------


@pytest.fixture
async def discord_server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Discord]:
    monkeypatch.setattr(Route, "BASE", Route.BASE)  # put back after the test
    async with Discord() as server:
        yield server


async def ask(
    server: Discord, *, guilds: tuple[int, ...] = (), channels: tuple[int, ...] = (), alerts: int | None = None
) -> list[Finding]:
    section = DiscordConfig(
        api_url=server.api_base, allowed_guilds=guilds, allowed_channels=channels, alert_channel=alerts
    )
    return await preflight(section, SecretStr(server.token))


async def test_the_bots_name_and_its_usable_channels_are_shown(discord_server: Discord) -> None:
    findings = await ask(discord_server)
    assert Mark.PROBLEM not in {finding.mark for finding in findings}
    assert discord_server.bot.username in findings[0].text
    assert f"#{discord_server.channel.name}" in only(findings, "server").text


async def test_what_the_bot_may_not_do_in_an_allowed_channel_is_named(discord_server: Discord) -> None:
    channel, bot = discord_server.channel, discord_server.bot
    discord_server.set_permissions(channel, bot, deny=Permission.ATTACH_FILES | Permission.EMBED_LINKS)
    finding = only(await ask(discord_server, channels=(int(channel.id),)), "channel")
    assert finding.mark is Mark.PROBLEM
    assert finding.text.endswith("lacks Embed Links, Attach Files")


async def test_without_an_allow_list_one_usable_channel_is_enough(discord_server: Discord) -> None:
    discord_server.add_channel("second")
    discord_server.set_permissions(discord_server.channel, discord_server.bot, deny=Permission.ATTACH_FILES)
    findings = await ask(discord_server)
    assert only(findings, "server").mark is Mark.OK
    assert only(findings, "channel").mark is Mark.NOTE


async def test_a_channel_that_nobody_knows_is_a_problem(discord_server: Discord) -> None:
    channels = (int(discord_server.channel.id), 42)
    finding = only(await ask(discord_server, channels=channels), "channel")
    assert (finding.mark, finding.text) == (Mark.PROBLEM, "42 is on none of the bot's servers")


async def test_alert_channel_is_looked_at(discord_server: Discord) -> None:
    assert "alerts" not in {finding.topic for finding in await ask(discord_server)}
    channel, me = discord_server.channel, discord_server.bot
    discord_server.set_permissions(channel, me, deny=Permission.ATTACH_FILES)  # which alerts do without
    finding = only(await ask(discord_server, alerts=int(channel.id)), "alerts")
    assert (finding.mark, finding.text.startswith(f"in #{channel.name} on ")) == (Mark.OK, True)
    discord_server.set_permissions(channel, me, deny=Permission.SEND_MESSAGES)
    finding = only(await ask(discord_server, alerts=int(channel.id)), "alerts")
    assert (finding.mark, finding.text.endswith("lacks Send Messages")) == (Mark.PROBLEM, True)
    finding = only(await ask(discord_server, alerts=42), "alerts")
    assert (finding.mark, finding.text) == (Mark.PROBLEM, "42 is on none of the bot's servers")


async def test_a_server_without_the_bot_is_a_problem_with_the_invite_link(discord_server: Discord) -> None:
    finding = only(await ask(discord_server, guilds=(42,)), "server")
    assert finding.mark is Mark.PROBLEM
    assert "oauth2/authorize" in finding.way_out


async def test_a_refused_token_is_a_problem(discord_server: Discord) -> None:
    section = DiscordConfig(api_url=discord_server.api_base)
    [finding] = await preflight(section, SecretStr("wrong"))
    assert finding.mark is Mark.PROBLEM
    assert finding.text == "the token is refused"
    assert finding.way_out.startswith("reset the token on the Bot page of https://discord.com/developers/applications")
    assert finding.way_out.endswith("and set DISCORD_TOKEN to the new one")
    assert "reset the token" in finding.way_out


@pytest.mark.parametrize("host", ["127.0.0.1:9", "nowhere.invalid"])
async def test_a_discord_that_does_not_answer_is_no_matter_of_the_token(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setattr(Route, "BASE", Route.BASE)
    section = DiscordConfig(api_url=f"http://{host}/api")
    [finding] = await preflight(section, SecretStr("x"))
    assert finding.mark is Mark.PROBLEM
    assert finding.text.startswith(f"no connection to Discord (http://{host}/api)")
    assert "token" not in finding.text + finding.way_out


async def test_a_discord_that_is_silent_is_no_matter_of_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(Route, "BASE", Route.BASE)
    monkeypatch.setattr("discord.Client.login", hang)
    [finding] = await preflight(DiscordConfig(), SecretStr("x"))
    assert finding.text.startswith("no answer from Discord in 30 s")
    assert "token" not in finding.way_out


async def test_commands_that_discord_does_not_offer_are_named(discord_server: Discord) -> None:
    finding = only(await ask(discord_server), "commands")
    assert (finding.mark, "/imagine, /queue, /cancel" in finding.text) == (Mark.NOTE, True)
    menu = [{"name": name, "type": 3} for name in MENU]
    ours = [*menu, *({"name": name, "description": "ours", "type": 1} for name in COMMANDS)]
    # A command of another kind with the name of ours is not ours.
    theirs = [*menu[1:], {"name": "vary", "description": "theirs", "type": 1}, *ours[len(menu) :]]
    discord_server.emu.commands.overwrite(None, theirs)
    assert only(await ask(discord_server), "commands").text.startswith("Discord does not offer Apps → Use as input on ")
    discord_server.emu.commands.overwrite(None, ours[:-1])
    assert (
        only(await ask(discord_server), "commands").text
        == "Discord does not offer /admin on " + (only(await ask(discord_server), "server").text.partition(":")[0])
    )
    discord_server.emu.commands.overwrite(discord_server.guild.id, ours[-1:])
    assert "commands" not in {finding.topic for finding in await ask(discord_server)}
