"""/settings shows everything that holds, takes changes back, and is what later answers and images follow."""

from __future__ import annotations

import time
from typing import Any

import pytest

from bot.config import RoleConfig
from bot.jobs import UserKey
from bot.requests.preferences import Preferences, PrivateTo, Setting
from tests.bot.frontends.discord_app.commands.test_image_input import PNG
from tests.bot.frontends.discord_app.conftest import PAINTING, Stage, Start
from tests.discord_server import ClientRefused, MessageView, Use

SHAPE = {"aspect": "landscape", "steps": 3, "suffix": "in ink", "spoiler": True, "language": "简体中文"}


def private(message: MessageView) -> bool:
    return message.ephemeral and not message.loading


async def settings(stage: Stage, **options: Any) -> str:
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, "settings", options=options)
    return (await use.wait(private)).text


async def imagine(stage: Stage, prompt: str = "a cat", **options: Any) -> Use:
    return await stage.discord.slash(stage.discord.user, stage.discord.channel, "imagine", prompt=prompt, **options)


async def test_nothing_chosen_is_shown_as_such(stage: Stage) -> None:
    shown = await settings(stage)
    for line in (
        "**Shape**: as the model draws",
        "**Added to every prompt**: nothing",
        "**Model**: the usual one (Fake: a colour gradient)",
        "**When you waited long**: Here, in the channel",
        "**Language of my private answers**: That of your Discord",
        "**Private images reach you**: By direct message",
    ):
        assert line in shown


async def test_choices_hold_for_what_is_drawn_next_until_they_are_taken_back(stage: Stage) -> None:
    shown = await settings(stage, **SHAPE)
    assert "你的设置" in shown and "**步数**: 3" in shown
    message = await (await imagine(stage)).wait(lambda message: "⏳" in message.content)
    job = await stage.job(1)
    assert (job.spec.prompt, job.spec.steps, job.spec.width, job.spec.height) == ("a cat, in ink", 3, 96, 64)
    assert job.is_spoiler and "a cat, in ink" in message.text
    refused = await (await imagine(stage, "a cat --steps 99")).wait(private)
    assert "步数" in refused.text
    shown = await settings(stage, language="discord")
    assert "Your settings" in shown and "**Steps**: 3" in shown
    assert "**Steps**: as the model draws" in await settings(stage, reset=Setting.STEPS.value)
    shown = await settings(stage, reset="all")
    assert "**Added to every prompt**: nothing" in shown and "**Shape**: as the model draws" in shown


async def test_private_default_is_followed_and_can_be_typed_over(stage: Stage) -> None:
    await settings(stage, private=True, private_to=PrivateTo.BUTTON.value)
    assert (await (await imagine(stage)).wait(lambda message: "⏳" in message.content)).ephemeral
    assert not (await (await imagine(stage, private=False)).wait(lambda message: "⏳" in message.content)).ephemeral


@pytest.mark.parametrize("chosen_by", ["person", "channel"])
async def test_private_and_spoiler_hold_for_buttons_forms_menus_and_examples(stage: Stage, chosen_by: str) -> None:
    discord, bob = stage.discord, stage.discord.add_user("bob")
    message = await (await imagine(stage)).wait(lambda message: "⏳" in message.content)
    async with stage.drawing():
        message = await discord.wait_message(lambda message: message.images)
        edit = await discord.click(message, "✏️ Edit", bob)
        await edit.wait_modal()
        file = discord.say(discord.user, discord.channel, "look", files=[PNG])
        menu = await discord.message_menu(bob, file, "Use as input")
        helped = await (await discord.slash(bob, discord.channel, "help")).wait(private)
        bobs = UserKey(frontend="discord", id=bob.id)
        if chosen_by == "person":
            await stage.service.preferences.set(bobs, Setting.PRIVATE, True)
            await stage.service.preferences.set(bobs, Setting.SPOILER, True)
        else:
            await stage.service.channels.set("discord", str(discord.channel.id), private=True)
        for ask in (  # one after the other: nobody may have two starting images read at once
            lambda: discord.click(message, "🔄 Again", bob),
            lambda: discord.click(message, "🌱 Vary", bob),
            lambda: discord.submit_modal(edit, {"prompt": "a dog"}),
            lambda: discord.submit_modal(menu, {"prompt": "a pear"}),
            lambda: discord.click(helped, helped.buttons[0]["label"], bob),
        ):
            answer = await (await ask()).wait(lambda shown: shown.ephemeral and "#" in shown.text)
            assert "only you see this" in answer.content or "direct message" in answer.content
    jobs = [await stage.job(number) for number in range(2, 7)]
    assert all(job.is_private and job.user == bobs for job in jobs)
    assert {job.is_spoiler for job in jobs} == {chosen_by == "person"}
    stranger = discord.add_user("stranger")
    assert [each.id for each in discord.messages(discord.channel, stranger)] == [message.id, file.id]


async def test_what_a_person_chose_stands_above_their_channel(stage: Stage) -> None:
    await stage.service.channels.set("discord", str(stage.discord.channel.id), private=True)
    me = UserKey(frontend="discord", id=stage.discord.user.id)
    await stage.service.preferences.set(me, Setting.PRIVATE, False)
    helped = await (await stage.discord.slash(stage.discord.user, stage.discord.channel, "help")).wait(private)
    use = await stage.discord.click(helped, helped.buttons[0]["label"])
    assert not (await use.wait(lambda message: "⏳" in message.content)).ephemeral


async def test_more_steps_than_a_role_may_are_not_asked_for_by_a_choice(stage: Stage) -> None:
    stage.service.allowances._roles = {int(stage.discord.guild.id): RoleConfig(max_steps=2)}
    await settings(stage, steps=3)
    await (await imagine(stage)).wait(lambda message: "⏳" in message.content)
    assert (await stage.job(1)).spec.steps == 2
    assert "3" in (await (await imagine(stage, steps=3)).wait(private)).text  # typed, it is refused
    assert await stage.jobs.get(2) is None


async def test_chosen_model_draws(start: Start) -> None:
    async with start(models=PAINTING) as stage:
        assert "**Model**: Painter" in await settings(stage, model="painter")
        await (await imagine(stage)).wait(lambda message: "⏳" in message.content)
        assert (await stage.job(1)).spec.model == "painter"


async def test_model_that_is_gone_is_ignored_with_a_note(stage: Stage, preferences: Preferences) -> None:
    await preferences.set(UserKey(frontend="discord", id=stage.discord.user.id), Setting.MODEL, "painter")
    assert "“painter” is not here any more" in await settings(stage)
    note = await (await imagine(stage)).wait(private)
    assert "“painter”, which you or this channel chose, is not here any more" in note.text
    assert (await stage.job(1)).spec.model == "fake"


@pytest.mark.parametrize(
    "options",
    [{"suffix": "x --ar 16:9"}, {"suffix": "\u200b"}, {"model": "nonsense"}],
)
async def test_value_that_cannot_be_is_refused_and_changes_nothing(stage: Stage, options: dict[str, str]) -> None:
    refused = await settings(stage, **options)
    assert "settings" not in refused.lower() and refused
    assert "**Added to every prompt**: nothing" in await settings(stage)


@pytest.mark.parametrize("options", [{"steps": 99}, {"aspect": "round"}, {"language": "fr"}, {"private": "yes"}])
async def test_value_outside_of_the_list_is_refused_by_discord_itself(stage: Stage, options: dict[str, Any]) -> None:
    with pytest.raises(ClientRefused):
        await settings(stage, **options)


async def test_markup_in_words_does_nothing(stage: Stage) -> None:
    shown = await settings(stage, suffix="@everyone **x** <@1>")
    assert r"\@everyone \*\*x\*\* \<\@1\>" in shown


async def test_suggestions_speak_the_chosen_language_and_are_quick(stage: Stage) -> None:
    discord = stage.discord
    await settings(stage, language="繁體中文")
    found = await discord.autocomplete(discord.user, discord.channel, "imagine", "size", "", prompt="x")
    assert [each["name"] for each in found] == ["草稿", "標準", "大圖"]
    save = {"name": "Night", "suffix": "at night"}
    await (await discord.slash(discord.user, discord.channel, "preset save", options=save)).wait(private)
    took = []
    for _ in range(20):
        started = time.process_time()
        found = await discord.autocomplete(discord.user, discord.channel, "imagine", "preset", "ni", prompt="x")
        took.append(time.process_time() - started)
        assert [each["value"] for each in found] == ["night"]
    assert max(took) < 0.1
