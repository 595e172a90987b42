"""The operator is told of commands that something else changed, and of servers that take none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import discord as discord_py
import pytest

from bot.config import DiscordConfig
from bot.delivery.alerts import Alert, AlertKind
from bot.frontends.discord_app.alert_channel import AlertChannel
from bot.frontends.discord_app.command_ids import GLOBAL
from bot.frontends.discord_app.command_sync import COMMANDS_SETTING
from bot.presentation.phrases import Value
from bot.store.key_value_store import SettingStore
from tests.bot.frontends.discord_app.conftest import Stage

OF_SERVERS = "PUT /applications/.*/guilds/.*/commands$"
ANOTHER = [{"name": "imagine", "description": "of another program", "type": 1}]


@dataclass
class Told:
    """A report that keeps what it hears."""

    begun: list[Alert] = field(default_factory=list)
    ended: list[tuple[AlertKind, str]] = field(default_factory=list)

    def begin(self, alert: Alert) -> None:
        self.begun.append(alert)

    def end(self, kind: AlertKind, subject: str = "", values: Mapping[str, Value] | None = None) -> None:
        self.ended.append((kind, subject))


@pytest.fixture
def told(stage: Stage) -> Told:
    stage.client._sync._report = told = Told()
    return told


def serve(stage: Stage, *guilds: int) -> None:
    """Let the operator have listed these servers, or none."""
    stage.client._sync._config = DiscordConfig(api_url=stage.discord.api_base, allowed_guilds=guilds)


async def posted(stage: Stage, alert: Alert) -> str:
    """Post an alert, and return what the operator reads."""
    config = DiscordConfig(alert_channel=int(stage.discord.channel.id))
    await AlertChannel(stage.client, config, stage.client._has_been_ready).post(alert)
    return stage.discord.messages(stage.discord.channel)[-1].content


@pytest.mark.parametrize("theirs", [[], ANOTHER], ids=["removed", "replaced"])
@pytest.mark.parametrize("is_global", [True, False])
async def test_commands_that_something_else_changed_are_told_once(
    stage: Stage, told: Told, theirs: list[dict[str, object]], is_global: bool
) -> None:
    guild, http = int(stage.discord.guild.id), stage.client.http
    application = stage.client.application_id
    assert application is not None
    if is_global:
        await http.bulk_upsert_global_commands(application, payload=theirs)  # type: ignore[arg-type]
    else:
        serve(stage, guild)
        await stage.client._sync.register()  # by this release, for the first time: nothing was lost
        assert told.begun == []
        await http.bulk_upsert_guild_commands(application, guild, payload=theirs)  # type: ignore[arg-type]
    for _ in range(2):
        await stage.client._sync.register()
    (alert,) = told.begun
    assert (alert.kind, alert.subject) == (AlertKind.COMMANDS_LOST, GLOBAL if is_global else str(guild))
    where = "on every server" if is_global else stage.discord.guild.name
    assert await posted(stage, alert) == (
        f"⚠️ My commands were changed or removed ({where}) by something else. I registered them again; "
        "people see them after reloading Discord (Ctrl+R)."
    )


async def test_commands_of_a_new_release_and_unreadable_notes_are_no_loss(
    stage: Stage, told: Told, settings: SettingStore
) -> None:
    known = json.loads(await settings.get(COMMANDS_SETTING) or "")
    for noted in (["of an earlier release", known[GLOBAL][1]], "older", [], None, 7, {"a": 1}):
        await settings.set(COMMANDS_SETTING, json.dumps({GLOBAL: noted}))
        await stage.client._sync.register()
    assert told.begun == []


async def test_server_that_takes_no_commands_is_told_until_it_does(stage: Stage, told: Told) -> None:
    guild = int(stage.discord.guild.id)
    serve(stage, 77, guild)
    stage.discord.fault(OF_SERVERS, times=1, code=50001)  # the other is none that there is
    await stage.client._sync.register()
    assert [(alert.kind, alert.subject) for alert in told.begun] == [
        (AlertKind.COMMANDS_REFUSED, "77"),
        (AlertKind.COMMANDS_REFUSED, str(guild)),
    ]
    texts = [await posted(stage, alert) for alert in told.begun]
    for text, where in zip(texts, ("77", stage.discord.guild.name), strict=True):  # a stranger has no name
        assert text.startswith(f"⚠️ I may not register my commands ({where}). Invite me again")
    assert (AlertKind.COMMANDS_REFUSED, str(guild)) not in told.ended
    for times in (1, 2):  # registered, and seen to be there
        await stage.client._sync.register()
        assert told.ended.count((AlertKind.COMMANDS_REFUSED, str(guild))) == times
    assert {alert.subject for alert in told.begun[2:]} == {"77"}  # where saying so again changes nothing


async def test_mistake_in_a_command_is_no_invitation_that_is_missing(stage: Stage, told: Told) -> None:
    serve(stage, int(stage.discord.guild.id))
    stage.discord.fault(OF_SERVERS, times=1, code=50035)
    await stage.client._sync.register()
    assert told.begun == []


async def test_discord_that_is_down_is_no_invitation_that_is_missing(
    stage: Stage, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: object, **__: object) -> None:
        raise discord_py.DiscordServerError(SimpleNamespace(status=503, reason="down"), "down")  # type: ignore[arg-type]

    serve(stage, int(stage.discord.guild.id))
    monkeypatch.setattr(stage.client.http, "bulk_upsert_guild_commands", down)
    with pytest.raises(discord_py.DiscordServerError):
        await stage.client._sync.register()
    assert told.begun == []
