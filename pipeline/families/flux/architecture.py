"""What the FLUX.1 family declares: its components, what a step costs, its latents, its schedules. No torch.

Sizes are counted, memory is measured; see docs/benchmarks.md. Must not know files or cards.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final

from pipeline.catalog.architecture import Architecture, Component, Feature, Kind, Latent, StepCost
from pipeline.catalog.parts import PartKind
from pipeline.device.memory_plan import TILE_PX

NAME: Final = "flux"
LATENT: Final = Latent(channels=16, factor=8)
TOKEN_PX: Final = 16
TEXT_TOKENS: Final = 512
SCHNELL_TEXT_TOKENS: Final = 256
ATTENTION_WIDTH: Final = 3072
BYTES_PER_TOKEN: Final = 160_000  # activations of one block at its widest; measured with compiled blocks
BYTES_PER_DECODED_PIXEL: Final = 2_640  # of the VAE, in 16 bits; measured at 512² to 1280²
VAE_BYTES: Final = 170 * 10**6

DIT: Final = Component(
    kind=Kind.TRANSFORMER,
    part=PartKind.DENOISER,
    architecture=NAME,
    block_pattern=r"(?P<block>(?:single_)?blocks\.\d+)\.(?P<once>norm(?:1_[ab])?\.linear\.)?",
    streamable=True,
)
CLIP: Final = Component(
    kind=Kind.TEXT_ENCODER,
    part=PartKind.CLIP_L,
    block_pattern=r"(?P<block>encoders\.\d+)\.",
    streamable=True,
    tables=("token_embedding",),
    is_8bit=False,
)
T5: Final = Component(
    kind=Kind.TEXT_ENCODER,
    part=PartKind.T5,
    architecture=NAME,
    block_pattern=r"(?P<block>encoder\.block\.\d+)\.",
    streamable=True,
    tables=("shared",),
)


def cost(width: int, height: int, steps: int, *, text_tokens: int = TEXT_TOKENS) -> StepCost:
    """Of an image of so many px; guidance is distilled into the model, so every step is one pass."""
    pixels = width * height
    tokens = pixels // TOKEN_PX**2 + text_tokens
    return StepCost(
        passes=steps,
        tokens=tokens,
        # In a double block a token of the image meets one half of the weights, and one of the text the other.
        token_shares={"blocks": 0.5},
        attention=4 * ATTENTION_WIDTH * tokens**2,
        activation_bytes=tokens * BYTES_PER_TOKEN,
        decode_bytes=pixels * BYTES_PER_DECODED_PIXEL,
        tile_bytes=min(pixels, TILE_PX**2) * BYTES_PER_DECODED_PIXEL,
    )


FLUX: Final = Architecture(
    name=NAME,
    engine="pipeline.families.flux.engine:FluxEngine",
    components=MappingProxyType(
        {
            "dit": DIT,
            "clip": CLIP,
            "t5": T5,
            "vae": Component(kind=Kind.VAE, part=PartKind.VAE, architecture=NAME, fixed_bytes=VAE_BYTES),
            "tokenizer_1": Component(kind=Kind.TOKENIZER),
            "tokenizer_2": Component(kind=Kind.TOKENIZER),
        }
    ),
    cost=cost,
    latent=LATENT,
    variant="flux1-dev",
    schedule="FLUX.1",
    text_tokens=TEXT_TOKENS,
    library=("diffsynth.pipelines.flux_image",),
    features=frozenset({Feature.INIT_IMAGE, Feature.UPSCALE, Feature.CFG, Feature.LORA, Feature.LANGUAGES}),
    prompt_tokenizer="tokenizer_2",
)
# Black Forest Labs' schedule for it is a straight line from 1 to 0, and its texts are half as long
# (github.com/black-forest-labs/flux: `get_schedule` in src/flux/sampling.py with shift=False, and src/flux/cli.py);
# DiffSynth calls such a line "Wan", and its schedule "FLUX.1" would end above 0 and be bent.
FLUX_SCHNELL: Final = replace(
    FLUX,
    variant="flux1-schnell",
    cost=partial(cost, text_tokens=SCHNELL_TEXT_TOKENS),
    schedule="Wan",
    schedule_shift=1.0,
    text_tokens=SCHNELL_TEXT_TOKENS,
)
FLUX_DEMO: Final = replace(FLUX, variant="demo", engine="pipeline.demo.engine:DemoEngine")
