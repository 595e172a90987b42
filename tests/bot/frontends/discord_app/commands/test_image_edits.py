"""`image:`, `image2:` and `image3:` of /imagine with a model that edits: what is edited, and what is started from."""

from __future__ import annotations

from dataclasses import replace

from bot.requests.models import Models
from pipeline.catalog.models import FAKE
from pipeline.images.reference import read_reference
from tests.bot.frontends.discord_app.commands.test_image_input import DEAF, PNG, file_of, refused, taken
from tests.bot.frontends.discord_app.conftest import STARTING, Stage, Start
from tests.cards import STARTER
from tests.discord_server import Upload, Use

TALL = Upload("tall.png", file_of((60, 90)))
MIXED = Models(usual=STARTER, others=(FAKE, replace(FAKE, name="second", title="Second")))


async def ask(stage: Stage, **options: object) -> Use:
    discord = stage.discord
    return await discord.slash(discord.user, discord.channel, "imagine", prompt="make it night", steps=1, **options)


async def options_of(stage: Stage) -> dict[str, str]:
    command = await stage.discord.wait_command("imagine")
    return {option["name"]: option["description"] for option in command["options"]}


async def test_further_images_are_offered_where_a_model_edits(start: Start) -> None:
    async with start() as stage:
        described = await options_of(stage)
        assert {"image", "image2", "image3", "strength"} <= described.keys() and len(described) <= 25
        assert "edit by words" in described["image"]
    async with start(models=STARTING) as stage:
        described = await options_of(stage)
        assert "image" in described and not {"image2", "image3"} & described.keys()
        assert "edit" not in described["image"]


async def test_images_without_a_strength_are_edited(stage: Stage) -> None:
    given: list[tuple[dict[str, Upload], list[Upload]]] = [
        ({"image": PNG}, [PNG]),
        ({"image": PNG, "image2": TALL}, [PNG, TALL]),
        ({"image3": TALL, "image2": PNG}, [PNG, TALL]),
        ({"image": PNG, "image2": PNG, "image3": PNG}, [PNG]),
    ]
    for number, (options, keys) in enumerate(given, start=1):
        spec = (await taken(stage, await ask(stage, **options), number)).spec
        assert spec.reference_keys == tuple(read_reference(upload.data).key for upload in keys)
        assert (spec.source, spec.strength, spec.width, spec.height) == ("", 1.0, 96, 64)


async def test_strength_asks_to_start_from_one_image_and_is_left_out_with_several(stage: Stage) -> None:
    spec = (await taken(stage, await ask(stage, image=PNG, strength="0.3"))).spec
    assert (bool(spec.source), spec.references, spec.strength) == (True, "", 0.3)
    use = await ask(stage, image=PNG, image2=TALL, strength="0.3")
    spec = (await taken(stage, use, 2)).spec
    assert (spec.source, len(spec.reference_keys), spec.strength) == ("", 2, 1.0)
    await use.wait(lambda message: message.ephemeral and "the strength was left out" in message.content)


async def test_usual_model_starts_from_one_image_and_leaves_several_to_one_that_edits(start: Start) -> None:
    given: list[tuple[dict[str, object], str, int]] = [
        ({"image": PNG}, "starter", 0),
        ({"image": PNG, "model": "fake"}, "fake", 1),
        ({"image": PNG, "image2": TALL}, "fake", 2),
        ({"image": PNG, "image2": TALL, "model": "second"}, "second", 2),
    ]
    async with start(models=MIXED) as stage:
        for number, (options, model, references) in enumerate(given, start=1):
            spec = (await taken(stage, await ask(stage, **options), number)).spec
            assert (spec.model, len(spec.reference_keys), bool(spec.source)) == (model, references, not references)


async def test_model_that_cannot_edit_and_hostile_files_are_refused(start: Start) -> None:
    async with start(models=Models(usual=FAKE, others=(STARTER, DEAF))) as stage:
        for model in (STARTER, DEAF):
            use = await ask(stage, image=PNG, image2=TALL, model=model.name)
            assert f"{model.title} cannot edit images by words" in (await refused(use)).content
        for bad in (Upload("x.png", b"x"), Upload("x.png", PNG.data, size=2**30)):
            assert (await refused(await ask(stage, image=PNG, image2=bad))).content
        assert await stage.jobs.unfinished() == []
