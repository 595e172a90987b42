"""Z-Image's transformer: its names in two spellings, and which of the family's models a file is.

Sources: comfyanonymous/ComfyUI:comfy/ldm/lumina/model.py, comfy/utils.py (`z_image_to_diffusers`);
huggingface/diffusers:src/diffusers/models/transformers/transformer_z_image.py;
city96/ComfyUI-GGUF:tools/convert.py, where it is a `lumina2`.
"""

from __future__ import annotations

import re
from typing import Final

from pipeline.catalog.layouts.findings import Finding, refused
from pipeline.catalog.layouts.templates import Template
from pipeline.catalog.layouts.tensors import Tensors
from pipeline.catalog.parts import Naming, PartKind

_FEED_FORWARD: Final = tuple(f"feed_forward.w{number}.weight" for number in (1, 2, 3))
_NORMS: Final = tuple(f"{each}_norm{number}.weight" for each in ("attention", "ffn") for number in (1, 2))
_REST: Final = (
    "=x_pad_token",
    "=cap_pad_token",
    "cap_embedder.0.weight",
    "cap_embedder.1",
    "t_embedder.mlp.0",
    "t_embedder.mlp.2",
)


def _template(attention: tuple[str, ...], patch: tuple[str, str]) -> Template:
    inner = (*(f"attention.{each}.weight" for each in attention), *_FEED_FORWARD, *_NORMS)
    return Template(
        rest=(*_REST, patch[0], f"{patch[1]}.linear", f"{patch[1]}.adaLN_modulation.1"),
        blocks=(
            ("layers.#.", (*inner, "adaLN_modulation.0")),
            ("noise_refiner.#.", (*inner, "adaLN_modulation.0")),
            ("context_refiner.#.", inner),
        ),
        needs=("layers.#.", "noise_refiner.#.", "context_refiner.#."),
    )


DIFFUSERS: Final = _template(
    ("to_q", "to_k", "to_v", "to_out.0", "norm_q", "norm_k"), ("all_x_embedder.2-1", "all_final_layer.2-1")
)
LUMINA: Final = _template(("qkv", "out", "q_norm", "k_norm"), ("x_embedder", "final_layer"))

_HEAD_MULTIPLE: Final = 16
_TOKEN_VALUES: Final = 64  # 16 latent channels in patches of 2 × 2
_TAKE: Final = "take Z-Image-Turbo, or a fine-tune of it for text to image"
# Published models of the family that no shape tells, by hints: a file's name, its notes.
_TURBO: Final = re.compile(r"turbo", re.IGNORECASE)
_HINTED: Final = (
    (re.compile(r"de[-_ ]?turbo|de[-_ ]?distill", re.IGNORECASE), "a de-distilled Z-Image-Turbo"),
    (re.compile(r"z[-_ ]?image[-_ ]?base", re.IGNORECASE), "Z-Image"),
    (re.compile(r"z[-_ ]?image(?:[-_ .]?(?:bf16|fp16|fp8|q\d|f16|i8)|\.)", re.IGNORECASE), "Z-Image"),
)
_NEEDS_GUIDANCE: Final = "it needs classifier-free guidance, two passes per step, which is not offered for this family"


def read_z_image(tensors: Tensors, hints: str) -> Finding:
    """Z-Image, which came of Lumina 2 and learned to pad."""
    if not tensors.has("cap_pad_token"):
        return refused("a Lumina 2 transformer", "its family is not drawn here", _TAKE)
    if tensors.any_in("siglip_"):
        return refused("Z-Image-Omni", "it looks at images as well, which is not offered for this family", _TAKE)
    if (odd := _of_other_sizes(tensors)) is not None:
        return odd
    for pattern, title in _HINTED:
        if pattern.search(hints) and (title != "Z-Image" or not _TURBO.search(hints)):
            return refused(title, _NEEDS_GUIDANCE, _TAKE)
    naming = Naming.DIFFUSERS if tensors.any_in("all_x_embedder.") else Naming.ORIGINAL
    return Finding(
        title="Z-Image-Turbo transformer",
        kind=PartKind.DENOISER,
        architecture="z-image",
        variant="z-image-turbo",
        naming=naming,
        reads=((PartKind.QWEN3, tensors.side(1, "cap_embedder.1.weight")),),
        lacks=(DIFFUSERS if naming is Naming.DIFFUSERS else LUMINA).lacks(tensors.names),
    )


def _of_other_sizes(tensors: Tensors) -> Finding | None:
    """A transformer that no module can be made for."""
    width = tensors.side(0, "all_x_embedder.2-1.weight", "x_embedder.weight")
    head = tensors.side(0, "layers.0.attention.norm_q.weight", "layers.0.attention.q_norm.weight")
    token = tensors.side(1, "all_x_embedder.2-1.weight", "x_embedder.weight")
    if token not in (0, _TOKEN_VALUES):
        reason = f"its tokens have {token} values instead of {_TOKEN_VALUES}"
        return refused("a Z-Image transformer for another task", reason, _TAKE)
    if 0 in (width, head) or (head % _HEAD_MULTIPLE == 0 and width % head == 0):
        return None
    return refused("a Z-Image transformer of another size", f"it has heads of {head} in a width of {width}", _TAKE)
