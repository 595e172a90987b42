"""Whole images are bit-equal to those of DiffSynth's own `Flux2ImagePipeline`: float32, with and without references."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image

from pipeline.config import PipelineConfig
from pipeline.families.flux2.engine import Flux2Engine
from pipeline.images.reference import fit_reference
from pipeline.runtime.diffsynth_import import FLUX2, import_diffsynth
from pipeline.spec import ImageOptions, ImageSpec
from tests.pipeline.families.flux2.random_flux2 import Miniature, make_miniature, write_folder

import_diffsynth(FLUX2)


@pytest.fixture(scope="module")
def drawn_by(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Flux2Engine, Miniature]]:
    """DiffSynth's pipeline, our engine, and what both have in common."""
    from diffsynth.pipelines.flux2_image import Flux2ImagePipeline
    from transformers import PreTrainedTokenizerFast

    threads = torch.get_num_threads()
    miniature = make_miniature()
    folder = tmp_path_factory.mktemp("models")
    card = write_folder(miniature, folder)
    pipe = Flux2ImagePipeline(device="cpu", torch_dtype=torch.float32)
    pipe.dit, pipe.vae, pipe.text_encoder_qwen3 = miniature.dit, miniature.vae, miniature.qwen3
    tokenizer = folder / str(card.files["tokenizer"].repo) / "tokenizer"
    pipe.tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer)
    engine = Flux2Engine(card, PipelineConfig(device="cpu", models_dir=folder, cpu_threads=1))
    engine.load()
    yield pipe, engine, miniature
    engine.close()
    torch.set_num_threads(threads)


def picture(seed: int, size: tuple[int, int]) -> Image.Image:
    pixels = torch.randint(256, (size[1], size[0], 3), generator=torch.Generator().manual_seed(seed))
    return Image.fromarray(pixels.to(torch.uint8).numpy()).resize((size[0] // 8, size[1] // 8)).resize(size)


def a_spec(miniature: Miniature, references: Sequence[Image.Image] = (), **changes: Any) -> ImageSpec:
    keys = [fit_reference(each).key for each in references]
    options = ImageOptions(prompt="赛博朋克, a red fox", seed=3, steps=4)
    return replace(miniature.card.resolve(options, random_seed=0, references=keys), width=96, height=64, **changes)


REFERENCES = [picture(1, (64, 48)), picture(2, (32, 32)), picture(3, (48, 80))]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_image_is_that_of_diffsynth(drawn_by: tuple[Any, Flux2Engine, Miniature], count: int) -> None:
    pipe, engine, miniature = drawn_by
    references = REFERENCES[:count]
    spec = a_spec(miniature, references)
    wanted: Image.Image = pipe(
        prompt=spec.prompt,
        edit_image=references or None,
        edit_image_auto_resize=False,
        height=spec.height,
        width=spec.width,
        seed=spec.seed,
        num_inference_steps=spec.steps,
        progress_bar_cmd=iter,
    )
    image = engine.generate(
        spec,
        on_progress=lambda _progress: None,
        should_stop=lambda: False,
        references=[fit_reference(each) for each in references],
    )
    assert image.pixels == wanted.tobytes()
    assert len(set(image.pixels)) > 100


def test_each_reference_and_their_order_change_the_image(drawn_by: tuple[Any, Flux2Engine, Miniature]) -> None:
    _, engine, miniature = drawn_by
    first, second, third = REFERENCES
    shown = [[], [first], [first, second], [second, first], [first, second, third]]
    drawn = {
        engine.generate(
            a_spec(miniature, each, steps=1),
            on_progress=lambda _progress: None,
            should_stop=lambda: False,
            references=[fit_reference(one) for one in each],
        ).pixels
        for each in shown
    }
    assert len(drawn) == len(shown)
