"""From the slash command to the picture, and every command a person has."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tests.discord_server import BotProcess, ClientRefused, Discord, Permission
from tests.e2e.conftest import imagine, is_final, is_result, rows, wait_row


async def test_imagine_becomes_a_status_card_and_then_a_picture(discord: Discord, bot: BotProcess) -> None:
    use = await imagine(discord, seed=7, steps=3)
    message = await use.wait(is_result)
    assert use.ack_seconds is not None and use.ack_seconds < 1
    assert message.image_bytes(0).startswith(b"\x89PNG")
    assert "a red apple" in message.text and "seed 7" in message.text and "3 steps" in message.text
    assert "/imagine prompt:a red apple seed:7 steps:3" in message.text
    assert message.pings == []
    assert await bot.stop() == 0
    discord.assert_clean()
    assert discord.stats()["rate_limited"] == 0


async def test_waiting_card_shows_place_and_finish_time_and_progress_follows(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    await (await imagine(discord, "[step=0.3]")).wait(is_result)  # the pace is known from here on, if roughly
    first = await imagine(discord, "[step=0.3]", steps=20)
    await wait_row(data_dir, 1, status="running")  # else the second is number 2, and says so for four seconds
    second = await imagine(discord, "[step=0.1]", steps=2)
    waiting = await second.wait(lambda message: "you are next" in message.text)
    assert "<t:" in waiting.text and ":R>" in waiting.text and "expected" in waiting.text
    running = await first.wait(lambda message: "of 20" in message.text)
    assert [button["label"] for button in running.buttons] == ["Cancel"]
    await second.wait(is_result, timeout=20)
    edits = [event.t for event in first.timeline if event.kind == "edit" and not is_result(event.message)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(edits)]
    assert all(gap > 3.5 for gap in gaps[1:]), gaps
    discord.assert_clean()


async def test_same_seed_draws_the_same_picture_again(discord: Discord, bot: BotProcess) -> None:
    pictures = []
    for seed in (5, 5, 6):
        use = await imagine(discord, "a red apple --fresh", seed=seed)  # not the image that is there
        pictures.append((await use.wait(is_result)).image_bytes(0))
    assert pictures[0] == pictures[1] != pictures[2]


async def test_cancel_button_stops_a_running_job_of_its_owner_only(discord: Discord, bot: BotProcess) -> None:
    use = await imagine(discord, "[hang] [step=0.05]")
    card = await use.wait(lambda message: message.buttons)
    stranger = discord.add_user("mallory")
    refused = await discord.click(card, "Cancel", stranger)
    answer = await refused.wait()
    assert answer.ephemeral and "somebody else" in answer.text
    await discord.click(card, "Cancel")
    await use.wait(lambda message: "cancelled" in message.text and is_final(message))
    discord.assert_clean()


async def test_double_click_on_cancel_is_harmless(discord: Discord, bot: BotProcess) -> None:
    running = await imagine(discord, "[step=0.5]", steps=8)
    await running.wait(lambda message: message.buttons)
    use = await imagine(discord, "waits")
    card = await use.wait(lambda message: message.buttons)
    first = await discord.click(card, "Cancel")
    second = await discord.click(card, "Cancel")
    assert {(await click.wait()).ephemeral for click in (first, second)} == {True}
    await use.wait(lambda message: "cancelled" in message.text)
    discord.assert_clean()


async def test_moderator_may_cancel_anybodys_job(discord: Discord, bot: BotProcess) -> None:
    use = await imagine(discord, "[hang] [step=0.05]")
    card = await use.wait(lambda message: message.buttons)
    role = discord.add_role("moderators", Permission.MANAGE_MESSAGES)
    await discord.click(card, "Cancel", discord.add_user("mod", roles=[role]))
    await use.wait(lambda message: "cancelled" in message.text and is_final(message))


async def test_cancel_command_offers_own_jobs(discord: Discord, bot: BotProcess) -> None:
    await imagine(discord, "[hang] [step=0.05] mine")
    other = discord.add_user("bob")
    theirs = await discord.slash(other, discord.channel, "imagine", prompt="theirs", steps=2)
    await theirs.wait(lambda message: message.buttons)
    choices = await discord.autocomplete(discord.user, discord.channel, "cancel", "picture", "")
    assert [("mine" in choice["name"]) for choice in choices] == [True]
    use = await discord.slash(discord.user, discord.channel, "cancel", picture=choices[0]["value"])
    assert (await use.wait()).ephemeral
    await theirs.wait(is_result)
    discord.assert_clean()


async def test_queue_history_show_and_quota_answer_privately(discord: Discord, bot: BotProcess) -> None:
    await (await imagine(discord, "a blue house", seed=1)).wait(is_result)
    await (await imagine(discord, "a green tree", seed=2)).wait(is_result)

    history = await (await discord.slash(discord.user, discord.channel, "history")).wait()
    assert history.ephemeral and "a blue house" in history.text and "a green tree" in history.text
    found = await (await discord.slash(discord.user, discord.channel, "history", search="blue")).wait()
    assert "a blue house" in found.text and "a green tree" not in found.text
    stranger = discord.add_user("bob")
    nothing = await (await discord.slash(stranger, discord.channel, "history")).wait()
    assert "blue" not in nothing.text

    shown = await (await discord.slash(discord.user, discord.channel, "show", id=1)).wait(is_result)
    assert not shown.ephemeral and "a blue house" in shown.text
    of_other = await (await discord.slash(stranger, discord.channel, "show", id=1)).wait(is_result)
    assert not of_other.ephemeral and f"by <@{discord.user.id}> · posted by <@{stranger.id}>" in of_other.text
    unknown = await discord.slash(discord.user, discord.channel, "show", id=999)
    assert "#999" in (await unknown.wait(lambda message: message.ephemeral)).text

    quota = await (await discord.slash(discord.user, discord.channel, "quota")).wait()
    assert quota.ephemeral and "2" in quota.text and "1000" in quota.text
    queue = await (await discord.slash(discord.user, discord.channel, "queue")).wait()
    assert queue.ephemeral
    discord.assert_clean()


async def test_admin_commands_are_hidden_and_work(discord: Discord, bot: BotProcess, data_dir: Path) -> None:
    with pytest.raises(ClientRefused):
        await discord.slash(discord.user, discord.channel, "admin stats")
    admin = discord.add_user("admin", roles=[discord.add_role("admins", Permission.MANAGE_GUILD)])
    await (await discord.slash(admin, discord.channel, "admin pause", reason="a game night")).wait()
    use = await imagine(discord)
    card = await use.wait(lambda message: message.buttons)
    assert "a game night" in card.text
    await (await discord.slash(admin, discord.channel, "admin queue")).wait(lambda message: "#1" in message.text)
    await (await discord.slash(admin, discord.channel, "admin resume")).wait()
    await use.wait(is_result)
    second = await imagine(discord, "[hang] [step=0.05]")
    await second.wait(lambda message: message.buttons)
    await (await discord.slash(admin, discord.channel, "admin cancel", id=2)).wait()
    await second.wait(lambda message: "cancelled" in message.text and is_final(message))
    stats = await (await discord.slash(admin, discord.channel, "admin stats")).wait()
    assert "fake" in stats.text
    assert [row["status"] for row in rows(data_dir)] == ["done", "cancelled"]
    discord.assert_clean()


async def test_replies_are_in_the_readers_language_and_cards_in_the_servers(discord: Discord, make_bot) -> None:
    reader = discord.add_user("小明", locale="zh-CN")
    async with make_bot(limits__max_active_per_user=1) as bot:
        await bot.wait_ready()
        command = await discord.wait_command("imagine")
        assert command["description_localizations"]["zh-CN"] != command["description"]
        use = await discord.slash(reader, discord.channel, "imagine", prompt="[hang] [step=0.05] 一只熊猫")
        card = await use.wait(lambda message: message.buttons)
        assert "Cancel" in [button["label"] for button in card.buttons]
        refused = await discord.slash(reader, discord.channel, "imagine", prompt="还要一张")
        answer = await refused.wait(lambda message: message.ephemeral)
        assert any("\u4e00" <= character <= "\u9fff" for character in answer.text)
    discord.assert_clean()


async def test_chinese_server_gets_chinese_cards(make_bot, discord: Discord) -> None:
    discord.guild.locale = "zh-CN"
    async with make_bot() as bot:
        await bot.wait_ready()
        use = await imagine(discord, "[hang] [step=0.05]")
        card = await use.wait(lambda message: message.buttons)
        assert "Cancel" not in [button["label"] for button in card.buttons]


async def test_commands_are_sent_to_discord_only_when_they_changed(discord: Discord, make_bot) -> None:
    async with make_bot() as bot:
        await bot.wait_ready()
        await discord.wait_command("imagine")
        await bot.stop()
        await bot.start()
        await bot.wait_ready()
        await (await imagine(discord)).wait(is_result)
    assert len(discord.requests(r"PUT /applications/.*commands")) == 1


async def test_hostile_prompts_neither_break_the_card_nor_ping(discord: Discord, bot: BotProcess) -> None:
    role = discord.add_role("everybody")
    for prompt in (
        "`" * 2000,
        f"@everyone @here <@{discord.user.id}> <@&{role.id}>",
        "**__~~||>>> # [x](http://y) " * 40,
    ):
        message = await (await imagine(discord, prompt)).wait(is_result, timeout=20)
        assert message.pings == []
    discord.assert_clean()


async def test_refusals_are_private_and_leave_nothing_in_the_channel(
    discord: Discord, make_bot, data_dir: Path
) -> None:
    async with make_bot(limits__max_active_per_user=1) as bot:
        await bot.wait_ready()
        await (await imagine(discord, "[hang] [step=0.05]")).wait(lambda message: message.buttons)
        refused = await imagine(discord)
        answer = await refused.wait(lambda message: message.ephemeral)
        assert "<t:" in answer.text
        blank = await imagine(discord, "\u200b\u200b")
        assert (await blank.wait(lambda message: message.ephemeral)).text
        assert len([message for message in discord.messages(discord.channel) if not message.ephemeral]) == 1
    assert len(rows(data_dir)) == 1
    discord.assert_clean()


async def test_low_disk_space_is_refused_politely(discord: Discord, make_bot, data_dir: Path) -> None:
    async with make_bot(storage__min_free_mib=10**9) as bot:
        await bot.wait_ready()
        refused = await imagine(discord)
        assert "disk" in (await refused.wait(lambda message: message.ephemeral)).text
    assert rows(data_dir) == []


async def test_missing_permission_is_named_before_anything_is_queued(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    discord.set_permissions(discord.channel, discord.bot, deny=Permission.ATTACH_FILES)
    refused = await imagine(discord)
    answer = await refused.wait(lambda message: message.ephemeral)
    assert "Attach Files" in answer.text
    assert rows(data_dir) == []
    discord.assert_clean()


async def test_other_channels_and_servers_are_refused_by_the_lists(discord: Discord, make_bot) -> None:
    allowed = discord.add_channel("art")
    async with make_bot(discord__allowed_channels=f"[{allowed.id}]") as bot:
        await bot.wait_ready()
        refused = await imagine(discord)
        assert f"<#{allowed.id}>" in (await refused.wait(lambda message: message.ephemeral)).text
        use = await discord.slash(discord.user, allowed, "imagine", prompt="x", steps=1)
        await use.wait(is_result)
        thread = discord.add_thread(allowed, "a thread")
        in_thread = await discord.slash(discord.user, thread, "imagine", prompt="x", steps=1)
        await in_thread.wait(is_result)
    discord.assert_clean()
