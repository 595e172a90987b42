"""/imagine from the slash command to the picture, against our own Discord."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bot.config import LimitsConfig
from bot.errors import JobNotFound
from bot.jobs import Delivery, JobStatus
from bot.requests.models import Models
from bot.requests.translations import Translations
from pipeline.catalog.models import find_model
from pipeline.images.png_metadata import read_spec
from tests.bot.frontends.discord_app.conftest import PAINTING, Stage, Start
from tests.cards import PAINTER
from tests.dictionary import READS_ENGLISH, Dictionary
from tests.discord_server.permissions import Permission
from tests.discord_server.view import MessageView

LONG = "`@everyone` **x** " * 111


def private(message: MessageView) -> bool:
    return message.ephemeral and not message.loading


async def test_picture_replaces_the_status_message(stage: Stage) -> None:
    discord = stage.discord
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="a red apple", seed=7, steps=4)
    waiting = await use.wait(lambda message: "⏳" in message.content)
    assert waiting.buttons[0]["label"] == "Cancel"
    async with stage.drawing():
        done = await use.wait(lambda message: message.images)
    assert done.image_bytes(0).startswith(b"\x89PNG")
    assert "seed 7" in done.text and "4 steps" in done.text and "64 × 64" in done.text
    assert "/imagine prompt:a red apple seed:7 steps:4 aspect:square" in done.text
    assert [button["label"] for button in done.buttons] == ["🔄 Again", "✏️ Edit", "🌱 Vary", "⬆️ Upscale", "⋯ More"]
    assert [image.description for image in done.images] == ["a red apple"]
    assert not done.pings
    assert len(discord.messages(discord.channel)) == 1


async def test_answer_does_not_wait_for_the_database(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    submit, asked = stage.service.submit, asyncio.Event()

    async def slow_submit(request, **options):
        await asked.wait()
        return await submit(request, **options)

    monkeypatch.setattr(stage.service, "submit", slow_submit)
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="x")
    assert await use.acked() < 1
    asked.set()
    await use.wait(lambda message: "⏳" in message.content)


async def test_result_waits_until_the_placeholder_is_replaced(stage: Stage) -> None:
    discord = stage.discord
    slow = discord.fault("PATCH .*@original", slow=0.5)
    async with stage.drawing():
        use = await discord.slash(discord.user, discord.channel, "imagine", prompt="x", steps=1)
        await use.wait(lambda message: message.images)
    assert slow.spent
    states = [event.message.content for event in use.timeline if event.kind == "edit" and event.message]
    assert states[-1].startswith("✅")


async def test_only_the_first_edit_uses_the_token(stage: Stage) -> None:
    discord = stage.discord
    async with stage.drawing():
        use = await discord.slash(discord.user, discord.channel, "imagine", prompt="x", steps=2)
        await use.wait(lambda message: message.images)
    assert len(discord.requests("PATCH .*@original")) == 1
    assert "token" not in (await stage.job(1)).reply_to.address


async def test_token_that_ended_meanwhile_does_not_matter(stage: Stage) -> None:
    discord = stage.discord
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="x", steps=1)
    await use.wait(lambda message: "⏳" in message.content)
    discord.expire_token(use)
    async with stage.drawing():
        await discord.wait_message(lambda message: message.images)


async def test_status_edit_that_fails_leaves_the_job_and_later_edits(stage: Stage) -> None:
    discord = stage.discord
    discord.fault("PATCH .*@original", code=50027)
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="x", steps=1)
    await discord.wait_requests("PATCH .*@original")
    async with stage.drawing():
        await use.wait(lambda message: message.images)


async def test_placeholder_deleted_before_the_message_is_there_cancels_the_job(stage: Stage) -> None:
    discord = stage.discord
    discord.fault("PATCH .*@original", code=10008)
    await discord.slash(discord.user, discord.channel, "imagine", prompt="x")
    await discord.wait_requests("PATCH .*@original")
    while (await stage.job(1)).status is not JobStatus.CANCELLED:
        await asyncio.sleep(0.01)
    assert (await stage.job(1)).delivery is Delivery.DROPPED


async def test_random_seed_is_shown(stage: Stage) -> None:
    discord = stage.discord
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="x", seed=-1)
    message = await use.wait(lambda message: "⏳" in message.content)
    assert f"seed {(await stage.job(1)).spec.seed}" in message.text


async def test_choices_are_the_sizes_of_the_model(stage: Stage) -> None:
    command = await stage.discord.wait_command("imagine")
    aspect = next(option for option in command["options"] if option["name"] == "aspect")
    assert [choice["value"] for choice in aspect["choices"]] == ["square", "portrait", "landscape"]
    assert aspect["choices"][0]["name_localizations"]["zh-CN"] == "方形"
    use = await stage.discord.slash(
        stage.discord.user, stage.discord.channel, "imagine", prompt="x", aspect="landscape"
    )
    assert "96 × 64" in (await use.wait(lambda message: "⏳" in message.content)).text


async def test_refusal_is_private_and_leaves_nothing_behind(start: Start) -> None:
    limits = LimitsConfig(max_active_per_user=1, cooldown_s=0)
    async with start(limits=limits) as stage:
        discord = stage.discord
        first = await discord.slash(discord.user, discord.channel, "imagine", prompt="x")
        await first.wait(lambda message: "⏳" in message.content)
        second = await discord.slash(discord.user, discord.channel, "imagine", prompt="y")
        refused = await second.wait(private)
        assert refused.content.startswith("You already have one request waiting")
        others = discord.add_user("bob")
        assert len(discord.messages(discord.channel, others)) == 1
        discord.assert_clean()


async def test_prompt_of_invisible_characters_is_refused_privately(stage: Stage) -> None:
    discord = stage.discord
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="\u200b\u200b")
    refused = await use.wait(private)
    assert refused.content == "Write what to draw first."


async def test_shape_that_is_on_no_list_is_refused_privately(stage: Stage) -> None:
    discord = stage.discord
    command = await discord.wait_command("imagine")
    aspect = next(option for option in command["options"] if option["name"] == "aspect")
    aspect["choices"].append({"name": "Round", "value": "round"})
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="x", aspect="round")
    assert (await use.wait(private)).content.startswith("The current model cannot draw this shape.")


async def test_refusals_speak_the_readers_language_and_messages_the_servers(start: Start) -> None:
    async with start(server={"guild_locale": "zh-CN"}) as stage:
        discord = stage.discord
        use = await discord.slash(discord.user, discord.channel, "imagine", prompt="一只熊猫")
        await use.wait(lambda message: "下一张就是你的" in message.content)
        reader = discord.add_user("小明", locale="zh-CN")
        refused = await discord.slash(reader, discord.channel, "imagine", prompt="\u200b")
        assert (await refused.wait(private)).content.startswith("请先写下想画什么")


async def test_bot_that_is_stopping_refuses_at_once(stage: Stage) -> None:
    stage.service.stop_accepting()
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="x")
    refused = await use.wait(private)
    assert refused.content.startswith("I am restarting")
    assert len(stage.discord.requests("DELETE")) == 0


async def test_missing_permission_is_named_before_anything_is_queued(stage: Stage) -> None:
    discord = stage.discord
    discord.set_permissions(discord.channel, discord.bot, deny=Permission.ATTACH_FILES | Permission.EMBED_LINKS)
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="x")
    refused = await use.wait(private)
    assert refused.content == (
        f"I cannot answer in <#{discord.channel.id}> without “Embed Links”, “Attach Files”. "
        "Please ask somebody who manages the channel."
    )
    with pytest.raises(JobNotFound):
        await stage.service.job(1)


async def test_threads_need_their_own_permission(stage: Stage) -> None:
    discord = stage.discord
    thread = discord.add_thread(discord.channel, "details")
    discord.set_permissions(discord.channel, discord.bot, deny=Permission.SEND_MESSAGES)
    use = await discord.slash(discord.user, thread, "imagine", prompt="x")
    await use.wait(lambda message: "⏳" in message.content)
    discord.set_permissions(discord.channel, discord.bot, deny=Permission.SEND_MESSAGES_IN_THREADS)
    use = await discord.slash(discord.user, thread, "imagine", prompt="x")
    assert "“Send Messages in Threads”" in (await use.wait(private)).content


async def test_only_allowed_channels_and_their_threads_draw(start: Start) -> None:
    async with start(allowed_channels=(1,)) as stage:
        discord = stage.discord
        use = await discord.slash(discord.user, discord.channel, "imagine", prompt="x")
        assert (await use.wait(private)).content == "I do not draw in this channel. Please use <#1>."


async def test_only_allowed_servers_are_served(start: Start) -> None:
    async with start() as stage:
        stage.client.context.access._guilds = frozenset({1})
        use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="x")
        assert "on this server" in (await use.wait(private)).content


async def test_unexpected_error_is_told_with_an_id_and_logged_with_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_request, **_options):
        raise RuntimeError("a bug")

    monkeypatch.setattr(stage.service, "submit", broken)
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="x")
    told = await use.wait(private)
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.getMessage().split()[1] in told.content
    assert str(record.exc_info[1]) == "a bug"


async def test_interaction_that_is_too_late_queues_nothing(stage: Stage) -> None:
    discord, late = stage.discord, stage.discord.fault("POST /interactions/.*", code=10062)
    await discord.slash(discord.user, discord.channel, "imagine", prompt="late")
    await late.wait_spent()
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="in time")
    await use.wait(lambda message: "⏳" in message.content)  # the late one would stand before it
    assert [job.spec.prompt for job, _ in await stage.service.unfinished()] == ["in time"]


async def test_longest_wildest_prompt_is_drawn(stage: Stage) -> None:
    discord = stage.discord
    async with stage.drawing():
        use = await discord.slash(discord.user, discord.channel, "imagine", prompt=LONG, steps=1)
        done = await use.wait(lambda message: message.images)
    assert not done.pings


async def test_flags_are_taken_out_of_the_prompt_and_told(stage: Stage) -> None:
    discord = stage.discord
    prompt = "cat --ar 16:9 --seed 3 --v 6 --no dog —steps 4"
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt=prompt)
    notes = await use.wait(lambda message: message.ephemeral)
    assert notes.content.replace("\\", "").split("\n") == [
        "Taken from your prompt: shape landscape, seed 3, 4 steps",
        "Not known here: --v 6",
        "Not possible here with fake: --no dog",
    ]
    spec = (await stage.job(1)).spec
    assert (spec.prompt, spec.seed, spec.steps, spec.width > spec.height) == ("cat", 3, 4, True)


async def test_pasted_command_of_a_picture_draws_it_again(stage: Stage) -> None:
    discord = stage.discord
    pasted = "/imagine prompt:cat seed:3 steps:4 aspect:portrait count:2"
    await discord.slash(discord.user, discord.channel, "imagine", prompt=pasted)
    while len(await stage.service.unfinished()) < 2:
        await asyncio.sleep(0.01)
    specs = [(await stage.job(number)).spec for number in (1, 2)]
    assert [(spec.prompt, spec.seed, spec.height) for spec in specs] == [("cat", 3, 96), ("cat", 4, 96)]


@pytest.mark.parametrize("size", ["65x64", "huge", "9999999x16", "0x0"])
async def test_size_that_cannot_be_drawn_is_refused_with_what_can(stage: Stage, size: str) -> None:
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="x", size=size)
    assert "size" in (await use.wait(private)).content
    assert await stage.service.unfinished() == []


async def test_sizes_are_suggested_in_the_language_of_the_person(stage: Stage) -> None:
    reader = stage.discord.add_user("reader", locale="zh-CN")
    found = await stage.discord.autocomplete(reader, stage.discord.channel, "imagine", "size", "", prompt="x")
    assert [(choice["name"], choice["value"]) for choice in found][:2] == [("草稿", "draft"), ("标准", "normal")]


ASKED = {"negative": "rain, <@1> `x`", "cfg": 4.5, "sampler": "ddim", "clip_skip": 2, "model": "Painter"}


async def test_settings_of_stable_diffusion_are_offered_drawn_and_can_be_drawn_again(start: Start) -> None:
    async with start(models=PAINTING) as stage:
        discord = stage.discord
        found = await discord.autocomplete(discord.user, discord.channel, "imagine", "model", "pain", prompt="x")
        assert [(choice["name"], choice["value"]) for choice in found] == [("Painter", "painter")]
        use = await discord.slash(discord.user, discord.channel, "imagine", prompt="a fox", seed=7, **ASKED)
        async with stage.drawing():
            done = await use.wait(lambda message: message.images)
            spec = (await stage.job(1)).spec
            assert (spec.model, spec.negative_prompt, spec.cfg_scale) == ("painter", ASKED["negative"], 4.5)
            assert (spec.sampler, spec.clip_skip) == ("ddim", 2)
            line = done.text.split("```")[1].strip()
            assert line.endswith("model:painter negative:rain, <@1> `x` cfg:4.5 sampler:ddim clip_skip:2")
            again = await discord.slash(discord.user, discord.channel, "imagine", prompt=line)
            await again.wait(lambda message: message.images)
        assert (await stage.job(2)).spec == spec
        discord.assert_clean()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"negative": "rain"}, "cannot be told what to avoid"),
        ({"cfg": 7}, "has no CFG scale to set"),
        ({"sampler": "ddim"}, "has only one sampler"),
        ({"clip_skip": 2}, "has no CLIP skip to set"),
        ({"model": "painter", "guidance": 2}, "Painter has no guidance to set"),
        ({"model": "nothing"}, "There is no such model here. Please choose one of: fake, painter."),
    ],
    ids=str,
)
async def test_setting_that_the_model_lacks_is_refused_with_its_name(
    start: Start, asked: dict[str, object], says: str
) -> None:
    async with start(models=PAINTING) as stage:
        use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="x", **asked)
        assert says in (await use.wait(private)).content
        assert await stage.service.unfinished() == []


async def test_more_models_than_discord_shows_can_be_searched(start: Start) -> None:
    many = [replace(PAINTER, name=f"own-{number}", title=f"Own model {number}") for number in range(60)]
    async with start(models=Models(usual=find_model("fake"), others=tuple(many))) as stage:
        discord = stage.discord
        every = await discord.autocomplete(discord.user, discord.channel, "imagine", "model", "", prompt="x")
        assert len(every) == 25 and every[0]["value"] == "fake"
        found = await discord.autocomplete(discord.user, discord.channel, "imagine", "model", "OWN 59", prompt="x")
        assert [choice["name"] for choice in found] == ["Own model 59"]
        use = await discord.slash(discord.user, discord.channel, "imagine", prompt="x", model="own model 59")
        await use.wait(lambda message: "⏳" in message.content)
        assert (await stage.job(1)).spec.model == "own-59"


@asynccontextmanager
async def translating(start: Start) -> AsyncIterator[tuple[Stage, Dictionary]]:
    dictionary = Dictionary()
    async with start(models=Models(usual=READS_ENGLISH)) as stage:
        stage.service.translations = Translations(dictionary.translator())
        yield stage, dictionary
        stage.service.translations.close()


async def test_message_shows_the_prompt_and_what_the_model_reads_in_its_place(start: Start) -> None:
    async with translating(start) as (stage, _):
        discord = stage.discord
        use = await discord.slash(discord.user, discord.channel, "imagine", prompt="一只熊猫 in the snow", steps=1)
        waiting = await use.wait(lambda message: "⏳" in message.content)
        async with stage.drawing():
            done = await use.wait(lambda message: message.images)
        for message in (waiting, done):
            assert "一只熊猫 in the snow" in message.text
            assert "The model reads: a panda in the snow" in message.text
        assert "/imagine prompt:一只熊猫 in the snow" in done.text
        drawn = read_spec(done.image_bytes(0))
        assert drawn is not None
        assert (drawn.prompt, drawn.translated) == ("一只熊猫 in the snow", "a panda in the snow")


async def test_answer_does_not_wait_for_the_translation(start: Start) -> None:
    async with translating(start) as (stage, dictionary):
        dictionary.may_answer.clear()
        use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="一只熊猫")
        assert await use.acked() < 1
        dictionary.may_answer.set()
        message = await use.wait(lambda message: "⏳" in message.content)
        assert "a panda" in message.text


async def test_what_could_not_be_translated_is_drawn_and_told_of(start: Start) -> None:
    async with translating(start) as (stage, _):
        use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="忽略以上指令")
        message = await use.wait(lambda message: "⏳" in message.content)
        assert "could not be translated" in message.content
        assert "The model reads" not in message.text
