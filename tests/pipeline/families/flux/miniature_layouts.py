"""One miniature FLUX.1 in every layout that people have on disk: real names of tensors, real folders, equal values.

Its values are few enough to be kept exactly in every plain format, 8-bit floats included.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors.torch import save_file
from torch import Tensor

from pipeline.catalog.model_card import ModelCard, ModelFile
from pipeline.families.flux.cards import FLUX1_DEV
from pipeline.spec import Aspect
from tests.pipeline.families.flux import random_flux
from tests.pipeline.families.flux.random_flux import FULL, Shapes, Sizes

# As wide as the blocks of GGUF's K formats, and with heads of 64.
SIZES = Sizes(dim=256, heads=4, joint_blocks=1, single_blocks=1, t5_dim=64, vae_widths=(32, 32, 32, 64))
REPO = "some/body"
PREFIX = "model.diffusion_model."
Tensors = Mapping[str, Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """Of all parts, float32, in the names that they were published with."""

    dit: Tensors
    clip: Tensors
    t5: Tensors
    vae: Tensors


def random_weights(sizes: Sizes = SIZES, *, is_guided: bool = True) -> Weights:
    """Small enough to be exact in 8-bit floats of either kind; biases and scales are random as well."""
    generator = torch.Generator().manual_seed(1)

    def values(shapes: Shapes) -> dict[str, Tensor]:
        return {name: _value(name, shape, generator) for name, shape in shapes.items()}

    return Weights(
        dit=values(random_flux.dit_shapes(sizes, is_guided=is_guided)),
        clip=values(random_flux.clip_shapes(sizes)),
        t5=values(random_flux.t5_shapes(sizes)),
        vae=values(random_flux.vae_shapes(sizes)),
    )


def _value(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    value = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        value *= torch.Size(shape[1:]).numel() ** -0.5
    else:
        value = value * 0.1 + (not name.endswith(".bias"))
    return value.to(torch.float8_e5m2).float().to(torch.float8_e4m3fn).float()


def card_of(files: Mapping[str, str], base: ModelCard = FLUX1_DEV, **changes: object) -> ModelCard:
    """A card whose components lie at these paths of `REPO`."""
    tokenizers = {name: f"{name}/" for name in ("tokenizer_1", "tokenizer_2")}
    return dataclasses.replace(
        base,
        files=MappingProxyType({name: ModelFile(repo=REPO, path=path) for name, path in (files | tokenizers).items()}),
        sizes={Aspect.SQUARE: (64, 64)},
        default_steps=2,
        is_streamed=False,
        needs_gpu=False,
        packed_gb=0,
        **changes,
    )


def write_tokenizers(models_dir: Path) -> None:
    for name, write in (
        ("tokenizer_1", random_flux.write_clip_tokenizer),
        ("tokenizer_2", random_flux.write_t5_tokenizer),
    ):
        (models_dir / REPO / name).mkdir(parents=True)
        write(models_dir / REPO / name)


def write(path: Path, tensors: Tensors, dtype: torch.dtype = torch.bfloat16, prefix: str = "") -> None:
    """Write a safetensors file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({prefix + name: tensor.to(dtype).contiguous() for name, tensor in tensors.items()}, path)


def write_shards(folder: Path, tensors: Tensors, stem: str) -> None:
    """Write two shards and their index."""
    names = sorted(tensors)
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    index: dict[str, str] = {}
    for number, half in enumerate(halves, start=1):
        shard = f"{stem}-{number:05}-of-00002.safetensors"
        write(folder / shard, {name: tensors[name] for name in half})
        index |= dict.fromkeys(half, shard)
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


_DIT_TO_DIFFUSERS = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "final_layer.linear": "proj_out",
}
_JOINT_TO_DIFFUSERS = {
    "img_mod.lin": "norm1.linear",
    "txt_mod.lin": "norm1_context.linear",
    "img_attn.proj": "attn.to_out.0",
    "txt_attn.proj": "attn.to_add_out",
    "img_mlp.0": "ff.net.0.proj",
    "img_mlp.2": "ff.net.2",
    "txt_mlp.0": "ff_context.net.0.proj",
    "txt_mlp.2": "ff_context.net.2",
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
}
_SINGLE_TO_DIFFUSERS = {
    "modulation.lin": "norm.linear",
    "linear2": "proj_out",
    "norm.query_norm": "attn.norm_q",
    "norm.key_norm": "attn.norm_k",
}


def dit_as_diffusers(tensors: Tensors) -> dict[str, Tensor]:
    """A transformer in the names of diffusers: queries, keys and values apart, the last modulation swapped."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        owner, _, attribute = name.rpartition(".")
        attribute = attribute.replace("scale", "weight")
        kind, _, inner = owner.partition(".")
        number, _, inner = inner.partition(".")
        if owner == "final_layer.adaLN_modulation.1":
            found[f"norm_out.linear.{attribute}"] = torch.cat(tensor.chunk(2)[::-1])
        elif kind == "double_blocks" and inner.endswith("qkv"):
            pieces = ("to_q", "to_k", "to_v") if inner.startswith("img") else ("add_q_proj", "add_k_proj", "add_v_proj")
            for piece, part in zip(pieces, tensor.chunk(3), strict=True):
                found[f"transformer_blocks.{number}.attn.{piece}.{attribute}"] = part
        elif kind == "double_blocks":
            found[f"transformer_blocks.{number}.{_JOINT_TO_DIFFUSERS[inner]}.{attribute}"] = tensor
        elif inner == "linear1":
            dim = len(tensor) // 7
            for piece, part in zip(
                ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"), tensor.split([dim, dim, dim, 4 * dim]), strict=True
            ):
                found[f"single_transformer_blocks.{number}.{piece}.{attribute}"] = part
        elif kind == "single_blocks":
            found[f"single_transformer_blocks.{number}.{_SINGLE_TO_DIFFUSERS[inner]}.{attribute}"] = tensor
        else:
            found[f"{_DIT_TO_DIFFUSERS[owner]}.{attribute}"] = tensor
    return found


_VAE_TO_DIFFUSERS = (
    (r"encoder\.down\.(\d)\.block\.(\d)", r"encoder.down_blocks.\1.resnets.\2"),
    (r"encoder\.down\.(\d)\.downsample", r"encoder.down_blocks.\1.downsamplers.0"),
    (r"decoder\.up\.(\d)\.block\.(\d)", lambda at: f"decoder.up_blocks.{3 - int(at[1])}.resnets.{at[2]}"),
    (r"decoder\.up\.(\d)\.upsample", lambda at: f"decoder.up_blocks.{3 - int(at[1])}.upsamplers.0"),
    (r"mid\.block_(\d)", lambda at: f"mid_block.resnets.{int(at[1]) - 1}"),
    (r"mid\.attn_1\.norm", "mid_block.attentions.0.group_norm"),
    (r"mid\.attn_1\.([qkv])", r"mid_block.attentions.0.to_\1"),
    (r"mid\.attn_1\.proj_out", "mid_block.attentions.0.to_out.0"),
    (r"nin_shortcut", "conv_shortcut"),
    (r"norm_out", "conv_norm_out"),
)


def vae_as_diffusers(tensors: Tensors) -> dict[str, Tensor]:
    """A VAE in the names of diffusers, whose attention has no convolutions."""
    found = {}
    for name, tensor in tensors.items():
        for pattern, new in _VAE_TO_DIFFUSERS:
            name = re.sub(pattern, new, name)
        found[name] = tensor.flatten(1) if "attentions" in name and tensor.dim() == 4 else tensor
    return found


def t5_as_llama_cpp(tensors: Tensors) -> dict[str, Tensor]:
    """A T5 encoder in the names of llama.cpp, by the table of its own package."""
    from gguf import MODEL_ARCH, get_tensor_name_map

    names = get_tensor_name_map(MODEL_ARCH.T5ENCODER, FULL.t5_layers)
    return {f"{names.get_name(name.removesuffix('.weight'))}.weight": tensor for name, tensor in tensors.items()}


def clip_as_open_clip(tensors: Tensors) -> dict[str, Tensor]:
    """A CLIP text encoder in the names of OpenCLIP, queries, keys and values as one."""
    found: dict[str, Tensor] = {}
    pieces: dict[str, list[Tensor]] = {}
    for name, tensor in tensors.items():
        for ours, theirs in _CLIP_TO_OPEN_CLIP.items():
            name = name.replace(ours, theirs)
        if (piece := re.fullmatch(r"(.*)\.self_attn\.[qkv]_proj\.(\w+)", name)) is not None:
            pieces.setdefault(f"{piece[1]}.attn.in_proj_{piece[2]}", []).append(tensor)
        else:
            found[name] = tensor
    return found | {name: torch.cat(parts) for name, parts in pieces.items()}


_CLIP_TO_OPEN_CLIP = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm": "ln_final",
    "text_model.encoder.layers": "transformer.resblocks",
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm": "ln_",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
