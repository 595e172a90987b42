"""What the FLUX.1 family declares: its components, what a step costs, its latents. No torch.

Sizes are counted, memory is measured; see docs/benchmarks.md. Must not know files or cards.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from pipeline.catalog.architecture import Architecture, Component, Feature, Kind, Latent, StepCost
from pipeline.catalog.parts import PartKind
from pipeline.device.memory_plan import TILE_PX

LATENT: Final = Latent(channels=16, factor=8)
TOKEN_PX: Final = 16
TEXT_TOKENS: Final = 512
ATTENTION_WIDTH: Final = 3072
BYTES_PER_TOKEN: Final = 160_000  # activations of one block at its widest; measured with compiled blocks
BYTES_PER_DECODED_PIXEL: Final = 2_640  # of the VAE, in 16 bits; measured at 512² to 1280²
VAE_BYTES: Final = 170 * 10**6

DIT: Final = Component(
    kind=Kind.TRANSFORMER,
    part=PartKind.DENOISER,
    module="flux_dit",
    block_pattern=r"(?P<block>(?:single_)?blocks\.\d+)\.(?P<once>norm(?:1_[ab])?\.linear\.)?",
    streamable=True,
)
CLIP: Final = Component(
    kind=Kind.TEXT_ENCODER,
    part=PartKind.CLIP_L,
    module="flux_text_encoder_clip",
    block_pattern=r"(?P<block>encoders\.\d+)\.",
    streamable=True,
    tables=("token_embedding",),
    is_8bit=False,
)
T5: Final = Component(
    kind=Kind.TEXT_ENCODER,
    part=PartKind.T5,
    module="flux_text_encoder_t5",
    block_pattern=r"(?P<block>encoder\.block\.\d+)\.",
    streamable=True,
    tables=("shared",),
)


def cost(width: int, height: int, steps: int) -> StepCost:
    """Of an image of so many px; guidance is distilled into the model, so every step is one pass."""
    pixels = width * height
    tokens = pixels // TOKEN_PX**2 + TEXT_TOKENS
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
    name="flux",
    engine="pipeline.families.flux.engine:FluxEngine",
    components=MappingProxyType(
        {
            "dit": DIT,
            "clip": CLIP,
            "t5": T5,
            "vae": Component(kind=Kind.VAE, part=PartKind.VAE, module="flux_vae", fixed_bytes=VAE_BYTES),
            "tokenizer_1": Component(kind=Kind.TOKENIZER),
            "tokenizer_2": Component(kind=Kind.TOKENIZER),
        }
    ),
    cost=cost,
    latent=LATENT,
    schedule="FLUX.1",
    library=("diffsynth.pipelines.flux_image",),
    features=frozenset({Feature.INIT_IMAGE, Feature.CFG, Feature.LANGUAGES}),
    prompt_tokenizer="tokenizer_2",
)
