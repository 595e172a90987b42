"""Makes the pictures of messages in `docs/messages/`: python -m tests.e2e.message_pictures [FOLDER]

The real bot with the demo model draws, several bots one after the other: one that refuses nothing, one with tight
limits, and those of `tests.e2e.team_states`. What people see of it is photographed as the emulator's page shows it, in
the Chromium of the distribution. It takes some minutes. Look at the pictures before they go in.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import aiohttp
from PIL import Image
from playwright.async_api import Browser

from pipeline.catalog.models import DEMO
from tests.discord_server import BotProcess, Discord, MessageView, Permission
from tests.discord_server.screenshots import PHONE_PX, browser
from tests.discord_server.world import COMPONENTS_V2, Guild, User
from tests.e2e.album import (
    LONG,
    PATIENCE_S,
    Album,
    People,
    Person,
    Shot,
    answer,
    finished,
    finished_by,
    is_cancellable,
    is_under_way,
    says,
)
from tests.e2e.conftest import bot_process
from tests.e2e.team_states import quiet, team

LIMITS: Final = {"limits__cooldown_s": 30, "limits__max_images_per_day": 10, "limits__max_waiting": 1}
# Discord's own durations: rate limits are short, so that short states get their edit, and deadlines stay as they are.
TIMES: Final = {"time_scale": 0.02, "ack_deadline": 150.0, "interaction_lifetime": 45_000.0, "resume_window": 6_000.0}
NARROW_PX: Final = 640  # of two windows side by side
GREEN: Final = 0x2ECC71
NAMES: Final = {"zh-CN": "小红", "zh-TW": "小美"}
EXAMPLES: Final = {locale: DEMO.examples[locale][0] for locale in NAMES}


# ── the states ──────────────────────────────────────────────────────────────────────────────────────


async def waiting(album: Album, bot: BotProcess, data_dir: Path, people: People) -> None:
    """From the first request of a bot that has just been started to one that outlives a crash."""
    alice, bob, carol, dave, admin = (people(name) for name in ("alice", "bob", "carol", "dave", "admin"))
    first = await alice.imagine("a fox on a blue background", seed=17)
    await first.wait(is_cancellable, timeout=PATIENCE_S)
    second = await bob.imagine("a rocket and the moon on a dark blue background", seed=13)
    album.add("waiting", "Just started", await says(first, "you are next", "loading"))
    album.add("waiting", "Just started, somebody else asks", await says(second, "1 ahead of you", "loaded first"))
    await finished(first)
    await finished(second)

    long = await alice.imagine("a panda next to a watermelon", steps=LONG, count=4, seed=1)
    await says(long, "· step")
    passed = await bob.imagine("a unicorn under a rainbow", steps=LONG)
    album.add("waiting", "Next", await says(passed, "you are next"))
    uses = [await person.imagine("a red apple", steps=LONG) for person in (carol, dave)]
    album.add("waiting", "People who drew less came in", await says(passed, "2 ahead of you", "less drawing time"))
    album.add("commands", "/queue", await bob.ask("queue"))
    for person, use in zip((carol, dave), uses, strict=True):
        await (await person.press(await use.wait(is_cancellable), "Cancel")).acked()
    album.add("waiting", "Being drawn", await passed.wait(is_under_way, timeout=PATIENCE_S))
    album.add("waiting", "The last part", await says(passed, "finishing the image"))
    one_of_four = await long.wait(lambda seen: is_under_way(seen) and "1 of 4" in seen.content, timeout=PATIENCE_S)
    album.add("waiting", "Four images, one is ready", one_of_four)
    await (await alice.press(await long.wait(is_cancellable), "Cancel")).acked()
    await finished(long)

    await admin.ask("admin pause", reason="the computer is needed for a game until 8")
    paused = await alice.imagine("a snowman and a pumpkin", seed=5)
    album.add("waiting", "Paused by a moderator", await says(paused, "paused"))
    await admin.ask("admin resume")
    await finished(paused)
    await admin.ask("admin pause", until="2h")
    until = await alice.imagine("a snowman and a pumpkin", seed=5)
    album.add("waiting", "Paused until a time", await says(until, "paused", "until"))
    await admin.ask("admin resume")
    await finished(until)

    killed = await alice.imagine("a penguin on a red background", steps=LONG, seed=2)
    await says(killed, "· step")
    await bot.kill()
    with closing(sqlite3.connect(data_dir / "imagine-bot.db")) as connection, connection:
        connection.execute("UPDATE jobs SET queued_at = queued_at - 90 WHERE status = 'running'")
    seen = len(killed.timeline)
    await bot.start()
    await bot.wait_ready()
    again = await killed.wait(lambda message: "restarted" in message.content, timeout=PATIENCE_S, after=seen)
    album.add("waiting", "After a crash", again)
    done = await finished(killed)
    ping = await album.discord.wait_message(lambda message: bool(message.pings), timeout=PATIENCE_S)
    album.add("finished", "Waited for more than a minute: a message that notifies", done, ping)


async def ended(album: Album, people: People) -> None:
    """Single images and galleries, whole and in part."""
    alice, bob = people("alice"), people("bob")
    single = await alice.finished("a fox on a blue background", seed=7)
    album.add("finished", "Finished", single)
    album.shots["finished"].insert(0, album.shots["finished"].pop())
    unknown = await bob.finished("a fox and a zeppelin over Paris", seed=4)
    album.add("finished", "Words that the model does not know", unknown)
    cancelled = await bob.imagine("an owl on a dark blue background", steps=LONG)
    await says(cancelled, "· step")
    await (await bob.press(await cancelled.wait(is_cancellable), "Cancel")).acked()
    album.add("finished", "Cancelled", await says(cancelled, "cancelled"))

    two = await alice.finished("a rocket and the moon on a dark blue background", count=2, seed=3)
    album.add("gallery", "Two", two)
    four = await alice.finished("a panda next to a watermelon", count=4, seed=11)
    album.add("gallery", "Four", four)
    part = await bob.imagine("a snowman and a pumpkin", count=3, steps=LONG, seed=5)
    await part.wait(lambda message: len(message.images) == 2, timeout=PATIENCE_S)
    await (await bob.press(await part.wait(is_cancellable), "Cancel")).acked()
    album.add("gallery", "Three, cancelled after the second", await finished(part))

    album.add("buttons", "Again, under four images", await answer(await alice.press(four, "Again")))
    await buttons(album, alice, single)
    await private(album, people)


async def buttons(album: Album, alice: Person, single: MessageView) -> None:
    """Whatever stands behind the buttons of a finished image."""
    album.add("forms", "Edit", modal=await (await alice.press(single, "Edit")).wait_modal())
    menu = await answer(await alice.press(single, "More"))
    album.add("buttons", "More", menu)
    album.shots["more"] = [Shot(caption="", views=(menu,), at=time.time())]
    form = await (await alice.press(menu, "starting image")).wait_modal()
    album.add("forms", "Use as starting image", modal=form)
    draft = await alice.finished("a penguin on a red background", size="draft", seed=2)
    album.add("buttons", "More, of a draft", await answer(await alice.press(draft, "More")))
    for word in ("Info", "Original", "Keep", "Send to me"):
        album.add("buttons", f"More → {word}", await answer(await alice.press(menu, word)))
    message = await album.discord.wait_message(bool, channel=album.discord.dm(alice.user))
    album.add("buttons", "… which arrives as a direct message", message)
    question = await answer(await alice.press(menu, "Delete"))
    album.add("buttons", "More → Delete", question)
    await histories(album, alice)
    for command in ("quota", "settings"):
        album.add("commands", f"/{command}", await alice.ask(command))
    draft_menu = await answer(await alice.press(draft, "More"))
    asked = await answer(await alice.press(draft_menu, "Delete"))
    album.add("buttons", "Deleted", await says(await alice.press(asked, "Delete for good"), "was deleted"))


async def private(album: Album, people: People) -> None:
    """What one person sees alone, what all others see of it, and spoilers."""
    kim, open_to_none = people("kim"), people("lee")
    open_to_none.user.dms_open = False
    waits = await kim.imagine("a cake with a candle", private=True, steps=LONG)
    album.add("private", "Private, while it waits", await says(waits, "only you see this"))
    direct = await album.discord.wait_message(
        lambda message: bool(message.images), channel=album.discord.dm(kim.user), timeout=PATIENCE_S
    )
    album.add("private", "The direct message", direct)
    album.add("private", "What became of the answer", await says(waits, "I sent you a direct message"))
    await open_to_none.imagine("a cake with a candle", private=True, count=2, seed=8)
    notice = await album.discord.wait_message(
        lambda message: "Only you can open" in message.content, timeout=PATIENCE_S
    )
    album.add("private", "With direct messages closed: what everybody sees", notice)
    shown = await open_to_none.press(notice, "Show me")
    album.add("private", "Show me", await answer(shown))
    album.add("private", "A spoiler", await kim.finished("a skull", spoiler=True, seed=3))
    for caption, command, options in (
        ("/settings", "settings", {"aspect": "square", "steps": 12, "suffix": "on a blue background", "private": True}),
        ("/preset save", "preset save", {"name": "Night", "suffix": "at night", "steps": 20}),
        ("/preset list", "preset list", {}),
    ):
        album.add("settings", caption, await kim.ask(command, **options))


async def histories(album: Album, alice: Person) -> None:
    """The pages of a history, one image of it, and a search."""
    page = await alice.ask("history")
    album.add("history", "/history", page)
    picked = page.selects[0]["options"][1]["value"]
    chosen = await album.discord.select(page, page.selects[0]["custom_id"], picked, alice.user)
    shown = await chosen.wait(lambda seen: f"Image #{picked}" in seen.text, timeout=PATIENCE_S)
    album.add("history", "One image of the page", shown)
    posted = await finished_by(await alice.press(shown, "Post here"), "🖼️")
    album.add("history", "… posted in the channel", posted)
    album.add("history", "A search by words and day", await alice.ask("history", search="background fox today"))
    album.add("history", "A search that finds nothing", await alice.ask("history", search="zeppelin 11-01"))


async def welcome(album: Album, people: People, abroad: dict[str, Person]) -> None:
    """Help, answers to mentions and messages in Chinese."""
    newcomer = people("erin")
    discord = album.discord
    album.add("help", "/help", await newcomer.ask("help"))
    said = discord.say(newcomer.user, newcomer.channel, f"<@{discord.bot.id}> how do I use you?")
    greeting = await discord.wait_message(lambda message: message.reference == said.id, timeout=PATIENCE_S)
    album.add("help", "A mention", said, greeting)
    for locale, person in abroad.items():
        done = await person.finished(EXAMPLES[locale], seed=7)
        album.add(f"finished-{locale}", "", done)
        album.add(f"finished-{locale}", "", await answer(await person.press(done, "更多")))
        album.add(f"help-{locale}", "", await person.ask("help"))


async def refused(album: Album, people: People) -> None:
    """A bot with tight limits, which also stops what takes too long."""
    fay, gil, hal = (people(name) for name in ("fay", "gil", "hal"))
    failed = await fay.imagine("a castle on a hill", steps=50)
    album.add("finished", "Failed", await says(failed, "❌"))
    for _ in range(10):
        await finished(await gil.imagine("a red apple", steps=1))
    album.add("refusals", "The limit of a day", await answer(await gil.imagine("a red apple")))
    running = await fay.imagine("a castle on a hill", steps=50)
    await says(running, "· step")
    waits = await hal.imagine("a green tree", steps=LONG)
    await says(waits, "you are next")
    album.add("refusals", "The queue is full", await answer(await people("ida").imagine("a red apple")))
    album.add("refusals", "Cool-down", await answer(await hal.imagine("a red apple")))


# ── the same in Components V2 ───────────────────────────────────────────────────────────────────────


async def layout_of(discord: Discord, message: MessageView) -> MessageView:
    """Post what a finished message says, as Components V2, and return how it looks."""
    embed = message.embeds[0]
    files = {f"image-{number}.png": picture for number, picture in enumerate(message.images)}
    gallery = [
        {"media": {"url": f"attachment://{name}"}, "description": picture.description}
        for name, picture in files.items()
    ]
    plain = [
        {"type": 2, "style": each["style"], "label": each["label"], "custom_id": each["custom_id"]}
        for each in message.buttons
    ]
    container = {
        "type": 17,
        "accent_color": GREEN,
        "components": [
            {"type": 10, "content": message.content},
            {"type": 12, "items": gallery},
            {"type": 10, "content": embed["description"]},
            {"type": 10, "content": f"-# {embed['footer']['text']}"},
            {"type": 1, "components": plain},
        ],
    }
    form = aiohttp.FormData(quote_fields=False)
    body = {"flags": COMPONENTS_V2, "components": [container], "allowed_mentions": {"parse": []}}
    form.add_field("payload_json", aiohttp.JsonPayload(body))
    for number, (name, picture) in enumerate(files.items()):
        form.add_field(f"files[{number}]", picture.data, filename=name, content_type="image/png")
    url = f"{discord.api_base}/channels/{discord.channel.id}/messages"
    headers = {"Authorization": f"Bot {discord.token}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.post(url, data=form) as response:
        made = await response.json()
        assert response.status == 200, made
    return next(view for view in discord.messages(discord.channel) if view.id == made["id"])


# ── the pictures ────────────────────────────────────────────────────────────────────────────────────


async def save_all(album: Album, folder: Path, viewer: User, abroad: dict[str, Person]) -> None:
    """Write every picture."""
    discord = album.discord
    single = album.shots["finished"][0]
    four = next(shot for shot in album.shots["gallery"] if shot.caption == "Four")
    layouts = [(shot, await layout_of(discord, shot.views[0])) for shot in (single, four)]
    phone = [
        Shot(caption="Finished", views=single.views, at=single.at),
        four,
        Shot(caption="More", views=album.shots.pop("more")[0].views, at=time.time()),
    ]
    forms = album.shots.pop("forms")
    async with browser() as chromium:
        for name, shots in album.shots.items():
            reader = next((person.user for locale, person in abroad.items() if name.endswith(locale)), viewer)
            await album.save(chromium, folder / f"{name}.png", shots, reader)
        await album.save(chromium, folder / "phone.png", phone, viewer, width_px=PHONE_PX)
        await save_beside(album, chromium, folder / "forms.png", [[form] for form in forms], viewer, 400)
        for kind, width_px in (("desktop", NARROW_PX), ("phone", PHONE_PX)):
            classic = [Shot(caption="Embed", views=shot.views, at=shot.at) for shot, _ in layouts]
            modern = [Shot(caption="Components V2", views=(view,), at=shot.at) for shot, view in layouts]
            await save_beside(album, chromium, folder / f"v2-{kind}.png", [classic, modern], viewer, width_px)


async def save_beside(
    album: Album, chromium: Browser, path: Path, columns: Sequence[Sequence[Shot]], viewer: User, width_px: int
) -> None:
    """Write one picture of several pages, side by side."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = []
        for number, shots in enumerate(columns):
            part = Path(folder) / f"{number}.png"
            await album.save(chromium, part, shots, viewer, width_px=width_px)
            with Image.open(part) as page:
                pictures.append(page.convert("RGB"))
    whole = Image.new("RGB", (sum(p.width for p in pictures), max(p.height for p in pictures)), "#313338")
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width
    whole.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)


async def main(folder: Path) -> None:
    """Draw, look, save."""
    folder.mkdir(parents=True, exist_ok=True)
    async with Discord(**TIMES) as discord:
        discord.bot.global_name = "imagine-bot"
        people, abroad = _people(discord), {locale: _abroad(discord, locale) for locale in NAMES}
        album = Album(discord)
        with tempfile.TemporaryDirectory() as place:
            data_dir = Path(place) / "data"
            common: dict[str, Any] = {
                "pipeline__model": "demo",
                "pipeline__cpu_threads": 1,
                "delivery__card_interval_s": 0.2,
                "discord__allowed_guilds": f"[{', '.join(discord.world.guilds)}]",  # else nobody may pause them all
            }
            async with bot_process(discord, Path(place), data_dir, **common) as bot:
                await bot.wait_ready()
                await discord.wait_command("imagine")
                await waiting(album, bot, data_dir, people)
                await ended(album, people)
                await welcome(album, people, abroad)
                await bot.stop()
            tight = {**common, **LIMITS, "worker__job_timeout_s": 4}
            async with bot_process(discord, Path(place), data_dir, **tight) as bot:
                await bot.wait_ready()
                await refused(album, people)
            await team(album, Path(place), common, people)
            await quiet(album, Path(place), common, people)
        await save_all(album, folder, people("reader").user, abroad)


def _people(discord: Discord) -> People:
    """Everybody of the English server, by name."""
    known = {"alice": Person(discord, discord.user)}
    managers = discord.add_role("managers", Permission.MANAGE_GUILD | Permission.MANAGE_MESSAGES)

    def find(name: str) -> Person:
        if name not in known:
            known[name] = Person(discord, discord.add_user(name, roles=[managers] if name == "admin" else []))
        return known[name]

    return find


def _abroad(discord: Discord, locale: str) -> Person:
    """Somebody on a server of another language."""
    guild: Guild = discord.world.add_guild(f"server {locale}")
    guild.locale = locale
    channel = discord.add_channel("general", guild=guild)
    user = discord.add_user(f"reader-{locale}", locale=locale, guild=guild)
    user.global_name = NAMES[locale]
    return Person(discord, user, channel)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/messages")))
