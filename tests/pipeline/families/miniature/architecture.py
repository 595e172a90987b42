"""A second model family, miniature: other blocks than FLUX's, another text encoder, 4 latent channels, real cfg.

It is a tenant as any family in `pipeline/families/`: this folder and one catalogue entry. No torch.
"""

from __future__ import annotations

from pipeline.catalog.architecture import Architecture, Component, Feature, Kind, Latent, StepCost
from pipeline.catalog.model_card import Bounds, ModelCard, ModelFile
from pipeline.device.memory_plan import TILE_PX
from pipeline.spec import Aspect

LATENT = Latent(channels=4, factor=4)
TEXT_TOKENS = 16
WIDTH = 64

DENOISER = Component(
    kind=Kind.TRANSFORMER,
    block_pattern=r"(?P<block>stages\.\d+)\.",
    streamable=True,
)
READER = Component(
    kind=Kind.TEXT_ENCODER,
    block_pattern=r"(?P<block>layers\.\d+)\.",
    streamable=True,
    tables=("letters",),
)


def cost(width: int, height: int, steps: int) -> StepCost:
    """Two passes per step: with the prompt, and with the negative one."""
    tokens, pixels = width * height // LATENT.factor**2, width * height
    return StepCost(
        passes=2 * steps,
        tokens=tokens,
        attention=4 * WIDTH * tokens * (tokens + TEXT_TOKENS),
        activation_bytes=tokens * 4_000,
        decode_bytes=pixels * 500,
        tile_bytes=min(pixels, TILE_PX**2) * 500,
    )


MINIATURE = Architecture(
    name="miniature",
    engine="tests.pipeline.families.miniature.engine:MiniatureEngine",
    components={
        "denoiser": DENOISER,
        "reader": READER,
        "autoencoder": Component(kind=Kind.VAE, fixed_bytes=10_000),
    },
    cost=cost,
    latent=LATENT,
    schedule="Wan",
    features=frozenset({Feature.NEGATIVE_PROMPT, Feature.CFG, Feature.INIT_IMAGE, Feature.LANGUAGES}),
)

CARD = ModelCard(
    name="miniature",
    title="Miniature",
    architecture=MINIATURE,
    supports=MINIATURE.features,
    licence="Apache-2.0",
    licence_url="https://www.apache.org/licenses/LICENSE-2.0",
    files={
        name: ModelFile(repo="tests/miniature", path=f"{name}.safetensors")
        for name in ("denoiser", "reader", "autoencoder")
    },
    sizes={Aspect.SQUARE: (64, 64), Aspect.WIDE: (96, 64)},
    bounds=Bounds(min_side=16, max_pixels=2**14, max_ratio=4.0),
    default_steps=3,
    cfg_scale=3.0,
    negative_prompt="blurry",
    is_streamed=True,
    packed_gb=1,
)
