"""What the Stable Diffusion family declares: the components of SD 1.5 and SDXL, what a step costs. No torch.

Operations and activations are counted on full-size modules without values; a test counts them again. What kernels
need beside that is measured with FLUX.1, whose VAE has the same layers. Must not know files or cards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from pipeline.catalog.architecture import Architecture, Component, Feature, Kind, Latent, StepCost
from pipeline.catalog.parts import PartKind
from pipeline.device.memory_plan import TILE_PX
from pipeline.spec import last_steps

LATENT: Final = Latent(channels=4, factor=8)
HALVES: Final = 2  # of a batch: with the prompt, and with the negative one
CHUNK_TOKENS: Final = 77  # that CLIP reads at a time, its start and end included
BYTES_PER_DECODED_PIXEL: Final = 2_640  # of the VAE, in 16 bits; as measured with FLUX.1's
VAE_BYTES: Final = 170 * 10**6  # in 16 bits
FLOAT32_DECODER_BYTES: Final = 200 * 10**6  # beside it, if 16 bits overflow
FEATURES: Final = frozenset(
    {
        Feature.INIT_IMAGE,
        Feature.CFG,
        Feature.NEGATIVE_PROMPT,
        Feature.SAMPLER,
        Feature.CLIP_SKIP,
        Feature.UPSCALE,
        Feature.LORA,
    }
)
LIBRARY: Final = "diffsynth.models.stable_diffusion"

UNET: Final = Component(
    kind=Kind.TRANSFORMER,
    part=PartKind.DENOISER,
    block_pattern=r"(?P<block>(?:down_blocks\.\d+|mid_block|up_blocks\.\d+)\.attentions\.\d+\.transformer_blocks\.\d+)\.",
    streamable=True,
)
CLIP_L: Final = Component(
    kind=Kind.TEXT_ENCODER,
    part=PartKind.CLIP_L,
    block_pattern=r"(?P<block>layers\.\d+)\.",
    streamable=True,
    tables=("token_embedding",),
    is_8bit=False,
)
CLIP_G: Final = Component(
    kind=Kind.TEXT_ENCODER,
    part=PartKind.CLIP_G,
    block_pattern=CLIP_L.block_pattern,
    streamable=True,
    tables=CLIP_L.tables,
    is_8bit=False,
)
VAE: Final = Component(kind=Kind.VAE, part=PartKind.VAE, architecture="sd15", fixed_bytes=VAE_BYTES)  # as SDXL's
TOKENIZER: Final = Component(kind=Kind.TOKENIZER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """The transformer blocks of a UNet that work at one resolution.

    names: how the names of their blocks begin.
    reduced: how many times fewer px there are per side than in the latents.
    blocks: how many there are.
    text_share: of a block's weights that meet the text's tokens instead of the image's: the keys and values of its
        cross-attention.
    """

    names: tuple[str, ...]
    width: int
    reduced: int
    blocks: int
    text_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetCost:
    """What a UNet takes.

    convolutions: operations per px of the latents and half of the batch, of all that is in no transformer block.
    bytes_per_pixel: of the image: activations where most are alive at once, both halves, in 16 bits.
    """

    levels: Sequence[Level]
    convolutions: float
    bytes_per_pixel: int

    def __call__(self, width: int, height: int, steps: int) -> StepCost:
        """Of an image of so many px: a step is one pass with both halves of the batch."""
        pixels = width * height
        latents = pixels // LATENT.factor**2
        tile_pixels = min(pixels, TILE_PX**2)
        blocks = sum(level.blocks for level in self.levels)
        attention = sum(
            level.blocks * 4 * level.width * tokens * (tokens + CHUNK_TOKENS)
            for level in self.levels
            for tokens in (latents / level.reduced**2,)
        )
        return StepCost(
            passes=steps,
            tokens=HALVES * latents,
            token_shares={
                name: (1 - level.text_share) / level.reduced**2 + level.text_share * CHUNK_TOKENS / latents
                for level in self.levels
                for name in level.names
            },
            attention=int(HALVES * attention / blocks),
            fixed_operations=int(HALVES * latents * self.convolutions),
            activation_bytes=pixels * self.bytes_per_pixel,
            decode_bytes=pixels * BYTES_PER_DECODED_PIXEL + FLOAT32_DECODER_BYTES,
            tile_bytes=tile_pixels * BYTES_PER_DECODED_PIXEL + FLOAT32_DECODER_BYTES,
        )


SD15_COST: Final = UNetCost(
    levels=(
        Level(names=("down_blocks.0", "up_blocks.3"), width=320, reduced=1, blocks=5, text_share=0.21),
        Level(names=("down_blocks.1", "up_blocks.2"), width=640, reduced=2, blocks=5, text_share=0.12),
        Level(names=("down_blocks.2", "up_blocks.1"), width=1280, reduced=4, blocks=5, text_share=0.06),
        Level(names=("mid_block",), width=1280, reduced=8, blocks=1, text_share=0.06),
    ),
    convolutions=1.085e8,
    bytes_per_pixel=1_000,  # 520 are alive; cuDNN works beside them
)
SDXL_COST: Final = UNetCost(
    levels=(
        Level(names=("down_blocks.1", "up_blocks.1"), width=640, reduced=2, blocks=10, text_share=0.26),
        Level(names=("down_blocks.2", "mid_block", "up_blocks.0"), width=1280, reduced=4, blocks=60, text_share=0.15),
    ),
    convolutions=1.036e8,
    bytes_per_pixel=600,  # 315 are alive
)


def _family(name: str, *, cost: Callable[[int, int, int], StepCost], has_clip_g: bool, library: str) -> Architecture:
    readers = {"clip_l": CLIP_L, "clip_g": CLIP_G} if has_clip_g else {"clip_l": CLIP_L}
    tokenizers = {f"tokenizer_{number}": TOKENIZER for number, _ in enumerate(readers, 1)}
    return Architecture(
        name=name,
        engine="pipeline.families.stable_diffusion.engine:StableDiffusionEngine",
        components=MappingProxyType({"unet": replace(UNET, architecture=name), **readers, "vae": VAE, **tokenizers}),
        cost=cost,
        steps_taken=last_steps,
        latent=LATENT,
        schedule="",  # `samplers.py` has them
        features=FEATURES,
        variant=name,
        library=(f"{LIBRARY}_{library}", f"{LIBRARY}_text_encoder", f"{LIBRARY}_vae"),
        half="float16",
        prefers_half=True,
        cuts="pipeline.families.stable_diffusion.prompts:is_cut",
    )


SD15: Final = _family("sd15", cost=SD15_COST, has_clip_g=False, library="unet")
SDXL: Final = _family("sdxl", cost=SDXL_COST, has_clip_g=True, library="xl_unet")
