"""Results reach their person whatever Discord does, once, and never where a message was deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from bot.delivery.frontend import DeliveryDelayed, DeliveryImpossible, MessageGone
from bot.frontends.discord_app import attachments
from bot.frontends.discord_app import frontend as reply_module
from bot.frontends.discord_app.frontend import DiscordFrontend
from bot.frontends.discord_app.message_ref import Address
from bot.jobs import FailureCode, Job, JobStatus, QueueStatus
from bot.store.usage_store import Measurement
from pipeline import Progress, Stage
from tests.bot.frontends.discord_app.conftest import Stage as Bot
from tests.bot.frontends.discord_app.conftest import Start
from tests.discord_server.permissions import Permission

EDIT = "PATCH /channels/.*/messages/"
POST = "POST /channels/.*/messages"
STANDING = QueueStatus(position=1, finish_at=1_900_000_000, is_rough=False)


@pytest.fixture
async def bot(start: Start) -> AsyncIterator[Bot]:
    """A bot whose delivery loops are asleep: tests call the front end themselves."""
    async with start(with_delivery=False) as bot:
        yield bot
        bot.discord.assert_clean()


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "1.png"
    Image.effect_noise((64, 64), 50).convert("RGB").save(path)
    return path


async def a_message(bot: Bot, *, prompt: str = "a red apple") -> Job:
    """A job whose message is in the channel."""
    use = await bot.discord.slash(bot.discord.user, bot.discord.channel, "imagine", prompt=prompt)
    await use.wait(lambda message: "⏳" in message.content)
    return (await bot.service.unfinished())[-1][0]


async def done(bot: Bot, **prompt: str) -> Job:
    return replace(await a_message(bot, **prompt), status=JobStatus.DONE)


def reply(bot: Bot) -> DiscordFrontend:
    return bot.client.frontend


async def test_message_that_takes_long_to_be_opened_holds_up_no_other(
    bot: Bot, png: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await done(bot)
    placed = Address.read(job.reply_to)
    opening = replace(job, reply_to=replace(placed, message_id=None).reply_to(7))
    monkeypatch.setattr(reply_module, "SHOW_TIMEOUT_S", 0.01)
    monkeypatch.setattr(reply_module, "DELIVERY_TIMEOUT_S", 0.01)
    async with reply(bot).opening(opening.reply_to), asyncio.timeout(5):
        with pytest.raises(DeliveryDelayed):
            await reply(bot).show(opening, STANDING)
        with pytest.raises(DeliveryDelayed):
            await reply(bot).deliver(opening, png)


async def test_late_edit_does_not_say_that_all_images_are_ready_before_they_are_there(bot: Bot) -> None:
    discord = bot.discord
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="a red apple", steps=1, count=2)
    await use.wait(lambda message: "⏳" in message.content)
    stale = [job for job, _ in await bot.service.unfinished()]
    async with bot.drawing(), asyncio.timeout(8):
        while await bot.service.unfinished():
            await asyncio.sleep(0.01)
    assert len(stale) == 2
    for job in stale:
        await reply(bot).show(job, STANDING)
    (message,) = discord.messages(discord.channel)
    assert message.content.startswith("⏳")


async def test_result_replaces_the_message(bot: Bot, png: Path) -> None:
    job = await done(bot)
    assert await reply(bot).deliver(job, png) == job.reply_to
    (message,) = bot.discord.messages(bot.discord.channel)
    assert message.image_bytes(0) == png.read_bytes()
    assert [button["custom_id"].split(":")[1] for button in message.buttons] == [
        "reroll", "edit", "vary", "upscale", "more",
    ]  # fmt: skip


async def test_delivering_twice_changes_nothing(bot: Bot, png: Path) -> None:
    job = await done(bot)
    for _ in range(2):
        await reply(bot).deliver(job, png)
    (message,) = bot.discord.messages(bot.discord.channel)
    assert len(message.images) == 1


async def test_failure_is_told_on_the_message(bot: Bot) -> None:
    job = replace(await a_message(bot), status=JobStatus.FAILED, failure_code=FailureCode.STORAGE)
    await reply(bot).deliver(job, None)
    (message,) = bot.discord.messages(bot.discord.channel)
    assert "disk is full" in message.content


async def test_progress_after_the_result_is_dropped(bot: Bot, png: Path) -> None:
    job = await done(bot)
    await reply(bot).deliver(job, png)
    await reply(bot).show(replace(job, status=JobStatus.RUNNING), STANDING)
    (message,) = bot.discord.messages(bot.discord.channel)
    assert message.images


async def test_result_waits_for_progress_on_its_way(bot: Bot, png: Path) -> None:
    job = await done(bot)
    slow = bot.discord.fault(EDIT, slow=0.3)
    progress = asyncio.create_task(reply(bot).show(replace(job, status=JobStatus.RUNNING), STANDING))
    await slow.wait_spent()
    await reply(bot).deliver(job, png)
    await progress
    (message,) = bot.discord.messages(bot.discord.channel)
    assert message.images


async def test_deleted_message_gets_nothing_posted(bot: Bot, png: Path) -> None:
    job = await done(bot)
    bot.discord.fault(EDIT, times=2, code=10008)
    with pytest.raises(MessageGone):
        await reply(bot).show(job, STANDING)
    with pytest.raises(MessageGone):
        await reply(bot).deliver(job, png)
    assert bot.discord.requests(POST) == []


@pytest.mark.parametrize("code", [10003, 50001, 50013, 50083, 50035])
async def test_message_that_cannot_be_edited_is_followed_by_a_message_that_notifies(
    bot: Bot, png: Path, code: int
) -> None:
    job = await done(bot)
    bot.discord.fault(EDIT, code=code)
    moved_to = await reply(bot).deliver(job, png)
    old, new = bot.discord.messages(bot.discord.channel)
    assert new.images and new.pings == [bot.discord.user.id]
    assert moved_to.key == new.id and Address.read(moved_to).message_id == int(new.id)
    assert "new message" in old.content and not old.pings and not old.buttons


async def test_failure_that_moved_is_told_at_both_places(bot: Bot) -> None:
    job = replace(await a_message(bot), status=JobStatus.FAILED, failure_code=FailureCode.TIMEOUT)
    bot.discord.fault(EDIT, code=50013)
    await reply(bot).deliver(job, None)
    assert ["too long" in message.content for message in bot.discord.messages(bot.discord.channel)] == [True, True]


async def test_repeated_post_is_the_same_message(bot: Bot, png: Path) -> None:
    job = await done(bot)
    for _ in range(2):
        bot.discord.fault(EDIT, code=50013)
        moved_to = await reply(bot).deliver(job, png)
    assert len(bot.discord.messages(bot.discord.channel)) == 2
    assert moved_to.key == bot.discord.messages(bot.discord.channel)[1].id


async def test_withdrawn_permission_leads_to_a_direct_message(bot: Bot, png: Path) -> None:
    job = await done(bot)
    bot.discord.set_permissions(bot.discord.channel, bot.discord.bot, deny=Permission.ATTACH_FILES)
    moved_to = await reply(bot).deliver(job, png)
    (direct,) = bot.discord.messages(bot.discord.dm(bot.discord.user))
    (old,) = bot.discord.messages(bot.discord.channel)
    assert direct.images and moved_to.key == direct.id
    assert "sent it to you as a direct message" in old.content


async def test_deleted_channel_leads_to_a_direct_message(bot: Bot, png: Path) -> None:
    job = await done(bot)
    bot.discord.delete_channel(bot.discord.channel)
    moved_to = await reply(bot).deliver(job, png)
    (direct,) = bot.discord.messages(bot.discord.dm(bot.discord.user))
    assert direct.images and moved_to.key == direct.id


async def test_closed_direct_messages_are_the_end_of_the_chain(start: Start, png: Path) -> None:
    async with start(with_delivery=False) as bot:
        hermit = bot.discord.add_user("hermit", dms_open=False)
        use = await bot.discord.slash(hermit, bot.discord.channel, "imagine", prompt="x")
        await use.wait(lambda message: "⏳" in message.content)
        job = replace((await bot.service.unfinished())[0][0], status=JobStatus.DONE)
        bot.discord.set_permissions(bot.discord.channel, bot.discord.bot, deny=Permission.VIEW_CHANNEL)
        with pytest.raises(DeliveryImpossible):
            await reply(bot).deliver(job, png)


async def test_cancelled_message_that_cannot_be_edited_is_left_alone(bot: Bot) -> None:
    job = replace(await a_message(bot), status=JobStatus.CANCELLED)
    bot.discord.fault(EDIT, code=50013)
    assert await reply(bot).deliver(job, None) == job.reply_to
    assert bot.discord.requests(POST) == []


@pytest.mark.parametrize("way", [{"code": 40005}, {"status": 413}])
async def test_file_that_is_too_large_is_made_smaller(bot: Bot, png: Path, way: dict[str, int]) -> None:
    job = await done(bot)
    bot.discord.fault(EDIT, times=2, **way)
    await reply(bot).deliver(job, png)
    (message,) = bot.discord.messages(bot.discord.channel)
    assert "(WebP)" in message.text and message.images[0].url.split("?")[0].endswith(".webp")


async def test_file_that_never_fits_goes_down_the_whole_ladder_and_then_on(bot: Bot, png: Path) -> None:
    job = await done(bot)
    refused = bot.discord.fault(f"{EDIT}|{POST}", times=100, status=413)
    with pytest.raises(DeliveryImpossible):
        await reply(bot).deliver(job, png)
    assert refused.hits == 3 * (attachments.LAST_RUNG + 1)


async def test_picture_fits_the_servers_limit_from_the_start(start: Start, tmp_path: Path) -> None:
    big = tmp_path / "big.png"
    Image.effect_noise((2200, 2200), 90).convert("RGB").save(big, compress_level=0)
    assert big.stat().st_size > 10 * 2**20
    async with start(with_delivery=False) as bot:
        job = await done(bot)
        await reply(bot).deliver(job, big)
        (message,) = bot.discord.messages(bot.discord.channel)
        assert len(message.image_bytes(0)) < 10 * 2**20
        assert len(bot.discord.requests(EDIT)) == 1


async def test_prompt_that_automod_dislikes_is_left_out(bot: Bot, png: Path) -> None:
    job = await done(bot, prompt="forbidden fruit")
    bot.discord.fault(EDIT, code=200000)
    await reply(bot).deliver(job, png)
    (message,) = bot.discord.messages(bot.discord.channel)
    assert message.images and "forbidden" not in message.text


async def test_message_that_automod_dislikes_opens_without_the_prompt(bot: Bot) -> None:
    bot.discord.fault("PATCH .*@original", code=200000)
    await a_message(bot, prompt="forbidden fruit")
    (message,) = bot.discord.messages(bot.discord.channel)
    assert "forbidden" not in message.text and message.buttons


async def test_progress_that_automod_dislikes_goes_on_without_the_prompt(bot: Bot) -> None:
    job = await a_message(bot, prompt="forbidden fruit")
    bot.discord.fault(EDIT, code=200000)
    with pytest.raises(DeliveryDelayed):
        await reply(bot).show(job, STANDING)
    await reply(bot).show(job, STANDING)
    (message,) = bot.discord.messages(bot.discord.channel)
    assert "forbidden" not in message.text and message.buttons


@pytest.mark.parametrize("fault", [{"status": 503}, {"reset": True}])
async def test_passing_trouble_postpones(bot: Bot, png: Path, fault: dict[str, object]) -> None:
    job = await done(bot)
    bot.discord.fault(EDIT, times=10, **fault)
    with pytest.raises(DeliveryDelayed):
        await reply(bot).deliver(job, png)
    bot.discord.clear_faults()
    await reply(bot).deliver(job, png)


async def test_long_rate_limit_postpones_as_long_as_asked(bot: Bot, png: Path) -> None:
    job = await done(bot)
    bot.discord.fault(EDIT, retry_after=90)
    with pytest.raises(DeliveryDelayed) as error:
        await reply(bot).deliver(job, png)
    assert error.value.after_s == pytest.approx(90, abs=1)


async def test_message_that_may_not_be_edited_gets_no_more_progress(bot: Bot, png: Path) -> None:
    job = await a_message(bot)
    bot.discord.fault(EDIT, code=50001)
    await reply(bot).show(job, STANDING)
    await reply(bot).show(job, STANDING)
    assert len(bot.discord.requests(EDIT)) == 1
    await reply(bot).deliver(replace(job, status=JobStatus.DONE), png)
    assert bot.discord.messages(bot.discord.channel)[0].images


async def test_progress_is_shown(bot: Bot) -> None:
    job = await a_message(bot)
    progress = Progress(stage=Stage.DENOISING, step=2, steps=20)
    await reply(bot).show(replace(job, status=JobStatus.RUNNING), replace(STANDING, progress=progress))
    (message,) = bot.discord.messages(bot.discord.channel)
    assert "step 2 of 20" in message.content and message.buttons


async def test_picture_that_was_pruned_meanwhile_is_explained(bot: Bot, tmp_path: Path) -> None:
    job = await done(bot)
    await reply(bot).deliver(job, tmp_path / "gone.png")
    (message,) = bot.discord.messages(bot.discord.channel)
    assert "has expired and was removed" in message.text


async def test_picture_that_cannot_be_read_is_explained_and_not_tried_again(bot: Bot, png: Path) -> None:
    job = await done(bot)
    png.write_bytes(png.read_bytes()[:200])
    await reply(bot).deliver(job, png)
    (message,) = bot.discord.messages(bot.discord.channel)
    assert message.content.startswith("✅") and "has expired and was removed" in message.text and not message.images


async def test_disk_that_fails_for_a_moment_postpones(bot: Bot, png: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    job = await done(bot)
    with monkeypatch.context() as context:
        context.setattr(Path, "read_bytes", broken)
        with pytest.raises(DeliveryDelayed):
            await reply(bot).deliver(job, png)
    await reply(bot).deliver(job, png)
    assert bot.discord.messages(bot.discord.channel)[0].images


async def test_old_message_gets_no_progress_and_its_result_does_not_wait_for_ever(
    bot: Bot, png: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await done(bot)
    monkeypatch.setattr("bot.frontends.discord_app.message_ref.OLD_MESSAGE_S", -1.0)
    await reply(bot).show(job, STANDING)
    assert bot.discord.requests(EDIT) == []
    bot.discord.fault(EDIT, retry_after=90)
    await reply(bot).deliver(job, png)
    assert bot.discord.messages(bot.discord.channel)[1].images


async def test_memory_of_messages_is_bounded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.frontends.discord_app.frontend.REMEMBERED_MESSAGES", 2)
    async with start(with_delivery=False) as bot:
        job = replace(await a_message(bot), status=JobStatus.CANCELLED)
        for key in "abc":
            await reply(bot).deliver(replace(job, reply_to=replace(job.reply_to, key=key)), None)
        assert list(reply(bot)._closed) == ["b", "c"]


async def test_many_results_at_once_stay_inside_the_rate_limit(start: Start, png: Path) -> None:
    async with start(with_delivery=False, server={"time_scale": 0.2}) as bot:
        jobs = [await done(bot) for _ in range(12)]
        await asyncio.gather(*(reply(bot).deliver(job, png) for job in jobs))
        assert len(bot.discord.requests(EDIT)) == 12
        assert bot.discord.stats()["rate_limited"] == 0


async def test_progress_that_comes_after_the_last_image_of_a_request_says_nothing(bot: Bot) -> None:
    """The results are on their way, and bring the files along."""
    discord = bot.discord
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="x", count=2)
    before = await use.wait(lambda message: message.buttons)
    late = [await bot.job(number) for number in (1, 2)]
    for job in late:
        await bot.jobs.claim(job.id, now=1)
        await bot.jobs.finish(
            job.id, image_path="a", image_bytes=1, ran_s=1.0, measured=Measurement(step_s=1.0, fixed_s=1.0), now=2
        )
    await reply(bot).show(late[1], STANDING)
    (after,) = discord.messages(discord.channel)
    assert after.content == before.content
