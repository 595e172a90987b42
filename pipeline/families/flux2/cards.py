"""The cards of FLUX.2; `VARIANTS` says which of them a file of the family is drawn with. No torch.

What a card says is explained in `pipeline/catalog/model_card.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pipeline.catalog.model_card import Bounds, ModelCard, ModelFile
from pipeline.families.flux2.architecture import FLUX2_KLEIN
from pipeline.spec import Aspect, Size, Strength

_REPO: Final = "black-forest-labs/FLUX.2-klein-4B"

FLUX2_KLEIN_4B: Final = ModelCard(
    name="flux2-klein-4b",
    title="FLUX.2 [klein] 4B",
    architecture=FLUX2_KLEIN,
    supports=FLUX2_KLEIN.features,
    licence="Apache-2.0",
    licence_url="https://www.apache.org/licenses/LICENSE-2.0",
    is_commercial=True,
    files=MappingProxyType(
        {
            "dit": ModelFile(
                repo=_REPO, path="transformer/", others=("flux-2-klein*.safetensors", "flux-2-klein*.gguf")
            ),
            "qwen3": ModelFile(repo=_REPO, path="text_encoder/"),
            "vae": ModelFile(repo=_REPO, path="vae/diffusion_pytorch_model.safetensors"),
            "tokenizer": ModelFile(repo=_REPO, path="tokenizer/", needs=("tokenizer.json", "tokenizer_config.json")),
        }
    ),
    # About one megapixel; sides are multiples of 16.
    sizes=MappingProxyType(
        {
            Aspect.SQUARE: (1024, 1024),
            Aspect.PORTRAIT: (832, 1216),
            Aspect.LANDSCAPE: (1216, 832),
            Aspect.PHONE: (768, 1344),
            Aspect.WIDE: (1344, 768),
        }
    ),
    scales=MappingProxyType({Size.DRAFT: 0.5, Size.NORMAL: 1.0, Size.LARGE: 2**0.5}),
    bounds=Bounds(min_side=256, max_pixels=2**21, max_ratio=3.0),  # four megapixels are drawn, but slowly
    # Shares of noise to begin with, as FLUX.1 begins with at its strengths.
    strengths=MappingProxyType({Strength.SUBTLE: 0.65, Strength.MEDIUM: 0.85, Strength.STRONG: 0.95}),
    final_strength=0.65,
    upscale_strength=0.5,
    default_steps=4,
    guidance=0.0,  # none was distilled into it
    is_streamed=True,
    needs_gpu=True,
    fetch_gb=16,
    packed_gb=8,  # in 8 bits, the text encoder included
    step_gb=3.9,
    reads=("en", "zh"),  # as its text encoder does
    examples=MappingProxyType(
        {
            "en": (
                "a fox in fresh snow at sunrise, soft light, photo",
                'a small bakery with a sign that says "FRESH BREAD", watercolour',
                "portrait of an old fisherman, rim light, shallow focus",
            ),
            "zh-CN": (
                "清晨雪地里的一只狐狸，柔和的光线，摄影",
                "暴风雨中悬崖上的灯塔，油画",
                "赛博朋克风格的未来城市街道，雨夜，霓虹灯",
            ),
            "zh-TW": (
                "清晨雪地裡的一隻狐狸，柔和的光線，攝影",
                "暴風雨中懸崖上的燈塔，油畫",
                "賽博龐克風格的未來城市街道，雨夜，霓虹燈",
            ),
        }
    ),
    assumed_step_s=0.8,
    assumed_fixed_s=3.0,
    assumed_load_s=40.0,
)

# By `Part.variant` of a transformer.
VARIANTS: Final[Mapping[str, ModelCard]] = MappingProxyType({FLUX2_KLEIN_4B.name: FLUX2_KLEIN_4B})
