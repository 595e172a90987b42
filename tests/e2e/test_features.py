"""What docs/features.md promises and no other test shows from the slash command to the file: one bot, one promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.discord_server import BotProcess, Discord, MessageView, Permission
from tests.e2e.conftest import imagine, rows, wait_row
from tests.e2e.test_iterating import button, is_ready, private


async def more(discord: Discord, message: MessageView, *, user: object = None, image: str = "") -> MessageView:
    """The private menu of an image, the one chosen if a message holds several."""
    use = await discord.click(message, button(message, "More"), user)  # type: ignore[arg-type]
    if image:
        use = await discord.select(await private(use), "im2pick:more:1", [image], user)  # type: ignore[arg-type]
    return await use.wait(lambda shown: shown.ephemeral and bool(shown.buttons))


async def test_draft_is_drawn_at_its_final_size_after_a_kill(discord: Discord, bot: BotProcess) -> None:
    draft = await (await imagine(discord, size="draft", seed=7)).wait(is_ready)
    await bot.kill()
    await bot.start()
    await bot.wait_ready()
    menu = await more(discord, draft)
    final = await (await discord.click(menu, button(menu, "Final size"))).wait(is_ready)
    assert "32 × 32" in draft.text and "64 × 64" in final.text
    assert "seed 7" in draft.text and "seed 7" in final.text
    discord.assert_clean()


async def test_sizes_have_names_and_may_be_exact(discord: Discord, bot: BotProcess) -> None:
    sizes = {"normal": "64 × 64", "large": "96 × 96", "80x48": "80 × 48"}
    for size, pixels in sizes.items():
        assert pixels in (await (await imagine(discord, size=size)).wait(is_ready)).text
    refused = await private(await imagine(discord, size="99999x3"))
    assert "cannot draw this size" in refused.text
    discord.assert_clean()


async def test_flags_and_pasted_settings_are_taken_out_of_the_prompt(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    typed = await discord.slash(
        discord.user, discord.channel, "imagine", prompt="a cat --ar 3:2 --seed 3 --v 6 —steps 4"
    )
    told = await private(typed)
    assert "seed 3" in told.text and "--v 6" in told.text.replace("\\", "")
    copied = "a dog Negative prompt: rain Steps: 3, Sampler: Euler, Seed: 9, Size: 64x96"
    await discord.slash(discord.user, discord.channel, "imagine", prompt=copied)
    for prompt, said in (("a cat", ("seed 3", "4 steps", "96 × 64")), ("a dog", ("seed 9", "3 steps", "64 × 96"))):
        done = await discord.wait_message(lambda message, prompt=prompt: is_ready(message) and prompt in message.text)
        assert all(part in done.text for part in said), done.text
    assert not any(word in str(rows(data_dir)) for word in ("--", "Sampler", "Euler"))
    discord.assert_clean()


async def test_one_of_several_images_is_chosen_and_becomes_a_starting_image(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    gallery = await (await imagine(discord, "a red apple", count=3, seed=7)).wait(
        lambda message: is_ready(message) and len(message.images) == 3
    )
    assert [image.description for image in gallery.images] == ["a red apple"] * 3  # what a screen reader says
    menu = await more(discord, gallery, image="2")
    form = await discord.click(menu, button(menu, "starting image"))
    done = await (await discord.submit_modal(form, {"prompt": "a pear --strength 0.6"})).wait(is_ready)
    assert "starting image" in done.text and "a pear" in done.text
    assert (await wait_row(data_dir, 3, status="done"))["derived_from"] == 2
    discord.assert_clean()


async def test_cancel_keeps_the_images_that_are_finished(discord: Discord, bot: BotProcess, data_dir: Path) -> None:
    use = await imagine(discord, "[step=0.4]", count=3)
    shown = await use.wait(lambda message: len(message.images) == 1)
    await discord.click(shown, button(shown, "Cancel"))
    done = await use.wait(is_ready, timeout=20)
    assert len(done.images) == 1
    assert [row["status"] for row in rows(data_dir)] == ["done", "cancelled", "cancelled"]
    discord.assert_clean()


async def test_image_is_kept_and_its_original_file_is_given_and_sent(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    message = await (await imagine(discord)).wait(is_ready)
    bob = discord.add_user("bob")
    (file,) = (data_dir / "images").rglob("*.png")
    menu = await more(discord, message, user=bob)
    given = await (await discord.click(menu, button(menu, "Original file"), bob)).wait(lambda shown: bool(shown.images))
    assert given.ephemeral and given.image_bytes(0) == file.read_bytes()
    info = await private(await discord.click(menu, button(menu, "Info"), bob))
    assert f"<@{discord.user.id}>" in info.text and "/imagine prompt:a red apple" in info.text and "KiB" in info.text
    await discord.click(menu, button(menu, "Send to me"), bob)
    await discord.wait_message(lambda sent: bool(sent.images), discord.dm(bob))
    menu = await more(discord, message)
    kept = await private(await discord.click(menu, button(menu, "Keep")))
    assert "is kept" in kept.content
    assert rows(data_dir)[0]["is_kept"]
    discord.assert_clean()


async def test_moderator_deletes_an_image_for_good_and_a_stranger_is_not_offered_it(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    message = await (await imagine(discord, "secret words")).wait(is_ready)
    stranger = await more(discord, message, user=discord.add_user("mallory"))
    assert not any("Delete" in each["label"] or "Keep" in each["label"] for each in stranger.buttons)
    moderator = discord.add_user("mod", roles=[discord.add_role("mods", Permission.MANAGE_MESSAGES)])
    menu = await more(discord, message, user=moderator)
    asked = await private(await discord.click(menu, button(menu, "Delete"), moderator))
    gone = await discord.click(asked, button(asked, "Delete for good"), moderator)
    await gone.wait(lambda shown: "was deleted" in shown.content)
    assert not list((data_dir / "images").rglob("*.png"))
    assert "secret" not in str(rows(data_dir))
    assert discord.messages(discord.channel) == []
    discord.assert_clean()


@pytest.mark.parametrize(("locale", "history", "title"), [("zh-CN", "历史", "图片"), ("zh-TW", "紀錄", "圖片")])
async def test_commands_have_chinese_names_and_answer_in_chinese(
    locale: str, history: str, title: str, discord: Discord, bot: BotProcess
) -> None:
    command = await discord.wait_command("history")
    assert command["name_localizations"][locale] == history
    reader = discord.add_user("reader", locale=locale)
    await (await discord.slash(reader, discord.channel, "imagine", prompt="a blue house", steps=1)).wait(is_ready)
    answer = await private(await discord.slash(reader, discord.channel, "history", search="blue"))
    assert title in answer.text and "a blue house" in answer.text
    discord.assert_clean()
