"""For which family of models a LoRA was made: told by the names of its layers, and by widths where names are shared.

Names are `plain_name`'s of `lora.py`. Sources: black-forest-labs/flux:src/flux/model.py;
black-forest-labs/flux2:src/flux2/model.py; Tongyi-MAI/Z-Image; CompVis and huggingface/diffusers for Stable Diffusion.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from pipeline.catalog.parts import Refusal

FLUX: Final = "flux"
KLEIN: Final = "flux2-klein"
Z_IMAGE: Final = "z-image"
SD15: Final = "sd15"
SDXL: Final = "sdxl"
TITLES: Final = MappingProxyType(
    {FLUX: "FLUX.1", KLEIN: "FLUX.2 [klein] 4B", Z_IMAGE: "Z-Image", SD15: "Stable Diffusion 1.5", SDXL: "SDXL"}
)
Shapes = Mapping[str, tuple[int, int]]  # name of a layer → how many numbers go in, how many come out

_KLEIN_DOUBLE, _KLEIN_SINGLE = 5, 20  # blocks; FLUX.1 has 19 and 38
_FLUX_DOUBLE: Final = 19
_NUMBER: Final = re.compile(r"(?:double_blocks|(?<!single_)transformer_blocks)_(\d+)_")
_SINGLE_NUMBER: Final = re.compile(r"single_(?:transformer_)?blocks_(\d+)_")
_CONTEXT: Final = re.compile(r"attn2_to_[kv]$")
_TEXT_WIDTHS: Final = {768: SD15, 1024: "Stable Diffusion 2", 2048: SDXL}  # that a UNet reads
_IN_NOTES: Final = (  # what notes name, in lower case; the first that fits counts
    (re.compile(r"flux[-_. ]?2"), KLEIN),
    (re.compile(r"flux"), FLUX),
    (re.compile(r"z[-_ ]?image"), Z_IMAGE),
    (re.compile(r"sdxl|stable-diffusion-xl"), SDXL),
    (re.compile(r"sd_?v?1|sd_1|stable-diffusion-v1"), SD15),
)
_NOTES: Final = ("modelspec.architecture", "ss_base_model_version", "base_model")
IN_NOTES_OF_FLUX: Final = MappingProxyType({"modelspec.architecture": "flux-1"})
_MOST_NOTE: Final = 200
_OTHER_FAMILIES: Final = (  # by what is among the names
    (re.compile(r"img_mlp_fc1|_mod_linear(?:\n|$)|individual_token_refiner"), "HunyuanVideo"),
    (re.compile(r"(?:^|\n)joint_blocks_"), "Stable Diffusion 3"),
    (re.compile(r"img_mod_1(?:\n|$)|txt_mod_1(?:\n|$)"), "Qwen-Image"),
    (re.compile(r"(?:^|\n)blocks_\d+_(?:self_attn|cross_attn|ffn)_"), "Wan"),
    (re.compile(r"distilled_guidance_layer"), "Chroma"),
)


def base_of(shapes: Shapes, notes: Mapping[str, str]) -> str | Refusal:
    """Return the `Architecture.name` of the models that a LoRA was made for, or why there is none here."""
    text = "\n".join(shapes)
    if (other := next((title for pattern, title in _OTHER_FAMILIES if pattern.search(text)), None)) is not None:
        return _other(other)
    if re.search(r"(?:^|\n)(?:layers|noise_refiner|context_refiner)_\d+_(?:attention|feed_forward|adaLN)", text):
        return _z_image(shapes)
    if re.search(r"(?:^|\n)(?:double|single)_(?:blocks|stream)_|(?:^|\n)(?:single_)?transformer_blocks_\d", text):
        return _flux(shapes, notes)
    if re.search(r"(?:^|\n)(?:down_blocks|up_blocks|mid_block|input_blocks|middle_block|output_blocks)_", text):
        return _unet(shapes, notes)
    return _noted(shapes, notes)


def _z_image(shapes: Shapes) -> str | Refusal:
    is_lumina = any("_attention_" in name and width == 2304 for name, (width, _) in shapes.items())
    return _other("Lumina Image 2.0") if is_lumina else Z_IMAGE


def _flux(shapes: Shapes, notes: Mapping[str, str]) -> str | Refusal:
    """FLUX.1 or FLUX.2 [klein] 4B, which have a width in common and differ in what lies between their attentions."""
    width = next((inputs for name, (inputs, _) in shapes.items() if "attn_qkv" in name or name.endswith("to_q")), 0)
    if width in (4096, 6144):
        return _other("FLUX.2 [klein] 9B" if width == 4096 else "FLUX.2 [dev]")
    if width in (1536, 2432):
        return _other("Stable Diffusion 3")
    votes = {vote for name, shape in shapes.items() if (vote := _flux_by_layer(name, shape))}
    if len(votes) > 1:
        return _other("two families at once")
    if votes:
        return votes.pop()
    double, single = _highest(_NUMBER, shapes), _highest(_SINGLE_NUMBER, shapes)
    if single < 0 and double >= _FLUX_DOUBLE:  # of Qwen-Image's 60, under the same names
        return _other("a model with more blocks than FLUX.1 has")
    if double >= _KLEIN_DOUBLE or single >= _KLEIN_SINGLE:
        return FLUX
    noted = _in_notes(notes)
    return noted if noted in (FLUX, KLEIN) else _unknown("its few layers are in FLUX.1 and in FLUX.2 alike")


def _flux_by_layer(name: str, shape: tuple[int, int]) -> str:
    """Which of the two a layer is in; "" if it may be either."""
    inputs, outputs = shape
    if re.search(r"to_qkv_mlp_proj|ff(?:_context)?_linear_(?:in|out)|(?:double|single)_stream_modulation", name):
        return KLEIN
    if re.search(r"single_blocks_\d+_linear1_qkv$", name):  # as only XLabs names them, who trained no other
        return FLUX
    if re.search(r"single_transformer_blocks_\d+_(?:attn_to_[qkv]$|proj_mlp|proj_out|norm_)", name):
        return FLUX
    if re.search(r"_(?:img|txt)_mod_lin$|_modulation_lin$|_norm1_(?:context_)?linear$|_ff(?:_context)?_net_", name):
        return FLUX
    for layer, flux, klein in (
        (r"_(?:img|txt)_mlp_0$", outputs == 4 * inputs, outputs == 6 * inputs),
        (r"_(?:img|txt)_mlp_2$", inputs == 4 * outputs, inputs == 3 * outputs),
        (r"single_blocks_\d+_linear1$", outputs == 7 * inputs, outputs == 9 * inputs),
        (r"single_blocks_\d+_linear2$", inputs == 5 * outputs, inputs == 4 * outputs),
    ):
        if re.search(layer, name):
            return FLUX if flux else KLEIN if klein else ""
    return ""


def _unet(shapes: Shapes, notes: Mapping[str, str]) -> str | Refusal:
    widths = {inputs for name, (inputs, _) in shapes.items() if _CONTEXT.search(name)}
    if len(widths) == 1:
        found = _TEXT_WIDTHS.get(width := widths.pop())
        if found is None:
            return _unknown(f"it reads texts of {width} numbers per token, which no UNet here does")
        return found if found in TITLES else _other(found)
    if widths:
        return _unknown("its layers read texts of several widths")
    text = "\n".join(shapes)
    if re.search(r"(?:^|\n)(?:te2_|(?:input|output|middle)_block\w*_1_transformer_blocks_[2-9]_)", text):
        return SDXL
    if re.search(r"(?:^|\n)(?:down_blocks_[03]_attentions|down_blocks_3_|up_blocks_3_)", text):
        return SD15  # SDXL has three levels, and no attention on the first one
    if re.search(r"(?:^|\n)(?:down_blocks_2_|up_blocks_0_|mid_block_)attentions_\d_transformer_blocks_[1-9]", text):
        return SDXL  # SD 1.5 has one of them at each place
    return _noted(shapes, notes)


def _noted(shapes: Shapes, notes: Mapping[str, str]) -> str | Refusal:
    """As its notes say, for what its layers do not tell: a LoRA for text encoders alone, or for very few layers."""
    if any(name.startswith("te2_") and inputs in (1280, 5120) for name, (inputs, _) in shapes.items()):
        return SDXL  # CLIP-G
    is_text = any(re.match(r"te\d?_(?:text_model_|(?:model_)?layers_\d)", name) for name in shapes)
    is_unet = re.search(
        r"(?:^|\n)(?:down_blocks|up_blocks|mid_block|input_blocks|middle_block|output_blocks)_", "\n".join(shapes)
    )
    noted = _in_notes(notes)
    if noted and (is_text or (is_unet and noted in (SD15, SDXL))):
        return noted
    if any(name.startswith("te_text_model_") and inputs in (768, 3072) for name, (inputs, _) in shapes.items()):
        return SD15  # kohya numbers the text encoders of models that have two
    if is_text or is_unet:
        return _unknown("its layers are in several families alike, and it does not say which it is for")
    return _unknown("its layers have names of no family that is known here")


def _in_notes(notes: Mapping[str, str]) -> str:
    text = " ".join(notes[key][:_MOST_NOTE].lower() for key in _NOTES if key in notes)
    return next((base for pattern, base in _IN_NOTES if pattern.search(text)), "")


def _highest(pattern: re.Pattern[str], names: Iterable[str]) -> int:
    return max((int(found[1][:6]) for name in names if (found := pattern.search(name))), default=-1)


def _other(title: str) -> Refusal:
    return Refusal(
        what=f"a LoRA for {title}",
        reason="that is not drawn here",
        instead=f"take one for {', '.join(TITLES.values())}",
    )


def _unknown(reason: str) -> Refusal:
    return Refusal(
        what="a LoRA for some other model", reason=reason, instead=f"take one for {', '.join(TITLES.values())}"
    )
