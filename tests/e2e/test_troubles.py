"""Discord's world changes under a job: tokens die, cards and channels vanish, requests fail."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.discord_server import BotProcess, Discord, Permission
from tests.e2e.conftest import imagine, is_final, is_result, rows, wait_row

RUNNING = "[step=0.2]"  # with 10 steps: two seconds to break something


async def test_picture_arrives_after_the_interaction_token_died(discord: Discord, bot: BotProcess) -> None:
    use = await imagine(discord, RUNNING, steps=10)
    await use.wait(lambda message: message.buttons)
    discord.expire_token(use)
    message = await discord.wait_message(is_result)
    assert message.id == discord.messages(discord.channel)[0].id  # its own card, edited as the bot
    discord.assert_clean()


async def test_card_deleted_while_waiting_cancels_the_job(discord: Discord, bot: BotProcess, data_dir: Path) -> None:
    first = await imagine(discord, RUNNING, steps=10)
    await first.wait(lambda message: message.buttons)
    second = await imagine(discord)
    discord.delete_message(await second.wait(lambda message: message.buttons))
    await first.wait(is_result)
    await bot.stop()
    assert [row["status"] for row in rows(data_dir)] == ["done", "cancelled"]
    assert len(discord.messages(discord.channel)) == 1


async def test_card_deleted_while_drawing_stops_the_job_and_posts_nothing(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    use = await imagine(discord, "[hang] [step=0.05]")
    discord.delete_message(await use.wait(lambda message: message.buttons))
    await (await imagine(discord, "after it")).wait(is_result)
    assert [row["status"] for row in rows(data_dir)] == ["cancelled", "done"]
    assert len(discord.messages(discord.channel)) == 1


async def test_channel_deleted_under_a_job_sends_the_picture_by_direct_message(
    discord: Discord, bot: BotProcess
) -> None:
    channel = discord.add_channel("doomed")
    use = await discord.slash(discord.user, channel, "imagine", prompt=RUNNING, steps=10)
    await use.wait(lambda message: message.buttons)
    discord.delete_channel(channel)
    message = await discord.wait_message(is_result, channel=discord.dm(discord.user))
    assert RUNNING.strip("[]") in message.text.replace("\\", "")
    discord.assert_clean()


async def test_closed_direct_messages_leave_a_note_for_the_next_command(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    shy = discord.add_user("shy", dms_open=False)
    channel = discord.add_channel("doomed")
    use = await discord.slash(shy, channel, "imagine", prompt=RUNNING, steps=10)
    await use.wait(lambda message: message.buttons)
    discord.delete_channel(channel)
    await wait_row(data_dir, delivery="undeliverable")
    quota = await discord.slash(shy, discord.channel, "quota")
    note = await quota.wait(lambda message: "#1" in message.text)
    assert note.ephemeral
    shown = await discord.slash(shy, discord.channel, "show", id=1)
    await shown.wait(is_result)
    again = await discord.slash(shy, discord.channel, "quota")
    await again.wait()
    assert all("#1" not in message.text for message in again.followups)  # told once


async def test_right_to_attach_files_withdrawn_under_a_job_finds_another_way(discord: Discord, bot: BotProcess) -> None:
    use = await imagine(discord, RUNNING, steps=10)
    await use.wait(lambda message: message.buttons)
    discord.set_permissions(discord.channel, discord.bot, deny=Permission.ATTACH_FILES)
    await discord.wait_message(is_result, channel=discord.dm(discord.user))
    discord.assert_clean()


async def test_right_to_see_the_channel_withdrawn_under_a_job_finds_another_way(
    discord: Discord, bot: BotProcess
) -> None:
    use = await imagine(discord, RUNNING, steps=10)
    await use.wait(lambda message: message.buttons)
    discord.set_permissions(discord.channel, discord.bot, deny=Permission.VIEW_CHANNEL)
    await discord.wait_message(is_result, channel=discord.dm(discord.user), timeout=20)
    discord.assert_clean()


async def test_too_large_an_upload_is_made_smaller_and_says_so(discord: Discord, bot: BotProcess) -> None:
    discord.fault(r"PATCH /channels/\d+/messages/\d+", times=math.inf, code=40005)
    use = await imagine(discord, RUNNING, steps=5)
    await discord.wait_requests(r"PATCH /channels/\d+/messages/\d+", count=2)
    discord.clear_faults()
    message = await use.wait(is_result, timeout=20)
    assert "smaller" in message.text


async def test_upload_limit_of_the_server_is_kept(discord: Discord, bot: BotProcess) -> None:
    """A picture that fits is sent as it is: PNG with its settings inside."""
    message = await (await imagine(discord)).wait(is_result)
    assert b"parameters" in message.image_bytes(0)


async def test_rate_limit_of_one_channel_does_not_hold_up_another(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    """By the order of what arrives, since that of a busy machine's seconds says nothing."""
    other = discord.add_channel("other")
    use = await imagine(discord, RUNNING, steps=3)
    await use.wait(lambda message: message.buttons)
    discord.fault(rf"PATCH /channels/{discord.channel.id}/messages/", times=1, retry_after=6)
    await discord.wait_requests(rf"PATCH /channels/{discord.channel.id}/messages/")
    elsewhere = await discord.slash(discord.user, other, "imagine", prompt="quick", steps=1)
    await elsewhere.wait(is_result, timeout=20)
    assert not any(message.images for message in discord.messages(discord.channel))
    await use.wait(is_result, timeout=30)
    assert len(discord.requests(rf"PATCH /channels/{discord.channel.id}/messages/")) <= 4
    discord.assert_clean()


@pytest.mark.parametrize(
    ("fault", "times"), [({"status": 502}, 2), ({"status": 500}, 1), ({"reset": True}, 1)], ids=["502", "500", "reset"]
)
async def test_burst_of_server_errors_delays_the_picture_and_loses_nothing(
    discord: Discord, bot: BotProcess, fault: dict[str, object], times: int
) -> None:
    use = await imagine(discord, RUNNING, steps=5)
    await use.wait(lambda message: message.buttons)
    discord.fault(r"PATCH /channels/\d+/messages/\d+", times=times, **fault)
    await use.wait(is_result, timeout=50)
    assert len(discord.messages(discord.channel)) == 1


async def test_answer_that_was_lost_on_the_way_back_is_not_posted_twice(discord: Discord, bot: BotProcess) -> None:
    """The edit happened, its answer did not arrive: the repeat must change nothing for the reader."""
    use = await imagine(discord, RUNNING, steps=5)
    await use.wait(lambda message: message.buttons)
    discord.fault(r"PATCH /channels/\d+/messages/\d+", times=1, reset=True, applied=True)
    await use.wait(is_result, timeout=20)
    await discord.wait_requests(r"PATCH /channels/\d+/messages/\d+", count=2, timeout=20)
    assert len(discord.messages(discord.channel)) == 1


async def test_new_message_whose_answer_was_lost_is_not_doubled(discord: Discord, bot: BotProcess) -> None:
    use = await imagine(discord, RUNNING, steps=8)
    await use.wait(lambda message: message.buttons)
    discord.fault(r"PATCH /channels/\d+/messages/\d+", times=math.inf, code=50013)
    discord.fault(r"POST /channels/\d+/messages$", times=1, reset=True, applied=True)
    await discord.wait_message(is_result, timeout=20)
    await discord.wait_requests(r"POST /channels/\d+/messages$", count=2, timeout=20)
    assert sum(bool(message.images) for message in discord.messages(discord.channel)) == 1


async def test_automod_gets_the_picture_without_its_prompt(discord: Discord, bot: BotProcess) -> None:
    use = await imagine(discord, f"{RUNNING} forbidden", steps=5)
    await use.wait(lambda message: message.buttons)
    discord.fault(r"PATCH /channels/\d+/messages/\d+", times=1, code=200000)
    message = await use.wait(is_result, timeout=20)
    assert "forbidden" not in message.text


async def test_card_too_old_to_edit_becomes_a_new_message_that_names_its_person(
    discord: Discord, bot: BotProcess
) -> None:
    use = await imagine(discord, RUNNING, steps=5)
    await use.wait(lambda message: message.buttons)
    discord.fault(r"PATCH /channels/\d+/messages/\d+", times=math.inf, code=30046)
    message = await discord.wait_message(is_result, timeout=20)
    assert message.pings == [discord.user.id]


@pytest.mark.parametrize("is_resumable", [True, False])
async def test_gateway_drop_loses_nothing(discord: Discord, bot: BotProcess, is_resumable: bool) -> None:
    use = await imagine(discord, RUNNING, steps=10)
    await use.wait(lambda message: message.buttons)
    discord.gateway.drop(4000 if is_resumable else 4009, resumable=is_resumable)
    await use.wait(is_result, timeout=20)
    if is_resumable:
        await discord.wait_resumed()
    else:
        await discord.wait_ready(count=2)
    await (await imagine(discord)).wait(is_result)
    discord.assert_clean()


async def test_bot_kicked_from_the_server_goes_on_elsewhere(discord: Discord, bot: BotProcess) -> None:
    elsewhere = discord.add_guild("another guild")
    channel = discord.add_channel("art", guild=elsewhere)
    user = discord.add_user("bob", guild=elsewhere)
    use = await imagine(discord, RUNNING, steps=5)
    await use.wait(lambda message: message.buttons)
    discord.remove_member(discord.bot)
    await discord.wait_command("imagine", guild=elsewhere)
    other = await discord.slash(user, channel, "imagine", prompt="x", steps=1)
    await other.wait(is_result, timeout=20)


async def test_failed_picture_says_why_and_costs_nothing(discord: Discord, make_bot: Callable[..., BotProcess]) -> None:
    async with make_bot(limits__max_images_per_day=1) as bot:
        await bot.wait_ready()
        failed = await (await imagine(discord, "[oom]")).wait(is_final)
        assert "memory" in failed.text
        await (await imagine(discord)).wait(is_result)
        refused = await imagine(discord)
        assert "1 of your 1" in (await refused.wait(lambda message: message.ephemeral)).text


@pytest.mark.parametrize("way_out", ["an admin resumes", "a restart"])
async def test_queue_that_paused_itself_after_three_failures_goes_on_when(
    discord: Discord, bot: BotProcess, way_out: str
) -> None:
    for _ in range(3):
        await (await imagine(discord, "[fail]")).wait(is_final)
    use = await imagine(discord)
    card = await use.wait(lambda message: message.buttons)
    assert "paused" in card.text
    if way_out == "a restart":
        await bot.stop()
        await bot.start()
        await bot.wait_ready()
    else:
        admin = discord.add_user("admin", roles=[discord.add_role("admins", Permission.MANAGE_GUILD)])
        await discord.slash(admin, discord.channel, "admin resume")
    await use.wait(is_result)
