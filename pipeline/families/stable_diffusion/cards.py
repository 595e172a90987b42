"""The cards of SD 1.5 and SDXL; `VARIANTS` says which of them a file of the family is drawn with. No torch.

What a card says is explained in `pipeline/catalog/model_card.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pipeline.catalog.model_card import Bounds, ModelCard, ModelFile
from pipeline.catalog.shipped import CLIP_TOKENIZER
from pipeline.families.stable_diffusion.architecture import SD15 as SD15_FAMILY
from pipeline.families.stable_diffusion.architecture import SDXL as SDXL_FAMILY
from pipeline.spec import Aspect, Sampler, Size, Strength

_SAMPLERS: Final = (Sampler.DPMPP_2M_KARRAS, Sampler.EULER, Sampler.DDIM)
# The medium one is the default of AUTOMATIC1111's img2img (modules/ui.py, `denoising_strength`).
_STRENGTHS: Final[Mapping[Strength, float]] = MappingProxyType(
    {Strength.SUBTLE: 0.5, Strength.MEDIUM: 0.75, Strength.STRONG: 0.9}
)
_EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "en": (
            "a fox in fresh snow at sunrise, soft light, photo",
            "a lighthouse on a cliff in a storm, oil painting",
            "portrait of an old fisherman, (rim light:1.2), shallow focus",
        )
    }
)


def _files(repo: str, path: str, *components: str) -> Mapping[str, ModelFile]:
    """Everything in one file, but for the tokenizers: those ship with this program."""
    checkpoint, tokenizer = ModelFile(repo=repo, path=path), CLIP_TOKENIZER
    return MappingProxyType({name: tokenizer if name.startswith("tokenizer") else checkpoint for name in components})


SD15: Final = ModelCard(
    name="sd15",
    title="Stable Diffusion 1.5",
    architecture=SD15_FAMILY,
    supports=SD15_FAMILY.features,
    licence=(
        "CreativeML Open RAIL-M: commercial use is allowed; some uses that harm people are not, and whoever passes "
        "the model on has to pass that on"
    ),
    licence_url="https://github.com/CompVis/stable-diffusion/blob/main/LICENSE",
    is_commercial=True,
    files=_files(
        "AI-ModelScope/stable-diffusion-v1-5",
        "v1-5-pruned-emaonly.safetensors",
        *SD15_FAMILY.components,
    ),
    # It was trained on squares of 512 px; with a longer side beyond 768 px things are there twice.
    sizes=MappingProxyType(
        {
            Aspect.SQUARE: (512, 512),
            Aspect.PORTRAIT: (512, 768),
            Aspect.LANDSCAPE: (768, 512),
            Aspect.PHONE: (448, 768),
            Aspect.WIDE: (768, 448),
        }
    ),
    scales=MappingProxyType({Size.DRAFT: 0.75, Size.NORMAL: 1.0, Size.LARGE: 1.25}),
    bounds=Bounds(min_side=256, max_pixels=768**2, max_ratio=2.0),
    strengths=_STRENGTHS,
    final_strength=0.5,
    default_steps=25,
    guidance=0.0,
    cfg_scale=7.0,
    samplers=_SAMPLERS,
    clip_skip=1,
    is_streamed=True,
    fetch_gb=4,
    packed_gb=2,
    step_gb=0.9,
    reads=("en",),
    examples=_EXAMPLES,
    # On a GPU; 40 TFLOP take some minutes on a CPU, which is bearable, so it does not need one.
    assumed_step_s=0.2,
    assumed_fixed_s=1.0,
    assumed_load_s=20.0,
)
SDXL: Final = ModelCard(
    name="sdxl",
    title="Stable Diffusion XL",
    architecture=SDXL_FAMILY,
    supports=SDXL_FAMILY.features,
    licence=(
        "CreativeML Open RAIL++-M: commercial use is allowed; some uses that harm people are not, and whoever passes "
        "the model on has to pass that on"
    ),
    licence_url="https://github.com/Stability-AI/generative-models/blob/main/model_licenses/LICENSE-SDXL1.0",
    is_commercial=True,
    files=_files(
        "AI-ModelScope/stable-diffusion-xl-base-1.0",
        "sd_xl_base_1.0.safetensors",
        *SDXL_FAMILY.components,
    ),
    # Of the sizes that it was tuned on: arXiv 2307.01952, appendix I.
    sizes=MappingProxyType(
        {
            Aspect.SQUARE: (1024, 1024),
            Aspect.PORTRAIT: (832, 1216),
            Aspect.LANDSCAPE: (1216, 832),
            Aspect.PHONE: (768, 1344),
            Aspect.WIDE: (1344, 768),
        }
    ),
    scales=MappingProxyType({Size.DRAFT: 0.75, Size.NORMAL: 1.0, Size.LARGE: 1.25}),
    bounds=Bounds(min_side=512, max_pixels=2**21, max_ratio=2.5),
    strengths=_STRENGTHS,
    final_strength=0.5,
    default_steps=25,
    guidance=0.0,
    cfg_scale=5.0,
    samplers=_SAMPLERS,
    clip_skip=2,
    is_streamed=True,
    needs_gpu=True,
    fetch_gb=7,
    packed_gb=7,
    step_gb=2.6,
    reads=("en",),
    examples=_EXAMPLES,
    assumed_step_s=0.6,
    assumed_fixed_s=3.0,
    assumed_load_s=40.0,
)

# By `Part.variant` of a UNet.
VARIANTS: Final[Mapping[str, ModelCard]] = MappingProxyType({card.name: card for card in (SD15, SDXL)})
