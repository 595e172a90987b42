"""Text encoders: T5, CLIP-L, CLIP-G and Qwen3, in the spellings that people have on disk.

Sources: huggingface/transformers (T5EncoderModel, CLIPTextModel); mlfoundations/open_clip;
ggml-org/llama.cpp:gguf-py/gguf/tensor_mapping.py;
modelscope/DiffSynth-Studio:diffsynth/models/flux_text_encoder_clip.py.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from pipeline.catalog.layouts.findings import Finding, refused
from pipeline.catalog.layouts.templates import Template
from pipeline.catalog.layouts.tensors import Tensors
from pipeline.catalog.parts import Naming, PartKind

T5: Final = Template(
    rest=(
        "shared.weight|encoder.embed_tokens.weight",
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        "encoder.final_layer_norm.weight",
    ),
    blocks=(
        (
            "encoder.block.#.",
            (
                *(f"layer.0.SelfAttention.{each}.weight" for each in "qkvo"),
                "layer.0.layer_norm.weight",
                *(f"layer.1.DenseReluDense.{each}.weight" for each in ("wi_0", "wi_1", "wo")),
                "layer.1.layer_norm.weight",
            ),
        ),
    ),
    needs=("encoder.block.#.",),
)
CLIP: Final = Template(
    rest=(
        "embeddings.token_embedding.weight",
        "embeddings.position_embedding.weight",
        "final_layer_norm",
    ),
    blocks=(
        (
            "encoder.layers.#.",
            (
                *(f"self_attn.{each}_proj" for each in ("q", "k", "v", "out")),
                "layer_norm1",
                "layer_norm2",
                "mlp.fc1",
                "mlp.fc2",
            ),
        ),
    ),
    needs=("encoder.layers.#.",),
)
CLIP_DIFFSYNTH: Final = Template(
    rest=("token_embedding.weight", "=position_embeds", "final_layer_norm"),
    blocks=(
        (
            "encoders.#.",
            (
                *(f"attn.to_{each}" for each in ("q", "k", "v", "out")),
                "layer_norm1",
                "layer_norm2",
                "fc1",
                "fc2",
            ),
        ),
    ),
    needs=("encoders.#.",),
)


_FEED_FORWARD: Final = ("ffn_gate", "ffn_up", "ffn_down", "ffn_norm")
_T5_LLAMA_CPP_BLOCK: Final = ("attn_q", "attn_k", "attn_v", "attn_o", "attn_norm", *_FEED_FORWARD)
T5_LLAMA_CPP: Final = Template(
    rest=("token_embd.weight", "enc.blk.0.attn_rel_b.weight", "enc.output_norm.weight"),
    blocks=(("enc.blk.#.", tuple(f"{each}.weight" for each in _T5_LLAMA_CPP_BLOCK)),),
    needs=("enc.blk.#.",),
)
OPEN_CLIP: Final = Template(
    rest=("token_embedding.weight", "=positional_embedding", "ln_final"),
    blocks=(
        (
            "transformer.resblocks.#.",
            (
                "=attn.in_proj_weight",
                "=attn.in_proj_bias",
                "attn.out_proj",
                "ln_1",
                "ln_2",
                "mlp.c_fc",
                "mlp.c_proj",
            ),
        ),
    ),
    needs=("transformer.resblocks.#.",),
)
QWEN3: Final = Template(
    rest=("model.embed_tokens.weight",),
    blocks=(
        (
            "model.layers.#.",
            (
                *(f"self_attn.{each}_proj.weight" for each in "qkvo"),
                *(f"self_attn.{each}_norm.weight" for each in "qk"),
                *(f"mlp.{each}_proj.weight" for each in ("gate", "up", "down")),
                "input_layernorm.weight",
                "post_attention_layernorm.weight",
            ),
        ),
    ),
    needs=("model.layers.#.",),
)
_QWEN3_LLAMA_CPP_BLOCK: Final = (*(f"attn_{each}" for each in ("q", "k", "v", "output", "q_norm", "k_norm", "norm")),)
QWEN3_LLAMA_CPP: Final = Template(
    rest=("token_embd.weight",),
    blocks=(("blk.#.", tuple(f"{each}.weight" for each in (*_QWEN3_LLAMA_CPP_BLOCK, *_FEED_FORWARD))),),
    needs=("blk.#.",),
)
_PROJECTIONS: Final = ("text_projection.weight", "text_projection")
_NAMED_G: Final = re.compile(r"clip[-_ ]?g|big[-_]?g|embedders\.1\b|text_encoder_2|te2\b", re.IGNORECASE)
_NAMED_L: Final = re.compile(r"clip[-_ ]?l|vit[-_]?l|embedders\.0\b|cond_stage_model", re.IGNORECASE)
_WIDTH_L: Final = 768
_WIDTH_H: Final = 1024  # of Stable Diffusion 2
_WIDTH_G: Final = 1280
_TEXT_MODEL: Final = "text_model."
_WORDS: Final = "embeddings.token_embedding.weight"
_T5_DISTANCES: Final = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
_T5_BUCKETS: Final = 32
_PLACES: Final = "embeddings.position_embedding.weight"
CLIP_TOKENS: Final = 77
_LONG_CLIP_TOKENS: Final = 248
_LAST: Final = "final_layer_norm.weight"
_TAKE_CLIP: Final = "take clip_l for FLUX.1 and Stable Diffusion 1.5, and clip_g beside it for SDXL"
_TAKE_QWEN3: Final = "take qwen_3_4b, or Qwen3-4B in GGUF"
_TAKE_T5: Final = "take t5xxl, in f16, fp8 or GGUF"


def read_t5(tensors: Tensors, _hints: str) -> Finding:
    """T5's encoder; its decoder, if there is one, is not looked at."""
    bias = "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight"
    if tensors.has(bias) or tensors.has(f"{bias}_scale"):
        return refused("UMT5, the text encoder of Wan", "FLUX.1 was trained with T5 v1.1", _TAKE_T5)
    if tensors.has("encoder.block.0.layer.1.DenseReluDense.wi.weight"):
        return refused("T5 v1.0", "FLUX.1 was trained with T5 v1.1", _TAKE_T5)
    if (odd := _of_other_heads(tensors, _T5_DISTANCES, "encoder.block.0.layer.0.SelfAttention.q.weight")) is not None:
        return odd
    return Finding(
        title="T5 text encoder",
        kind=PartKind.T5,
        architecture="flux",
        naming=Naming.TRANSFORMERS,
        width=tensors.side(0, "encoder.final_layer_norm.weight"),
        lacks=T5.lacks(tensors.names),
    )


def _of_other_heads(tensors: Tensors, distances: str, queries: str) -> Finding | None:
    """A T5 whose table of distances (buckets, heads) is no table of T5 v1.1."""
    if not tensors.has(distances) or not tensors.has(queries):
        return None
    buckets, heads, width = tensors.side(0, distances), tensors.side(1, distances), tensors.side(0, queries)
    if buckets == _T5_BUCKETS and heads and width % heads == 0:
        return None
    reason = f"it has {heads} heads with {buckets} distances in a width of {width}"
    return refused("a T5 text encoder of another kind", reason, _TAKE_T5)


def read_t5_llama_cpp(tensors: Tensors, _hints: str) -> Finding:
    """T5's encoder under the names of llama.cpp."""
    if tensors.has("enc.blk.1.attn_rel_b.weight"):
        return refused("UMT5, the text encoder of Wan", "FLUX.1 was trained with T5 v1.1", _TAKE_T5)
    if (odd := _of_other_heads(tensors, "enc.blk.0.attn_rel_b.weight", "enc.blk.0.attn_q.weight")) is not None:
        return odd
    return Finding(
        title="T5 text encoder",
        kind=PartKind.T5,
        architecture="flux",
        naming=Naming.LLAMA_CPP,
        width=tensors.side(0, "enc.output_norm.weight"),
        lacks=T5_LLAMA_CPP.lacks(tensors.names),
    )


def read_clip(tensors: Tensors, hints: str) -> Finding:
    """A CLIP text encoder under transformers' names; those of 2022 did not begin with `text_model.`."""
    names = frozenset(name.removeprefix(_TEXT_MODEL) for name in tensors.names)
    if _WORDS not in names and not tensors.any_in(_TEXT_MODEL):
        return refused("a transformer of another kind", "its names fit no text encoder that is used here", _TAKE_CLIP)
    width = tensors.side(0, f"{_TEXT_MODEL}{_LAST}", _LAST)
    before = _TEXT_MODEL if tensors.any_in(_TEXT_MODEL) else ""
    lacks = tuple(f"{before}{name}" for name in CLIP.lacks(names))
    if (longer := _longer(tensors, f"{_TEXT_MODEL}{_PLACES}", _PLACES)) is not None:
        return longer
    return _clip(tensors, hints, Naming.TRANSFORMERS, lacks, width)


def read_open_clip(tensors: Tensors, hints: str) -> Finding:
    """A CLIP text encoder under OpenCLIP's names."""
    width = tensors.side(0, "ln_final.weight")
    if (longer := _longer(tensors, "positional_embedding")) is not None:
        return longer
    return _clip(tensors, hints, Naming.ORIGINAL, OPEN_CLIP.lacks(tensors.names), width)


def _longer(tensors: Tensors, *places: str) -> Finding | None:
    """LongCLIP (arXiv 2403.15378) and others that read another number of tokens at a time."""
    tokens = tensors.side(0, *places)
    if tokens in (0, CLIP_TOKENS):
        return None
    what = "LongCLIP" if tokens == _LONG_CLIP_TOKENS else "a CLIP text encoder of another length"
    return refused(what, f"it reads {tokens} tokens at a time instead of {CLIP_TOKENS}", _TAKE_CLIP)


def _clip(tensors: Tensors, hints: str, naming: Naming, lacks: tuple[str, ...], width: int) -> Finding:
    """Tell CLIP-L from CLIP-G: by the place in a checkpoint, by the width, by the name of the file or folder."""
    if width == _WIDTH_H:
        return refused(
            "OpenCLIP's text encoder of Stable Diffusion 2",
            "that version is not drawn here",
            _TAKE_CLIP,
        )
    is_g = width == _WIDTH_G or (width != _WIDTH_L and _is_named_g(tensors.prefix, hints, naming))
    if is_g and not any(name in tensors.names for name in _PROJECTIONS):
        lacks = (*lacks, _PROJECTIONS[0])
    return Finding(
        title="CLIP-G text encoder" if is_g else "CLIP-L text encoder",
        kind=PartKind.CLIP_G if is_g else PartKind.CLIP_L,
        architecture="sdxl" if is_g else "sd15",
        naming=naming,
        width=width,
        lacks=lacks,
    )


def _is_named_g(prefix: str, hints: str, naming: Naming) -> bool:
    for text in (prefix, hints):
        if _NAMED_G.search(text):
            return True
        if _NAMED_L.search(text):
            return False
    return naming is Naming.ORIGINAL  # only CLIP-G comes in OpenCLIP's names


def read_clip_diffsynth(tensors: Tensors, _hints: str) -> Finding:
    """The demo's CLIP."""
    return Finding(
        title="demo CLIP text encoder",
        kind=PartKind.CLIP_L,
        architecture="flux",
        variant="demo",
        naming=Naming.DIFFSYNTH,
        width=tensors.side(0, "final_layer_norm.weight"),
        lacks=CLIP_DIFFSYNTH.lacks(tensors.names),
    )


def read_vision(_tensors: Tensors, _hints: str) -> Finding:
    """The half of CLIP or SigLIP that sees."""
    return replace(
        refused(
            "an image encoder",
            "it looks at images and reads no prompts",
            "take a text encoder: clip_l, clip_g, t5xxl",
        ),
        is_extra=True,
    )


def read_language_model(tensors: Tensors, _hints: str) -> Finding:
    """Qwen3, or another language model that newer families read prompts with."""
    is_gguf = tensors.any_in("blk.")
    norm = "blk.0.attn_q_norm.weight" if is_gguf else "model.layers.0.self_attn.q_norm.weight"
    is_qwen3 = norm in tensors.names and not tensors.any_in(
        "blk.0.post_attention_norm", "model.layers.0.pre_feedforward_layernorm"
    )
    if not is_qwen3:
        return refused(
            "a language model",
            "the text encoders of the models that are drawn here are CLIP, T5 and Qwen3",
            "take clip_l, clip_g, t5xxl or qwen_3_4b",
        )
    if any(name.endswith((".ffn_gate_exps.weight", ".mlp.experts.0.gate_proj.weight")) for name in tensors.names):
        return refused(
            "a Qwen3 model of several experts", "the models that are drawn here read with a plain one", _TAKE_QWEN3
        )
    return Finding(
        title="Qwen3 text encoder",
        kind=PartKind.QWEN3,
        architecture="z-image",
        naming=Naming.LLAMA_CPP if is_gguf else Naming.TRANSFORMERS,
        width=tensors.side(1, "token_embd.weight", "model.embed_tokens.weight"),
        lacks=(QWEN3_LLAMA_CPP if is_gguf else QWEN3).lacks(tensors.names),
    )
