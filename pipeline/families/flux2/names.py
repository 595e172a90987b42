"""The names that the tensors of FLUX.2's parts have in files → those of the modules.

The modules have diffusers' names; Black Forest Labs' own, which ComfyUI's files and GGUF files have as well, are
converted. One function per part understands both, since no two call different tensors alike. What a module has no use
for is left out. Each works on any group of tensors, and on the meta device as well. Must not know files or sizes.

Facts: black-forest-labs/flux2:src/flux2/model.py, autoencoder.py; huggingface/diffusers:
scripts/convert_flux2_to_diffusers.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

import torch
from torch import Tensor

Tensors = Mapping[str, Tensor]

OUTSIDE: Final = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_guidance_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_guidance_embed.timestep_embedder.linear_2",
    "double_stream_modulation_img.lin": "double_stream_modulation_img.linear",
    "double_stream_modulation_txt.lin": "double_stream_modulation_txt.linear",
    "single_stream_modulation.lin": "single_stream_modulation.linear",
    "final_layer.adaLN_modulation.1": "norm_out.linear",
    "final_layer.linear": "proj_out",
}
SWAPPED: Final = "final_layer.adaLN_modulation.1"  # shift and then scale; diffusers has the reverse
DOUBLE: Final = {
    "img_attn.norm.query_norm": "attn.norm_q",
    "img_attn.norm.key_norm": "attn.norm_k",
    "img_attn.proj": "attn.to_out.0",
    "img_mlp.0": "ff.linear_in",
    "img_mlp.2": "ff.linear_out",
    "txt_attn.norm.query_norm": "attn.norm_added_q",
    "txt_attn.norm.key_norm": "attn.norm_added_k",
    "txt_attn.proj": "attn.to_add_out",
    "txt_mlp.0": "ff_context.linear_in",
    "txt_mlp.2": "ff_context.linear_out",
}
JOINED: Final = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}
SINGLE: Final = {
    "linear1": "attn.to_qkv_mlp_proj",
    "linear2": "attn.to_out",
    "norm.query_norm": "attn.norm_q",
    "norm.key_norm": "attn.norm_k",
}
_IN_BLOCK: Final = re.compile(r"(?P<kind>double|single)_blocks\.(?P<number>\d+)\.(?P<owner>.+)")
_OURS: Final = re.compile(r"(?:single_)?transformer_blocks\.\d+\.(?P<owner>.+)")
_INSIDE: Final = frozenset((*DOUBLE.values(), *SINGLE.values(), *(each for names in JOINED.values() for each in names)))

_VAE_WORDS: Final = (
    (re.compile(r"^(encoder|decoder)\.((?:post_)?quant_conv)\."), r"\2."),
    (re.compile(r"\.mid\.block_1\."), ".mid_block.resnets.0."),
    (re.compile(r"\.mid\.block_2\."), ".mid_block.resnets.1."),
    (re.compile(r"\.mid\.attn_1\."), ".mid_block.attentions.0."),
    (re.compile(r"\.block\.(\d+)\."), r".resnets.\1."),
    (re.compile(r"\.down\.(\d+)\."), r".down_blocks.\1."),
    (re.compile(r"\.downsample\."), ".downsamplers.0."),
    (re.compile(r"\.upsample\."), ".upsamplers.0."),
    (re.compile(r"\.nin_shortcut\."), ".conv_shortcut."),
    (re.compile(r"\.norm_out\."), ".conv_norm_out."),
)
_VAE_ATTENTION: Final = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
_ATTENTION: Final = re.compile(r"(.*\.mid_block\.attentions\.0\.)(\w+)(\.(?:weight|bias))")
_UP: Final = re.compile(r"\.up\.(\d+)\.")
VAE_LEVELS: Final = 4  # of sizes, each half of the one before
_STATISTICS: Final = ("running_mean", "running_var")  # of latents; how many were counted changes nothing


def transformer_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Rename the tensors of a transformer, and take apart what Black Forest Labs join."""
    return dict(each for name, tensor in tensors.items() for each in _of_transformer(name, tensor))


def vae_decoder_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Rename the tensors of what makes an image of latents, the statistics of latents included."""
    return _half_of_vae(tensors, ("decoder", "post_quant_conv"))


def vae_encoder_weights(tensors: Tensors) -> dict[str, Tensor]:
    """Rename the tensors of what makes latents of an image, the statistics of latents included."""
    return _half_of_vae(tensors, ("encoder", "quant_conv"))


def _of_transformer(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What a tensor becomes: one, three or none."""
    owner, _, attribute = name.rpartition(".")
    if attribute not in ("weight", "scale"):  # the latter: of a norm; nothing has a bias
        return
    if found := _IN_BLOCK.fullmatch(owner):
        is_double = found["kind"] == "double"
        place = f"{'' if is_double else 'single_'}transformer_blocks.{found['number']}"
        inner = found["owner"]
        if is_double and inner in JOINED:
            for ours, piece in zip(JOINED[inner], tensor.chunk(3), strict=True):
                yield f"{place}.{ours}.weight", piece
        elif (ours := (DOUBLE if is_double else SINGLE).get(inner)) is not None:
            yield f"{place}.{ours}.weight", tensor
    elif owner in OUTSIDE:
        yield f"{OUTSIDE[owner]}.weight", torch.cat(tensor.chunk(2)[::-1]) if owner == SWAPPED else tensor
    elif owner in OUTSIDE.values() or ((ours_in := _OURS.fullmatch(owner)) and ours_in["owner"] in _INSIDE):
        yield name, tensor


def _half_of_vae(tensors: Tensors, tops: tuple[str, ...]) -> dict[str, Tensor]:
    found = {}
    for name, tensor in tensors.items():
        ours = _vae_name(name)
        top, _, rest = ours.partition(".")
        if top in tops:
            is_convolution = tensor.dim() == 4 and ".attentions." in ours  # of one px, which is a product
            found[ours] = tensor.flatten(1) if is_convolution else tensor
        elif top == "bn" and rest in _STATISTICS:
            found[rest] = tensor
    return found


def _vae_name(name: str) -> str:
    new = _UP.sub(lambda found: f".up_blocks.{VAE_LEVELS - 1 - int(found[1])}.", name)  # counted from the image
    for pattern, word in _VAE_WORDS:
        new = pattern.sub(word, new)
    if found := _ATTENTION.fullmatch(new):
        new = found[1] + _VAE_ATTENTION.get(found[2], found[2]) + found[3]
    return new
