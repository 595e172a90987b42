"""FLUX.2 transformers: their names in two spellings, and which of the family's models a file is.

Sources: black-forest-labs/flux2:src/flux2/model.py; huggingface/diffusers:
src/diffusers/models/transformers/transformer_flux2.py; modelscope/DiffSynth-Studio:diffsynth/configs/model_configs.py
(sizes of the published models).
"""

from __future__ import annotations

import re
from typing import Final

from pipeline.catalog.layouts.findings import Finding, refused
from pipeline.catalog.layouts.templates import Template
from pipeline.catalog.layouts.tensors import Tensors
from pipeline.catalog.parts import Naming, PartKind

MARK: Final = "double_stream_modulation_img."  # what all blocks of a kind share, and FLUX.1 does not have


def _weights(*names: str) -> tuple[str, ...]:
    """Nothing in these transformers has a bias."""
    return tuple(f"{name}.weight" for name in names)


_QK_ORIGINAL: Final = ("norm.query_norm.scale|norm.query_norm.weight", "norm.key_norm.scale|norm.key_norm.weight")
ORIGINAL: Final = Template(
    rest=_weights(
        "img_in",
        "txt_in",
        "time_in.in_layer",
        "time_in.out_layer",
        "double_stream_modulation_img.lin",
        "double_stream_modulation_txt.lin",
        "single_stream_modulation.lin",
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
                    *_weights("attn.qkv", "attn.proj", "mlp.0", "mlp.2"),
                    *(f"attn.{each}" for each in _QK_ORIGINAL),
                )
            ),
        ),
        ("single_blocks.#.", (*_weights("linear1", "linear2"), *_QK_ORIGINAL)),
    ),
    needs=("double_blocks.#.", "single_blocks.#."),
)
DIFFUSERS: Final = Template(
    rest=_weights(
        "x_embedder",
        "context_embedder",
        "time_guidance_embed.timestep_embedder.linear_1",
        "time_guidance_embed.timestep_embedder.linear_2",
        "double_stream_modulation_img.linear",
        "double_stream_modulation_txt.linear",
        "single_stream_modulation.linear",
        "norm_out.linear",
        "proj_out",
    ),
    blocks=(
        (
            "transformer_blocks.#.",
            _weights(
                *(f"attn.{each}" for each in ("to_q", "to_k", "to_v", "to_out.0")),
                *(f"attn.{each}" for each in ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")),
                *(f"attn.norm_{each}" for each in ("q", "k", "added_q", "added_k")),
                *(f"{each}.{layer}" for each in ("ff", "ff_context") for layer in ("linear_in", "linear_out")),
            ),
        ),
        (
            "single_transformer_blocks.#.",
            _weights(*(f"attn.{each}" for each in ("to_qkv_mlp_proj", "to_out", "norm_q", "norm_k"))),
        ),
    ),
    needs=("transformer_blocks.#.", "single_transformer_blocks.#."),
)
_CHANNELS: Final = 128  # of a token: 32 latent channels in patches of 2 × 2
_READINGS: Final = 3  # of the text encoder, side by side
_LARGER: Final = {  # by the width of the transformer
    4096: ("FLUX.2 [klein] 9B", "its text encoder, Qwen3-8B, is too large for the GPUs that this is for"),
    6144: ("FLUX.2 [dev]", "with 32 billion weights it is too large for the GPUs that this is for"),
}
_BASE: Final = re.compile(r"klein[-_ ]?base|base[-_ ]?4b|undistilled", re.IGNORECASE)
_TAKE: Final = "take FLUX.2 [klein] 4B"


def read(tensors: Tensors, hints: str, naming: Naming) -> Finding:
    """Say which model of the family it is; klein 4B is the one that is drawn with."""
    is_original = naming is Naming.ORIGINAL
    first, text = ("img_in", "txt_in") if is_original else ("x_embedder", "context_embedder")
    if tensors.any_in("guidance_in.", "time_guidance_embed.guidance_embedder."):
        return refused(*_LARGER[6144], _TAKE)
    width, channels = (tensors.side(each, f"{first}.weight") for each in (0, 1))
    if width in _LARGER:
        return refused(*_LARGER[width], _TAKE)
    if channels not in (0, _CHANNELS):
        reason = f"its tokens have {channels} values instead of {_CHANNELS}"
        return refused("a FLUX.2 transformer for another task", reason, _TAKE)
    if _BASE.search(hints):
        reason = "it needs classifier-free guidance and fifty steps, which is not offered for this family"
        return refused("FLUX.2 [klein] 4B Base", reason, "take FLUX.2 [klein] 4B without Base in its name")
    template = ORIGINAL if is_original else DIFFUSERS
    return Finding(
        title="FLUX.2 [klein] 4B transformer",
        kind=PartKind.DENOISER,
        architecture="flux2-klein",
        variant="flux2-klein-4b",
        naming=naming,
        reads=((PartKind.QWEN3, tensors.side(1, f"{text}.weight") // _READINGS),),
        lacks=template.lacks(tensors.names),
    )
