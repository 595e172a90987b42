"""The cards of the FLUX.1 family; `VARIANTS` says which of them a file of the family is drawn with. No torch.

What a card says is explained in `pipeline/catalog/model_card.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pipeline.catalog.architecture import Feature
from pipeline.catalog.model_card import Bounds, ModelCard, ModelFile
from pipeline.catalog.shipped import CLIP_TOKENIZER, T5_TOKENIZER
from pipeline.families.flux.architecture import FLUX, FLUX_DEMO, FLUX_SCHNELL
from pipeline.spec import Aspect, Size, Strength

_FLUX_REPO: Final = "black-forest-labs/FLUX.1-dev"
_SCHNELL_REPO: Final = "black-forest-labs/FLUX.1-schnell"
# About one megapixel, the size FLUX.1 was tuned on; sides are multiples of 16.
_FLUX_SIZES: Final[Mapping[Aspect, tuple[int, int]]] = MappingProxyType(
    {
        Aspect.SQUARE: (1024, 1024),
        Aspect.PORTRAIT: (832, 1216),
        Aspect.LANDSCAPE: (1216, 832),
        Aspect.PHONE: (768, 1344),
        Aspect.WIDE: (1344, 768),
    }
)
# A quarter of the pixels, and twice as many: FLUX.1 was published for 0.1 to 2 megapixels.
FLUX_SCALES: Final[Mapping[Size, float]] = MappingProxyType({Size.DRAFT: 0.5, Size.NORMAL: 1.0, Size.LARGE: 2**0.5})
_FLUX_BOUNDS: Final = Bounds(min_side=256, max_pixels=2**21, max_ratio=3.0)
_FLUX_FINAL_STRENGTH: Final = 0.4  # which the schedule makes two thirds of noise: details are new, and shapes stay
# Seven eighths of noise at the medium one, so that another colour in the prompt can be followed.
_FLUX_STRENGTHS: Final[Mapping[Strength, float]] = MappingProxyType(
    {Strength.SUBTLE: 0.4, Strength.MEDIUM: 0.7, Strength.STRONG: 0.85}
)
# The same amounts of noise for a schedule that is not bent.
_SCHNELL_STRENGTHS: Final[Mapping[Strength, float]] = MappingProxyType(
    {Strength.SUBTLE: 0.65, Strength.MEDIUM: 0.85, Strength.STRONG: 0.95}
)
# Measured (docs/demo-model.md): up to 0.8, a red apple stays red whatever the prompt says.
_DEMO_STRENGTHS: Final[Mapping[Strength, float]] = MappingProxyType(
    {Strength.SUBTLE: 0.7, Strength.MEDIUM: 0.85, Strength.STRONG: 0.95}
)
_FLUX_UPSCALE_STRENGTH: Final = 0.25  # which the schedule makes half of noise
_FLUX_LICENCE_URL: Final = "https://github.com/black-forest-labs/flux/blob/main/model_licenses/LICENSE-FLUX1-dev"


_FLUX_EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "en": (
            "a fox in fresh snow at sunrise, soft light, photo",
            "a lighthouse on a cliff in a storm, oil painting",
            "portrait of an old fisherman, rim light, shallow focus",
        )
    }
)


def _transformer(repo: str, name: str) -> ModelFile:
    """A transformer as it is published, or the same in another layout, in the same folder."""
    others = (f"{name}*.gguf", f"{name}*.safetensors", "transformer/")
    return ModelFile(repo=repo, path=f"{name}.safetensors", others=others)


def _files(dit: ModelFile, repo: str = _FLUX_REPO) -> Mapping[str, ModelFile]:
    """A transformer of this family with the text encoders, VAE and tokenizers of a repository."""
    return MappingProxyType(
        {
            "dit": dit,
            "vae": ModelFile(repo=repo, path="ae.safetensors"),
            "clip": ModelFile(repo=repo, path="text_encoder/model.safetensors"),
            "t5": ModelFile(repo=repo, path="text_encoder_2/"),
            "tokenizer_1": ModelFile(
                repo=repo,
                path="tokenizer/",
                needs=("vocab.json", "merges.txt", "tokenizer_config.json"),
                fallback=CLIP_TOKENIZER,
            ),
            "tokenizer_2": ModelFile(
                repo=repo,
                path="tokenizer_2/",
                needs=("tokenizer.json", "tokenizer_config.json"),
                fallback=T5_TOKENIZER,
            ),
        }
    )


FLUX1_DEV: Final = ModelCard(
    name="flux1-dev",
    title="FLUX.1 [dev]",
    architecture=FLUX,
    supports=frozenset({Feature.INIT_IMAGE, Feature.UPSCALE, Feature.LORA}),
    licence=(
        "FLUX.1 [dev] Non-Commercial License: the model may not be used commercially without a licence from "
        "Black Forest Labs"
    ),
    licence_url=_FLUX_LICENCE_URL,
    files=_files(_transformer(_FLUX_REPO, "flux1-dev")),
    sizes=_FLUX_SIZES,
    reads=("en",),
    examples=_FLUX_EXAMPLES,
    scales=FLUX_SCALES,
    bounds=_FLUX_BOUNDS,
    strengths=_FLUX_STRENGTHS,
    final_strength=_FLUX_FINAL_STRENGTH,
    upscale_strength=_FLUX_UPSCALE_STRENGTH,
    is_streamed=True,
    needs_gpu=True,
    fetch_gb=34,
    packed_gb=17,  # in 8 bits, text encoders included
    step_gb=11.9,
    assumed_step_s=1.5,
    assumed_fixed_s=3.0,
    assumed_load_s=60.0,  # docs/benchmarks.md: 20 s on fast machines; packing at the first start takes minutes
)
MAJICFLUS_V1: Final = replace(
    FLUX1_DEV,
    name="majicflus-v1",
    title="MajicFLUX v1.34",
    licence=(
        "A fine-tune of FLUX.1 [dev], so the FLUX.1 [dev] Non-Commercial License holds: the model may not be "
        "used commercially without a licence from Black Forest Labs"
    ),
    files=_files(_transformer("MAILAND/majicflus_v1", "majicflus_v134")),
)
FLUX1_SCHNELL: Final = replace(
    FLUX1_DEV,
    name="flux1-schnell",
    title="FLUX.1 [schnell]",
    architecture=FLUX_SCHNELL,
    licence="Apache-2.0",
    licence_url="https://www.apache.org/licenses/LICENSE-2.0",
    is_commercial=True,
    files=_files(_transformer(_SCHNELL_REPO, "flux1-schnell"), _SCHNELL_REPO),
    strengths=_SCHNELL_STRENGTHS,
    final_strength=0.65,  # as much noise as the others begin with, since its schedule is not bent
    upscale_strength=0.5,  # likewise
    default_steps=4,
    guidance=0.0,  # none was distilled into it
)
DEMO: Final = ModelCard(
    name="demo",
    title="Demo: emoji scenes",
    architecture=FLUX_DEMO,
    supports=frozenset({Feature.INIT_IMAGE, Feature.UPSCALE, Feature.LANGUAGES}),
    licence="Apache-2.0, trained on Noto (Apache-2.0) and Fluent (MIT) emoji; see NOTICE",
    licence_url="https://www.apache.org/licenses/LICENSE-2.0",
    is_commercial=True,
    files=MappingProxyType(
        {
            "dit": ModelFile(path="demo/weights/dit/"),
            "vae": ModelFile(path="demo/weights/vae.safetensors"),
            "clip": ModelFile(path="demo/weights/clip.safetensors"),
            "t5": ModelFile(path="demo/weights/t5.safetensors"),
            "tokenizer_1": ModelFile(path="demo/tokenizer_1/", needs=("tokenizer.json", "tokenizer_config.json")),
            "tokenizer_2": ModelFile(path="demo/tokenizer_2/", needs=("tokenizer.json", "tokenizer_config.json")),
        }
    ),
    sizes=MappingProxyType({Aspect.SQUARE: (256, 256)}),
    # Smaller ones are blotches, larger ones have fringes, and things are squeezed if the sides differ.
    scales=MappingProxyType({Size.DRAFT: 0.625, Size.NORMAL: 1.0}),
    bounds=Bounds(min_side=160, max_pixels=256**2, max_ratio=1.0),
    strengths=_DEMO_STRENGTHS,
    final_strength=0.7,
    upscale_strength=0.15,  # with more, every tile gets a thing of its own
    default_steps=8,  # which draw as well as 20: docs/demo-model.md
    reads=("en", "zh"),
    examples=MappingProxyType(
        {
            "en": (
                "a fox on a blue background",
                "a rocket and the moon on a dark blue background",
                "a panda next to a watermelon",
            ),
            "zh-CN": ("蓝色背景上的狐狸", "火箭和月亮，深蓝色背景", "一只熊猫在西瓜旁边"),
            # It reads simplified characters only, so these are written in characters that both scripts share.
            "zh-TW": ("紫色背景上的狐狸", "火箭和月亮，黑色背景", "雪人和南瓜"),
        }
    ),
    vocabulary="demo/vocabulary.json",
    assumed_step_s=0.1,
    assumed_fixed_s=0.2,
    assumed_load_s=12.0,
)

# By `Part.variant` of a transformer: whose schedule, text length and defaults it has.
VARIANTS: Final[Mapping[str, ModelCard]] = MappingProxyType(
    {card.name: card for card in (FLUX1_DEV, FLUX1_SCHNELL, DEMO)}
)
