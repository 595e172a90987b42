"""What `tests.e2e.message_pictures` shows of moderation, privacy, the menu of a message, upscaling and alerts."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from tests.discord_server import BotProcess, MessageView, Permission, Upload
from tests.discord_server.world import Channel
from tests.e2e.album import LONG, PATIENCE_S, Album, People, answer, finished, says
from tests.e2e.conftest import bot_process

PARAMETERS: Final = (
    "a lighthouse at dusk\nNegative prompt: people\n"
    "Steps: 28, Sampler: DPM++ 2M, CFG scale: 6.5, Seed: 1234, Size: 512x512, Model: aurora"
)


async def team(album: Album, folder: Path, settings: dict[str, Any], people: People) -> None:
    """Show a bot that tells its operator of troubles, on a server with moderators."""
    discord = album.discord
    channel = discord.add_channel("team")
    common = {**settings, "discord__alert_channel": channel.id}
    async with bot_process(discord, folder, folder / "team", **common) as bot:
        await bot.wait_ready()
        await discord.wait_command("imagine")
        await upscaled(album, people)
        await removed(album, people)
        await words(album, people)
        await banned(album, people)
        await menus(album, people)
        await privacy(album, people)
        await troubles(album, bot, people, channel)
    album.add("operating", "In the alert channel", *discord.messages(channel))


async def upscaled(album: Album, people: People) -> None:
    """Show an image, and what Upscale makes of it."""
    alice = people("alice")
    single = await alice.finished("a fox on a blue background", seed=7)
    larger = await finished(await alice.press(single, "Upscale"))
    album.add("upscale", "Finished", single)
    album.add("upscale", "Upscale", larger)


async def removed(album: Album, people: People) -> None:
    """Show what is left of images that a moderator removes, and who is told."""
    bob, carol, admin = people("bob"), people("carol"), people("admin")
    await bob.finished("a skull", seed=3)  # image #3
    told = await admin.ask("admin remove", id=3, reason="too scary for this channel")
    album.add("moderation", "/admin remove", told)
    show = await bob.use("show", id=3)
    album.add("moderation", "The person who asked for it: /show", await answer(show))
    note = await show.wait(lambda seen: "🚫" in seen.text, timeout=PATIENCE_S)
    album.add("moderation", "… and a note with the next command, once", note)
    album.add("moderation", "… and in /history", await bob.ask("history"))
    running = await carol.imagine("a skull and a spider", steps=50)
    await says(running, "· step")
    await admin.ask("admin remove", id=4, reason="too scary for this channel")
    album.add("moderation", "Removed while it was drawn", await says(running, "cancelled by a moderator"))


async def words(album: Album, people: People) -> None:
    """Show how a word is blocked."""
    dave, admin = people("dave"), people("admin")
    album.add("words", "/admin words add", await admin.ask("admin words add", word="skull, spider web"))
    album.add("words", "A request with such a word", await dave.ask("imagine", prompt="a skull on a hill"))
    album.add("words", "… in disguise", await dave.ask("imagine", prompt="a s.k.u.1.l on a hill"))
    album.add("words", "/admin words test", await admin.ask("admin words test", text="a $kull on a hill"))
    album.add("words", "… with nothing of the list", await admin.ask("admin words test", text="a sculler on a lake"))
    album.add("words", "/admin words list", await admin.ask("admin words list"))


async def banned(album: Album, people: People) -> None:
    """Show a ban to everybody whom it concerns."""
    dave, admin = people("dave"), people("admin")
    running = await dave.imagine("a castle on a hill", steps=50)
    await says(running, "· step")
    said = await admin.ask("admin ban", user=dave.user, until="3d", reason="asks for the same again and again")
    album.add("bans", "/admin ban", said)
    album.add("bans", "What was being drawn for them", await says(running, "cancelled by a moderator"))
    album.add("bans", "The next request", await answer(await dave.imagine("a castle on a hill")))
    album.add("bans", "/admin bans", await admin.ask("admin bans"))


async def menus(album: Album, people: People) -> None:
    """Show the menu of a message: a stranger's file, and an image of ours."""
    alice, erin, admin = people("alice"), people("erin"), people("admin")
    discord = album.discord
    theirs = discord.say(erin.user, erin.channel, "look at this one", files=[lighthouse()])
    album.add("menu", "A message with a file from somewhere else", theirs)
    info = await answer(await discord.message_menu(alice.user, theirs, "Image info"))
    album.add("menu", "Apps → Image info", info)
    form = await (await discord.message_menu(alice.user, theirs, "Use as input")).wait_modal()
    album.add("menu", "Apps → Use as input", modal=form)
    ours = await alice.finished("a red apple", seed=1)
    form = await (await discord.message_menu(admin.user, ours, "Remove")).wait_modal()
    album.add("menu", "Apps → Remove, of an image of the bot, for moderators", modal=form)


async def privacy(album: Album, people: People) -> None:
    """Show what somebody reads of what is stored about them, and how it goes."""
    kim = people("kim")
    await kim.ask("settings", aspect="square", steps=12)
    await kim.ask("preset save", name="night", suffix="at night")
    await kim.finished("a green tree", seed=2)
    album.add("privacy", "/privacy show", await kim.ask("privacy show"))
    question = await kim.ask("privacy delete")
    album.add("privacy", "/privacy delete", question)
    said = await kim.press(question, "Delete everything")
    album.add("privacy", "Delete everything", await says(said, "deleted"))


async def troubles(album: Album, bot: BotProcess, people: People, team_channel: Channel) -> None:
    """Let happen what the alert channel tells, and show how things stand."""
    alice, admin = people("alice"), people("admin")
    discord = album.discord
    album.add("operating", "/admin stats", await admin.ask("admin stats"))
    await admin.ask("admin pause", reason="the computer is needed for a game", until="2h")
    await alert(album, team_channel, "No new images")
    await admin.ask("admin resume")
    await alert(album, team_channel, "has resumed")
    killed = await alice.imagine("a penguin on a red background", steps=LONG, seed=2)
    await says(killed, "· step")
    await bot.kill()
    discord.set_permissions(discord.channel, discord.bot, deny=Permission.ATTACH_FILES)
    await bot.start()
    await bot.wait_ready()
    await alert(album, team_channel, "I am back")
    await alert(album, team_channel, "cannot post images")
    discord.set_permissions(discord.channel, discord.bot)
    await bot.stop()


async def alert(album: Album, channel: Channel, words: str) -> MessageView:
    """Wait for a message of the alert channel."""
    return await album.discord.wait_message(
        lambda seen: seen.author_id == album.discord.bot.id and words in seen.content,
        channel,
        timeout=PATIENCE_S,
    )


async def quiet(album: Album, folder: Path, settings: dict[str, Any], people: People) -> None:
    """Show a request that comes in quiet hours."""
    now = datetime.now(tz=UTC)
    span = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=3):%H:%M}"
    hours = {"hours__quiet": f'["{span}"]', "hours__timezone": "UTC"}
    async with bot_process(album.discord, folder, folder / "quiet", **settings, **hours) as bot:
        await bot.wait_ready()
        use = await people("alice").imagine("a red apple", seed=1)
        album.add("waiting", "In quiet hours", await says(use, "quiet hours"))


def lighthouse() -> Upload:
    """Make a file that says how another program drew it."""
    image = Image.new("RGB", (512, 512), "#1b2a4a")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 400, 512, 512), fill="#0b1524")
    draw.polygon([(280, 120), (512, 40), (512, 200)], fill="#6f6a3d")
    draw.polygon([(225, 420), (287, 420), (272, 140), (240, 140)], fill="#d8d2c4")
    draw.rectangle((236, 105, 276, 140), fill="#ffd75e")
    draw.polygon([(230, 105), (282, 105), (256, 78)], fill="#9c2f2f")
    notes, file = PngInfo(), io.BytesIO()
    notes.add_text("parameters", PARAMETERS)
    image.save(file, "PNG", pnginfo=notes)
    return Upload("lighthouse.png", file.getvalue())
