"""Buttons under finished pictures: what they draw, for whom, who pays, and who may not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.config import LimitsConfig
from bot.frontends.discord_app import interactions, presses
from bot.frontends.discord_app.components import BUTTONS
from bot.jobs import Delivery, Job, JobStatus, Request, UserKey, Verb
from bot.requests.service import Service
from tests.bot.frontends.discord_app.conftest import PAINTING, STARTING, Stage, Start
from tests.discord_server.driver import ClientRefused, Use
from tests.discord_server.interactions import Kind
from tests.discord_server.permissions import Permission
from tests.discord_server.view import MessageView

# The windows for rates are short, so that many edits in one channel wait for none; deadlines stay as they are.
HASTY = {"time_scale": 0.02, "ack_deadline": 150.0, "interaction_lifetime": 45_000.0}


@pytest.fixture
async def stage(start: Start) -> AsyncIterator[Stage]:
    """A bot that draws."""
    async with start() as stage, stage.drawing():
        yield stage
        stage.discord.assert_clean()


def is_done(message: MessageView) -> bool:
    return message.content.startswith("✅")


async def picture(stage: Stage, prompt: str = "a red apple", **options: Any) -> MessageView:
    discord = stage.discord
    asked = {"seed": 7, "steps": 2, **options}
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt=prompt, **asked)
    return await use.wait(is_done)


async def private(use: Use) -> MessageView:
    return await use.wait(lambda message: message.ephemeral and not message.loading)


async def told(use: Use) -> str:
    return (await private(use)).content


async def menu(stage: Stage, message: MessageView, user: Any = None) -> MessageView:
    return await private(await stage.discord.click(message, "⋯ More", user))


def public(stage: Stage) -> list[MessageView]:
    return [message for message in stage.discord.messages(stage.discord.channel) if not message.ephemeral]


def labels(message: MessageView) -> list[str]:
    return [button["label"] for button in message.buttons]


# ── drawing again ───────────────────────────────────────────────────────────────────────────────────


async def test_again_draws_the_same_settings_with_another_seed(stage: Stage) -> None:
    use = await stage.discord.click(await picture(stage), "🔄 Again")
    again = await use.wait(is_done)
    first, second = await stage.job(1), await stage.job(2)
    assert not again.ephemeral and again.images and again.reference == use.interaction.message.id
    assert replace(second.spec, seed=7) == first.spec and second.spec.seed != 7
    assert second.derived_from is not None and second.derived_from.verb is Verb.REROLL


async def test_vary_starts_from_the_picture(stage: Stage) -> None:
    await (await stage.discord.click(await picture(stage), "🌱 Vary")).wait(is_done)
    varied = await stage.job(2)
    assert varied.spec.source and 0 < varied.spec.strength < 1 and varied.spec.prompt == "a red apple"


async def test_upscale_makes_it_twice_as_large_once_and_a_press_that_is_forged_is_refused(stage: Stage) -> None:
    message = await picture(stage)
    upscaled = await (await stage.discord.click(message, "⬆️ Upscale")).wait(is_done)
    before, after = await stage.job(1), await stage.job(2)
    assert (after.spec.width, after.spec.height) == (2 * before.spec.width, 2 * before.spec.height)
    assert (after.spec.prompt, after.spec.seed, after.spec.upscale) == ("a red apple", 7, 2)
    assert after.derived_from is not None and after.derived_from.verb is Verb.UPSCALE
    assert before.image_path and "Upscale" not in str(upscaled.buttons)
    forge(stage, upscaled, "im2:upscale:2")
    assert await told(await stage.discord.click(upscaled, "im2:upscale:2")) == "Image #2 is already upscaled."
    stranger = stage.discord.add_user("bob", locale="zh-CN")
    assert await told(await stage.discord.click(upscaled, "im2:upscale:2", stranger)) == "图片 #2 已经放大过了。"
    assert await stage.jobs.get(3) is None


async def test_strength_typed_into_the_form_of_an_upscaled_image_is_of_no_use_and_no_obstacle(stage: Stage) -> None:
    upscaled = await (await stage.discord.click(await picture(stage), "⬆️ Upscale")).wait(is_done)
    form = await stage.discord.click(upscaled, "✏️ Edit")
    await form.wait_modal()
    sent = await stage.discord.submit_modal(form, {"prompt": "a pear --strength 0.5"})
    await sent.wait(lambda message: message.ephemeral and message.content.startswith("Not used here:"))
    assert (await stage.job(3)).spec.prompt == "a pear"


async def test_double_click_on_upscale_is_one_press(stage: Stage) -> None:
    message = await picture(stage)
    first, second = [await stage.discord.click(message, "⬆️ Upscale") for _ in range(2)]
    await first.wait(is_done)
    assert "one press" in await told(second)
    assert await stage.jobs.get(3) is None


async def test_edit_is_filled_in_and_draws_what_is_typed(stage: Stage) -> None:
    message = await picture(stage, aspect="portrait")
    use = await stage.discord.click(message, "✏️ Edit")
    modal = await use.wait_modal()
    fields = {row["component"]["custom_id"]: row["component"] for row in modal["components"]}
    assert modal["title"] == "Edit image #1"
    assert {name: fields[name]["value"] for name in ("prompt", "seed", "steps")} == {
        "prompt": "a red apple", "seed": "7", "steps": "2",
    }  # fmt: skip
    assert [option["value"] for option in fields["aspect"]["options"] if option.get("default")] == ["portrait"]
    assert fields["size"]["value"] == "normal"
    sent = await stage.discord.submit_modal(use, {"prompt": "a blue apple", "steps": "3", "aspect": "landscape"})
    await sent.wait(is_done)
    edited = (await stage.job(2)).spec
    assert (edited.prompt, edited.seed, edited.steps, edited.width > edited.height) == ("a blue apple", 7, 3, True)


async def test_edit_keeps_an_exact_size_until_another_shape_or_size_is_chosen(stage: Stage) -> None:
    message = await picture(stage, size="96x64")
    for number, (typed, size) in enumerate(
        [({}, (96, 64)), ({"aspect": "portrait"}, (64, 96)), ({"size": "draft"}, (48, 32)), ({"size": ""}, (96, 64))],
        start=2,
    ):
        use = await stage.discord.click(message, "✏️ Edit")
        await (await stage.discord.submit_modal(use, {"prompt": "x", **typed})).wait(is_done)
        spec = (await stage.job(number)).spec
        assert (spec.width, spec.height) == size, typed


async def test_flags_in_a_form_are_taken_out_and_told(stage: Stage) -> None:
    use = await stage.discord.click(await picture(stage), "✏️ Edit")
    sent = await stage.discord.submit_modal(use, {"prompt": "a pear --seed 3 --v 6"})
    told_ = await sent.wait(lambda message: message.ephemeral)
    assert told_.content.replace("\\", "") == "Taken from your prompt: seed 3\nNot known here: --v 6"
    await sent.wait(is_done)
    spec = (await stage.job(2)).spec
    assert (spec.prompt, spec.seed) == ("a pear", 3)


@pytest.mark.parametrize("typed", ["--fresh", "—fresh", "－－fresh"])
async def test_fresh_in_any_form_draws_what_is_there(start: Start, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    asked: list[bool] = []
    submit = Service.submit

    async def watched(self: Service, request: Request, **rest: Any) -> Any:
        asked.append(request.is_fresh)
        return await submit(self, request, **rest)

    monkeypatch.setattr(Service, "submit", watched)
    async with start(models=STARTING) as stage, stage.drawing():
        message = await picture(stage)
        opened = await menu(stage, message)
        for place, button in ((message, "✏️ Edit"), (opened, "🖼️ Use as starting image")):
            for words in ("a pear", f"a pear {typed}"):
                use = await stage.discord.click(place, button)
                await (await stage.discord.submit_modal(use, {"prompt": words})).wait(is_done)
    assert asked == [False, False, True, False, True]


async def test_edit_shows_the_negative_prompt_and_keeps_changes_or_drops_it(start: Start) -> None:
    async with start(models=PAINTING) as stage, stage.drawing():
        message = await picture(stage, model="painter", negative="rain, snow", cfg=4.5, sampler="ddim")
        for number, (typed, negative) in enumerate(
            [
                ({}, "rain, snow"),
                ({"prompt": "a pear --no fog"}, "fog"),
                ({"prompt": "a pear"}, ""),
                ({"prompt": "a pear --cfg 6 --no rain, snow"}, "rain, snow"),
            ],
            start=2,
        ):
            use = await stage.discord.click(message, "✏️ Edit")
            fields = {row["component"]["custom_id"]: row["component"] for row in (await use.wait_modal())["components"]}
            assert fields["prompt"]["value"] == "a red apple\n--no rain, snow"
            await (await stage.discord.submit_modal(use, typed)).wait(is_done)
            spec = (await stage.job(number)).spec
            assert (spec.model, spec.negative_prompt, spec.sampler) == ("painter", negative, "ddim"), typed
        assert (spec.prompt, spec.cfg_scale) == ("a pear", 6.0)
        use = await stage.discord.click(message, "✏️ Edit")
        sent = await stage.discord.submit_modal(use, {"prompt": "a pear --model fake"})
        assert (await sent.wait(lambda message: message.ephemeral)).content.replace("\\", "").split("\n") == [
            "Taken from your prompt: model fake",
            "Fake: a colour gradient does not have these settings of the image before, so they were dropped: "
            "CFG scale, sampler",
        ]
        await sent.wait(is_done)
        spec = (await stage.job(6)).spec
        assert (spec.model, spec.negative_prompt, spec.sampler, spec.cfg_scale) == ("fake", "", "", 1.0)
        stage.discord.assert_clean()


async def test_edit_without_a_seed_draws_a_random_one(stage: Stage) -> None:
    use = await stage.discord.click(await picture(stage), "✏️ Edit")
    await (await stage.discord.submit_modal(use, {"seed": ""})).wait(is_done)
    assert (await stage.job(2)).spec.seed != 7


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("seed", "abc", "The seed must be a whole number"),
        ("seed", "99999999999", "The seed must be a whole number"),
        ("steps", "1e3", "The number of steps must be from 1 to 50."),
        ("steps", "51", "The number of steps must be from 1 to 50."),
        ("prompt", "\u200b \u200b", "Write what to draw first."),
    ],
)
async def test_form_that_cannot_be_drawn_says_why_and_gives_the_words_back(
    stage: Stage, field: str, typed: str, said: str
) -> None:
    use = await stage.discord.click(await picture(stage), "✏️ Edit")
    sent = await stage.discord.submit_modal(use, {"prompt": "long ``` thoughts", field: typed})
    answer = await told(sent)
    assert answer.startswith(said)
    if field != "prompt":
        assert "long ''' thoughts" in answer
    assert await stage.jobs.get(2) is None


async def test_form_sent_after_a_restart_still_draws(stage: Stage) -> None:
    """The library remembers no form: neither does a process that did not open it."""
    use = await stage.discord.click(await picture(stage), "✏️ Edit")
    await use.wait_modal()
    assert not stage.client._connection._view_store._modals
    assert not stage.client._connection._view_store._views
    await (await stage.discord.submit_modal(use, {"prompt": "x"})).wait(is_done)


async def test_every_button_works_on_the_result_of_a_button_at_any_depth(start: Start) -> None:
    """Each draws from the result of the one before; those that draw nothing are pressed under the last one."""
    async with start(server=HASTY) as stage, stage.drawing():
        await press_every_button(stage)
        stage.discord.assert_clean()


async def press_every_button(stage: Stage) -> None:
    message, presses_of = await picture(stage, size="draft"), stage.discord.click
    verbs = []
    for label in (
        "🔄 Again",
        "🌱 Vary",
        "Same seed",
        "✏️ Edit",
        "Final size",
        "🔄 Again",
        "starting image",
        "⬆️ Upscale",
    ):
        source, names = message, {"✏️ Edit": {"prompt": "a pear"}, "starting image": {"prompt": "make it night"}}
        if label not in labels(message):
            source = await menu(stage, message)
            label = next(each for each in labels(source) if label in each)
        use = await presses_of(source, label)
        if (typed := next((typed for name, typed in names.items() if name in label), None)) is not None:
            use = await stage.discord.submit_modal(use, typed)
        message = await use.wait(is_done)
        made = await stage.job(len(verbs) + 2)
        assert made.derived_from is not None and made.derived_from.job_id == made.id - 1
        verbs.append(made.derived_from.verb)
    assert verbs == [
        Verb.REROLL, Verb.VARY, Verb.MORE_STEPS, Verb.EDIT, Verb.FINAL, Verb.REROLL, Verb.START_FROM, Verb.UPSCALE,
    ]  # fmt: skip
    opened = await menu(stage, message)
    assert "Made from image #8" in (await private(await presses_of(opened, "ℹ️ Info"))).text
    assert (await private(await presses_of(opened, "📄 Original file"))).images
    assert await told(await presses_of(opened, "✉️ Send to me")) == "I sent you image #9."
    assert (await told(await presses_of(opened, "⭐ Keep"))).startswith("⭐ Image #9 is kept")
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "show", id=9)
    copy = await use.wait(lambda shown: bool(shown.images))
    assert (await (await presses_of(copy, "🔄 Again")).wait(is_done)).images
    question = await private(await presses_of(await menu(stage, copy), "🗑️ Delete"))
    await (await presses_of(question, "🗑️ Delete for good")).wait(lambda shown: "was deleted" in shown.content)
    await stage.discord.world.changed.wait_for(lambda: copy.id not in [each.id for each in public(stage)], 10)
    assert (await stage.job(9)).is_erased and not (await stage.job(8)).is_erased


async def test_whoever_presses_pays(start: Start) -> None:
    async with start(limits=LimitsConfig(max_images_per_day=2, cooldown_s=0)) as stage, stage.drawing():
        message = await picture(stage)
        bob = stage.discord.add_user("bob")
        for _ in range(2):
            message = await (await stage.discord.click(message, "🔄 Again", bob)).wait(is_done)
        refused = await told(await stage.discord.click(message, "🔄 Again", bob))
        assert refused.startswith("You have used 2 of your 2 images in 24 hours.")
        owner = await stage.service.quota(UserKey(frontend="discord", id=stage.discord.user.id))
        assert owner.used == 1


async def test_double_click_makes_one_job(stage: Stage) -> None:
    message = await picture(stage)
    first, second = [await stage.discord.click(message, "🔄 Again") for _ in range(2)]
    assert await told(second) == "Got it: one press is enough."
    await first.wait(is_done)
    assert await stage.jobs.get(3) is None


async def test_same_button_draws_again_as_soon_as_its_picture_is_there(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interactions, "SEEN_AFTER", timedelta(0))  # presses of tests are quicker than any person's
    message = await picture(stage)
    for _ in range(3):
        await (await stage.discord.click(message, "🔄 Again")).wait(is_done)
    assert (await stage.job(4)).derived_from.job_id == 1  # type: ignore[union-attr]


async def test_double_click_is_one_press_though_its_picture_is_there(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interactions, "SEEN_AFTER", timedelta(seconds=10))
    message = await picture(stage)
    await (await stage.discord.click(message, "🔄 Again")).wait(is_done)
    assert await told(await stage.discord.click(message, "🔄 Again")) == "Got it: one press is enough."
    assert await stage.jobs.get(3) is None


async def test_refused_press_may_be_repeated_at_once(start: Start) -> None:
    async with start(limits=LimitsConfig(max_images_per_day=1, cooldown_s=0)) as stage, stage.drawing():
        message = await picture(stage)
        for _ in range(2):
            assert (await told(await stage.discord.click(message, "🔄 Again"))).startswith("You have used 1")


async def test_ten_presses_at_once_make_at_most_the_cap(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presses, "DOUBLE_CLICK_S", 0.0)
    async with start(limits=LimitsConfig(max_active_per_user=3)) as stage:
        async with stage.drawing():
            message = await picture(stage)
        await asyncio.gather(*(stage.discord.click(message, "🔄 Again") for _ in range(10)))
        await stage.discord.wait_requests("POST /interactions/.*", count=11)
        assert len(await stage.service.unfinished()) <= 3


# ── who may not ─────────────────────────────────────────────────────────────────────────────────────


def forge(stage: Stage, message: MessageView, custom_id: str) -> None:
    live = stage.discord.world.channels[message.channel_id].messages[message.id]
    live.components[0]["components"][0]["custom_id"] = custom_id


@pytest.mark.parametrize(
    "action", ["reroll", "edit", "vary", "upscale", "more", "info", "original", "send_dm", "keep", "erase"]
)
async def test_pictures_of_another_server_stay_there(stage: Stage, action: str) -> None:
    await picture(stage, "secret words")
    guild, channel = await stage.other_server()
    stranger = stage.discord.add_user("stranger", guild=guild)
    use = await stage.discord.slash(stranger, channel, "imagine", prompt="y", steps=1)
    own = await use.wait(is_done)
    forge(stage, own, f"im2:{action}:1")
    pressed = await stage.discord.click(own, f"im2:{action}:1", stranger)
    assert (
        await told(pressed)
        == "Image #1 was not drawn on this server. Only the person who asked for it can use it here."
    )
    assert (await stage.job(1)).image_path is not None and await stage.jobs.get(3) is None


async def test_number_of_nobody_is_answered_by_every_button(stage: Stage) -> None:
    message = await picture(stage)
    forged = [f"im2:{action}:{number}" for action in BUTTONS for number in (0, 999, 10**18 - 1)]
    for custom_id in (*forged, "im1:vary:0", "im2one:reroll:999"):
        forge(stage, message, custom_id)
        assert (await told(await stage.discord.click(message, custom_id))).startswith("There is no image #"), custom_id
    assert await stage.jobs.get(2) is None


async def test_choice_that_the_question_did_not_offer_is_checked_like_any_other(stage: Stage) -> None:
    """Which image a button is meant for: one of nobody, of another server, of another person, and no number at all."""
    gallery = await picture(stage, count=2)
    guild, channel = await stage.other_server()
    stranger = stage.discord.add_user("stranger", guild=guild)
    use = await stage.discord.slash(stranger, channel, "imagine", prompt="secret words", steps=1)
    await use.wait(is_done)
    asked = await private(await stage.discord.click(gallery, "⋯ More"))
    for value, said in (
        ("3", "Image #3 was not drawn on this server."),
        ("999", "There is no image #999."),
        ("-1", "This command has just changed."),
        ("1; DROP TABLE jobs", "This command has just changed."),
        ("9" * 100, "This command has just changed."),
    ):
        live = stage.discord._live(asked)
        live.components[0]["components"][0]["options"][0]["value"] = value
        chosen = await stage.discord.select(stage.discord.refresh(asked), "im2pick:more:1", [value])
        assert (await told(chosen)).startswith(said), value
    bob = stage.discord.add_user("bob")  # a moderator of nothing, with a forged question about somebody else's image
    asked = await private(await stage.discord.click(gallery, "⋯ More", bob))
    stage.discord._live(asked).components[0]["components"][0]["custom_id"] = "im2pick:erase:1"
    chosen = await stage.discord.select(stage.discord.refresh(asked), "im2pick:erase:1", ["1"], bob)
    assert "belongs to somebody else" in await told(chosen)
    assert not (await stage.job(1)).is_erased


async def test_button_of_a_job_that_has_no_picture_says_so(stage: Stage) -> None:
    message = await picture(stage)
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt="[fail]")
    await use.wait(lambda message: message.content.startswith("❌"))
    forge(stage, message, "im2:reroll:2")
    assert (await told(await stage.discord.click(message, "im2:reroll:2"))).startswith("Image #2 is not available")


@pytest.mark.parametrize(
    ("denied", "named"), [(Permission.ATTACH_FILES, "“Attach Files”"), (Permission.EMBED_LINKS, "“Embed Links”")]
)
async def test_every_button_that_posts_says_what_the_bot_may_no_longer_do_here(
    stage: Stage, denied: Permission, named: str
) -> None:
    message = await picture(stage, size="draft")
    opened = await menu(stage, message)
    forms_of = [
        (await stage.discord.click(message, "✏️ Edit"), {"prompt": "a pear"}),
        (await stage.discord.click(opened, "🖼️ Use as starting image"), {"prompt": "make it night"}),
    ]
    for form, _ in forms_of:
        await form.wait_modal()
    stage.discord.set_permissions(stage.discord.channel, stage.discord.bot, deny=denied)
    uses = [await stage.discord.click(message, label) for label in ("🔄 Again", "🌱 Vary", "⬆️ Upscale")]
    uses += [await stage.discord.click(opened, label) for label in ("🎨 Final size", "🔬 Same seed, 4 steps")]
    uses += [await stage.discord.submit_modal(form, typed) for form, typed in forms_of]
    forge(stage, message, "im2:post:1")
    uses.append(await stage.discord.click(message, "im2:post:1"))
    for use in uses:
        assert named in await told(use), use.interaction.data
    assert await stage.jobs.get(2) is None


# ── the menu ────────────────────────────────────────────────────────────────────────────────────────


async def test_menu_is_private_and_shows_what_can_be_done(stage: Stage) -> None:
    message = await picture(stage)
    assert labels(await menu(stage, message)) == [
        "🔬 Same seed, 4 steps",
        "🖼️ Use as starting image",
        "ℹ️ Info",
        "📄 Original file",
        "✉️ Send to me",
        "⭐ Keep",
        "🗑️ Delete",
    ]
    bob = stage.discord.add_user("bob")
    assert not {"⭐ Keep", "🗑️ Delete"} & set(labels(await menu(stage, message, bob)))
    most = await picture(stage, steps=50)
    assert not any("steps" in label for label in labels(await menu(stage, most)))


async def test_more_steps_keep_the_seed(stage: Stage) -> None:
    opened = await menu(stage, await picture(stage))
    drawn = await (await stage.discord.click(opened, "🔬 Same seed, 4 steps")).wait(is_done)
    assert not drawn.ephemeral
    spec = (await stage.job(2)).spec
    assert (spec.seed, spec.steps) == (7, 4)


async def test_draft_becomes_the_final_picture_of_the_same_seed(stage: Stage) -> None:
    opened = await menu(stage, await picture(stage, size="draft"))
    assert labels(opened)[0] == "🎨 Final size"
    final = await (await stage.discord.click(opened, "🎨 Final size")).wait(is_done)
    assert not final.ephemeral
    draft, drawn = (await stage.job(1)).spec, (await stage.job(2)).spec
    assert (draft.width, drawn.width, drawn.seed, bool(drawn.source)) == (32, 64, draft.seed, True)
    forge(stage, final, "im2:final:2")
    assert "is no draft" in await told(await stage.discord.click(final, "im2:final:2"))


async def test_picture_becomes_the_starting_image_of_other_words(start: Start) -> None:
    async with start(models=STARTING) as stage, stage.drawing():
        opened = await menu(stage, await picture(stage))
        use = await stage.discord.click(opened, "🖼️ Use as starting image")
        sent = await stage.discord.submit_modal(use, {"prompt": "a pear", "strength": "strong"})
        await sent.wait(is_done)
        spec = (await stage.job(2)).spec
        assert (spec.prompt, spec.strength, bool(spec.source)) == ("a pear", 0.8, True)


async def test_picture_is_changed_by_words_and_by_more_words(stage: Stage) -> None:
    first = await picture(stage)
    for number, words in enumerate(("make it night", "and let it snow"), start=2):
        use = await stage.discord.click(await menu(stage, first), "🖼️ Use as starting image")
        assert (await use.wait_modal())["title"] == f"Edit image #{number - 1}"
        first = await (await stage.discord.submit_modal(use, {"prompt": words})).wait(is_done)
        job = await stage.job(number)
        assert (job.spec.prompt, job.spec.source, len(job.spec.reference_keys)) == (words, "", 1)
    answer = await private(await stage.discord.click(await menu(stage, first), "ℹ️ Info"))
    assert "Edited by words, from 1 image" in answer.text
    assert (await stage.job(2)).spec.references != (await stage.job(3)).spec.references


async def test_info_says_everything_about_a_picture(stage: Stage) -> None:
    message = await picture(stage, "a *red* apple")
    again = await (await stage.discord.click(message, "🔄 Again")).wait(is_done)
    answer = await private(await stage.discord.click(await menu(stage, again), "ℹ️ Info"))
    for part in ("Made from image #1", "/imagine prompt:a *red* apple", "KiB", f"<@{stage.discord.user.id}>"):
        assert part in answer.text


async def test_info_shows_a_command_whole_or_not_at_all(stage: Stage) -> None:
    answer = await private(await stage.discord.click(await menu(stage, await picture(stage, "``" * 990)), "ℹ️ Info"))
    assert "```" not in answer.text and "seed" in answer.text


async def test_original_file_is_the_one_on_disk_with_its_alt_text(stage: Stage) -> None:
    answer = await private(await stage.discord.click(await menu(stage, await picture(stage)), "📄 Original file"))
    path = await stage.service.image_file(await stage.job(1))
    assert path is not None and answer.image_bytes(0) == path.read_bytes()
    assert answer.images[0].description == "a red apple"


async def test_picture_is_sent_by_direct_message_to_whoever_asks(stage: Stage) -> None:
    message, bob = await picture(stage), stage.discord.add_user("bob")
    opened = await menu(stage, message, bob)
    assert await told(await stage.discord.click(opened, "✉️ Send to me", bob)) == "I sent you image #1."
    (sent,) = stage.discord.messages(stage.discord.dm(bob), bob)
    assert len(sent.images) == 1 and not sent.buttons


async def test_closed_direct_messages_are_told(stage: Stage) -> None:
    message, hermit = await picture(stage), stage.discord.add_user("hermit", dms_open=False)
    opened = await menu(stage, message, hermit)
    assert (await told(await stage.discord.click(opened, "✉️ Send to me", hermit))).startswith("I cannot send you")


async def test_picture_whose_file_is_gone_says_so(stage: Stage) -> None:
    message = await picture(stage)
    path = await stage.service.image_file(await stage.job(1))
    assert path is not None
    path.unlink()
    opened = await menu(stage, message)
    assert "has expired and was removed" in await told(await stage.discord.click(opened, "📄 Original file"))
    varied = await told(await stage.discord.click(message, "🌱 Vary"))
    assert varied.startswith("The starting image is no longer available.")
    await (await stage.discord.click(message, "🔄 Again")).wait(is_done)


async def test_picture_is_kept_and_let_go(stage: Stage) -> None:
    message = await picture(stage)
    assert (await told(await stage.discord.click(await menu(stage, message), "⭐ Keep"))).startswith(
        "⭐ Image #1 is kept"
    )
    assert (await stage.job(1)).is_kept
    opened = await menu(stage, message)
    assert "expires with the others" in await told(await stage.discord.click(opened, "⭐ Stop keeping"))
    assert not (await stage.job(1)).is_kept


async def delete(stage: Stage, message: MessageView, user: Any = None) -> Use:
    asked = await private(await stage.discord.click(await menu(stage, message, user), "🗑️ Delete", user))
    assert asked.content.startswith("Delete image #1 for good?")
    return await stage.discord.click(asked, "🗑️ Delete for good", user)


@pytest.mark.parametrize("role", ["owner", "moderator"])
async def test_delete_erases_file_prompt_and_message(stage: Stage, role: str) -> None:
    message = await picture(stage, "secret words")
    path = await stage.service.image_file(await stage.job(1))
    user = None
    if role == "moderator":
        user = stage.discord.add_user("mod", roles=[stage.discord.add_role("mod", Permission.MANAGE_MESSAGES)])
    answer = await (await delete(stage, message, user)).wait(lambda shown: "was deleted" in shown.content)
    assert not answer.buttons
    assert public(stage) == []
    assert path is not None and not path.exists()
    assert "secret" not in str(await stage.job(1))
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "show", id=1)
    said = "deleted, and its prompt with it" if role == "owner" else "removed by a moderator"
    assert await told(use) == f"Image #1 was {said}."


async def test_image_that_a_moderator_deletes_is_gone_in_every_size_and_its_author_is_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.moderation_store.TAKE_BACK_S", 0)
    message, bob = await picture(stage, "secret words"), stage.discord.add_user("bob")
    await (await stage.discord.click(message, "⬆️ Upscale", bob)).wait(is_done)
    own = await (await stage.discord.click(message, "🔄 Again", bob)).wait(is_done)
    moderator = stage.discord.add_user("mod", roles=[stage.discord.add_role("mod", Permission.MANAGE_MESSAGES)])
    await (await delete(stage, message, moderator)).wait(lambda shown: "was deleted" in shown.content)
    for number in (1, 2):
        assert (await stage.job(number)).moderated_reason == ""
    await stage.discord.world.changed.wait_for(lambda: [each.id for each in public(stage)] == [own.id], 10)
    quota = await stage.discord.slash(stage.discord.user, stage.discord.channel, "quota")
    await quota.wait(lambda note: "#1 was removed by a moderator" in note.text)


async def test_forged_delete_of_a_stranger_is_refused(stage: Stage) -> None:
    message, bob = await picture(stage), stage.discord.add_user("bob")
    for action in ("delete", "erase", "keep"):
        forge(stage, message, f"im2:{action}:1")
        pressed = await stage.discord.click(message, f"im2:{action}:1", bob)
        assert "belongs to somebody else" in await told(pressed)
    assert (await stage.job(1)).image_path is not None


async def test_button_of_an_erased_picture_says_so(stage: Stage) -> None:
    message = await picture(stage)
    again = await (await stage.discord.click(message, "🔄 Again")).wait(is_done)
    await (await delete(stage, message)).wait(lambda shown: "was deleted" in shown.content)
    for action in ("reroll", "edit", "vary", "upscale", "more"):
        forge(stage, again, f"im2:{action}:1")
        assert "was deleted" in await told(await stage.discord.click(again, f"im2:{action}:1"))


async def test_message_that_cannot_be_taken_back_is_told(stage: Stage) -> None:
    message = await picture(stage)
    stage.discord.fault("DELETE /channels/.*/messages/.*", code=50001, times=9)
    answer = await (await delete(stage, message)).wait(lambda shown: "was deleted" in shown.content)
    assert "could not take back its message" in answer.content


async def test_message_is_taken_back_though_the_process_died_after_erasing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(_job: Job) -> bool:
        return False

    monkeypatch.setattr("bot.store.retention_store.TAKE_BACK_S", 0)
    monkeypatch.setattr(stage.client.frontend, "retract", die)
    message = await picture(stage)
    await (await delete(stage, message)).wait(lambda shown: "was deleted" in shown.content)
    await stage.discord.world.changed.wait_for(lambda: public(stage) == [], 10)
    while (await stage.job(1)).delivery is not Delivery.DELIVERED:
        await asyncio.sleep(0.01)


async def test_slow_database_is_told_in_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    message = await picture(stage)
    monkeypatch.setattr("bot.frontends.discord_app.visibility.LOOK_S", 0.01)
    monkeypatch.setattr(stage.service, "job", lambda _job_id: asyncio.sleep(30))
    for label in ("🔄 Again", "✏️ Edit", "⋯ More"):
        assert "database is not available" in await told(await stage.discord.click(message, label))


# ── several images in one message ───────────────────────────────────────────────────────────────────


async def test_count_makes_one_message_with_a_gallery_and_seeds_in_a_row(stage: Stage) -> None:
    message = await picture(stage, count=4)
    assert len(message.images) == 4 and len(stage.discord.messages(stage.discord.channel)) == 1
    assert {image.description for image in message.images} == {"a red apple"}
    assert message.content.endswith("your 4 images are ready")
    assert [(await stage.job(number)).spec.seed for number in (1, 2, 3, 4)] == [7, 8, 9, 10]
    assert "seeds 7, 8, 9, 10" in message.text and "seed:7 steps:2 aspect:square count:4" in message.text
    quota = await stage.service.quota(UserKey(frontend="discord", id=stage.discord.user.id))
    assert quota.used == 4


async def test_button_of_a_gallery_asks_which_picture(stage: Stage) -> None:
    message = await picture(stage, count=3)
    asked = await private(await stage.discord.click(message, "🌱 Vary"))
    assert asked.content == "Which image?"
    chosen = await stage.discord.select(asked, "im2pick:vary:1", ["2"])
    await chosen.wait(is_done)
    varied = await stage.job(4)
    assert varied.derived_from is not None and varied.derived_from.job_id == 2
    use = await stage.discord.click(message, "✏️ Edit")
    use = await stage.discord.select(await private(use), "im2pick:edit:1", ["3"])
    assert (await use.wait_modal())["title"] == "Edit image #3"
    use = await stage.discord.click(message, "⋯ More")
    use = await stage.discord.select(await private(use), "im2pick:more:1", ["3"])
    opened = await use.wait(lambda message: bool(message.buttons))
    assert opened.content.startswith("Image #3")


async def test_cancel_keeps_what_is_finished(stage: Stage) -> None:
    discord = stage.discord
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="[step=0.4]", steps=2, seed=1, count=3)
    shown = await use.wait(lambda message: "1 of 3 images done" in message.content and len(message.images) == 1)
    assert labels(shown) == ["Cancel"]
    await told(await discord.click(shown, "Cancel"))
    ended = await use.wait(is_done)
    assert len(ended.images) == 1 and ended.content.endswith("1 of 3 images is ready")
    assert [(await stage.job(number)).status for number in (1, 2, 3)] == [
        JobStatus.DONE, JobStatus.CANCELLED, JobStatus.CANCELLED,
    ]  # fmt: skip


async def test_erasing_one_of_several_leaves_the_others_on_the_message(stage: Stage) -> None:
    message = await picture(stage, count=2)
    use = await stage.discord.select(
        await private(await stage.discord.click(message, "⋯ More")), "im2pick:more:1", ["1"]
    )
    opened = await use.wait(lambda message: bool(message.buttons))
    asked = await private(await stage.discord.click(opened, "🗑️ Delete"))
    await (await stage.discord.click(asked, "🗑️ Delete for good")).wait(lambda shown: "was deleted" in shown.content)
    (left,) = public(stage)
    assert len(left.images) == 1 and labels(left)[0] == "🔄 Again"
    use = await stage.discord.click(left, "🔄 Again")  # of the one that is left, though the first is gone
    await use.wait(is_done)
    assert (await stage.job(3)).derived_from.job_id == 2  # type: ignore[union-attr]


async def test_request_of_which_only_a_part_had_room_says_so(start: Start) -> None:
    async with start(limits=LimitsConfig(max_images_per_day=3, cooldown_s=0)) as stage, stage.drawing():
        discord = stage.discord
        use = await discord.slash(discord.user, discord.channel, "imagine", prompt="x", steps=1, count=4)
        answer = await use.wait(lambda message: message.ephemeral)
        assert answer.content.startswith("3 of 4 images were queued.\nYou have used 3 of your 3 images")
        done = await use.wait(is_done)
        assert len(done.images) == 3


async def ask_for(stage: Stage, count: int, **options: Any) -> str:
    """Ask for several images, and return what the message or the refusal says."""
    asked = {"prompt": "x", "steps": 1, "count": count, **options}
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", **asked)
    return (await use.wait(lambda message: not message.loading)).content


async def test_request_for_several_images_counts_once_and_needs_room_for_each(start: Start) -> None:
    """While nothing is drawn."""
    limits = LimitsConfig(cooldown_s=5, max_active_per_user=1, max_waiting=6)
    async with start(limits=limits, server=HASTY) as stage:
        assert (await ask_for(stage, 4)).startswith("⏳")  # one request, whose images wait for no cool-down
        assert "between two requests" in await ask_for(stage, 1)  # while one waits
        assert await count_of(stage) == 4
        bob = stage.discord.add_user("bob")
        use = await stage.discord.slash(bob, stage.discord.channel, "imagine", prompt="x --repeat 4", steps=1)
        fewer = await use.wait(lambda message: message.ephemeral and "queued" in message.content)
        assert fewer.content.startswith("2 of 4 images were queued.\nThe queue is full")
        assert await count_of(stage) == 6


async def count_of(stage: Stage) -> int:
    return len(await stage.service.unfinished())


async def test_number_of_images_that_is_not_offered_is_refused_by_discord_and_kept_within_bounds_here(
    start: Start,
) -> None:
    async with start() as stage:
        command = await stage.discord.wait_command("imagine")
        for count, images in ((0, 1), (-1, 1), (5, 4), (2**53, 4)):
            with pytest.raises(ClientRefused):
                await ask_for(stage, count)
            before = await count_of(stage)
            options = [{"name": "prompt", "type": 3, "value": "x"}, {"name": "count", "type": 4, "value": count}]
            details = {"id": command["id"], "name": "imagine", "type": 1, "options": options}
            use = stage.discord._open(Kind.COMMAND, stage.discord.user, stage.discord.channel, details, name="imagine")
            await use.wait(lambda message: message.content.startswith("⏳"))
            assert await count_of(stage) == before + images
