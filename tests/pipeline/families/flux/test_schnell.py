"""FLUX.1 [schnell]: its schedule and its picture are those that Black Forest Labs and diffusers define."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from diffsynth.diffusion import FlowMatchScheduler
from torch import Tensor

from pipeline.catalog.architecture import Feature
from pipeline.config import PipelineConfig
from pipeline.families.flux.architecture import FLUX, FLUX_SCHNELL
from pipeline.families.flux.cards import DEMO, FLUX1_DEV, FLUX1_SCHNELL, VARIANTS
from pipeline.families.flux.checkpoint import load_pipeline
from pipeline.families.flux.model import FluxModel
from pipeline.runtime.denoising_run import DenoisingRun
from pipeline.spec import ImageOptions, ImageSpec
from pipeline.streaming.arithmetic import choose_arithmetic
from tests.pipeline.families.flux.miniature_layouts import (
    REPO,
    SIZES,
    Weights,
    card_of,
    dit_as_diffusers,
    random_weights,
    vae_as_diffusers,
    write,
    write_tokenizers,
)

CPU = choose_arithmetic(is_streamed=False, device="cpu", precision="auto", packed_dir=Path())
CARD = card_of(
    {"dit": "flux1-schnell.safetensors", "clip": "clip.safetensors", "t5": "t5.safetensors", "vae": "ae.safetensors"},
    FLUX1_SCHNELL,
)
STEPS = 4


@pytest.fixture(scope="module")
def weights() -> Weights:
    return random_weights(is_guided=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, weights: Weights) -> FluxModel:
    folder = tmp_path_factory.mktemp("schnell")
    write_tokenizers(folder)
    for name, file in CARD.files.items():
        if not file.is_folder:
            write(folder / REPO / file.path, getattr(weights, name), torch.float32)
    model = load_pipeline(CARD, PipelineConfig(device="cpu", models_dir=folder), CPU)
    model.residency.fit()
    return model


def a_spec() -> ImageSpec:
    return CARD.resolve(ImageOptions(prompt="a cat on a mat", seed=1, steps=STEPS), random_seed=0)


def draw(model: FluxModel, spec: ImageSpec) -> Tensor:
    """What is decoded, (3, H, W) in −1…1, before it is rounded to whole levels."""
    decoded: list[Tensor] = []
    handle = model.decoder.register_forward_hook(lambda _module, _inputs, image: decoded.append(image))
    model.draw(spec, None, DenoisingRun(spec, lambda _progress: None, lambda: False, "cpu", preview=None))
    handle.remove()
    return decoded[0][0]


@pytest.mark.parametrize("steps", [1, 4, 7])
def test_schedule_is_a_straight_line_to_zero(steps: int) -> None:
    """`get_schedule` of black-forest-labs/flux with shift=False: 1 to 0, whose last value is where it ends."""
    scheduler = FlowMatchScheduler(FLUX_SCHNELL.schedule)
    scheduler.set_timesteps(steps, shift=FLUX_SCHNELL.schedule_shift)
    published = torch.linspace(1, 0, steps + 1)
    torch.testing.assert_close(scheduler.sigmas, published[:-1], rtol=0, atol=1e-6)
    torch.testing.assert_close(scheduler.timesteps, 1000 * published[:-1], rtol=0, atol=1e-3)
    ended = scheduler.step(torch.ones(1), scheduler.timesteps[-1], torch.zeros(1))  # a velocity of one, to its end
    torch.testing.assert_close(ended, -published[-2:-1], rtol=0, atol=1e-6)


def test_picture_is_the_one_that_diffusers_draws(model: FluxModel, weights: Weights) -> None:
    """Same weights, noise and embeddings, in float32: FluxPipeline with the scheduler of FLUX.1-schnell's folder."""
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    transformer = FluxTransformer2DModel(
        num_layers=SIZES.joint_blocks,
        num_single_layers=SIZES.single_blocks,
        attention_head_dim=SIZES.dim // SIZES.heads,
        num_attention_heads=SIZES.heads,
        joint_attention_dim=SIZES.t5_dim,
        pooled_projection_dim=SIZES.clip_dim,
        guidance_embeds=False,
        axes_dims_rope=(8, 28, 28),
    )
    transformer.load_state_dict(dit_as_diffusers(weights.dit))
    vae = AutoencoderKL(
        block_out_channels=SIZES.vae_widths,
        latent_channels=16,
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=0.3611,
        shift_factor=0.1159,
    )
    vae.load_state_dict(vae_as_diffusers(weights.vae))
    theirs = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=vae,
        transformer=transformer,
        text_encoder=None,
        text_encoder_2=None,
        tokenizer=None,
        tokenizer_2=None,
    )
    theirs.set_progress_bar_config(disable=True)
    spec = a_spec()
    ours = draw(model, spec)
    read = model.prompts.embeddings(spec.prompt, FLUX_SCHNELL.text_tokens, read=pytest.fail, device="cpu")
    noise = model.pipe.generate_noise((1, 16, spec.height // 8, spec.width // 8), seed=spec.seed, rand_device="cpu")
    picture = theirs(
        prompt_embeds=read["prompt_emb"],
        pooled_prompt_embeds=read["pooled_prompt_emb"],
        latents=model.pipe.dit.patchify(noise),
        width=spec.width,
        height=spec.height,
        num_inference_steps=STEPS,
        output_type="pt",
    ).images[0]
    assert read["prompt_emb"].shape[1] == 256
    torch.testing.assert_close(model.pipe.scheduler.timesteps, theirs.scheduler.timesteps, rtol=0, atol=1e-3)
    assert picture.std() > 0.05
    torch.testing.assert_close(ours.add(1).div(2).clamp(0, 1), picture, rtol=0, atol=1e-3)


def test_init_image_is_drawn_over_from_its_strength_down() -> None:
    scheduler = FlowMatchScheduler(FLUX_SCHNELL.schedule)
    scheduler.set_timesteps(STEPS, denoising_strength=0.6, shift=FLUX_SCHNELL.schedule_shift)
    torch.testing.assert_close(scheduler.sigmas, torch.tensor([0.6, 0.45, 0.3, 0.15]))


def test_blocks_are_compiled_for_its_texts(model: FluxModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """For another length they would be compiled again at the first image."""
    asked: dict[str, object] = {}
    monkeypatch.setattr(model.transformer, "compile_blocks", lambda _run_step, **options: asked.update(options) or True)
    assert model.compile_blocks()
    assert asked == {"text_tokens": 256}


def test_guidance_changes_nothing(model: FluxModel) -> None:
    spec = a_spec()
    assert spec.guidance == 0
    assert torch.equal(draw(model, spec), draw(model, dataclasses.replace(spec, guidance=7.0)))


def test_card_says_what_is_true_of_schnell() -> None:
    assert (FLUX1_SCHNELL.default_steps, FLUX1_SCHNELL.guidance) == (4, 0.0)
    assert FLUX1_SCHNELL.licence == "Apache-2.0"
    assert {file.repo for file in FLUX1_SCHNELL.files.values()} == {"black-forest-labs/FLUX.1-schnell"}
    assert FLUX1_SCHNELL.supports == {Feature.INIT_IMAGE, Feature.UPSCALE, Feature.LORA}
    dev, schnell = (each.cost(1024, 1024, 4) for each in (FLUX, FLUX_SCHNELL))
    assert dev.tokens - schnell.tokens == 256
    assert dict(VARIANTS) == {"flux1-dev": FLUX1_DEV, "flux1-schnell": FLUX1_SCHNELL, "demo": DEMO}
