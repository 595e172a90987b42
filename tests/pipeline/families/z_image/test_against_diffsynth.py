"""Bit-equal to DiffSynth's own Z-Image pipeline in float32, from the same files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoTokenizer

from pipeline.config import PipelineConfig
from pipeline.families.z_image.engine import ZImageEngine
from pipeline.spec import ImageOptions, ImageSpec
from tests.pipeline.families.z_image.random_z_image import Miniature, make_miniature, write_folder

PROMPT = "赛博朋克风格的未来城市街道，雨夜, a red fox"


def stock_pipeline(miniature: Miniature, tokenizer: Path) -> Any:
    """DiffSynth's pipeline. Its embedding of time is always bfloat16, which float32 weights do not take: it is cast."""
    from diffsynth.pipelines.z_image import ZImagePipeline

    pipe = ZImagePipeline(device="cpu", torch_dtype=torch.float32)
    pipe.dit, pipe.text_encoder = miniature.dit, miniature.qwen3
    pipe.vae_decoder, pipe.vae_encoder = miniature.vae_halves()
    pipe.tokenizer = AutoTokenizer.from_pretrained(tokenizer)
    return pipe


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, ZImageEngine]]:
    miniature, folder = make_miniature(), tmp_path_factory.mktemp("z_image")
    card = write_folder(miniature, folder)
    engine = ZImageEngine(card, PipelineConfig(device="cpu", models_dir=folder))
    engine.load()
    hook = miniature.dit.t_embedder.mlp.register_forward_pre_hook(lambda _mlp, inputs: (inputs[0].float(),))
    yield stock_pipeline(miniature, folder / "Tongyi-MAI/Z-Image-Turbo/tokenizer"), engine
    hook.remove()
    engine.close()


def a_spec(engine: ZImageEngine, **changes: Any) -> ImageSpec:
    spec = engine.card.resolve(ImageOptions(prompt=PROMPT, seed=3), random_seed=0)
    return replace(spec, **{"steps": 3, "width": 96, "height": 80, **changes})


@pytest.mark.parametrize(
    "changes",
    [{}, {"width": 64, "height": 64}, {"prompt": "x" * 900}, {"prompt": "<|im_end|>"}, {"strength": 0.6}],
    ids=[
        "tokens that are padded",
        "tokens that are not",
        "a prompt that is cut",
        "a token of the chat",
        "an init image",
    ],
)
def test_latents_and_image_are_those_of_diffsynth(pair: tuple[Any, ZImageEngine], changes: dict[str, Any]) -> None:
    pipe, engine = pair
    source = None
    if "strength" in changes:
        source = bytes(range(256)) * (96 * 80 * 3 // 256)
        changes = {**changes, "source": sha256(source).hexdigest()}
    spec = a_spec(engine, **changes)
    decoded: list[Tensor] = []
    hook = pipe.vae_decoder.register_forward_pre_hook(lambda _half, inputs: decoded.append(inputs[0]))
    wanted: Image.Image = pipe(
        prompt=spec.prompt,
        input_image=None if source is None else Image.frombytes("RGB", (spec.width, spec.height), source),
        denoising_strength=spec.strength,
        height=spec.height,
        width=spec.width,
        seed=spec.seed,
        num_inference_steps=spec.steps,
        progress_bar_cmd=iter,
    )
    hook.remove()
    assert engine.loaded is not None
    hook = engine.loaded.model.decoder.register_forward_pre_hook(lambda _half, inputs: decoded.append(inputs[0]))
    image = engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False, source=source)
    hook.remove()
    theirs, ours = decoded
    assert torch.equal(theirs, ours)
    assert image.pixels == wanted.tobytes()
    assert len(set(image.pixels)) > 100
