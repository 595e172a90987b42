"""The menu of a message works on our images and on anybody's, and says nothing of those that one may not see."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bot.config import RoleConfig
from bot.frontends.discord_app import attached
from bot.jobs import UserKey
from bot.requests.models import Models
from bot.requests.translations import Translations
from pipeline.catalog.models import FAKE
from pipeline.images.reference import read_reference
from pipeline.spec import Strength
from tests.bot.frontends.discord_app.commands.test_image_input import DEAF, PNG, animated, file_of
from tests.bot.frontends.discord_app.conftest import STARTING, Stage, Start
from tests.cards import PAINTER
from tests.dictionary import READS_ENGLISH, Dictionary
from tests.discord_server import Discord, MessageView, Permission, Upload, Use
from tests.discord_server.commands import CommandType
from tests.discord_server.interactions import Kind

ENTRIES = ("Use as input", "Vary", "Image info", "Remove")


def theirs(discord: Discord, *files: Upload) -> MessageView:
    return discord.say(discord.user, discord.channel, "look", files=files or [PNG])


async def private(use: Use) -> MessageView:
    return await use.wait(lambda message: message.ephemeral and not message.loading)


async def drawn(stage: Stage, *, count: int = 1) -> MessageView:
    """A finished picture, or several in one message."""
    discord = stage.discord
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="an apple", steps=1, count=count)
    return await use.wait(lambda message: len(message.images) == count and "✅" in message.content, timeout=20)


def moderator(discord: Discord) -> object:
    role = discord.add_role("mod", Permission.MANAGE_MESSAGES | Permission.MANAGE_GUILD)
    return discord.add_user("mod", roles=[role])


@pytest.mark.parametrize(
    ("locale", "names"),
    [("zh-CN", ("用作起始图片", "微调", "图片信息", "移除")), ("zh-TW", ("用作起始圖片", "微調", "圖片資訊", "移除"))],
)
async def test_entries_have_names_in_every_language(stage: Stage, locale: str, names: tuple[str, ...]) -> None:
    commands = [await stage.discord.wait_command(name, kind=CommandType.MESSAGE) for name in ENTRIES]
    assert tuple(command["name_localizations"][locale] for command in commands) == names
    needed = [command["default_member_permissions"] for command in commands]
    assert needed == [None, None, None, str(int(Permission.MANAGE_MESSAGES))]


# ── anybody's message ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("entry", "strength"), [("Use as input", Strength.MEDIUM), ("Vary", Strength.SUBTLE)])
async def test_image_of_anybodys_message_is_started_from(start: Start, entry: str, strength: Strength) -> None:
    async with start(models=STARTING) as stage:
        discord, bob = stage.discord, stage.discord.add_user("bob")
        use = await discord.message_menu(bob, theirs(discord), entry)
        sent = await discord.submit_modal(use, {"prompt": "a pear --ar 1:1"})
        await sent.wait(lambda message: bool(message.buttons))
        job = await stage.job(1)
    assert (job.user.id, job.spec.prompt, job.spec.strength) == (bob.id, "a pear", FAKE.strengths[strength])
    assert job.spec.source and (job.spec.width, job.spec.height) == (64, 64)


@pytest.mark.parametrize(("words", "strength"), [("night", 1.0), ("night --strength 30%", 0.3)])
async def test_model_that_edits_asks_what_to_change_unless_a_strength_is_typed(
    stage: Stage, words: str, strength: float
) -> None:
    discord = stage.discord
    use = await discord.message_menu(discord.user, theirs(discord), "Use as input")
    form = await use.wait_modal()
    labels = [each["label"] for each in form["components"]]
    assert (form["title"], labels) == (
        "Edit this image",
        ["Which file", "What to change", "More images to look at"],
    )
    await (await discord.submit_modal(use, {"prompt": words})).wait(lambda message: bool(message.buttons))
    spec = (await stage.job(1)).spec
    assert (spec.prompt, spec.strength, bool(spec.references)) == ("night", strength, strength == 1)


async def test_form_of_a_model_that_edits_falls_back_once_there_is_none(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    discord = stage.discord
    use = await discord.message_menu(discord.user, theirs(discord), "Use as input")
    await use.wait_modal()
    monkeypatch.setattr(stage.service, "models", STARTING)
    sent = await discord.submit_modal(use, {"prompt": "night"})
    await sent.wait(lambda message: "cannot edit images by words" in message.content)
    spec = (await stage.job(1)).spec
    assert (spec.model, spec.strength, spec.references) == ("starter", 0.6, "")


async def test_one_of_several_files_is_chosen_in_the_form_and_flags_count(stage: Stage) -> None:
    discord = stage.discord
    tall = Upload("\u202etall`*.png", file_of((60, 90)))
    message = theirs(discord, Upload("notes.txt", b"x"), PNG, tall)
    use = await discord.message_menu(discord.user, message, "Use as input")
    form = await use.wait_modal()
    options = form["components"][0]["component"]["options"]
    assert [option["label"] for option in options] == ["1. start.png", "2. tall.png"]
    sent = await discord.submit_modal(
        use, {"files": options[1]["value"], "prompt": "a pear --repeat 2 --strength 0.33"}
    )
    await sent.wait(lambda message: bool(message.buttons))
    jobs = [await stage.job(number) for number in (1, 2)]
    assert [(job.spec.height, job.spec.strength) for job in jobs] == [(96, 0.33)] * 2


async def test_up_to_three_images_are_used_in_one_form(stage: Stage) -> None:
    """Those of the message first, in their order there, then those that were uploaded with the form."""
    discord = stage.discord
    files = [Upload(f"{side}.png", file_of((side, 64))) for side in (64, 80, 96, 112)]
    keys = [read_reference(file.data).key for file in files]
    message = theirs(discord, *files[:2])

    async def change(answers: dict[str, object]) -> Use:
        use = await discord.message_menu(discord.user, message, "Use as input")
        form = await use.wait_modal()
        options = [each["value"] for each in form["components"][0]["component"]["options"]]
        chosen = [options[number] for number in answers.pop("files", [0])]  # type: ignore[attr-defined]
        return await discord.submit_modal(use, {"prompt": "night", "files": chosen, **answers})

    given: list[tuple[dict[str, object], list[str]]] = [
        ({"files": [1, 0]}, keys[:2]),
        ({"files": [1], "more": [files[2]]}, keys[1:3]),
        ({"more": files[2:]}, [keys[0], *keys[2:]]),
        ({"files": [1], "more": [files[1]]}, [keys[1]]),
    ]
    for number, (answers, expected) in enumerate(given, start=1):
        await (await change(answers)).wait(lambda shown: bool(shown.buttons))
        assert list((await stage.job(number)).spec.reference_keys) == expected
    refused = [
        ({"files": [0, 1], "more": files[2:]}, "at most 3"),
        ({"more": [Upload("x.png", b"<html>")]}, "cannot be read as an image"),
        ({"more": [Upload("x.png", PNG.data, size=2**30)]}, "larger than"),
    ]
    for answers, reason in refused:
        answer = await private(await change(answers))
        assert reason in answer.content and "night" in answer.content  # what was typed is given back
    started = await change({"files": [0, 1], "prompt": "night --strength 0.3"})
    assert "used the first" in (await private(started)).content
    assert (await stage.job(5)).spec.source and not (await stage.job(5)).spec.references


async def test_our_image_is_edited_with_up_to_two_more_that_are_uploaded(stage: Stage) -> None:
    discord = stage.discord
    async with stage.drawing():
        message = await drawn(stage)
        use = await discord.message_menu(discord.user, message, "Use as input")
        form = await use.wait_modal()
        assert form["components"][1]["component"]["max_values"] == 2
        more = [Upload(f"{side}.png", file_of((side, 64))) for side in (80, 96)]
        sent = await discord.submit_modal(use, {"prompt": "a pear", "more": more})
        await sent.wait(lambda shown: bool(shown.images), timeout=20)
    edited = await stage.job(2)
    assert edited.spec.reference_keys[1:] == tuple(read_reference(file.data).key for file in more)
    assert len(edited.spec.reference_keys) == 3


@pytest.mark.parametrize(
    "resolved",
    [None, [], {}, {"attachments": None}, {"attachments": []}, {"attachments": {"7": 3}}, {"attachments": {"7": {}}},
     {"attachments": {"7": {"url": 9}}}, {"attachments": {"7": {"url": "https://example.org/x.png", "size": 4}}},
     {"attachments": {"7": {"url": "file:///etc/passwd", "size": "x"}}}],
)  # fmt: skip
async def test_upload_that_no_client_sends_draws_nothing(stage: Stage, resolved: object) -> None:
    discord = stage.discord
    message = theirs(discord)
    await (await discord.message_menu(discord.user, message, "Use as input")).wait_modal()
    fields = [
        {"type": 4, "custom_id": "prompt", "value": "x"},
        {"type": 3, "custom_id": "file", "values": [message.attachments[0]["id"]]},
        {"type": 19, "custom_id": "more", "values": ["7"]},
    ]
    data = {
        "custom_id": f"im2file:use:{message.id}",
        "components": [{"type": 18, "component": each} for each in fields],
    }
    opened = discord.emu.interactions.open(
        Kind.MODAL_SUBMIT, discord.user, discord.channel, {**data, "resolved": resolved}
    )
    await opened.changed.wait_for(lambda: any(event.kind == "message" for event in opened.timeline), 10)
    assert not await stage.service.unfinished()


@pytest.mark.parametrize("entry", ENTRIES[:3])
@pytest.mark.parametrize("files", [(), (Upload("a.txt", b"x"),)], ids=["none", "text"])
async def test_message_without_an_image_is_refused(stage: Stage, entry: str, files: tuple[Upload, ...]) -> None:
    message = stage.discord.say(stage.discord.user, stage.discord.channel, "hello", files=files)
    answer = await private(await stage.discord.message_menu(stage.discord.user, message, entry))
    assert answer.content.startswith("There is no image on this message")


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (Upload("a.gif", animated("GIF")), "cannot be read as an image"),
        (Upload("a.png", b"<html>"), "cannot be read as an image"),
        (Upload("a.png", file_of((900, 10))), "too long and narrow"),
    ],
    ids=["gif", "html", "long"],
)
async def test_file_that_cannot_be_used_is_refused_and_the_words_are_given_back(
    stage: Stage, file: Upload, sentence: str
) -> None:
    use = await stage.discord.message_menu(stage.discord.user, theirs(stage.discord, file), "Vary")
    answer = await private(await stage.discord.submit_modal(use, {"prompt": "long words"}))
    assert sentence in answer.content and "long words" in answer.content
    assert not await stage.service.unfinished()


async def test_form_outlives_what_is_remembered_if_the_message_can_be_read(stage: Stage) -> None:
    """As after a restart: a message that mentions the bot shows it its files, others do not."""
    discord = stage.discord
    readable = discord.say(discord.user, discord.channel, f"<@{discord.bot.id}> look", files=[PNG])
    for message, sentence in ((readable, ""), (theirs(discord), "open its menu again")):
        use = await discord.message_menu(discord.user, message, "Use as input")
        await use.wait_modal()
        attached._urls.clear()
        sent = await discord.submit_modal(use, {"prompt": "a pear"})
        shown = await sent.wait(lambda message: bool(message.buttons) or (message.ephemeral and not message.loading))
        assert sentence in shown.content
    assert len(await stage.service.unfinished()) == 1


async def test_link_that_has_expired_is_read_again_and_a_deleted_message_is_gone(stage: Stage) -> None:
    discord = stage.discord
    message = discord.say(discord.user, discord.channel, f"<@{discord.bot.id}> look", files=[PNG])
    use = await discord.message_menu(discord.user, message, "Use as input")
    await use.wait_modal()
    discord.expire_cdn_urls()
    await (await discord.submit_modal(use, {"prompt": "x"})).wait(lambda message: bool(message.buttons))
    use = await discord.message_menu(discord.user, message, "Use as input")
    await use.wait_modal()
    discord.delete_message(message)
    answer = await private(await discord.submit_modal(use, {"prompt": "x"}))
    assert "no longer available" in answer.content


async def test_form_for_another_channels_message_is_of_no_use(stage: Stage) -> None:
    """A forged one: the message is looked for where the person is."""
    discord = stage.discord
    secret = discord.add_channel("secret")
    message = discord.say(discord.user, secret, f"<@{discord.bot.id}>", files=[PNG])
    prompt = {"type": 18, "component": {"type": 4, "custom_id": "prompt", "value": "x"}}
    file = {"type": 18, "component": {"type": 3, "custom_id": "file", "values": [message.attachments[0]["id"]]}}
    for custom_id in (f"im2file:use:{message.id}", "im2file:use:1", "im2file:fly:1", "im2remove:1", "im2remove:x"):
        data = {"custom_id": custom_id, "components": [prompt, file]}
        opened = discord.emu.interactions.open(Kind.MODAL_SUBMIT, discord.user, discord.channel, data)
        await opened.changed.wait_for(lambda: any(event.kind == "message" for event in opened.timeline), 10)  # noqa: B023
    assert not await stage.service.unfinished()


async def test_file_that_is_remembered_of_another_channel_is_of_no_use(stage: Stage) -> None:
    discord, bob = stage.discord, stage.discord.add_user("bob")
    message = discord.say(discord.user, discord.add_channel("secret"), "look", files=[png_with(parameters=A1111)])
    await (await discord.message_menu(discord.user, message, "Use as input")).wait_modal()
    prompt = {"type": 18, "component": {"type": 4, "custom_id": "prompt", "value": "x"}}
    file = {"type": 18, "component": {"type": 3, "custom_id": "file", "values": [message.attachments[0]["id"]]}}
    data = {"custom_id": f"im2file:use:{message.id}", "components": [prompt, file]}
    opened = discord.emu.interactions.open(Kind.MODAL_SUBMIT, bob, discord.channel, data)
    await opened.changed.wait_for(lambda: any(event.kind == "message" for event in opened.timeline), 10)
    assert not await stage.service.unfinished()


async def test_model_without_init_images_is_passed_over(start: Start) -> None:
    async with start(models=Models(usual=DEAF, others=(FAKE,))) as stage:
        use = await stage.discord.message_menu(stage.discord.user, theirs(stage.discord), "Use as input")
        await (await stage.discord.submit_modal(use, {"prompt": "x"})).wait(lambda message: bool(message.buttons))
        assert (await stage.job(1)).spec.model == "fake"
    async with start(models=Models(usual=DEAF)) as stage:
        use = await stage.discord.message_menu(stage.discord.user, theirs(stage.discord), "Use as input")
        assert "Deaf cannot start from an image" in (await private(use)).content


async def test_form_names_a_model_that_its_person_may_draw_with(start: Start) -> None:
    models = Models(usual=FAKE, others=(PAINTER,))
    async with start(models=models) as stage:
        everybody = int(stage.discord.guild.id)
        stage.service.allowances._roles = {everybody: RoleConfig(models=("painter",))}
        use = await stage.discord.message_menu(stage.discord.user, theirs(stage.discord), "Use as input")
        await (await stage.discord.submit_modal(use, {"prompt": "x"})).wait(lambda message: bool(message.buttons))
        assert (await stage.job(1)).spec.model == "painter"


# ── our messages ────────────────────────────────────────────────────────────────────────────────────


async def test_our_image_is_varied_used_and_described_from_the_database(stage: Stage) -> None:
    discord, bob = stage.discord, stage.discord.add_user("bob")
    async with stage.drawing():
        message = await drawn(stage)
        info = await private(await discord.message_menu(bob, message, "Image info"))
        assert "Image #1" in info.text and "an apple" in info.text
        await (await discord.message_menu(bob, message, "Vary")).wait(lambda shown: bool(shown.images), timeout=20)
        use = await discord.message_menu(bob, message, "Use as input")
        sent = await discord.submit_modal(use, {"prompt": "a pear"})
        await sent.wait(lambda shown: bool(shown.images), timeout=20)
    varied, started = await stage.job(2), await stage.job(3)
    assert (varied.derived_from.job_id, varied.user.id) == (1, bob.id)  # type: ignore[union-attr]
    assert (started.derived_from.job_id, started.spec.prompt) == (1, "a pear")  # type: ignore[union-attr]


async def test_of_several_images_one_is_asked_for(stage: Stage) -> None:
    discord = stage.discord
    async with stage.drawing():
        message = await drawn(stage, count=2)
        asked = await private(await discord.message_menu(discord.user, message, "Image info"))
        chosen = await discord.select(asked, asked.selects[0]["custom_id"], "2")
        assert "Image #2" in (await private(chosen)).text


async def test_image_that_was_posted_again_is_known_by_its_name(stage: Stage) -> None:
    discord = stage.discord
    async with stage.drawing():
        await drawn(stage)
        shown = await discord.slash(discord.user, discord.channel, "show", id=1)
        again = await shown.wait(lambda message: bool(message.images))
        info = await private(await discord.message_menu(discord.user, again, "Image info"))
    assert "Image #1" in info.text


async def test_unfinished_deleted_and_other_messages_of_ours_are_refused(stage: Stage) -> None:
    discord = stage.discord
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="an apple", steps=1)
    waiting = await use.wait(lambda message: bool(message.buttons))
    refused = await private(await discord.message_menu(discord.user, waiting, "Vary"))
    assert "Image #1 is not available: it is still waiting" in refused.content
    async with stage.drawing():
        message = await use.wait(lambda message: bool(message.images), timeout=20)
        await stage.service.archive.erase(1, by=UserKey(frontend="discord", id=discord.user.id))
    for entry in ENTRIES[:3]:
        answer = await private(await discord.message_menu(discord.user, message, entry))
        assert answer.content == "Image #1 was deleted, and its prompt with it."
        assert "apple" not in answer.text


async def test_moderator_removes_an_image_and_nobody_else_does(stage: Stage) -> None:
    discord, mod = stage.discord, moderator(stage.discord)
    async with stage.drawing():
        message = await drawn(stage)
    discord.emu.commands.find("Remove", discord.guild.id, CommandType.MESSAGE)["default_member_permissions"] = None  # type: ignore[index]
    refused = await private(await discord.message_menu(discord.add_user("eve"), message, "Remove"))
    assert "#1" in refused.content and not (await stage.job(1)).is_erased
    not_ours = await private(await discord.message_menu(mod, theirs(discord), "Remove"))  # type: ignore[arg-type]
    assert "only remove images that I drew" in not_ours.content
    use = await discord.message_menu(mod, message, "Remove")  # type: ignore[arg-type]
    answer = await private(await discord.submit_modal(use, {"reason": "not here"}))
    assert "#1" in answer.content and (await stage.job(1)).moderated_reason == "not here"
    assert message.id not in {shown.id for shown in discord.messages(discord.channel)}


@pytest.mark.parametrize("count", [1, 2])
async def test_moderator_removes_a_private_image_that_its_person_posted_and_reads_nothing_of_it(
    stage: Stage, count: int
) -> None:
    discord, mod = stage.discord, moderator(stage.discord)
    options = {"prompt": "an apple", "steps": 1, "seed": 77, "private": True, "count": count}
    discord.user.dms_open = False
    async with stage.drawing():
        await discord.slash(discord.user, discord.channel, "imagine", options=options)
        notice = await discord.wait_message(
            lambda message: "is ready" in message.content or "are ready" in message.content
        )
        copy = await (await discord.slash(discord.user, discord.channel, "show", id=1)).wait(lambda shown: shown.images)
    message = copy if count == 1 else notice
    info = await private(await discord.message_menu(mod, message, "Image info"))  # type: ignore[arg-type]
    assert "belongs to somebody else" in info.content
    use = await discord.message_menu(mod, message, "Remove")  # type: ignore[arg-type]
    assert "77" not in str(await use.wait_modal()) and "apple" not in str(await use.wait_modal())
    answer = await private(await discord.submit_modal(use, {"reason": "not here"}))
    assert "#1" in answer.content and (await stage.job(1)).moderated_reason == "not here"
    assert not any(each.images for each in discord.messages(discord.channel))


async def test_copy_of_a_spoiler_is_known_by_its_name(stage: Stage) -> None:
    discord = stage.discord
    async with stage.drawing():
        options = {"prompt": "an apple", "steps": 1, "spoiler": True}
        use = await discord.slash(discord.user, discord.channel, "imagine", options=options)
        await use.wait(lambda message: bool(message.images))
        shown = await discord.slash(discord.user, discord.channel, "show", id=1)
        again = await shown.wait(lambda message: bool(message.images))
        info = await private(await discord.message_menu(discord.user, again, "Image info"))
    assert "Image #1" in info.text


async def test_moderator_removes_one_of_several_and_what_is_removed_is_said_to_be(stage: Stage) -> None:
    discord, mod = stage.discord, moderator(stage.discord)
    async with stage.drawing():
        message = await drawn(stage, count=2)
    use = await discord.message_menu(mod, message, "Remove")  # type: ignore[arg-type]
    removed = await discord.submit_modal(use, {"picture": "2", "reason": "`no`"})
    assert "#2" in (await private(removed)).content
    assert [(await stage.job(number)).is_erased for number in (1, 2)] == [False, True]
    asked = await discord.message_menu(discord.user, message, "Image info")  # of the one that is left
    assert "Image #1" in (await private(asked)).text
    again = await discord.submit_modal(use, {"picture": "2", "reason": "twice"})
    assert "removed by a moderator" in (await private(again)).content
    forged = await discord.submit_modal(use, {"picture": "1", "reason": " "})
    assert "#1" in (await private(forged)).content and (await stage.job(1)).moderated_reason == ""


# ── what a file says ────────────────────────────────────────────────────────────────────────────────

A1111 = "a *fox* @everyone\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 512x512"
GRAPH = {
    "3": {
        "class_type": "KSampler",
        "inputs": {"seed": 5, "steps": 9, "cfg": 4.5, "positive": ["6", 0], "negative": ["7", 0]},
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "dream.safetensors"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a comfy fox", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "ugly", "clip": ["4", 1]}},
}


def png_with(**texts: str) -> Upload:
    info = PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format="PNG", pnginfo=info)
    return Upload("a.png", buffer.getvalue())


async def info_of(discord: Discord, *files: Upload) -> MessageView:
    return await private(await discord.message_menu(discord.user, theirs(discord, *files), "Image info"))


async def test_info_of_a_strangers_file_is_escaped_and_cut(stage: Stage) -> None:
    shown = await info_of(stage.discord, png_with(parameters=A1111))
    assert r"a \*fox\* \@everyone" in shown.text and "blurry" in shown.text and "Seed: 42" in shown.text
    assert "Stable Diffusion web UIs" in shown.text and not shown.mentions
    shown = await info_of(stage.discord, png_with(prompt=json.dumps(GRAPH)))
    assert "a comfy fox" in shown.text and "ugly" in shown.text and "steps: 9" in shown.text
    flood = "*`@" * 30_000 + "\nNegative prompt: " + "_" * 30_000 + "\nSteps: 1, Seed: 1, Sampler: " + "#" * 9000
    assert "Anybody can change" in (await info_of(stage.discord, png_with(parameters=flood))).text
    assert "does not say how" in (await info_of(stage.discord)).content


async def test_our_file_posted_by_somebody_tells_its_prompt(stage: Stage) -> None:
    async with stage.drawing():
        message = await drawn(stage)
    shown = await info_of(stage.discord, Upload("mine.png", message.image_bytes(0)))
    assert "an apple" in shown.text and "as this bot writes it" in shown.text


async def test_one_of_several_files_is_chosen_for_its_info(stage: Stage) -> None:
    discord = stage.discord
    asked = await info_of(discord, PNG, png_with(parameters=A1111))
    (menu,) = asked.selects
    chosen = await discord.select(asked, menu["custom_id"], menu["options"][1]["value"])
    assert "fox" in (await chosen.wait(lambda message: "fox" in message.text)).text


async def test_hostile_text_of_a_file_is_told_as_far_as_there_is_room(stage: Stage) -> None:
    pairs = ", ".join(f"K{chr(65 + number)}{'k' * 30}: {'v_' * 200}" for number in range(20))
    flood = f"{'x_' * 5000}\nNegative prompt: {'y*' * 2000}\nSteps: 20, {pairs}"
    assert "Anybody can change" in (await info_of(stage.discord, png_with(parameters=flood))).text
    half = {"1": {"inputs": {"text": "a \ud800 fox", "positive": ["1", 0], "seed": "\udfff"}}}
    assert "a ? fox" in (await info_of(stage.discord, png_with(prompt=json.dumps(half)))).text


async def test_info_shows_the_prompt_and_what_the_model_read_in_its_place(stage: Stage) -> None:
    text = 'a *panda*\nSteps: 20, Sampler: Euler, Seed: 42, Original prompt: "熊*猫*，雪"'
    shown = await info_of(stage.discord, png_with(parameters=text))
    assert r"熊\*猫\*，雪" in shown.text
    assert r"The model reads: a \*panda\*" in shown.text
    stage.service.models = Models(usual=READS_ENGLISH, is_translated=True)
    stage.service.translations = Translations(Dictionary().translator())
    async with stage.drawing():
        use = await stage.discord.slash(
            stage.discord.user, stage.discord.channel, "imagine", prompt="一只熊猫", steps=1
        )
        message = await use.wait(lambda message: message.images)
    shown = await private(await stage.discord.message_menu(stage.discord.user, message, "Image info"))
    assert "一只熊猫" in shown.text
    assert "The model reads: a panda" in shown.text
