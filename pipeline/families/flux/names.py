"""The names that the tensors of FLUX.1's parts have in files → those of the modules.

One function per part understands every naming, since no two call different tensors alike: Black Forest Labs',
diffusers', transformers', OpenCLIP's, llama.cpp's, and DiffSynth's own, which the modules have. What a module has no
use for is left out. Each works on any group of tensors that holds what it joins, the block of a transformer for
example, and on the meta device as well, where it tells shapes. Must not know files or sizes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from pipeline.errors import GenerationFailed

Tensors = Mapping[str, Tensor]

TRANSFORMER: Final = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_embedder.timestep_embedder.0",
    "time_in.out_layer": "time_embedder.timestep_embedder.2",
    "guidance_in.in_layer": "guidance_embedder.timestep_embedder.0",
    "guidance_in.out_layer": "guidance_embedder.timestep_embedder.2",
    "vector_in.in_layer": "pooled_text_embedder.0",
    "vector_in.out_layer": "pooled_text_embedder.2",
    "final_layer.adaLN_modulation.1": "final_norm_out.linear",
    "final_layer.linear": "final_proj_out",
    "time_text_embed.timestep_embedder.linear_1": "time_embedder.timestep_embedder.0",
    "time_text_embed.timestep_embedder.linear_2": "time_embedder.timestep_embedder.2",
    "time_text_embed.guidance_embedder.linear_1": "guidance_embedder.timestep_embedder.0",
    "time_text_embed.guidance_embedder.linear_2": "guidance_embedder.timestep_embedder.2",
    "time_text_embed.text_embedder.linear_1": "pooled_text_embedder.0",
    "time_text_embed.text_embedder.linear_2": "pooled_text_embedder.2",
    "norm_out.linear": "final_norm_out.linear",
    "proj_out": "final_proj_out",
}
SWAPPED: Final = "norm_out.linear"  # diffusers has the scale first and then the shift, the others the reverse
_JOINT: Final = {
    "img_mod.lin": "norm1_a.linear",
    "txt_mod.lin": "norm1_b.linear",
    "img_attn.qkv": "attn.a_to_qkv",
    "txt_attn.qkv": "attn.b_to_qkv",
    "img_attn.norm.query_norm": "attn.norm_q_a",
    "img_attn.norm.key_norm": "attn.norm_k_a",
    "txt_attn.norm.query_norm": "attn.norm_q_b",
    "txt_attn.norm.key_norm": "attn.norm_k_b",
    "img_attn.proj": "attn.a_to_out",
    "txt_attn.proj": "attn.b_to_out",
    "img_mlp.0": "ff_a.0",
    "img_mlp.2": "ff_a.2",
    "txt_mlp.0": "ff_b.0",
    "txt_mlp.2": "ff_b.2",
    "norm1.linear": "norm1_a.linear",
    "norm1_context.linear": "norm1_b.linear",
    "attn.norm_q": "attn.norm_q_a",
    "attn.norm_k": "attn.norm_k_a",
    "attn.norm_added_q": "attn.norm_q_b",
    "attn.norm_added_k": "attn.norm_k_b",
    "attn.to_out.0": "attn.a_to_out",
    "attn.to_add_out": "attn.b_to_out",
    "ff.net.0.proj": "ff_a.0",
    "ff.net.2": "ff_a.2",
    "ff_context.net.0.proj": "ff_b.0",
    "ff_context.net.2": "ff_b.2",
}
_SINGLE: Final = {
    "modulation.lin": "norm.linear",
    "linear1": "to_qkv_mlp",
    "linear2": "proj_out",
    "norm.query_norm": "norm_q_a",
    "norm.key_norm": "norm_k_a",
    "attn.norm_q": "norm_q_a",
    "attn.norm_k": "norm_k_a",
}


class _Blocks(NamedTuple):
    """A list of blocks: the module's name of it, of what is in a block, and what diffusers keeps apart, in order."""

    name: str
    names: Mapping[str, str]
    joined: Mapping[str, tuple[str, ...]]


_JOINTS: Final = _Blocks(
    "blocks",
    _JOINT,
    {
        "attn.a_to_qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
        "attn.b_to_qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    },
)
_SINGLES: Final = _Blocks("single_blocks", _SINGLE, {"to_qkv_mlp": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")})
LISTS: Final = {
    "double_blocks": _JOINTS,
    "transformer_blocks": _JOINTS,
    "blocks": _JOINTS,
    "single_transformer_blocks": _SINGLES,
    "single_blocks": _SINGLES,
}
_IN_BLOCK: Final = re.compile(r"(?P<list>\w+)\.(?P<number>\d+)\.(?P<owner>.+)")

_T5: Final = re.compile(
    r"shared\.weight|encoder\.final_layer_norm\.weight|encoder\.block\.\d+\.layer\.(?:"
    r"0\.(?:SelfAttention\.(?:[qkvo]|relative_attention_bias)|layer_norm)|"
    r"1\.(?:DenseReluDense\.(?:wi_0|wi_1|wo)|layer_norm))\.weight"
)
# llama.cpp's, github.com/ggml-org/llama.cpp, gguf-py/gguf/tensor_mapping.py
_T5_GGUF: Final = {
    "token_embd": "shared",
    "enc.output_norm": "encoder.final_layer_norm",
}
_T5_GGUF_BLOCK: Final = {
    "attn_q": "0.SelfAttention.q",
    "attn_k": "0.SelfAttention.k",
    "attn_v": "0.SelfAttention.v",
    "attn_o": "0.SelfAttention.o",
    "attn_rel_b": "0.SelfAttention.relative_attention_bias",
    "attn_norm": "0.layer_norm",
    "ffn_gate": "1.DenseReluDense.wi_0",
    "ffn_up": "1.DenseReluDense.wi_1",
    "ffn_down": "1.DenseReluDense.wo",
    "ffn_norm": "1.layer_norm",
}

_CLIP: Final = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "position_embeds",
    "positional_embedding": "position_embeds",
    "token_embedding.weight": "token_embedding.weight",
    "position_embeds": "position_embeds",
    **{
        f"{name}.{each}": f"final_layer_norm.{each}"
        for name in ("final_layer_norm", "ln_final")
        for each in ("weight", "bias")
    },
}
CLIP_LAYER: Final = {
    "self_attn.q_proj": "attn.to_q",
    "self_attn.k_proj": "attn.to_k",
    "self_attn.v_proj": "attn.to_v",
    "self_attn.out_proj": "attn.to_out",
    "attn.out_proj": "attn.to_out",
    "layer_norm1": "layer_norm1",
    "layer_norm2": "layer_norm2",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.fc1": "fc1",
    "mlp.fc2": "fc2",
    "mlp.c_fc": "fc1",
    "mlp.c_proj": "fc2",
}
_CLIP_IN_LAYER: Final = re.compile(
    r"(?:encoder\.layers|transformer\.resblocks|encoders)\.(?P<number>\d+)\.(?P<owner>.+)[._](?P<attribute>weight|bias)"
)
VAE_LEVELS: Final = 4  # of sizes, each half of the one before
_VAE_ENDS: Final = {
    "conv_in": "conv_in",
    "conv_out": "conv_out",
    "norm_out": "conv_norm_out",
    "conv_norm_out": "conv_norm_out",
}
_VAE_LEVEL: Final = re.compile(
    r"(?:down|up|down_blocks|(?P<is_outward>up_blocks))\.(?P<level>\d)\."
    r"(?:(?:block|resnets)\.(?P<block>\d)\.(?P<inner>\w+)|(?:up|down)sample(?:rs\.0)?\.(?P<resample>conv))"
)
_VAE_MIDDLE: Final = re.compile(
    r"mid(?:_block)?\.(?:(?:(?P<is_original>block_)|resnets\.)(?P<block>\d)|attn_1|attentions\.0)\.(?P<inner>[\w.]+)"
)
_VAE_RESIDUAL: Final = {"nin_shortcut": "conv_shortcut"}
_VAE_ATTENTION: Final = {
    **dict.fromkeys(("norm", "group_norm"), "norm"),
    **dict.fromkeys(("q", "to_q", "query"), "transformer_blocks.0.to_q"),  # the last ones in diffusers before 2023
    **dict.fromkeys(("k", "to_k", "key"), "transformer_blocks.0.to_k"),
    **dict.fromkeys(("v", "to_v", "value"), "transformer_blocks.0.to_v"),
    **dict.fromkeys(("proj_out", "to_out.0", "proj_attn"), "transformer_blocks.0.to_out"),
}


def transformer_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Rename the tensors of a transformer, and join what diffusers keeps apart.

    Raises:
        GenerationFailed: a piece of what is to be joined is missing.
    """
    found: dict[str, list[Tensor | None]] = {}
    for name, tensor in tensors.items():
        owner, _, attribute = name.rpartition(".")
        attribute = "weight" if attribute == "scale" and owner.endswith("_norm") else attribute
        if attribute in ("weight", "bias") and (place := place_of(owner)) is not None:
            module, piece, pieces = place
            at = found.setdefault(f"{module}.{attribute}", [None] * pieces)
            at[piece] = torch.cat(tensor.chunk(2)[::-1]) if owner == SWAPPED else tensor
    return {name: _joined(name, pieces) for name, pieces in found.items()}


def place_of(owner: str) -> tuple[str, int, int] | None:
    """What the module calls the owner of a tensor, which piece of it that is, and of how many; None if it has none."""
    found = _IN_BLOCK.fullmatch(owner)
    if found is None or found["list"] not in LISTS:
        module = owner if owner in TRANSFORMER.values() else TRANSFORMER.get(owner)
        return None if module is None else (module, 0, 1)
    blocks, inner = LISTS[found["list"]], found["owner"]
    at = f"{blocks.name}.{found['number']}"
    for joined, pieces in blocks.joined.items():
        if inner in pieces:
            return f"{at}.{joined}", pieces.index(inner), len(pieces)
    if inner in blocks.names.values() or inner in blocks.joined:
        return f"{at}.{inner}", 0, 1
    return (f"{at}.{blocks.names[inner]}", 0, 1) if inner in blocks.names else None


def _joined(name: str, pieces: Sequence[Tensor | None]) -> Tensor:
    there = [piece for piece in pieces if piece is not None]
    if len(there) < len(pieces):
        raise GenerationFailed(f"the checkpoint lacks a part of {name}")
    if len(there) == 1:
        return there[0]
    if len({piece.dtype for piece in there}) > 1:
        there = [piece.float() for piece in there]
    return torch.cat(there)


def t5_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Rename the tensors of a T5 encoder. The table of words has two names, of which one is enough."""
    found = {}
    for name, tensor in tensors.items():
        if name == "encoder.embed_tokens.weight" and "shared.weight" not in tensors:
            found["shared.weight"] = tensor
        elif _T5.fullmatch(name):
            found[name] = tensor
        elif (block := re.fullmatch(r"enc\.blk\.(\d+)\.(\w+)\.weight", name)) and block[2] in _T5_GGUF_BLOCK:
            found[f"encoder.block.{block[1]}.layer.{_T5_GGUF_BLOCK[block[2]]}.weight"] = tensor
        elif (owner := name.removesuffix(".weight")) in _T5_GGUF:
            found[f"{_T5_GGUF[owner]}.weight"] = tensor
    return found


def clip_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Rename the tensors of CLIP-L's text encoder; OpenCLIP keeps queries, keys and values as one."""
    found = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("text_model.")
        if (layer := _CLIP_IN_LAYER.fullmatch(name)) is not None:
            at, owner = f"encoders.{layer['number']}", layer["owner"]
            if owner == "attn.in_proj":
                for each, piece in zip("qkv", tensor.chunk(3), strict=True):
                    found[f"{at}.attn.to_{each}.{layer['attribute']}"] = piece
            elif owner in CLIP_LAYER or owner in CLIP_LAYER.values():
                found[f"{at}.{CLIP_LAYER.get(owner, owner)}.{layer['attribute']}"] = tensor
        elif name in _CLIP:
            is_table = _CLIP[name] == "position_embeds"
            found[_CLIP[name]] = tensor.view(1, *tensor.shape[-2:]) if is_table else tensor
    return found


def vae_decoder_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Rename the tensors of the VAE's decoder."""
    return _half_of_vae(tensors, "decoder", middle=0, first=lambda level: 3 + 4 * (VAE_LEVELS - 1 - level), resample=3)


def vae_encoder_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Rename the tensors of the VAE's encoder."""
    return _half_of_vae(tensors, "encoder", middle=11, first=lambda level: 3 * level, resample=2)


def _half_of_vae(
    tensors: Tensors, half: str, *, middle: int, first: Callable[[int], int], resample: int
) -> dict[str, Tensor]:
    """Rename the tensors of a half, whose blocks the module numbers from its input to its output.

    Args:
        middle: the number of the first of the three blocks without a level.
        first: the number of the first block of a level; 0 is the level of whole pixels.
        resample: how many blocks of a level precede the one that changes the size.
    """
    found = {}
    for name, tensor in tensors.items():
        owner, _, attribute = name.removeprefix(f"{half}.").rpartition(".")
        if not name.startswith(f"{half}."):
            continue
        if owner in _VAE_ENDS:
            found[f"{_VAE_ENDS[owner]}.{attribute}"] = tensor
        elif owner == "" or owner.startswith("blocks."):
            found[name.removeprefix(f"{half}.")] = tensor
        elif (at := _VAE_LEVEL.fullmatch(owner)) is not None:
            level = int(at["level"]) if at["is_outward"] is None else VAE_LEVELS - 1 - int(at["level"])
            number = first(level) + (resample if at["block"] is None else int(at["block"]))
            found[f"blocks.{number}.{_VAE_RESIDUAL.get(inner := at['inner'] or at['resample'], inner)}.{attribute}"] = (
                tensor
            )
        elif (at := _VAE_MIDDLE.fullmatch(owner)) is not None:
            number = 1 if at["block"] is None else 2 * (int(at["block"]) - (at["is_original"] is not None))
            inner = (_VAE_RESIDUAL if at["block"] else _VAE_ATTENTION).get(at["inner"], at["inner"])
            # diffusers has products in its attention, the others convolutions of one pixel
            is_product = tensor.dim() == 2
            found[f"blocks.{middle + number}.{inner}.{attribute}"] = tensor[..., None, None] if is_product else tensor
    return found
