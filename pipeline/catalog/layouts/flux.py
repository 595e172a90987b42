"""FLUX.1 transformers: their names in three spellings, and which of the family's models a file is.

Sources: black-forest-labs/flux:src/flux/model.py, util.py (sizes of the published models);
huggingface/diffusers:src/diffusers/models/transformers/transformer_flux.py;
modelscope/DiffSynth-Studio:diffsynth/models/flux_dit.py.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from pipeline.catalog.layouts import flux2
from pipeline.catalog.layouts.findings import Finding, refused
from pipeline.catalog.layouts.templates import Template
from pipeline.catalog.layouts.tensors import Tensors
from pipeline.catalog.parts import Naming, PartKind

_QK_ORIGINAL: Final = ("norm.query_norm.scale|norm.query_norm.weight", "norm.key_norm.scale|norm.key_norm.weight")
ORIGINAL: Final = Template(
    rest=(
        "img_in",
        "txt_in",
        *(f"{each}.{layer}" for each in ("time_in", "vector_in") for layer in ("in_layer", "out_layer")),
        "final_layer.linear",
        "final_layer.adaLN_modulation.1",
    ),
    blocks=(
        (
            "double_blocks.#.",
            tuple(
                f"{stream}_{leaf}".replace("|", f"|{stream}_attn.")
                for stream in ("img", "txt")
                for leaf in (
                    "mod.lin",
                    "attn.qkv",
                    "attn.proj",
                    *(f"attn.{each}" for each in _QK_ORIGINAL),
                    "mlp.0",
                    "mlp.2",
                )
            ),
        ),
        ("single_blocks.#.", ("linear1", "linear2", "modulation.lin", *_QK_ORIGINAL)),
    ),
    needs=("double_blocks.#.", "single_blocks.#."),
)
_GUIDANCE_ORIGINAL: Final = ("guidance_in.in_layer", "guidance_in.out_layer")

DIFFUSERS: Final = Template(
    rest=(
        "x_embedder",
        "context_embedder",
        *(f"time_text_embed.{each}_embedder.linear_{n}" for each in ("timestep", "text") for n in (1, 2)),
        "norm_out.linear",
        "proj_out",
    ),
    blocks=(
        (
            "transformer_blocks.#.",
            (
                "norm1.linear",
                "norm1_context.linear",
                *(f"attn.{each}" for each in ("to_q", "to_k", "to_v", "to_out.0")),
                *(f"attn.{each}" for each in ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")),
                *(f"attn.norm_{each}.weight" for each in ("q", "k", "added_q", "added_k")),
                *(f"{each}.net.{layer}" for each in ("ff", "ff_context") for layer in ("0.proj", "2")),
            ),
        ),
        (
            "single_transformer_blocks.#.",
            (
                "norm.linear",
                "proj_mlp",
                "proj_out",
                *(f"attn.{each}" for each in ("to_q", "to_k", "to_v", "norm_q.weight", "norm_k.weight")),
            ),
        ),
    ),
    needs=("transformer_blocks.#.", "single_transformer_blocks.#."),
)
_GUIDANCE_DIFFUSERS: Final = tuple(f"time_text_embed.guidance_embedder.linear_{n}" for n in (1, 2))

DIFFSYNTH: Final = Template(
    rest=(
        "x_embedder",
        "context_embedder",
        *(f"time_embedder.timestep_embedder.{n}" for n in (0, 2)),
        *(f"pooled_text_embedder.{n}" for n in (0, 2)),
        "final_norm_out.linear",
        "final_proj_out",
    ),
    blocks=(
        (
            "blocks.#.",
            (
                *(f"norm1_{stream}.linear" for stream in "ab"),
                *(f"attn.{stream}_to_{each}" for stream in "ab" for each in ("qkv", "out")),
                *(f"attn.norm_{each}_{stream}.weight" for stream in "ab" for each in "qk"),
                *(f"ff_{stream}.{n}" for stream in "ab" for n in (0, 2)),
            ),
        ),
        ("single_blocks.#.", ("to_qkv_mlp", "proj_out", "norm.linear", "norm_k_a.weight", "norm_q_a.weight")),
    ),
    needs=("blocks.#.", "single_blocks.#."),
)
_GUIDANCE_DIFFSYNTH: Final = tuple(f"guidance_embedder.timestep_embedder.{n}" for n in (0, 2))

_READERS: Final = {  # of T5's tokens, and of CLIP-L's one vector
    Naming.ORIGINAL: ("txt_in.weight", "vector_in.in_layer.weight"),
    Naming.DIFFUSERS: ("context_embedder.weight", "time_text_embed.text_embedder.linear_1.weight"),
    Naming.DIFFSYNTH: ("context_embedder.weight", "pooled_text_embedder.0.weight"),
}
_NORMS_OF_HEADS: Final = (
    "single_blocks.0.norm.query_norm.scale",
    "single_blocks.0.norm.query_norm.weight",
    "single_transformer_blocks.0.attn.norm_q.weight",
    "single_blocks.0.norm_q_a.weight",
)
_HEAD_MULTIPLE: Final = 32
_T5_XXL_WIDTH: Final = 4096  # of FLUX.1's texts; the demo's are narrower
_TOKEN_VALUES: Final = 64  # 16 latent channels in patches of 2 × 2
_TAKE: Final = "take FLUX.1 [dev], FLUX.1 [schnell], or a fine-tune of them for text to image"
# Published models of the family that no shape tells, by hints: a file's name, its notes, a pipeline's class. Who takes
# guidance away from [dev] leaves a file with the shapes of [schnell]; nobody can tell those apart by their heads.
_HINTED: Final = (
    (re.compile(r"kontext", re.IGNORECASE), "FLUX.1 Kontext [dev]", "it edits an image that it is shown"),
    (
        re.compile(r"(?:de|un)[-_ ]?distill|open[-_ ]?flux|libre[-_ ]?flux|consolidated_s\d", re.IGNORECASE),
        "a de-distilled FLUX.1",
        "it needs classifier-free guidance, two passes per step, which is not offered for this family",
    ),
    (re.compile(r"dev2pro", re.IGNORECASE), "FLUX.1 Dev2Pro", "it is for training LoRAs and draws blurred images"),
)


def read_original(tensors: Tensors, hints: str) -> Finding:
    """Black Forest Labs' names."""
    if tensors.any_in(flux2.MARK):
        return flux2.read(tensors, hints, Naming.ORIGINAL)
    return _finding(tensors, hints, ORIGINAL, _GUIDANCE_ORIGINAL, Naming.ORIGINAL, "img_in.weight")


def read_diffusers(tensors: Tensors, hints: str) -> Finding:
    """Names of diffusers' `FluxTransformer2DModel`."""
    if tensors.any_in(flux2.MARK):
        return flux2.read(tensors, hints, Naming.DIFFUSERS)
    if not tensors.any_in("single_transformer_blocks.", "time_text_embed.text_embedder."):
        return refused("a transformer of another family", "it is not drawn here", _TAKE)
    return _finding(tensors, hints, DIFFUSERS, _GUIDANCE_DIFFUSERS, Naming.DIFFUSERS, "x_embedder.weight")


def read_diffsynth(tensors: Tensors, hints: str) -> Finding:
    """DiffSynth's names, which the demo has, and what DiffSynth saves of the others."""
    found = _finding(tensors, hints, DIFFSYNTH, _GUIDANCE_DIFFSYNTH, Naming.DIFFSYNTH, "x_embedder.weight")
    is_demo = tensors.side(1, "context_embedder.weight") != _T5_XXL_WIDTH
    return replace(found, title="demo transformer", variant="demo") if found.kind and is_demo else found


def _with_guidance(template: Template, guidance: tuple[str, ...], names: Collection[str]) -> Template:
    stem = guidance[0].rsplit(".", 1)[0]
    if not any(name.startswith(stem) for name in names):
        return template
    return Template(rest=(*template.rest, *guidance), blocks=template.blocks, needs=template.needs)


def _finding(
    tensors: Tensors, hints: str, template: Template, guidance: tuple[str, ...], naming: Naming, first: str
) -> Finding:
    if (finding := _special(tensors.side(1, first), hints)) is not None:
        return finding
    if (finding := _of_other_heads(tensors, first)) is not None:
        return finding
    whole = _with_guidance(template, guidance, tensors.names)
    has_guidance = whole is not template
    name = "dev" if has_guidance else "schnell"
    is_krea = has_guidance and "krea" in hints.lower()
    return Finding(
        title=f"FLUX.1 {'Krea ' if is_krea else ''}[{name}] transformer",
        kind=PartKind.DENOISER,
        architecture="flux",
        variant=f"flux1-{name}",
        naming=naming,
        reads=_reads(tensors, *_READERS[naming]),
        lacks=whole.lacks(tensors.names),
    )


def _of_other_heads(tensors: Tensors, first: str) -> Finding | None:
    """A transformer whose width is not made of heads that three axes can share."""
    width, head = tensors.side(0, first), tensors.side(0, *_NORMS_OF_HEADS)
    if 0 in (width, head) or (head % _HEAD_MULTIPLE == 0 and width % head == 0):
        return None
    return refused("a FLUX.1 transformer of another size", f"it has heads of {head} in a width of {width}", _TAKE)


def _reads(tensors: Tensors, texts: str, pooled: str) -> tuple[tuple[PartKind, int], ...]:
    """How wide T5 and CLIP-L have to be."""
    return (PartKind.T5, tensors.side(1, texts)), (PartKind.CLIP_L, tensors.side(1, pooled))


def _special(token: int, hints: str) -> Finding | None:
    """A model of the family that does something else than draw images from texts."""
    if token == 6 * _TOKEN_VALUES:
        return refused("FLUX.1 Fill [dev]", "it fills masked places of an image and cannot draw without one", _TAKE)
    if token == 2 * _TOKEN_VALUES:
        hinted = re.search(r"depth|canny", hints, re.IGNORECASE)
        title = f"FLUX.1 {hinted[0].capitalize()} [dev]" if hinted else "FLUX.1 Depth [dev] or Canny [dev]"
        return refused(title, "it follows a control image and cannot draw without one", _TAKE)
    if token not in (0, _TOKEN_VALUES):
        reason = f"its tokens have {token} values instead of {_TOKEN_VALUES}"
        return refused("a FLUX.1 transformer for another task", reason, _TAKE)
    for pattern, title, reason in _HINTED:
        if pattern.search(hints):
            return refused(title, reason, _TAKE)
    return None
