"""A private image reaches its person, whatever Discord does, and nobody else sees anything of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.delivery.frontend import DeliveryDelayed
from bot.frontends.discord_app.message_ref import Address
from bot.jobs import Delivery, FailureCode, JobStatus
from bot.requests.preferences import PrivateTo
from bot.store import moderation_store
from tests.bot.frontends.discord_app.conftest import Stage
from tests.discord_server import MessageView, Use
from tests.discord_server.permissions import Permission
from tests.discord_server.world import User

SECRET = "a secret garden"


def is_private(message: MessageView) -> bool:
    return message.ephemeral and not message.loading


async def ask(stage: Stage, user: User | None = None, **options: object) -> Use:
    discord = stage.discord
    options = {"prompt": SECRET, "steps": 1, "private": True, **options}
    return await discord.slash(user or discord.user, discord.channel, "imagine", options=options)


async def choose(stage: Stage, way: PrivateTo) -> None:
    options = {"private_to": way.value}
    await (await stage.discord.slash(stage.discord.user, stage.discord.channel, "settings", options=options)).wait(
        is_private
    )


async def forged(stage: Stage, message: MessageView, action: str, user: User) -> Use:
    """A press of a button that is not there, by a modified client."""
    live = stage.discord._live(message)
    live.components[0]["components"][0]["custom_id"] = f"im2:{action}:1"
    return await stage.discord.click(stage.discord.refresh(message), f"im2:{action}:1", user)


def assert_nothing_leaked(stage: Stage) -> None:
    """Whatever anybody else could ever see says nothing of it."""
    discord = stage.discord
    own_dm = discord.dm(discord.user).id
    for event in discord.log:
        message = event.message
        if message is not None and not message.ephemeral and message.channel_id != own_dm:
            assert "secret" not in f"{message.text} {message.payload}" and not message.images


async def test_answers_to_somebody_who_was_erased_are_forgotten(stage: Stage) -> None:
    other = stage.discord.add_user("other")
    await stage.service.pausing.pause("hold")
    for user in (stage.discord.user, other):
        await (await ask(stage, user)).wait(is_private)
    private = stage.client.frontend.private
    async with asyncio.timeout(5):
        while len(private._shown) < 2:  # noted once the answer is there
            await asyncio.sleep(0.01)
    private.forget((await stage.job(1)).user)
    assert {str(answer.user.id) for answer in private._answers.values()} == {str(other.id)}
    assert len(private._shown) == 1


async def test_result_goes_to_the_person_directly_and_the_channel_stays_empty(stage: Stage) -> None:
    discord = stage.discord
    stranger = discord.add_user("stranger")
    use = await ask(stage, count=2)
    waiting = await use.wait(lambda message: "⏳" in message.content)
    assert waiting.ephemeral and "only you see this" in waiting.content and waiting.buttons[0]["label"] == "Cancel"
    async with stage.drawing():
        sent = await discord.wait_message(lambda message: message.images, channel=discord.dm(discord.user))
    assert len(sent.images) == 2 and SECRET in sent.text and sent.pings == [discord.user.id]
    closed = await use.wait(lambda message: "direct message" in message.content and "✅" in message.content)
    assert [button["label"] for button in closed.buttons] == ["👁️ Show me"]
    assert discord.messages(discord.channel, stranger) == []
    async with asyncio.timeout(5):
        while (await stage.job(2)).delivery is not Delivery.DELIVERED:
            await asyncio.sleep(0.01)
    address = Address.read((await stage.job(1)).reply_to)
    assert address.is_direct and address.guild_id == int(discord.guild.id) and address.message_id == int(sent.id)
    assert_nothing_leaked(stage)


@pytest.mark.parametrize("is_chosen", [True, False])
async def test_button_in_the_channel_opens_it_for_its_person_only(stage: Stage, is_chosen: bool) -> None:
    discord = stage.discord
    stranger = discord.add_user("stranger")
    moderator = discord.add_user("mod", roles=[discord.add_role("mods", Permission.MANAGE_GUILD)])
    if is_chosen:
        await choose(stage, PrivateTo.BUTTON)
    else:
        discord.user.dms_open = False
    await ask(stage)
    async with stage.drawing():
        notice = await discord.wait_message(lambda message: "private image #1 is ready" in message.content)
        assert notice.pings == [discord.user.id] and not notice.images and not notice.embeds
        for other in (stranger, moderator):
            refused = await (await discord.click(notice, "👁️ Show me", other)).wait(is_private)
            assert "belongs to somebody else" in refused.text and not refused.images
        for _ in range(2):  # the first one may have been dismissed
            shown = await (await discord.click(notice, "👁️ Show me")).wait(is_private)
            assert shown.images and SECRET in shown.text
        again = await discord.click(shown, "🔄 Again")
        await again.wait(lambda message: message.ephemeral and "⏳" in message.content)
        await discord.wait_message(lambda message: "private image #2 is ready" in message.content)
    assert (await stage.job(2)).is_private
    for action in ("reroll", "vary", "edit", "more", "info", "original", "send_dm", "delete", "erase", "keep"):
        refused = await (await forged(stage, notice, action, stranger)).wait(is_private)
        assert "belongs to somebody else" in refused.text, action
    assert_nothing_leaked(stage)


async def test_reason_of_a_failure_is_told_to_its_person_only(stage: Stage) -> None:
    discord = stage.discord
    discord.user.dms_open = False
    await (await ask(stage)).wait(lambda message: "⏳" in message.content)
    await stage.jobs.claim(1, now=2_000_000_000)
    await stage.jobs.fail(1, FailureCode.TIMEOUT, ran_s=1.0, now=2_000_000_000)
    stage.delivery.wake()
    notice = await discord.wait_message(lambda message: "has ended" in message.content)
    assert "too long" not in notice.text
    shown = await (await discord.click(notice, "👁️ Show me")).wait(is_private)
    assert "took too long" in shown.text and SECRET in shown.text
    assert_nothing_leaked(stage)


async def test_channel_that_is_gone_leaves_direct_messages_as_the_only_way(stage: Stage) -> None:
    discord = stage.discord
    await choose(stage, PrivateTo.BUTTON)
    await (await ask(stage)).wait(lambda message: "⏳" in message.content)
    discord.delete_channel(discord.channel)
    async with stage.drawing():
        await discord.wait_message(lambda message: message.images, channel=discord.dm(discord.user))
    assert_nothing_leaked(stage)


async def test_note_is_all_that_is_left_if_both_ways_are_refused(stage: Stage) -> None:
    discord = stage.discord
    other = discord.add_channel("other")
    discord.user.dms_open = False
    await (await ask(stage)).wait(lambda message: "⏳" in message.content)
    discord.delete_channel(discord.channel)
    async with stage.drawing(), asyncio.timeout(8):
        while (await stage.job(1)).delivery is not Delivery.UNDELIVERABLE:
            await asyncio.sleep(0.01)
    use = await discord.slash(discord.user, other, "quota")
    note = await use.wait(lambda message: "#1 is done, and private" in message.content)
    assert note.ephemeral
    assert_nothing_leaked(stage)


async def test_cancelling_tells_nobody_anything(stage: Stage) -> None:
    discord = stage.discord
    use = await ask(stage)
    waiting = await use.wait(lambda message: "⏳" in message.content)
    await (await discord.click(waiting, "Cancel")).wait(is_private)
    await use.wait(lambda message: "Nobody saw anything" in message.content)
    assert (await stage.job(1)).status is JobStatus.CANCELLED
    assert discord.messages(discord.channel, discord.add_user("stranger")) == []
    assert_nothing_leaked(stage)


async def test_automod_and_queue_of_a_moderator_show_no_prompt(stage: Stage) -> None:
    discord = stage.discord
    moderator = discord.add_user("mod", roles=[discord.add_role("mods", Permission.MANAGE_GUILD)])
    await choose(stage, PrivateTo.BUTTON)
    await (await ask(stage)).wait(lambda message: "⏳" in message.content)
    queue = await (await discord.slash(moderator, discord.channel, "admin queue")).wait(is_private)
    assert "🔒 private" in queue.text and "secret" not in queue.text
    discord.fault(f"POST /channels/{discord.channel.id}/messages", code=200000, times=1)
    async with stage.drawing():
        await discord.wait_message(lambda message: message.images, channel=discord.dm(discord.user))
    assert_nothing_leaked(stage)


async def test_erased_image_leaves_the_direct_message_and_the_last_one_takes_it_along(stage: Stage) -> None:
    discord = stage.discord
    await ask(stage, count=2)
    async with stage.drawing():
        sent = await discord.wait_message(lambda message: message.images, channel=discord.dm(discord.user))
        while {(await stage.job(number)).delivery for number in (1, 2)} != {Delivery.DELIVERED}:
            await asyncio.sleep(0.01)
    for job_id, left in ((1, 1), (2, 0)):
        erased = await stage.service.archive.erase(job_id, by=(await stage.job(job_id)).user)
        assert await stage.client.frontend.retract(erased)
        messages = discord.messages(discord.dm(discord.user))
        assert [len(message.images) for message in messages] == ([left] if left else [])
        assert all(not message.buttons and "/history" in message.content for message in messages)
    assert sent.images
    assert_nothing_leaked(stage)


@pytest.mark.parametrize("by_moderator", [True, False])
async def test_copy_that_its_person_posted_goes_with_the_image(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, by_moderator: bool
) -> None:
    monkeypatch.setattr(moderation_store, "TAKE_BACK_S", 0)
    discord, stranger = stage.discord, stage.discord.add_user("stranger")
    await ask(stage)
    async with stage.drawing():
        await discord.wait_message(lambda message: message.images, channel=discord.dm(discord.user))
    for _ in range(3):
        use = await discord.slash(discord.user, discord.channel, "show", id=1)
        copy = await use.wait(lambda message: message.images)
        assert not copy.ephemeral
    if by_moderator:  # by one of the copies: the others are found by the database alone
        discord.delete_message(copy)
    else:
        erased = await stage.service.archive.erase(1, by=(await stage.job(1)).user)
        assert await stage.client.frontend.retract(erased)
        assert discord.messages(discord.channel, stranger) == []
    async with asyncio.timeout(10):
        while discord.messages(discord.channel, stranger) or discord.messages(discord.dm(discord.user)):
            await asyncio.sleep(0.01)
    assert (await stage.job(1)).image_path is None


async def test_erasing_the_first_of_a_request_loses_none_of_the_others(stage: Stage) -> None:
    discord = stage.discord
    await (await ask(stage, count=3)).wait(lambda message: "⏳" in message.content)
    await stage.jobs.claim(1, now=2_000_000_000)
    await stage.jobs.fail(1, FailureCode.TIMEOUT, ran_s=1.0, now=2_000_000_000)
    stage.delivery.wake()
    async with asyncio.timeout(5):
        while (await stage.job(1)).delivery is not Delivery.DELIVERED:
            await asyncio.sleep(0.01)
    erased = await stage.service.archive.erase(1, by=(await stage.job(1)).user)
    assert await stage.client.frontend.retract(erased)
    await stage.service.archive.taken_back(erased)
    async with stage.drawing():
        sent = await discord.wait_message(lambda message: message.images, channel=discord.dm(discord.user))
    assert len(sent.images) == 2
    assert_nothing_leaked(stage)


async def test_erasing_the_image_that_was_to_announce_the_others_does_not_silence_them(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    discord = stage.discord
    await (await ask(stage, count=2)).wait(lambda message: "⏳" in message.content)

    async def later(_user_id: int) -> None:
        raise DeliveryDelayed(60)

    async with stage.drawing(), asyncio.timeout(10):
        with monkeypatch.context() as patch:
            patch.setattr(stage.client.frontend.private._sender, "direct_channel", later)
            while (await stage.job(2)).delivery_attempts == 0:
                await asyncio.sleep(0.01)
        assert (await stage.job(1)).delivery is Delivery.DELIVERED
        await stage.service.archive.erase(2, by=(await stage.job(2)).user)
        await stage.jobs.postpone(2, next_at=0)
        stage.delivery.wake()
        sent = await discord.wait_message(lambda message: message.images, channel=discord.dm(discord.user), timeout=9)
    assert len(sent.images) == 1
    assert_nothing_leaked(stage)


async def test_request_is_answered_within_three_seconds_if_the_database_is_locked(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, asked = stage.service.submit, asyncio.Event()

    async def slow_submit(request: Any, **options: Any) -> Any:
        await asked.wait()
        return await submit(request, **options)

    monkeypatch.setattr(stage.service, "submit", slow_submit)
    use = await ask(stage)
    assert await use.acked() < 1.5
    assert use.response is not None and use.response.ephemeral
    asked.set()
    await use.wait(lambda message: "⏳" in message.content)
    assert_nothing_leaked(stage)


async def test_spoiler_is_blurred_as_an_attachment_wherever_it_is_posted(stage: Stage) -> None:
    discord = stage.discord
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="x", steps=1, count=2, spoiler=True)
    async with stage.drawing():
        shown = await use.wait(lambda message: len(message.images) == 2)
        menu = discord.slash(discord.user, discord.channel, "show", id=1)
        again = await (await menu).wait(lambda message: message.images)
    await (await discord.click(again, "⋯ More")).wait(is_private)
    for message in (shown, again):
        assert all(image.place == "attachment" and image.is_spoiler for image in message.images)
    assert {each["filename"][:8] for each in shown.attachments} == {"SPOILER_"}
