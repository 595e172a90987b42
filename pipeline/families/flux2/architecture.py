"""What the FLUX.2 [klein] family declares: its components, what a step costs, its latents, its schedule. No torch.

Sizes are counted; activations are FLUX.1's measured ones, scaled to the width of these blocks. Must not know files or
cards.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from pipeline.catalog.architecture import Architecture, Component, Feature, Kind, Latent, StepCost
from pipeline.catalog.parts import PartKind
from pipeline.device.memory_plan import TILE_PX
from pipeline.families.qwen3_component import MOST_TOKENS, QWEN3

NAME: Final = "flux2-klein"
LATENT: Final = Latent(channels=128, factor=16, alike=4)  # 32 channels at an eighth of the sides, in patches of 2 × 2
TEXT_TOKENS: Final = MOST_TOKENS  # padding is read as well
READING_LAYERS: Final = (9, 18, 27)  # after so many layers of Qwen3, three readings stand side by side
ATTENTION_WIDTH: Final = 3072
BYTES_PER_TOKEN: Final = 210_000  # activations of one block at its widest; FLUX.1's take 160 000 in 7/9 of the width
BYTES_PER_DECODED_PIXEL: Final = 2_640  # of the VAE, in 16 bits; as measured with FLUX.1's, whose layers it has
VAE_BYTES: Final = 170 * 10**6

DIT: Final = Component(
    kind=Kind.TRANSFORMER,
    part=PartKind.DENOISER,
    architecture=NAME,
    # All blocks share one modulation, which therefore belongs to none and stays on the GPU.
    block_pattern=r"(?P<block>(?:single_)?transformer_blocks\.\d+)\.",
    streamable=True,
)


def edit_cost(width: int, height: int, steps: int, reference_pixels: int) -> StepCost:
    """Of an image of so many px that looks at so many pixels of reference images; every step is one pass."""
    pixels = width * height
    tokens = (pixels + reference_pixels) // LATENT.factor**2 + TEXT_TOKENS
    # References are encoded one by one, each of at most a million pixels, and the image is decoded as a whole.
    return StepCost(
        passes=steps,
        tokens=tokens,
        # In a double block a token of an image meets one half of the weights, and one of the text the other.
        token_shares={"transformer_blocks": 0.5},
        attention=4 * ATTENTION_WIDTH * tokens**2,
        activation_bytes=tokens * BYTES_PER_TOKEN,
        decode_bytes=pixels * BYTES_PER_DECODED_PIXEL,
        tile_bytes=min(pixels, TILE_PX**2) * BYTES_PER_DECODED_PIXEL,
    )


def cost(width: int, height: int, steps: int) -> StepCost:
    """Of an image of so many px that looks at no references."""
    return edit_cost(width, height, steps, 0)


FLUX2_KLEIN: Final = Architecture(
    name=NAME,
    engine="pipeline.families.flux2.engine:Flux2Engine",
    components=MappingProxyType(
        {
            "dit": DIT,
            "qwen3": QWEN3,
            "vae": Component(kind=Kind.VAE, part=PartKind.VAE, architecture=NAME, fixed_bytes=VAE_BYTES),
            "tokenizer": Component(kind=Kind.TOKENIZER),
        }
    ),
    cost=cost,
    edit_cost=edit_cost,
    latent=LATENT,
    variant="flux2-klein-4b",
    schedule="FLUX.2",
    library=("diffsynth.models.flux2_dit", "diffsynth.models.flux2_vae", "diffsynth.diffusion"),
    features=frozenset({Feature.INIT_IMAGE, Feature.EDIT, Feature.UPSCALE, Feature.LORA, Feature.LANGUAGES}),
    cuts="pipeline.families.qwen3_component:is_cut",
)
