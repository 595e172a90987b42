"""UNets of Stable Diffusion, in CompVis's names and diffusers', and which of the family's models a file is.

Sources: CompVis/latent-diffusion:ldm/modules/diffusionmodules/openaimodel.py;
huggingface/diffusers:src/diffusers/models/unets/unet_2d_condition.py;
Stability-AI/generative-models:configs/inference/.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pipeline.catalog.layouts.findings import Finding, refused
from pipeline.catalog.layouts.templates import MOST_LISTED, Template, absent, blocks_of
from pipeline.catalog.layouts.tensors import Tensors, unskipped
from pipeline.catalog.parts import Naming, PartKind

_TAKE: Final = "take Stable Diffusion 1.5, SDXL, or a fine-tune of them for text to image"
_ATTENTION: Final = ("norm", "proj_in", "proj_out")
_TRANSFORMER: Final = (
    "norm1",
    "norm2",
    "norm3",
    *(f"attn{n}.to_{each}.weight" for n in (1, 2) for each in "qkv"),
    "attn1.to_out.0",
    "attn2.to_out.0",
    "ff.net.0.proj",
    "ff.net.2",
)
_RESNET_ORIGINAL: Final = ("in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3")
_RESNET_DIFFUSERS: Final = ("norm1", "conv1", "time_emb_proj", "norm2", "conv2")
_IS_RESNET: Final = "(in_layers.|emb_layers.|out_layers.)"
_IS_ATTENTION: Final = "(proj_in.|proj_out.|transformer_blocks.)"


def _original(label: bool) -> Template:
    places = ("input_blocks.#.#.", "output_blocks.#.#.", "middle_block.#.")
    return Template(
        rest=(
            "time_embed.0",
            "time_embed.2",
            "input_blocks.0.0",
            "out.0",
            "out.2",
            *(("label_emb.0.0", "label_emb.0.2") if label else ()),
        ),
        blocks=(
            *((f"{place}{_IS_RESNET}", _RESNET_ORIGINAL) for place in places),
            *((f"{place}{_IS_ATTENTION}", _ATTENTION) for place in places),
            *((f"{place}transformer_blocks.#.", _TRANSFORMER) for place in places),
        ),
        needs=tuple(f"{place}{_IS_RESNET}" for place in places),
    )


def _diffusers(label: bool) -> Template:
    return Template(
        rest=(
            "time_embedding.linear_1",
            "time_embedding.linear_2",
            "conv_in",
            "conv_norm_out",
            "conv_out",
            *(("add_embedding.linear_1", "add_embedding.linear_2") if label else ()),
        ),
        blocks=tuple(
            pattern
            for place in ("down_blocks.#.", "up_blocks.#.", "mid_block.")
            for pattern in (
                (f"{place}resnets.#.", _RESNET_DIFFUSERS),
                (f"{place}attentions.#.", _ATTENTION),
                (f"{place}attentions.#.transformer_blocks.#.", _TRANSFORMER),
            )
        ),
        needs=("down_blocks.#.resnets.#.", "up_blocks.#.resnets.#.", "mid_block.resnets.#."),
    )


_CONTEXT_1: Final = 768  # width of the text that attention looks at
_CONTEXT_2: Final = 1024
_CONTEXT_REFINER: Final = 1280
_IMAGE_CHANNELS: Final = 4  # of latents
_OTHER_CHANNELS: Final = {
    9: ("an inpainting model", "it fills masked places of an image and cannot draw without one"),
    8: ("InstructPix2Pix", "it edits an image that it is shown and cannot draw without one"),
    7: ("an upscaling model", "it enlarges an image that it is shown"),
    5: ("a depth-to-image model", "it follows a depth map and cannot draw without one"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """Where one spelling of a UNet keeps what tells the models of the family apart.

    label: what its second embedding's names begin with, which SDXL has.
    first: the first layer of all.
    levels: the pattern of the levels down.
    attention: matches what the names of an attention begin with.
    """

    naming: Naming
    label: str
    first: str
    levels: str
    attention: re.Pattern[str]
    templates: Mapping[bool, Template]


_IN_ORIGINAL: Final = _Names(
    naming=Naming.ORIGINAL,
    label="label_emb.",
    first="input_blocks.0.0.weight",
    levels="input_blocks.#.",
    attention=re.compile(r"((?:input_blocks\.\d+\.1|middle_block\.1)\.)transformer_blocks\.0\."),
    templates={label: _original(label) for label in (False, True)},
)
_IN_DIFFUSERS: Final = _Names(
    naming=Naming.DIFFUSERS,
    label="add_embedding.",
    first="conv_in.weight",
    levels="down_blocks.#.",
    attention=re.compile(r"((?:down_blocks\.\d+|mid_block)\.attentions\.0\.)transformer_blocks\.0\."),
    templates={label: _diffusers(label) for label in (False, True)},
)


def read_original(tensors: Tensors, hints: str) -> Finding:
    """CompVis's names."""
    finding = _finding(tensors, hints, _IN_ORIGINAL)
    lacks = finding.lacks or _unpaired(tensors.names) or unskipped(tensors, "in_layers.2", "skip_connection")
    return replace(finding, lacks=lacks)


def read_diffusers(tensors: Tensors, hints: str) -> Finding:
    """Names of diffusers' `UNet2DConditionModel`."""
    finding = _finding(tensors, hints, _IN_DIFFUSERS)
    downs = [f"{level}downsamplers.0.conv" for level in blocks_of("down_blocks.#.", tensors.names)[:-1]]
    ups = [f"{level}upsamplers.0.conv" for level in blocks_of("up_blocks.#.", tensors.names)[:-1]]
    lacks = finding.lacks or absent(tensors.names, downs + ups) or unskipped(tensors, "conv1", "conv_shortcut")
    return replace(finding, lacks=lacks)


def _finding(tensors: Tensors, hints: str, names: _Names) -> Finding:
    found = [match[1] for name in tensors.names if (match := names.attention.match(name)) is not None]
    attention = min(found, default="")
    context = tensors.side(1, f"{attention}transformer_blocks.0.attn2.to_k.weight")
    projection = tensors.shape(f"{attention}proj_in.weight")
    is_xl = tensors.any_in(names.label)
    is_second = not is_xl and context != _CONTEXT_1 and (context == _CONTEXT_2 or len(projection) == 2)
    name = "SDXL" if is_xl else "Stable Diffusion 2" if is_second else "Stable Diffusion 1.5"
    channels = tensors.side(1, names.first)
    if channels not in (0, _IMAGE_CHANNELS):
        title, reason = _OTHER_CHANNELS.get(channels, ("a model of another task", f"it takes {channels} channels"))
        return refused(f"{title} of the family of {name}", reason, _TAKE)
    if is_second:
        return refused("a Stable Diffusion 2 UNet", "that version is not drawn here", _TAKE)
    if is_xl and (context == _CONTEXT_REFINER or _ends_without_attention(tensors.names, names.levels)):
        return refused("the SDXL refiner", "it finishes images that SDXL began, and begins none", "take SDXL itself")
    if (special := _special(tensors, hints, name)) is not None:
        return special
    architecture = "sdxl" if is_xl else "sd15"
    return Finding(
        title=f"{name} UNet",
        kind=PartKind.DENOISER,
        architecture=architecture,
        variant=architecture,
        naming=names.naming,
        reads=() if is_xl else ((PartKind.CLIP_L, context),),
        lacks=names.templates[is_xl].lacks(tensors.names),
    )


def _special(tensors: Tensors, hints: str, name: str) -> Finding | None:
    names = {
        name
        for header in tensors.headers
        for name in ("v_pred", "edm_mean", "edm_vpred.sigma_max")
        if name in header.tensors
    }
    if "v_pred" in names or "edm_vpred.sigma_max" in names or re.search(r"(?<![a-z])v[-_ ]?pred", hints, re.IGNORECASE):
        return refused(f"a v-prediction model of the family of {name}", "it is drawn in another way", _TAKE)
    if "edm_mean" in names:
        return refused("Playground v2.5", "it is drawn in another way than SDXL", _TAKE)
    if tensors.any_in("time_embedding.cond_proj.", "time_embed.cond_proj."):
        return refused(f"a latent consistency model of {name}", "it is drawn in another way", _TAKE)
    return None


def _ends_without_attention(names: Collection[str], pattern: str) -> bool:
    """Whether the last level down has no attention and the middle has: so is SDXL's refiner, and not SDXL."""
    blocks = blocks_of(pattern, names)
    has_middle = any(name.startswith(("middle_block.1.", "mid_block.attentions.")) for name in names)
    return (
        has_middle
        and bool(blocks)
        and not any(name.startswith(blocks[-1]) and "transformer_blocks" in name for name in names)
    )


def _unpaired(names: Collection[str]) -> tuple[str, ...]:
    """What of the way up is missing: it has as many blocks as the way down, and no holes."""
    downs = {int(match[1]) for name in names if (match := re.match(r"input_blocks\.(\d{1,3})\.", name))}
    ups = {int(match[1]) for name in names if (match := re.match(r"output_blocks\.(\d{1,3})\.", name))}
    missing = [f"input_blocks.{n}" for n in range(max(downs, default=0) + 1) if n not in downs]
    missing += [f"output_blocks.{n}" for n in range(max(downs, default=-1) + 1) if n not in ups]
    if missing:
        return tuple(f"{block}.0.in_layers.0.weight" for block in missing[:MOST_LISTED])
    halvings = sum(name.endswith(".0.op.weight") for name in names)
    doublings = sum(re.fullmatch(r"output_blocks\.\d+\.[12]\.conv\.weight", name) is not None for name in names)
    return ("output_blocks.2.1.conv.weight",) if doublings < halvings else ()
