"""Interactions as no client of Discord's makes them: each is answered or passed over, and the next person is served."""

from __future__ import annotations

import asyncio
import copy
import io
import itertools
import logging
import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import strategies as st
from PIL import Image

from bot.frontends.discord_app.actions import PRESSES
from bot.store.usage_store import Measurement
from tests.bot.frontends.discord_app.conftest import PAINTING, Stage, Start, keep_discord, start  # noqa: F401 - fixtures
from tests.discord_server.client import Option
from tests.discord_server.interactions import Interaction, Kind
from tests.fuzz.fuzzing import fuzz
from tests.fuzz.strategies import SECRET, json_values, leaves, texts, whole_numbers

SETTLED_S = 5.0
# How the library calls the tasks in which it runs commands, buttons and events.
TASKS = ("CommandTree-", "discord-ui-", "discord.py: ")
FILE_ID, GUEST_ID = "4321", "5432"
BOT = "the bot"  # in place of its id, which is not known before it runs
MENU = ("Use as input", "Vary", "Image info", "Remove")
COMMANDS: dict[str, dict[str, tuple[Option, Any]]] = {
    "imagine": {
        "prompt": (Option.STRING, SECRET),
        "seed": (Option.INTEGER, 7),
        "steps": (Option.INTEGER, 4),
        "aspect": (Option.STRING, "square"),
        "size": (Option.STRING, "draft"),
        "count": (Option.INTEGER, 2),
        "model": (Option.STRING, "painter"),
        "negative": (Option.STRING, SECRET),
        "cfg": (Option.NUMBER, 4.5),
        "guidance": (Option.NUMBER, 2),
        "sampler": (Option.STRING, "ddim"),
        "clip_skip": (Option.INTEGER, 2),
        "image": (Option.ATTACHMENT, FILE_ID),
        "strength": (Option.STRING, "subtle"),
        "preset": (Option.STRING, SECRET),
        "private": (Option.BOOLEAN, True),
        "spoiler": (Option.BOOLEAN, True),
    },
    "settings": {
        "ping": (Option.STRING, "dm"),
        "aspect": (Option.STRING, "square"),
        "steps": (Option.INTEGER, 4),
        "suffix": (Option.STRING, SECRET),
        "model": (Option.STRING, "painter"),
        "language": (Option.STRING, "en"),
        "private": (Option.BOOLEAN, False),
        "private_to": (Option.STRING, "button"),
        "spoiler": (Option.BOOLEAN, False),
        "reset": (Option.STRING, "all"),
    },
    "preset save": {
        "name": (Option.STRING, SECRET),
        "image": (Option.INTEGER, 2),
        "suffix": (Option.STRING, SECRET),
        "size": (Option.STRING, "draft"),
        "strength": (Option.NUMBER, 0.5),
        "sampler": (Option.STRING, "ddim"),
        "clip_skip": (Option.INTEGER, 2),
    },
    "preset list": {},
    "preset delete": {"name": (Option.STRING, SECRET)},
    "privacy show": {},
    "privacy export": {"part": (Option.INTEGER, 1)},
    "privacy delete": {},
    "admin remove": {"id": (Option.INTEGER, 1), "reason": (Option.STRING, SECRET)},
    "admin ban": {"user": (Option.USER, GUEST_ID), "until": (Option.STRING, "2h"), "reason": (Option.STRING, SECRET)},
    "admin unban": {"user": (Option.USER, GUEST_ID)},
    "admin bans": {},
    "admin words add": {"word": (Option.STRING, SECRET), "where": (Option.STRING, "sfw")},
    "admin words remove": {"word": (Option.STRING, SECRET)},
    "admin words test": {"prompt": (Option.STRING, SECRET)},
    "admin words list": {},
    "admin quota": {"user": (Option.USER, GUEST_ID), "images": (Option.INTEGER, 7)},
    "admin channel": {
        "model": (Option.STRING, "painter"),
        "aspect": (Option.STRING, "square"),
        "private": (Option.BOOLEAN, False),
        "reset": (Option.BOOLEAN, True),
    },
    "help": {},
    "queue": {},
    "cancel": {"picture": (Option.INTEGER, 1)},
    "history": {"search": (Option.STRING, SECRET)},
    "show": {"id": (Option.INTEGER, 1)},
    "quota": {},
    "admin pause": {"reason": (Option.STRING, SECRET), "until": (Option.STRING, "18:00")},
    "admin resume": {},
    "admin release": {},
    "admin queue": {},
    "admin cancel": {"id": (Option.INTEGER, 1)},
    "admin stats": {},
    "nothing like that": {"x": (Option.NUMBER, 1.5)},
}
CUSTOM_IDS = (
    "im1:cancel:1", "im1:cancel:2", "im1:cancel:999", f"im1:page:::{SECRET}", "im1:page:1:1:", "im1:page:::",
    "im1:cancel:", "im1:cancel:١", "im1:cancel:" + "9" * 18, "im1:page:" + "9" * 16 + ":" + "9" * 16 + ":x",
    "im2:cancel:2", "im2:cancel:١", "im2:upscale:1", "im2:zoom:1", "im2:page:1", "im2:cancel:",
    "im1:page:٣:²:x", "im1:cancel:1 ", f"im1:more:{SECRET}", "im2:cancel:1", "im1:page:1:1:\n\n", "im1", "IM1:CANCEL:1",
    *(f"im2:{action}:{number}" for action in PRESSES for number in (1, 2)),
    *(f"im2form:{action}:{number}" for action in ("edit", "start_from", "fly") for number in (1, 2, "9" * 18, "")),
    f"im2:page:older:2:{SECRET}", "im2:page:newer::", "im2:page:oldest:" + "9" * 16 + ":%", "im2:page:newest:٣:昨天",
    "im2:page:sideways:1:", f"im2:look:2:{SECRET}", "im2:look::", "im2one:post:1", "im2one:post:2", "im2one:fly:1",
    *(f"im2file:{verb}:{number}" for verb in ("use", "vary", "fly") for number in (1, "9" * 19, "١", "")),
    *(f"im2remove:{number}" for number in (1, 2, "9" * 18, "x")), *(f"im2info:{number}" for number in (1, "9" * 19)),
    "im2:reveal:1", "im2:reveal:2", "im2:reveal:999", f"im2privacy:{SECRET}", "im2:erase:1",
    "im2pick:reroll:1", "im2pick:more:2", "im2pick:fly:1", f"im2x:example:{SECRET}", "im2x:example:",
)  # fmt: skip
FIELDS = ("prompt", "seed", "steps", "aspect", "size", "strength", "file", "picture", "reason", "private")
MAX_INT = 2**64


def as_sent(value: Any) -> Any:
    """The value as Discord can send it: its JSON is UTF-8, its numbers are finite."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case float():
            return value if math.isfinite(value) else 0.5
        case int() if not isinstance(value, bool):
            return max(-MAX_INT, min(value, MAX_INT))
        case list():
            return [as_sent(each) for each in value]
        case dict():
            return {as_sent(key): as_sent(each) for key, each in value.items()}
    return value


json_leaves = leaves.map(as_sent)
any_json = json_values.map(as_sent)
sent_texts = texts.map(as_sent)


class Listener(logging.Handler):
    """Keeps what is logged above debug."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
        self.lines: list[str] = []
        self.errors: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)  # with the traceback
        self.lines.append(line)
        if record.levelno >= logging.ERROR or record.exc_info:
            self.errors.append(line)


@pytest.fixture
def listener() -> Iterator[Listener]:
    root, listener = logging.getLogger(), Listener()
    levels = {name: logging.getLogger(name).level for name in ("bot", "pipeline", "")}
    for name in ("bot", "pipeline"):
        logging.getLogger(name).setLevel(logging.INFO)
    root.addHandler(listener)
    yield listener
    root.removeHandler(listener)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


class Guest:
    """Sends interactions to a running bot, and sees when it has done with them."""

    def __init__(self, stage: Stage, listener: Listener) -> None:
        self.stage, self.listener = stage, listener
        self.seen = asyncio.Event()
        self.numbers = itertools.count(1)

        answer = stage.client.on_interaction  # forms are answered there

        async def on_interaction(interaction: Any) -> None:
            try:
                await answer(interaction)
            finally:
                self.seen.set()

        stage.client.on_interaction = on_interaction  # type: ignore[attr-defined]

    async def send(self, kind: Kind, data: Any, *, envelope: dict[str, Any] | None = None, message: Any = None) -> None:
        """Have an interaction arrive, and wait until nothing that it began is under way."""
        discord = self.stage.discord
        emulator = discord.emu
        interaction = Interaction(emulator, kind, discord.user, discord.channel, data, message=message)
        emulator.interactions._by_token[interaction.token] = interaction
        payload = {**interaction.payload(), **(envelope or {})}
        self.seen.clear()
        emulator.gateway.dispatch("INTERACTION_CREATE", payload, discord.guild.id)
        try:
            async with asyncio.timeout(SETTLED_S):
                await self.seen.wait()
                while running := [task for task in asyncio.all_tasks() if task.get_name().startswith(TASKS)]:
                    await asyncio.wait(running)
        finally:
            interaction.stop_timers()
            emulator.interactions._by_token.pop(interaction.token, None)
        self.check()

    def check(self) -> None:
        """Nothing went wrong unexpectedly, and the log repeats nothing that was typed."""
        errors, leaks = self.listener.errors[:], [line for line in self.listener.lines if SECRET in line]
        self.listener.errors.clear()
        self.listener.lines.clear()
        assert errors == []
        assert leaks == []

    async def served(self) -> None:
        """Somebody else is served as ever."""
        discord = self.stage.discord
        use = await discord.slash(discord.user, discord.channel, "queue")
        answer = await use.wait(lambda message: message.ephemeral and not message.loading)
        assert "waiting" in answer.text


async def a_picture(stage: Stage) -> None:
    """The second job, which is done: buttons have something to act on."""
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="a pear", steps=1)
    await use.wait(lambda message: "⏳" in message.content)
    png = io.BytesIO()
    Image.new("RGB", (64, 64)).save(png, "PNG")
    await stage.jobs.claim(2, now=1)
    path = await stage.images.write(2, png.getvalue())
    measured = Measurement(step_s=1.0, fixed_s=1.0)
    await stage.jobs.finish(2, image_path=path, image_bytes=1, ran_s=1.0, measured=measured, now=2)


@pytest.fixture
async def guest(start: Start, listener: Listener) -> AsyncIterator[Guest]:  # noqa: F811
    """A bot with one waiting picture, and whoever tries it out; at the end it serves others, and draws."""
    quick = {"global_rate": (100_000, 1.0), "openapi": None}
    async with start(server=quick, with_delivery=False, models=PAINTING) as stage:
        discord = stage.discord
        use = await discord.slash(discord.user, discord.channel, "imagine", prompt="a red apple", steps=1)
        await use.wait(lambda message: "⏳" in message.content)
        await a_picture(stage)
        guest = Guest(stage, listener)
        yield guest
        await guest.served()
        guest.check()


def options_of(name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """What a client sends for the options of a command, in the order of the command."""
    return [
        {"name": option, "type": int(kind), "value": values.get(option, value)}
        for option, (kind, value) in COMMANDS.get(name, {}).items()
    ]


def command_data(name: str, options: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """The data of a command, with its subcommand inside."""
    root, *subs = name.split(" ")
    for kind, sub in zip((Option.SUB_COMMAND, Option.SUB_COMMAND_GROUP), reversed(subs), strict=False):
        options = [{"name": sub, "type": int(kind), "options": options}]
    return {"id": "1234", "name": root, "type": 1, "options": options, **more}


@st.composite
def uses(draw: Callable[..., Any]) -> dict[str, Any]:
    """A use of a command whose options have values, types, names or a shape that none has."""
    name = draw(st.sampled_from(sorted(COMMANDS)))
    values = {option: draw(json_leaves | any_json) for option in COMMANDS[name] if draw(st.booleans())}
    options = options_of(name, values)
    for option in options:
        if draw(st.integers(0, 3)) == 0:
            option["type"] = draw(st.sampled_from([int(kind) for kind in Option if kind > Option.SUB_COMMAND_GROUP]))
        if draw(st.integers(0, 9)) == 0:
            option["name"] = draw(sent_texts)
    if options and draw(st.integers(0, 3)) == 0:
        del options[draw(st.integers(0, len(options) - 1))]
    user = {"id": GUEST_ID, "username": SECRET, "discriminator": "0", "avatar": None}
    resolved = {"users": {GUEST_ID: user}, "attachments": {FILE_ID: draw(files())}}
    return command_data(name, options, resolved=resolved)


@st.composite
def files(draw: Callable[..., Any]) -> dict[str, Any]:
    """What Discord may say of a file, wherever it says that it lies."""
    return {
        "id": FILE_ID,
        "filename": draw(st.sampled_from(["a.png", SECRET, "\u202ea.png", ".PNG"]) | sent_texts),
        "size": draw(st.sampled_from([1, 0, -1, 2**40])),
        "url": draw(st.sampled_from(["http://127.0.0.1:9/a.png", "http://[", "file:///etc/passwd", ""]) | sent_texts),
        "proxy_url": "",
        **draw(st.sampled_from([{}, {"content_type": "image/png"}, {"content_type": None}, {"width": 10**9}])),
    }


def menu_data(name: str, *, author: str, files: list[dict[str, Any]], ids: tuple[str, str], content: str = "") -> Any:
    """The data of a use of the menu of a message."""
    target, channel_id = ids
    message = {
        "id": target,
        "channel_id": channel_id,
        "author": {"id": author, "username": SECRET, "discriminator": "0", "avatar": None},
        "content": content,
        "timestamp": "2026-01-01T00:00:00+00:00",
        "edited_timestamp": None,
        "type": 0,
        "pinned": False,
        "tts": False,
        "mention_everyone": False,
        "mentions": [],
        "mention_roles": [],
        "embeds": [],
        "components": [],
        "attachments": files,
        "flags": 0,
    }
    return {"id": "1234", "name": name, "type": 3, "target_id": target, "resolved": {"messages": {target: message}}}


@st.composite
def menu_uses(draw: Callable[..., Any]) -> dict[str, Any]:
    """A use of the menu of a message, of anybody or of the bot, with any files and any words."""
    names = ["imagine-1.png", "imagine-2.png", "SPOILER_imagine-2.webp", "imagine-" + "9" * 18 + ".png"]
    attached = draw(st.lists(files(), max_size=3))
    for file in attached:
        file["filename"] = draw(st.sampled_from(names) | st.just(file["filename"]))
    ids = draw(snowflakes()), draw(snowflakes())
    author = draw(st.sampled_from([GUEST_ID, BOT]))
    return menu_data(draw(st.sampled_from(MENU)), author=author, files=attached, ids=ids, content=draw(sent_texts))


def snowflakes() -> st.SearchStrategy[str]:
    """Ids of people, channels and servers that may be anybody's."""
    return (st.integers(1, 2**63 - 1) | st.sampled_from([1, 2**63 - 1])).map(str)


@st.composite
def envelopes(draw: Callable[..., Any]) -> dict[str, Any]:
    """What Discord may say about where an interaction comes from: another server, no server, any language."""
    envelope: dict[str, Any] = {}
    if draw(st.booleans()):
        envelope["locale"] = draw(st.sampled_from(["en-US", "zh-CN", "zh-TW", "ja", "xx"]))
    if draw(st.booleans()):
        envelope["guild_locale"] = draw(st.sampled_from(["en-US", "zh-TW", "pt-BR", "yy"]))
    if draw(st.booleans()):
        envelope["guild_id"] = draw(snowflakes())
    if draw(st.booleans()):
        envelope["channel_id"] = draw(snowflakes())
    if draw(st.booleans()):
        envelope["app_permissions"] = str(draw(st.sampled_from([0, 8, 2**40, 2**60])))
    return envelope


@fuzz(60, data=uses(), envelope=st.just({}) | envelopes())
async def test_any_use_of_a_command_is_answered_or_passed_over(
    guest: Guest, data: dict[str, Any], envelope: dict[str, Any]
) -> None:
    await guest.send(Kind.COMMAND, data, envelope=envelope)


@fuzz(60, data=uses(), text=json_leaves, is_focused=st.booleans())
async def test_any_autocompletion_is_answered_or_passed_over(
    guest: Guest, data: dict[str, Any], text: Any, is_focused: bool
) -> None:
    data = copy.deepcopy(data)
    for option in data["options"]:
        for inner in option.get("options", [option]):
            inner |= {"value": text, "focused": is_focused}
    await guest.send(Kind.AUTOCOMPLETE, data)


async def use_menu(guest: Guest, data: dict[str, Any], envelope: dict[str, Any] | None = None) -> None:
    author = data["resolved"]["messages"][data["target_id"]]["author"]
    if author["id"] == BOT:
        author["id"] = str(guest.stage.discord.bot.id)
    await guest.send(Kind.COMMAND, data, envelope=envelope)


@fuzz(60, data=menu_uses(), envelope=st.just({}) | envelopes())
async def test_any_use_of_a_menu_is_answered_or_passed_over(
    guest: Guest, data: dict[str, Any], envelope: dict[str, Any]
) -> None:
    await use_menu(guest, data, envelope)


@pytest.mark.parametrize("name", MENU)
async def test_file_that_a_message_of_the_bot_has_twice_is_one_image(guest: Guest, name: str) -> None:
    file = {"id": FILE_ID, "filename": "imagine-2.png", "size": 1, "url": "", "proxy_url": ""}
    await use_menu(guest, menu_data(name, author=BOT, files=[file, file], ids=("7", "8")))


@pytest.mark.parametrize("value", ["", "x", "1" * 5000, "١"], ids=lambda value: value[:3])
async def test_person_without_an_id_is_refused(guest: Guest, value: str) -> None:
    option = {"name": "user", "type": int(Option.USER), "value": value}
    await guest.send(Kind.COMMAND, command_data("admin unban", [option]))


custom_ids = st.sampled_from(CUSTOM_IDS) | sent_texts.map(lambda text: f"im1:page:::{text}") | st.builds(
    lambda kind, number, text: f"im1:{kind}:{number}:{number}:{text}",
    st.sampled_from(["cancel", "page", "more", ""]),
    whole_numbers.filter(lambda number: abs(number) < 10**30),
    sent_texts,
)  # fmt: skip


@fuzz(
    60,
    custom_id=custom_ids,
    kind=st.sampled_from([2, 2, 2, 3, 5, 6, 7, 8]),
    values=st.lists(sent_texts, max_size=2),
    envelope=st.just({}) | envelopes(),
)
async def test_any_button_is_answered_or_passed_over(
    guest: Guest, custom_id: str, kind: int, values: list[str], envelope: dict[str, Any]
) -> None:
    data = {"custom_id": custom_id, "component_type": kind, "id": 1, **({"values": values} if kind != 2 else {})}
    message = next(iter(guest.stage.discord.channel.messages.values()))
    await guest.send(Kind.COMPONENT, data, envelope=envelope, message=message)


@fuzz(
    60,
    custom_id=custom_ids,
    values=st.lists(st.tuples(st.sampled_from(FIELDS) | sent_texts, sent_texts), min_size=1, max_size=5),
    is_labelled=st.booleans(),
)
async def test_any_form_is_answered_or_passed_over(
    guest: Guest, custom_id: str, values: list[tuple[str, str]], is_labelled: bool
) -> None:
    fields = [{"type": 4, "id": 2, "custom_id": name, "value": value} for name, value in values]
    rows = [
        {"type": 18, "id": 1, "component": field} if is_labelled else {"type": 1, "id": 1, "components": [field]}
        for field in fields
    ]
    await guest.send(Kind.MODAL_SUBMIT, {"custom_id": custom_id, "components": rows})
