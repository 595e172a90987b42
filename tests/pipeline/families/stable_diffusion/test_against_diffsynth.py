"""Bit-equal to DiffSynth's own pipelines where both can do the same: float32, DDIM, noise, prompts of one chunk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline.config import PipelineConfig
from pipeline.families.stable_diffusion.engine import StableDiffusionEngine
from pipeline.runtime.diffsynth_import import STABLE_DIFFUSION, import_diffsynth
from pipeline.runtime.prompt_tokenizer import Tokens, read_tokenizer
from pipeline.spec import ImageOptions, ImageSpec, Sampler
from tests.pipeline.families.stable_diffusion.random_sd import Miniature, make_sd15, make_sdxl, write_folder

import_diffsynth(*STABLE_DIFFUSION)

PROMPT = "a red fox in fresh snow, soft light"


class Tokenizer:
    """Ours, as DiffSynth calls it; SDXL's second one pads with "!"."""

    model_max_length = 77

    def __init__(self, folder: Path, padding: int | None = None) -> None:
        self._tokenizer = read_tokenizer(folder)
        self._padding = padding

    def __call__(self, prompt: str, **_options: object) -> Tokens:
        tokens = self._tokenizer(prompt, max_length=self.model_max_length)
        if self._padding is not None:
            tokens.input_ids[tokens.attention_mask == 0] = self._padding
        return tokens


class PooledAtTheEnd(torch.nn.Module):
    """DiffSynth's second text encoder, but for what it sums a prompt up in.

    DiffSynth takes the embedding of the first token, which is the same for all prompts (`text_embeds` in
    `stable_diffusion_xl_text_encoder.py`); SDXL was trained with that of the last one, as everybody else has it.
    """

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder, self.config = encoder, encoder.config

    def forward(self, ids: Tensor, output_hidden_states: bool = True) -> tuple[Tensor, tuple[Tensor, ...]]:
        last, layers = self.encoder.model.text_model(ids, output_hidden_states=output_hidden_states)
        pooled: Tensor = self.encoder.model.text_projection(last[:, ids[0].argmax()])
        return pooled, layers


def stock_pipeline(miniature: Miniature) -> tuple[Any, dict[str, object]]:
    """DiffSynth's pipeline, and what it has to be told to do what ours does."""
    folder = Path(__file__).parents[4] / "pipeline/catalog/tokenizers/clip"
    modules = miniature.modules
    if miniature.name == "sd15":
        from diffsynth.pipelines.stable_diffusion import StableDiffusionPipeline

        pipe, options = StableDiffusionPipeline(device="cpu", torch_dtype=torch.float32), {}
    else:
        from diffsynth.pipelines.stable_diffusion_xl import StableDiffusionXLPipeline

        pipe = StableDiffusionXLPipeline(device="cpu", torch_dtype=torch.float32)
        pipe.tokenizer_2, pipe.text_encoder_2 = Tokenizer(folder, padding=0), PooledAtTheEnd(modules["clip_g"])
        options = {"clip_skip": 1}  # the last layer but one, as SDXL was trained; its default goes deeper in one of two
    pipe.tokenizer = Tokenizer(folder)
    pipe.text_encoder, pipe.unet, pipe.vae = modules["clip_l"], modules["unet"], modules["vae"]
    return pipe, options


@pytest.fixture(scope="module", params=[make_sd15, make_sdxl])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Miniature, StableDiffusionEngine]]:
    miniature: Miniature = request.param()
    folder = tmp_path_factory.mktemp(miniature.name)
    card = write_folder(miniature, folder)
    engine = StableDiffusionEngine(card, PipelineConfig(device="cpu", models_dir=folder))
    engine.load()
    yield replace(miniature, card=card), engine
    engine.close()


def a_spec(miniature: Miniature, **changes: Any) -> ImageSpec:
    options = ImageOptions(prompt=PROMPT, negative_prompt="blurry", seed=3, steps=4, sampler=Sampler.DDIM)
    return replace(miniature.card.resolve(options, random_seed=0), width=192, height=128, **changes)


@pytest.mark.parametrize("cfg_scale", [7.0, 1.0])
def test_latents_and_image_are_those_of_diffsynth(
    pair: tuple[Miniature, StableDiffusionEngine], cfg_scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    miniature, engine = pair
    spec = a_spec(miniature, cfg_scale=cfg_scale)
    pipe, options = stock_pipeline(miniature)
    decoded: list[Tensor] = []
    decode = pipe.vae.decode

    def note(latents: Tensor) -> Tensor:
        decoded.append(latents)
        image: Tensor = decode(latents)
        return image

    monkeypatch.setattr(pipe.vae, "decode", note)
    wanted: Image.Image = pipe(
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt,
        cfg_scale=spec.cfg_scale,
        height=spec.height,
        width=spec.width,
        seed=spec.seed,
        num_inference_steps=spec.steps,
        progress_bar_cmd=iter,
        **options,
    )
    assert engine.loaded is not None
    hook = engine.loaded.model.decoder.register_forward_pre_hook(lambda _decoder, inputs: decoded.append(inputs[0]))
    image = engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False)
    hook.remove()
    theirs, ours = decoded
    assert torch.equal(theirs, ours)
    assert image.pixels == wanted.tobytes()
    assert len(set(image.pixels)) > 100
