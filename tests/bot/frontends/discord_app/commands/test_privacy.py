"""/privacy is private, hands out what fits, and deletes what is the presser's own, whatever Discord makes of it."""

from __future__ import annotations

import asyncio
import io
import logging
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from bot.delivery import retractions
from bot.frontends.discord_app import retraction
from bot.frontends.discord_app.message_ref import FRONTEND
from bot.jobs import UserKey
from tests.bot.frontends.discord_app.conftest import Stage
from tests.discord_server import MessageView, Use
from tests.discord_server.client import ClientRefused


async def private(use: Use) -> MessageView:
    return await use.wait(lambda message: message.ephemeral and not message.loading)


async def ask(stage: Stage, command: str, user: Any = None, **options: Any) -> MessageView:
    return await private(
        await stage.discord.slash(user or stage.discord.user, stage.discord.channel, command, **options)
    )


async def drawn(stage: Stage, user: Any = None, prompt: str = "a red apple", **options: Any) -> MessageView:
    discord = stage.discord
    use = await discord.slash(
        user or discord.user, discord.channel, "imagine", prompt=prompt, **{"steps": 1, **options}
    )
    return await use.wait(lambda message: message.content.startswith("✅") and bool(message.images))


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.01)


async def erase(stage: Stage, user: Any = None) -> MessageView:
    question = await ask(stage, "privacy delete", user)
    use = await stage.discord.click(question, "🗑️ Delete everything", user or stage.discord.user)
    return await use.wait(lambda message: "is deleted" in message.content)


def shown(stage: Stage) -> list[MessageView]:
    return [message for message in stage.discord.messages(stage.discord.channel) if not message.ephemeral]


async def test_nothing_is_known_of_somebody_new(stage: Stage) -> None:
    answer = await ask(stage, "privacy show")
    assert "No requests and no images." in answer.text and "90 days" in answer.text


async def test_settings_have_the_names_that_settings_gives_them(stage: Stage) -> None:
    await ask(stage, "settings", aspect="square", private_to="button")
    answer = await ask(stage, "privacy show")
    assert "Settings: Shape = square, Private images reach you = button" in answer.text


@pytest.mark.parametrize(("locale", "title"), [("zh-CN", "保存了你的哪些数据"), ("zh-TW", "儲存了你的哪些資料")])
async def test_everything_is_said_in_the_language_of_the_person(stage: Stage, locale: str, title: str) -> None:
    reader = stage.discord.add_user("reader", locale=locale)
    answer = await ask(stage, "privacy show", reader)
    assert title in answer.text
    answer = await ask(stage, "privacy export", reader)
    assert "只有你" in answer.content and len(answer.attachments) == 1
    question = await ask(stage, "privacy delete", reader)
    assert len(question.buttons) == 1 and question.buttons[0]["label"].startswith("🗑️ 全部")


async def test_messages_of_a_deleted_person_are_taken_back_and_those_of_others_stay(stage: Stage) -> None:
    bob = stage.discord.add_user("bob")
    async with stage.drawing():
        for user in (None, bob, None):
            await drawn(stage, user)
        await drawn(stage, count=2)
    await erase(stage)
    await until(lambda: len(shown(stage)) == 1)
    assert "No requests" in (await ask(stage, "privacy show")).text
    assert "Requests: **1**" in (await ask(stage, "privacy show", bob)).text


async def test_message_that_discord_does_not_delete_now_is_deleted_later_and_one_that_it_never_does_stays(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retraction, "wait_s", lambda _error: 0.0)
    monkeypatch.setattr(retractions, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(retractions, "LOOK_S", 0.1)
    async with stage.drawing():
        first, second = await drawn(stage), await drawn(stage)
    stage.discord.fault(rf"DELETE /channels/\d+/messages/{first.id}", times=9, code=50001)
    stage.discord.fault(rf"DELETE /channels/\d+/messages/{second.id}", times=1, status=401)
    await erase(stage)
    left = stage.service.privacy.holders.retractions.left
    async with asyncio.timeout(20):
        while await left():
            await asyncio.sleep(0.05)
    assert [message.id for message in shown(stage)] == [first.id]


async def test_message_of_somebody_who_was_erased_while_it_was_opened_is_taken_back(stage: Stage) -> None:
    """The job is gone before Discord has said which message shows it."""
    stage.discord.fault("POST /interactions/.*", times=1, slow=0.5)
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="x", steps=1)
    async with asyncio.timeout(5):
        while not await stage.jobs.unfinished():
            await asyncio.sleep(0.005)
    await stage.service.privacy.erase(UserKey(frontend=FRONTEND, id=str(stage.discord.user.id)))
    await use.wait(lambda message: not message.loading)
    await until(lambda: not shown(stage))
    assert stage.client.frontend._opened == {}


async def test_copy_is_seen_by_its_person_only_and_part_after_part_is_handed_out(stage: Stage) -> None:
    mallory = stage.discord.add_user("mallory")
    async with stage.drawing():
        await drawn(stage)
        await drawn(stage)
    for job_id, size in ((1, 9 * 2**20), (2, 2 * 2**20)):
        path = await stage.images.find((await stage.job(job_id)).image_path or "")
        assert path is not None
        path.write_bytes(bytes(size))
    answer = await ask(stage, "privacy export")
    assert "Part 1 of 2" in answer.content and "`/privacy export part:2`" in answer.content
    answer = await ask(stage, "privacy export", part=2)
    with zipfile.ZipFile(io.BytesIO(answer.attachment_bytes(0))) as archive:
        assert "images/2.png" in archive.namelist()
    seen = stage.discord.messages(stage.discord.channel, mallory)
    assert not any(file["filename"].endswith(".zip") for message in seen for file in message.attachments)
    with pytest.raises(ClientRefused):
        await stage.discord.slash(stage.discord.user, stage.discord.channel, "privacy export", part=0)


async def test_copy_that_discord_refuses_is_explained(stage: Stage) -> None:
    stage.discord.fault("PATCH .*@original", times=1, code=40005)
    assert "too large for this place" in (await ask(stage, "privacy export")).content


async def test_double_click_on_delete_deletes_once(stage: Stage) -> None:
    async with stage.drawing():
        await drawn(stage)
    question = await ask(stage, "privacy delete")
    uses = [await stage.discord.click(question, "🗑️ Delete everything") for _ in range(2)]
    for use in uses:
        await use.wait(lambda message: "is deleted" in message.content)


async def test_log_names_nobody(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with stage.drawing():
        await ask(stage, "show", id=999)  # refused
        stage.discord.fault("PATCH .*@original", times=1, code=50027)
        await stage.discord.slash(stage.discord.user, stage.discord.channel, "quota")
        await drawn(stage)
    await erase(stage)
    person = UserKey(frontend=FRONTEND, id=str(stage.discord.user.id))
    said = [record.getMessage() for record in caplog.records if record.name.startswith("bot.")]
    assert sum(stage.service.pseudonyms.short(person) in line for line in said) >= 2
    assert not any(person.id in line for line in said)
