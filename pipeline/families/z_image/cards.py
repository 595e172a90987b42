"""The cards of Z-Image; `VARIANTS` says which of them a file of the family is drawn with. No torch.

What a card says is explained in `pipeline/catalog/model_card.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pipeline.catalog.architecture import Feature
from pipeline.catalog.model_card import Bounds, ModelCard, ModelFile
from pipeline.families.z_image.architecture import Z_IMAGE_TURBO as Z_IMAGE_TURBO_FAMILY
from pipeline.spec import Aspect, Size, Strength

_REPO: Final = "Tongyi-MAI/Z-Image-Turbo"

Z_IMAGE_TURBO: Final = ModelCard(
    name="z-image-turbo",
    title="Z-Image-Turbo",
    architecture=Z_IMAGE_TURBO_FAMILY,
    supports=frozenset({Feature.INIT_IMAGE, Feature.UPSCALE, Feature.LORA, Feature.LANGUAGES}),
    licence="Apache-2.0",
    licence_url="https://www.apache.org/licenses/LICENSE-2.0",
    is_commercial=True,
    files=MappingProxyType(
        {
            "dit": ModelFile(
                repo=_REPO, path="transformer/", others=("z_image_turbo*.gguf", "z_image_turbo*.safetensors")
            ),
            "qwen3": ModelFile(repo=_REPO, path="text_encoder/"),
            "vae": ModelFile(repo=_REPO, path="vae/diffusion_pytorch_model.safetensors"),
            "tokenizer": ModelFile(repo=_REPO, path="tokenizer/", needs=("tokenizer.json", "tokenizer_config.json")),
        }
    ),
    # Those that its publishers offer at about one megapixel.
    sizes=MappingProxyType(
        {
            Aspect.SQUARE: (1024, 1024),
            Aspect.PORTRAIT: (832, 1248),
            Aspect.LANDSCAPE: (1248, 832),
            Aspect.PHONE: (720, 1280),
            Aspect.WIDE: (1280, 720),
        }
    ),
    # Published for a quarter of a megapixel to four; beyond two, small GPUs have no room for its activations.
    scales=MappingProxyType({Size.DRAFT: 0.5, Size.NORMAL: 1.0, Size.LARGE: 2**0.5}),
    bounds=Bounds(min_side=256, max_pixels=2**21, max_ratio=3.0),
    # Its schedule is bent as FLUX.1's, so the same strengths are as much noise: two thirds, seven eighths, 0.94.
    strengths=MappingProxyType({Strength.SUBTLE: 0.4, Strength.MEDIUM: 0.7, Strength.STRONG: 0.85}),
    final_strength=0.4,
    upscale_strength=0.25,
    default_steps=8,
    guidance=0.0,  # distilled into it, and no input
    is_streamed=True,
    needs_gpu=True,
    fetch_gb=21,
    packed_gb=11,  # in 8 bits, the text encoder included
    step_gb=6.2,
    reads=("en", "zh"),
    examples=MappingProxyType(
        {
            "en": (
                "a fox in fresh snow at sunrise, soft light, photo",
                "a tea house with a wooden sign that says “Open”, rainy evening, photo",
                "portrait of an old fisherman, rim light, shallow focus",
            ),
            "zh-CN": (
                "赛博朋克风格的未来城市街道，雨夜，霓虹灯倒映在积水中",
                "水墨画，江南水乡，小桥流水，远山如黛",
                "茶馆门口挂着写有“欢迎光临”的木牌，傍晚，写实摄影",
            ),
            "zh-TW": (
                "賽博龐克風格的未來城市街道，雨夜，霓虹燈倒映在積水中",
                "水墨畫，江南水鄉，小橋流水，遠山如黛",
                "茶館門口掛著寫有「歡迎光臨」的木牌，傍晚，寫實攝影",
            ),
        }
    ),
    assumed_step_s=1.0,
    assumed_fixed_s=3.0,
    assumed_load_s=60.0,
)

# By `Part.variant` of a transformer.
VARIANTS: Final[Mapping[str, ModelCard]] = MappingProxyType({Z_IMAGE_TURBO.name: Z_IMAGE_TURBO})
