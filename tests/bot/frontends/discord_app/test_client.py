"""The client connects, comes back, registers commands only when they changed, and knows when to give up."""

from __future__ import annotations

import asyncio
import json

import discord as discord_py
import pytest
from discord.shard import EventItem, EventType
from pydantic import SecretStr

from bot import supervision
from bot.config import DiscordConfig
from bot.deadline import Deadline
from bot.errors import FrontendUnavailable, JobAlreadyFinished, StoreUnavailable
from bot.frontends.discord_app import command_sync
from bot.frontends.discord_app.client import DiscordClient
from bot.frontends.discord_app.command_sync import COMMANDS_SETTING
from bot.frontends.discord_app.preflight import COMMANDS, MENU
from bot.jobs import Delivery
from bot.presentation.wording import wording_for
from bot.store.key_value_store import SettingStore
from tests.bot.frontends.discord_app.conftest import Stage, Start
from tests.discord_server import Discord
from tests.discord_server.interactions import Kind

GLOBAL_COMMANDS = "PUT /applications/.*/commands$"


@pytest.fixture
def lonely(stage: Stage, settings: SettingStore):
    """Another client beside the one on stage, not connected yet."""

    def make(api_url: str) -> DiscordClient:
        return DiscordClient(DiscordConfig(api_url=api_url), service=stage.service, settings=settings)

    return make


async def test_ready_is_said_once(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.client.dispatch("ready")
    await asyncio.sleep(0)
    assert [record for record in caplog.records if "discord ready" in record.getMessage()] == []


async def test_ready_line_is_what_operators_look_for(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bot.frontends.discord_app.client")
    async with start():
        lines = [record.getMessage() for record in caplog.records if record.name == "bot.frontends.discord_app.client"]
    assert any(line.startswith("discord ready as ") and line.endswith(" in 1 guild(s)") for line in lines)


async def test_commands_are_looked_after_once_there_was_a_connection_and_whatever_happens(
    lonely, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_sync, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.01)
    looks: asyncio.Queue[DiscordClient] = asyncio.Queue()
    never = lonely(stage.discord.api_base)
    for client in (never, stage.client):

        async def register(client: DiscordClient = client) -> None:
            looks.put_nowait(client)
            raise AssertionError("known after login")

        monkeypatch.setattr(client._sync, "register", register)
    tasks = [asyncio.create_task(client.look_after_itself(Deadline())) for client in (never, stage.client)]
    async with asyncio.timeout(5):
        assert [await looks.get() for _ in range(2)] == [stage.client] * 2  # one that never was connected waits
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_commands_are_registered_once(start: Start, settings: SettingStore) -> None:
    async with start() as stage:
        assert len(stage.discord.requests(GLOBAL_COMMANDS)) == 1
        await stage.client.setup_hook()
        assert len(stage.discord.requests(GLOBAL_COMMANDS)) == 1
        known = json.loads(await settings.get(COMMANDS_SETTING) or "")
        await settings.set(COMMANDS_SETTING, json.dumps({**known, "global": "older"}))
        await stage.client.setup_hook()
        assert len(stage.discord.requests(GLOBAL_COMMANDS)) == 2


@pytest.mark.parametrize("theirs", [[], [{"name": "imagine", "description": "of another program", "type": 1}]])
async def test_commands_replaced_by_another_program_are_registered_again(start: Start, theirs: list[object]) -> None:
    async with start() as stage:
        application_id = stage.client.application_id
        await stage.client.http.bulk_upsert_global_commands(application_id, payload=theirs)
        await stage.client.setup_hook()
        assert stage.discord.emu.commands.find("quota", None) is not None
        number = len(stage.discord.requests(GLOBAL_COMMANDS))
        await stage.client.setup_hook()
        assert len(stage.discord.requests(GLOBAL_COMMANDS)) == number


async def test_names_of_commands_that_check_looks_for_are_those_that_there_are(start: Start) -> None:
    async with start() as stage:
        registered = {(command["type"], command["name"]) for command in stage.discord.emu.commands.all(None)}
        assert registered == {(1, name) for name in COMMANDS} | {(3, name) for name in MENU}


@pytest.mark.parametrize("noted", ["{", "[1, 2]", "null", "[" * 100_000])
async def test_note_of_the_commands_that_cannot_be_read_is_made_again(
    start: Start, settings: SettingStore, noted: str
) -> None:
    await settings.set(COMMANDS_SETTING, noted)
    async with start():
        assert json.loads(await settings.get(COMMANDS_SETTING) or "").keys() == {"global"}


async def test_locked_database_does_not_keep_the_client_from_connecting(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = SettingStore.get

    async def read(self: SettingStore, key: str) -> str | None:
        if key == COMMANDS_SETTING:
            raise StoreUnavailable("locked", is_full=False)
        return await get(self, key)

    async def write(*_: object) -> None:
        raise StoreUnavailable("locked", is_full=False)

    with monkeypatch.context() as patch:
        patch.setattr(SettingStore, "get", read)
        patch.setattr(SettingStore, "set", write)
        async with start() as stage:
            assert len(stage.discord.requests(GLOBAL_COMMANDS)) == 1


async def test_commands_that_discord_does_not_take_today_do_not_stop_the_start(
    start: Start, settings: SettingStore, caplog: pytest.LogCaptureFixture
) -> None:
    async with start() as stage:
        await settings.set(COMMANDS_SETTING, None)
        stage.discord.fault(GLOBAL_COMMANDS, times=1, code=50035)
        await stage.client.setup_hook()
        assert "does not take the commands" in caplog.text
        assert await settings.get(COMMANDS_SETTING) is None


async def test_allowed_guilds_get_their_own_commands_and_the_global_ones_go(
    start: Start, settings: SettingStore
) -> None:
    async with start() as stage:
        guild_id = int(stage.discord.guild.id)
        stage.client._sync._config = DiscordConfig(api_url=stage.discord.api_base, allowed_guilds=(guild_id,))
        await stage.client.setup_hook()
        assert json.loads(await settings.get(COMMANDS_SETTING) or "").keys() == {str(guild_id)}
        use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "quota")
        await use.wait(lambda message: "Images in 24 hours" in message.text)
        removed = stage.discord.requests(GLOBAL_COMMANDS)[-1]
        assert removed.status == 200 and stage.discord.emu.commands.find("quota", None) is None
        stage.discord.assert_clean()


async def test_guild_that_did_not_invite_the_bot_does_not_stop_the_start(
    start: Start, settings: SettingStore, caplog: pytest.LogCaptureFixture
) -> None:
    async with start() as stage:
        stage.client._sync._config = DiscordConfig(api_url=stage.discord.api_base, allowed_guilds=(77,))
        await stage.client.setup_hook()
        assert "is the bot invited there?" in caplog.text
        assert "77" not in json.loads(await settings.get(COMMANDS_SETTING) or "")


async def test_refused_token_is_the_operators_business(stage: Stage, lonely) -> None:
    async with lonely(stage.discord.api_base) as client:
        with pytest.raises(FrontendUnavailable, match=r"token is refused\n→ reset .* set DISCORD_TOKEN"):
            await client.run_until_closed(SecretStr("wrong"))


async def test_token_revoked_while_connected_ends_the_client(start: Start) -> None:
    async with start() as stage:
        (running,) = [task for task in asyncio.all_tasks() if "run_until_closed" in repr(task)]
        stage.discord.revoke_token()
        with pytest.raises(FrontendUnavailable):
            await asyncio.wait_for(asyncio.shield(running), 10)


@pytest.mark.parametrize("error", [None, OSError("a wire is cut")])
async def test_client_that_the_library_closed_is_never_left_silently(start: Start, error: OSError | None) -> None:
    async with start() as stage:
        (running,) = [task for task in asyncio.all_tasks() if "run_until_closed" in repr(task)]
        if error is None:
            await stage.client.close()
        else:
            shards = stage.client._AutoShardedClient__queue  # type: ignore[attr-defined]
            shards.put_nowait(EventItem(EventType.terminate, None, error))
        with pytest.raises(RuntimeError, match="connection to Discord was closed") as raised:
            await asyncio.wait_for(asyncio.shield(running), 10)
        assert raised.value.__cause__ is error


async def test_server_that_removes_the_bot_has_its_jobs_cancelled(stage: Stage) -> None:
    guild, channel = await stage.other_server()
    user = stage.discord.add_user("bob", guild=guild)
    for asker, place in ((user, channel), (stage.discord.user, stage.discord.channel), (user, channel)):
        use = await stage.discord.slash(asker, place, "imagine", prompt="x")
        await use.wait(lambda message: "⏳" in message.content)
    stage.discord.remove_member(stage.discord.bot, guild)
    while [job.id for job, _ in await stage.service.unfinished()] != [2]:
        await asyncio.sleep(0.01)
    assert {(await stage.job(number)).delivery for number in (1, 3)} == {Delivery.DROPPED}


async def test_job_that_ends_meanwhile_does_not_keep_the_others_of_a_left_server(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped = []

    async def ended_meanwhile(_frontend: str, key: str) -> None:
        dropped.append(key)
        raise JobAlreadyFinished(1)

    for _ in range(2):
        use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="x")
        await use.wait(lambda message: "⏳" in message.content)
    monkeypatch.setattr(stage.service, "message_deleted", ended_meanwhile)
    await stage.client.on_guild_remove(stage.client.guilds[0])
    assert len(dropped) == 2


async def test_discord_that_is_away_at_the_start_is_waited_for(
    stage: Stage, lonely, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.frontends.discord_app.client.FIRST_RETRY_S", 0.01)
    stage.discord.fault("GET /users/@me", times=2, reset=True)
    async with lonely(stage.discord.api_base) as client:
        task = asyncio.create_task(client.run_until_closed(SecretStr(stage.discord.token)))
        await asyncio.wait_for(client.wait_until_connected(), 10)
        task.cancel()
        await asyncio.wait([task])


async def test_nobody_listening_is_waited_for(
    lonely, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bot.frontends.discord_app.client.FIRST_RETRY_S", 0.01)
    async with lonely("http://127.0.0.1:9/api/v10") as client:
        task = asyncio.create_task(client.run_until_closed(SecretStr("x")))
        async with asyncio.timeout(10):
            while caplog.text.count("cannot reach Discord, trying again") < 3 and not task.done():
                await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()
        await asyncio.wait([task])


async def test_lost_session_begins_again_at_the_same_discord(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr(stage.client, "before_identify_hook", at_once)
    stage.discord.gateway.invalidate(resumable=False)
    await stage.discord.wait_ready(count=2)
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "quota")
    await use.wait(lambda message: "Images in 24 hours" in message.text)


async def test_dropped_connection_is_resumed(stage: Stage) -> None:
    stage.discord.gateway.drop()
    await stage.discord.wait_resumed()
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "quota")
    await use.wait(lambda message: "Images in 24 hours" in message.text)


async def test_command_that_is_not_ours_any_more_is_explained(stage: Stage) -> None:
    stage.client.tree.remove_command("quota")
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "quota")
    told = await use.wait(lambda message: message.ephemeral)
    assert "has just changed" in told.content


async def test_intents_are_minimal_and_nothing_is_cached(stage: Stage) -> None:
    client = stage.client
    assert [name for name, is_on in client.intents if is_on] == ["guilds", "guild_messages", "dm_messages"]
    assert client._connection.max_messages is None
    assert client.allowed_mentions is not None and client.allowed_mentions.to_dict() == {"parse": []}


async def test_everything_is_at_the_configured_discord(stage: Stage) -> None:
    emulator: Discord = stage.discord
    assert emulator.api_base == discord_py.http.Route.BASE
    assert emulator.cdn_base == discord_py.Asset.BASE
    assert str(discord_py.gateway.DiscordWebSocket.DEFAULT_GATEWAY).startswith(emulator.gateway_url)


@pytest.mark.parametrize(
    "option",
    [
        {"name": "seed", "type": 4, "value": "a private word"},
        {"name": "seed", "type": 3, "value": "a private word"},
        {"name": "prompt", "type": 6, "value": "1"},
        {"name": "prompt", "type": 3, "value": ["a private word"]},
        {"name": "of an earlier release", "type": 3, "value": "a private word"},
    ],
)
async def test_option_that_does_not_fit_is_told_and_not_logged(
    stage: Stage, caplog: pytest.LogCaptureFixture, option: dict[str, object]
) -> None:
    discord = stage.discord
    command = await discord.wait_command("imagine")
    prompt = {"name": "prompt", "type": 3, "value": "a private word"}
    details = {
        "id": command["id"],
        "name": "imagine",
        "type": 1,
        "options": [prompt, option][option["name"] == "prompt" :],
    }
    use = discord._open(Kind.COMMAND, discord.user, discord.channel, details, name="imagine")
    answer = await use.wait(lambda message: message.ephemeral and not message.loading)
    assert answer.content == wording_for("en").say("command-outdated")
    assert "private" not in caplog.text and "Traceback" not in caplog.text
    assert await stage.service.unfinished() == []


async def test_suggestions_for_an_option_without_any_are_none_and_no_error(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    discord = stage.discord
    typed = {"name": "search", "type": 3, "value": "a private word", "focused": True}
    details = {"id": "1", "name": "history", "type": 1, "options": [typed]}
    discord._open(Kind.AUTOCOMPLETE, discord.user, discord.channel, details)
    use = await discord.slash(discord.user, discord.channel, "queue")
    await use.wait(lambda message: message.ephemeral and not message.loading)
    assert "private" not in caplog.text and "Traceback" not in caplog.text
