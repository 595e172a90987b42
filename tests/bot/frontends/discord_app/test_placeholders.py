"""A placeholder that waits for a file is settled by the next start, whatever was noted and whatever Discord says."""

from __future__ import annotations

import asyncio
import json

import pytest

from bot.frontends.discord_app import drawing
from bot.frontends.discord_app.placeholders import SETTING
from bot.store.key_value_store import SettingStore
from tests.bot.frontends.discord_app.commands.test_image_input import ask
from tests.bot.frontends.discord_app.conftest import Stage
from tests.discord_server import Use


async def clear(stage: Stage) -> None:
    """As the next start does."""
    await stage.client.context.placeholders.clear(stage.client, stage.service.archive)


async def waiting(stage: Stage, monkeypatch: pytest.MonkeyPatch, settings: SettingStore) -> tuple[Use, str]:
    """A request whose file is on its way, and what is noted of it."""
    monkeypatch.setattr(drawing, "FILE_FIRST_S", 0.01)
    stage.discord.fault("GET /cdn/", slow=1.5)  # or the note may have come and gone before the first look
    use = await ask(stage.discord)
    while (noted := await settings.get(SETTING)) is None:
        await asyncio.sleep(0.01)
    return use, noted


async def test_note_names_nobody_and_is_gone_with_the_row(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, settings: SettingStore
) -> None:
    use, noted = await waiting(stage, monkeypatch, settings)
    assert stage.discord.user.id not in noted and use.response is not None and use.response.id in noted
    await use.wait(lambda message: bool(message.buttons))
    assert await settings.get(SETTING) is None


async def test_placeholder_whose_request_was_stored_is_left_alone_or_taken_away(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, settings: SettingStore
) -> None:
    use, noted = await waiting(stage, monkeypatch, settings)
    shown = await use.wait(lambda message: bool(message.buttons))
    await settings.set(SETTING, noted)
    await clear(stage)
    assert stage.discord.refresh(shown).buttons
    ((message_id, note),) = json.loads(noted).items()
    other = await ask(stage.discord)  # its row stands on another message than the one that is noted
    await other.wait(lambda message: bool(message.buttons))
    await settings.set(SETTING, json.dumps({message_id: [note[0], int(other.interaction.id), note[2]]}))
    await clear(stage)
    assert shown.id not in {message.id for message in stage.discord.messages(stage.discord.channel)}
    assert await settings.get(SETTING) is None


@pytest.mark.parametrize(("fault", "is_kept"), [({"status": 502, "times": 9}, True), ({"code": 50001}, False)], ids=str)
async def test_placeholder_that_cannot_be_reached_stays_noted_only_if_that_may_change(
    stage: Stage, settings: SettingStore, fault: dict[str, float], is_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_sleep(_seconds: float) -> None:
        return

    monkeypatch.setattr("discord.http.asyncio.sleep", no_sleep)
    theirs = stage.discord.say(stage.discord.user, stage.discord.channel, "x")
    await settings.set(SETTING, json.dumps({theirs.id: [int(stage.discord.channel.id), 7, "en-US"]}))
    stage.discord.fault(r"PATCH /channels/\d+/messages/", **fault)
    await clear(stage)
    assert (await settings.get(SETTING) is not None) is is_kept


@pytest.mark.parametrize(
    "noted",
    [
        "{",
        "[]",
        "7",
        '{"x": [1, 2, "en"]}',
        '{"1": [1, 2]}',
        '{"1": ["1", 2, "en"]}',
        f'{{"{"9" * 5000}": [1, 2, "en"]}}',
        f'{{"{"0" * 20}{"9" * 5000}": [1, 2, "en"]}}',
    ],
    ids=lambda noted: noted[:20],
)
async def test_note_without_sense_is_ignored(stage: Stage, settings: SettingStore, noted: str) -> None:
    await settings.set(SETTING, noted)
    await clear(stage)
    assert not stage.discord.requests("PATCH /channels")
