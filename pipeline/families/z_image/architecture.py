"""What the Z-Image family declares: its components, what a step costs, its latents, its schedule. No torch.

Sizes are counted; what a token takes is as measured with FLUX.1, whose blocks are wider. Must not know files or cards.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from pipeline.catalog.architecture import Architecture, Component, Feature, Kind, Latent, StepCost
from pipeline.catalog.parts import PartKind
from pipeline.device.memory_plan import TILE_PX
from pipeline.families.qwen3_component import ARCHITECTURE, QWEN3

NAME: Final = ARCHITECTURE
LATENT: Final = Latent(channels=16, factor=8)
TOKEN_PX: Final = 16
MULTIPLE: Final = 32  # of tokens, that image and text are each padded to
MOST_TEXT_TOKENS: Final = 512
USUAL_TEXT_TOKENS: Final = 128  # of a long prompt; a short one has 32 with the padding
ATTENTION_WIDTH: Final = 3840
BYTES_PER_TOKEN: Final = 160_000  # activations of one block at its widest; as measured with FLUX.1
BYTES_PER_DECODED_PIXEL: Final = 2_640  # of FLUX.1's VAE, in 16 bits; measured at 512² to 1280²
VAE_BYTES: Final = 170 * 10**6

# The refiners of the text do not know the time, so they run once per image.
DIT: Final = Component(
    kind=Kind.TRANSFORMER,
    part=PartKind.DENOISER,
    architecture=NAME,
    block_pattern=r"(?P<block>(?:layers|noise_refiner|(?P<once>context_refiner))\.\d+)\.",
    streamable=True,
)


def cost(width: int, height: int, steps: int) -> StepCost:
    """Of an image of so many px; guidance is distilled into the model, so every step is one pass."""
    pixels = width * height
    image_tokens = -(-pixels // TOKEN_PX**2 // MULTIPLE) * MULTIPLE
    tokens = image_tokens + USUAL_TEXT_TOKENS
    return StepCost(
        passes=steps,
        tokens=tokens,
        token_shares={"noise_refiner": image_tokens / tokens},
        attention=4 * ATTENTION_WIDTH * tokens**2,
        activation_bytes=(image_tokens + MOST_TEXT_TOKENS) * BYTES_PER_TOKEN,
        decode_bytes=pixels * BYTES_PER_DECODED_PIXEL,
        tile_bytes=min(pixels, TILE_PX**2) * BYTES_PER_DECODED_PIXEL,
    )


Z_IMAGE_TURBO: Final = Architecture(
    name=NAME,
    engine="pipeline.families.z_image.engine:ZImageEngine",
    components=MappingProxyType(
        {
            "dit": DIT,
            "qwen3": QWEN3,
            "vae": Component(kind=Kind.VAE, part=PartKind.VAE, architecture="flux", fixed_bytes=VAE_BYTES),
            "tokenizer": Component(kind=Kind.TOKENIZER),
        }
    ),
    cost=cost,
    latent=LATENT,
    variant="z-image-turbo",
    schedule="Z-Image",
    library=("diffsynth.diffusion", "diffsynth.models.z_image_dit", "diffsynth.models.flux_vae"),
    features=frozenset({Feature.INIT_IMAGE, Feature.UPSCALE, Feature.LORA, Feature.LANGUAGES}),
    bears_float8=False,  # its activations spread too far: tests/pipeline/families/z_image/test_accuracy.py
    cuts="pipeline.families.qwen3_component:is_cut",
)
