"""Private images, settings and presets of a bot that is killed in between: nobody else ever sees anything."""

from __future__ import annotations

from pathlib import Path

from tests.discord_server import BotProcess, Discord, MessageView, Use
from tests.e2e.conftest import rows, wait_row

SECRET = "a secret garden"


def is_private(message: MessageView) -> bool:
    return message.ephemeral and not message.loading


async def ask(discord: Discord, command: str = "imagine", **options: object) -> Use:
    return await discord.slash(discord.user, discord.channel, command, options=options)


def is_waiting(message: MessageView) -> bool:
    return any("cancel" in each["custom_id"] for each in message.buttons)


def assert_nothing_leaked(discord: Discord, bot: BotProcess) -> None:
    own = discord.dm(discord.user).id
    seen = [event.message for event in discord.log if event.message is not None]
    assert not [message for message in seen if "secret" in str(message.payload) and not is_own(message, own)]
    assert not [message for message in seen if message.images and not is_own(message, own)]
    assert "secret" not in "\n".join(bot.output)


def is_own(message: MessageView, dm: str) -> bool:
    return message.ephemeral or message.channel_id == dm


async def test_private_images_outlive_kills_and_reach_their_person_only(
    discord: Discord, bot: BotProcess, data_dir: Path
) -> None:
    stranger = discord.add_user("stranger")
    for options in ({"private": True, "suffix": "in ink"}, {"language": "简体中文"}):
        await (await ask(discord, "settings", **options)).wait(is_private)
    await (await ask(discord, "preset save", name="Night", suffix="at night", steps=3)).wait(is_private)
    use = await ask(discord, prompt=f"{SECRET} [step=0.3]", preset="night", count=2)
    waiting = await use.wait(is_waiting)
    assert "只有你能看到" in waiting.content
    await wait_row(data_dir, status="running")
    await bot.kill()
    await bot.start()
    await bot.wait_ready()
    sent = await discord.wait_message(
        lambda message: len(message.images) == 2, channel=discord.dm(discord.user), timeout=40
    )
    assert "你的" in sent.content and f"{SECRET} [step=0.3], at night, in ink" in sent.text.replace("\\", "")
    await wait_row(data_dir, 1, delivery="delivered")
    assert discord.messages(discord.channel, stranger) == []

    discord.user.dms_open = False  # the choices are remembered, and the language
    again = await ask(discord, prompt=f"{SECRET} [step=0.3]", spoiler=True, steps=3)
    await again.wait(is_waiting)
    await wait_row(data_dir, 2, status="running")
    await bot.kill()
    await bot.start()
    await bot.wait_ready()
    notice = await discord.wait_message(lambda message: "你的私密图片 #3 画好了" in message.content, timeout=40)
    (button,) = [each["custom_id"] for each in notice.buttons]
    await wait_row(data_dir, 2, delivery="delivered")
    await bot.kill()
    await bot.start()
    await bot.wait_ready()
    refused = await (await discord.click(notice, button, stranger)).wait(is_private)
    assert "belongs to somebody else" in refused.text and not refused.images
    shown = await (await discord.click(notice, button)).wait(is_private)
    assert [image.is_spoiler for image in shown.images] == [True]

    more = await discord.click(shown, next(each["label"] for each in shown.buttons if "再来" in each["label"]))
    assert (await more.wait(is_waiting)).ephemeral
    await wait_row(data_dir, 3, status="running")
    await (await ask(discord, "cancel", picture=4)).wait(is_private)
    await wait_row(data_dir, 3, status="cancelled", delivery="delivered", is_private=1, is_spoiler=1)
    assert {row["is_private"] for row in rows(data_dir)} == {1}
    others = discord.messages(discord.channel, discord.add_user("bystander"))
    assert [message.id for message in others] == [notice.id]
    assert_nothing_leaked(discord, bot)
    discord.assert_clean()
