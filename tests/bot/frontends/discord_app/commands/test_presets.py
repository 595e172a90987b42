"""/preset keeps settings, /imagine preset: draws with them, and the line on the image needs no preset."""

from __future__ import annotations

from typing import Any

import pytest

from bot.requests.presets import Preset
from tests.bot.frontends.discord_app.conftest import PAINTING, Stage, Start
from tests.discord_server import MessageView

NIGHT = {"name": "Night", "prefix": "a photo of", "suffix": "at night", "aspect": "landscape", "steps": 3}


def private(message: MessageView) -> bool:
    return message.ephemeral and not message.loading


async def preset(stage: Stage, command: str, **options: Any) -> str:
    use = await stage.discord.slash(stage.discord.user, stage.discord.channel, f"preset {command}", options=options)
    return (await use.wait(private)).text


async def imagine(stage: Stage, **options: Any) -> MessageView:
    use = await stage.discord.slash(
        stage.discord.user, stage.discord.channel, "imagine", options={"prompt": "a cat", **options}
    )
    return await use.wait(lambda message: not message.loading)


async def test_preset_is_used_and_its_image_can_be_drawn_without_it(stage: Stage) -> None:
    assert "**night** is saved: a photo of … at night, shape Landscape, steps 3" in await preset(stage, "save", **NIGHT)
    async with stage.drawing():
        use = await stage.discord.slash(
            stage.discord.user, stage.discord.channel, "imagine", prompt="a cat", preset="NIGHT", seed=5
        )
        done = await use.wait(lambda message: message.images)
    job = await stage.job(1)
    assert job.spec.prompt == "a photo of, a cat, at night" and (job.spec.width, job.spec.steps) == (96, 3)
    line = "/imagine prompt:a photo of, a cat, at night seed:5 steps:3 aspect:landscape"
    assert line in done.text
    await preset(stage, "delete", name="night")
    await imagine(stage, prompt="a photo of, a cat, at night", seed=5, steps=3, aspect="landscape")
    assert (await stage.job(2)).spec == job.spec


async def test_preset_of_an_image_has_its_settings_and_draws_with_its_model(start: Start) -> None:
    async with start(models=PAINTING) as stage:
        async with stage.drawing():
            use = await stage.discord.slash(
                stage.discord.user,
                stage.discord.channel,
                "imagine",
                prompt="x",
                model="painter",
                negative="rain",
                cfg=4,
            )
            await use.wait(lambda message: message.images)
        saved = await preset(stage, "save", name="rainless", image=1, steps=7)
        assert "model painter" in saved and "rain" in saved and "7" in saved
        await imagine(stage, preset="rainless")
        spec = (await stage.job(2)).spec
        assert (spec.model, spec.negative_prompt, spec.cfg_scale, spec.steps) == ("painter", "rain", 4.0, 7)
        assert spec.seed != (await stage.job(1)).spec.seed


async def test_private_image_of_somebody_else_makes_no_preset(stage: Stage) -> None:
    discord = stage.discord
    other = discord.add_user("other")
    use = await discord.slash(other, discord.channel, "imagine", prompt="x", private=True)
    await use.wait(lambda message: "⏳" in message.content)
    assert "belongs to somebody else" in await preset(stage, "save", name="mine", image=1)


async def test_list_shows_what_there_is_and_delete_takes_it_away(stage: Stage) -> None:
    assert "You have none yet" in await preset(stage, "list")
    await preset(stage, "save", **NIGHT)
    listed = await preset(stage, "list")
    assert "(1 of 25)" in listed and "**night**: a photo of … at night" in listed
    assert "deleted" in await preset(stage, "delete", name="ｎight")
    assert "no preset of this name" in await preset(stage, "delete", name="night")


async def test_list_of_the_longest_presets_fits_into_a_message(stage: Stage) -> None:
    for number in range(25):
        await preset(stage, "save", name=f"{'n' * 28} {number}", suffix="*" * 500, prefix="`" * 500)
    assert "(25 of 25)" in await preset(stage, "list")
    assert "25 presets" in await preset(stage, "save", name="more", suffix="x")


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"name": "@everyone", "suffix": "x"}, "A preset's name has 1 to 32"),
        ({"name": "x" * 40, "suffix": "x"}, "A preset's name has 1 to 32"),
        ({"name": "a"}, "is empty"),
        ({"name": "a", "suffix": "cat --ar 16:9"}, "words only"),
        ({"name": "a", "size": "huge"}, "must be"),
        ({"name": "a", "model": "gone"}, "There is no such model here"),
        ({"name": "a", "negative": "rain"}, "Fake: a colour gradient"),
        ({"name": "a", "image": 99}, "There is no image #99"),
    ],
)
async def test_what_cannot_be_kept_is_refused_with_the_reason(
    stage: Stage, options: dict[str, Any], answer: str
) -> None:
    said = await preset(stage, "save", **options)
    assert answer in said
    assert "You have none yet" in await preset(stage, "list")


async def test_presets_of_the_operator_are_everybodys_until_one_has_their_own(stage: Stage) -> None:
    stage.service.presets.shared["night"] = Preset(suffix="at night", options={"steps": 4})
    listed = await preset(stage, "list")
    assert "You have none yet" not in listed and "For everybody:\n**night**: … at night, steps 4" in listed
    await imagine(stage, preset="Night")
    spec = (await stage.job(1)).spec
    assert (spec.prompt, spec.steps) == ("a cat, at night", 4)
    assert "no preset of this name" in await preset(stage, "delete", name="night")
    await preset(stage, "save", **NIGHT)
    assert "For everybody" not in await preset(stage, "list")
    await imagine(stage, preset="night")
    assert (await stage.job(2)).spec.prompt == "a photo of, a cat, at night"


async def test_unknown_preset_draws_nothing(stage: Stage) -> None:
    refused = await imagine(stage, preset="nothing of the kind")
    assert refused.ephemeral and "no preset of this name" in refused.text
    assert await stage.jobs.get(1) is None
