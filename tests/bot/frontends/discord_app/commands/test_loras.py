"""LoRAs on Discord: asked for, suggested, drawn, drawn again, refused, against our own Discord."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.frontends.discord_app.commands.lora_choices import lora_choices
from bot.jobs import FailureCode, JobStatus
from bot.requests.models import Models
from pipeline.catalog.loras import loras_of
from pipeline.catalog.models import find_model
from pipeline.config import LoraEntry, PipelineConfig
from pipeline.images.png_metadata import read_spec
from tests.bot.frontends.discord_app.conftest import Stage, Start
from tests.discord_server.view import MessageView
from tests.loras import INK, LORAS
from tests.pipeline.catalog import miniature_headers as heads
from tests.pipeline.catalog import miniature_loras as make

FAKE = find_model("fake")


def is_done(message: MessageView) -> bool:
    return bool(message.images)


def private(message: MessageView) -> bool:
    return message.ephemeral and not message.loading


@pytest.fixture
def pipeline(tmp_path: Path) -> PipelineConfig:
    """LoRAs in files: two for the fake model, one of few steps, and one for Stable Diffusion."""
    ink, other = make.write_lora(tmp_path / "ink.safetensors"), tmp_path / "sd.safetensors"
    heads.write_safetensors(other, make.kohya(make.SD15))
    entries = (
        LoraEntry(name="ink", file=ink, title="Ink wash", triggers=("inkstyle",), weight=0.8),
        LoraEntry(name="film", file=make.write_lora(tmp_path / "film.safetensors"), title="Film grain"),
        LoraEntry(name="turbo", file=make.write_lora(tmp_path / "turbo.safetensors"), speed="fast", steps=8),
        LoraEntry(name="sd", file=other),
    )
    return PipelineConfig(model="fake", models_dir=tmp_path, loras=entries)


@pytest.fixture
async def stage(start: Start, pipeline: PipelineConfig) -> AsyncIterator[Stage]:
    async with start(models=Models(usual=FAKE, loras=partial(loras_of, pipeline))) as stage:
        yield stage
        stage.discord.assert_clean()


async def test_lora_is_suggested_drawn_named_and_drawn_again(stage: Stage, pipeline: PipelineConfig) -> None:
    discord = stage.discord
    found = await discord.autocomplete(discord.user, discord.channel, "imagine", "lora", "", prompt="x")
    assert [(choice["name"], choice["value"]) for choice in found] == [
        ("Film grain", "film"),
        ("Ink wash · inkstyle", "ink"),
        ("turbo", "turbo"),
    ]
    async with stage.drawing(pipeline):
        asked = {"prompt": "a fox", "seed": 7, "lora": "Ink wash, film:0.5"}
        use = await discord.slash(discord.user, discord.channel, "imagine", options=asked)
        done = await use.wait(is_done)
        spec = (await stage.job(1)).spec
        assert spec.loras == "film:0.5,ink:0.8"
        assert read_spec(done.image_bytes(0)) == spec
        assert b"<lora:film:0.5> <lora:ink:0.8>" in done.image_bytes(0)
        assert "LoRA: film 0.5, ink 0.8" in done.text
        told = await use.wait(private)
        assert "Ink wash was trained on these words" in told.content and "inkstyle" in told.content
        line = done.text.split("```")[1].strip()
        assert line.endswith("lora:film:0.5,ink:0.8")
        again = await discord.slash(discord.user, discord.channel, "imagine", prompt=line)
        await again.wait(is_done)
        assert (await stage.job(2)).spec == spec
        await (await discord.click(done, "🔄 Again")).wait(is_done)
        assert (await stage.job(3)).spec == replace(spec, seed=(await stage.job(3)).spec.seed)
        more = await (await discord.click(done, "⋯ More")).wait(private)
        info = await (await discord.click(more, "ℹ️ Info")).wait(lambda message: "Asked for" in message.text)
        assert "LoRA: film 0.5, ink 0.8" in info.text and "Ink wash was trained on these words" in info.text


async def test_tag_in_the_prompt_is_taken_out_and_unknown_ones_are_told(stage: Stage) -> None:
    discord = stage.discord
    prompt = "a fox <lora:ink:0.3> <lora:../../x:1> <lora:@everyone:1> inkstyle"
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt=prompt)
    told = (await use.wait(private)).content.replace("\\", "")
    assert told == "Taken from your prompt: LoRA ink 0.3\nNot known here: <lora:../../x:1>, <lora:@everyone:1>"
    spec = (await stage.job(1)).spec
    assert (spec.prompt, spec.loras) == ("a fox inkstyle", "ink:0.3")


async def test_fast_takes_few_steps(stage: Stage) -> None:
    discord = stage.discord
    await (await discord.slash(discord.user, discord.channel, "imagine", prompt="a fox", speed="fast")).wait(
        lambda message: "⏳" in message.content
    )
    spec = (await stage.job(1)).spec
    assert (spec.loras, spec.steps) == ("turbo:1", 8)


REFUSED = {
    "nothing": "There is no LoRA “nothing” here. With Fake: a colour gradient you can use: film, ink, turbo",
    "sd": "was made for other models than Fake: a colour gradient, and none of those is here.",
    "ink:9": "from -4 to 4",
    "ink:1e308": "from -4 to 4",
    "<@1> **@everyone**": "There is no LoRA “??1? ???everyone??” here",
    "../../etc/passwd": "There is no LoRA “..?..?etc?passwd” here",
}


async def test_lora_that_cannot_be_used_is_refused_with_the_reason(stage: Stage) -> None:
    discord = stage.discord
    for typed, reason in REFUSED.items():
        use = await discord.slash(discord.user, discord.channel, "imagine", prompt="x", lora=typed)
        assert reason in (await use.wait(private)).content, typed
    assert await stage.service.unfinished() == []


async def test_edit_shows_tags_and_keeps_changes_or_drops_them(stage: Stage, pipeline: PipelineConfig) -> None:
    discord = stage.discord
    async with stage.drawing(pipeline):
        asked: dict[str, Any] = {"prompt": "a fox", "lora": "ink, turbo", "steps": 3}
        message = await (await discord.slash(discord.user, discord.channel, "imagine", **asked)).wait(is_done)
        cases = (
            (None, "ink:0.8,turbo:1", 3),
            ("a fox <lora:ink:0.5>", "ink:0.5", 3),
            ("a fox", "", 3),
            ("a fox <lora:film:1> <lora:turbo:1>", "film:1,turbo:1", 8),
        )
        for number, (typed, loras, steps) in enumerate(cases, start=2):
            use = await discord.click(message, "✏️ Edit")
            fields = {row["component"]["custom_id"]: row["component"] for row in (await use.wait_modal())["components"]}
            assert fields["prompt"]["value"] == "a fox <lora:ink:0.8> <lora:turbo:1>"
            sent = await discord.submit_modal(use, {} if typed is None else {"prompt": typed})
            await sent.wait(is_done)
            last = (await stage.job(number)).spec
            assert (last.prompt, last.loras, last.steps) == ("a fox", loras, steps), typed


async def test_lora_whose_file_vanished_fails_the_image_with_a_clear_sentence(
    stage: Stage, pipeline: PipelineConfig
) -> None:
    discord = stage.discord
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="a fox", lora="film")
    await use.wait(lambda message: "⏳" in message.content)
    pipeline.loras[1].file.unlink()
    async with stage.drawing(pipeline):
        failed = await use.wait(lambda message: "A LoRA of this image is no longer here" in message.content)
        assert "cost you nothing" in failed.content
        job = await stage.job(1)
        assert (job.status, job.failure_code) == (JobStatus.FAILED, FailureCode.LORA_MISSING)
        later = await discord.slash(discord.user, discord.channel, "imagine", prompt="a fox", lora="film")
        assert "There is no LoRA “film” here" in (await later.wait(private)).content
        fine = await discord.slash(discord.user, discord.channel, "imagine", prompt="a fox", lora="ink")
        await fine.wait(is_done)


async def test_suggestions_are_there_at_once_however_many_loras_there_are(start: Start) -> None:
    many = {f"ink-{n}": replace(INK, name=f"ink-{n}", title=f"Ink {n}") for n in range(500)}
    async with start(models=Models(usual=FAKE, loras=lambda: many)) as stage:
        discord = stage.discord
        times = []
        for typed in ("", "ink", "INK 499", "ink-3:0.5, 12"):
            begin = time.perf_counter()
            found = await discord.autocomplete(discord.user, discord.channel, "imagine", "lora", typed, prompt="x")
            times.append(time.perf_counter() - begin)
            assert 0 < len(found) <= 25
        assert found[0]["value"].startswith("ink-3:0.5, ink-") and max(times) < 0.5


# --- suggestions ------------------------------------------------------------------------------------------------

MODELS = Models(usual=FAKE, loras=lambda: LORAS)
SUGGESTED = {
    "ink": ["ink"],
    "INKST": ["ink"],
    "ink:": ["ink:"],
    "ink:0.5": ["ink:0.5"],
    "ink:0.5,": ["ink:0.5, film", "ink:0.5, lace", "ink:0.5, turbo"],
    "ink：0.5，fi": ["ink:0.5, film"],
    "ink, ink": [],
    "ink, film, lace, ": ["ink, film, lace"],
    "old": [],
    "@everyone": [],
    "x" * 300: [],
    "ink:0.5, " + "x" * 150: [],
}


@pytest.mark.parametrize("typed", SUGGESTED)
def test_suggestions_keep_what_was_typed(typed: str) -> None:
    choices = lora_choices(typed, MODELS, FAKE)
    assert [choice.value for choice in choices] == SUGGESTED[typed]
    assert all(1 <= len(choice.name) <= 100 and 1 <= len(choice.value) <= 100 for choice in choices)


def test_label_that_is_too_long_is_cut() -> None:
    [choice] = lora_choices("", Models(usual=FAKE, loras=lambda: {"ink": replace(INK, title="I" * 200)}), FAKE)
    assert len(choice.name) == 100 and choice.value == "ink"


async def test_preset_keeps_loras_with_their_strengths(stage: Stage, pipeline: PipelineConfig) -> None:
    discord = stage.discord

    async def preset(**options: Any) -> str:
        use = await discord.slash(discord.user, discord.channel, "preset save", options=options)
        return (await use.wait(private)).text

    assert r"LoRAs film\:0.5,ink\:0.8" in await preset(name="inky", lora="Ink wash, film:0,5")
    for lora, reason in (("gone", "no LoRA “gone”"), ("ink:0", "other than 0"), ("sd", "made for other models")):
        assert reason in await preset(name="bad", lora=lora)
    async with stage.drawing(pipeline):
        use = await discord.slash(discord.user, discord.channel, "imagine", prompt="a fox", preset="inky")
        await use.wait(is_done)
    assert (await stage.job(1)).spec.loras == "film:0.5,ink:0.8"
    use = await discord.slash(discord.user, discord.channel, "imagine", prompt="a fox", preset="inky", lora="ink:1")
    await use.wait(lambda message: not message.loading)
    assert (await stage.job(2)).spec.loras == "ink:1"
