"""The names that the tensors of Stable Diffusion's parts have in files → those of our modules.

Every part comes in two namings or three: of CompVis and Stability (`input_blocks.1.1.…`), of OpenCLIP
(`transformer.resblocks.0.…`), and of diffusers and transformers, which DiffSynth's classes share. One converter per
part reads them all. It is made of all names of a part, since CompVis numbers the blocks of a UNet through and only
their order tells which level each belongs to; then it converts any group of tensors, on the meta device as well. What
a module has no use for (`position_ids`, `logit_scale`, weights of training) is left out. Must not know files or sizes.

Facts: CompVis/stable-diffusion:ldm/modules/diffusionmodules/openaimodel.py (`UNetModel`) and model.py (`Encoder`,
`Decoder`); mlfoundations/open_clip:src/open_clip/transformer.py; huggingface/diffusers:
scripts/convert_diffusers_to_original_stable_diffusion.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from torch import Tensor

from pipeline.streaming.conversion import Convert

Names = dict[str, str]  # of a file's tensors → of a module's
Tensors = dict[str, Tensor]

UNET_ENDS: Final = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_UNET_TOPS: Final = re.compile(
    r"(time_embedding|add_embedding|conv_in|conv_norm_out|conv_out|down_blocks|mid_block|up_blocks)\."
)
INSIDE: Final = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
    "op": "conv",
}
_NUMBERED: Final = re.compile(r"(input|middle|output)_blocks?\.(\d+)\.(?:(\d+)\.)?")

_VAE_TOPS: Final = re.compile(r"(encoder|decoder|quant_conv|post_quant_conv)\.")
_VAE_WORDS: Final = (
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
# CompVis', and diffusers' before release 0.18.
_VAE_ATTENTION: Final = {
    "norm": "group_norm",
    "q": "to_q",
    "k": "to_k",
    "v": "to_v",
    "proj_out": "to_out.0",
    "query": "to_q",
    "key": "to_k",
    "value": "to_v",
    "proj_attn": "to_out.0",
}
_ATTENTION: Final = re.compile(r"(.*\.mid_block\.attentions\.0\.)(\w+)(\.(?:weight|bias))")

_CLIP_ENDS: Final = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "position_embedding.weight",
    "positional_embedding": "position_embedding.weight",
    "final_layer_norm.weight": "final_layer_norm.weight",
    "final_layer_norm.bias": "final_layer_norm.bias",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}
_CLIP_LAYER: Final = re.compile(r"(?:encoder\.layers|transformer\.resblocks)\.(\d+)\.(.+)")
_CLIP_WORDS: Final = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_JOINT: Final = re.compile(r"attn\.in_proj_(weight|bias)")  # of query, key and value, in this order
_PROJECTION: Final = "text_projection.weight"
_TRANSPOSED: Final = "text_projection"  # OpenCLIP multiplies by it from the right


def unet_converter(names: Iterable[str]) -> Convert:
    """Make the converter of a UNet."""
    ours = _unet_names(list(names))
    return lambda tensors: {ours[name]: tensor for name, tensor in tensors.items() if name in ours}


def vae_converter(names: Iterable[str]) -> Convert:
    """Make the converter of a VAE. Its attention's 1 × 1 convolutions become what they compute, products."""
    ours = _vae_names(list(names))

    def convert(tensors: Tensors) -> Tensors:
        return {
            ours[name]: tensor.flatten(1) if tensor.dim() == 4 and ".attentions." in ours[name] else tensor
            for name, tensor in tensors.items()
            if name in ours
        }

    return convert


def clip_converter(names: Iterable[str]) -> Convert:
    """Make the converter of a CLIP text encoder."""
    del names  # each tells by itself what it is

    def convert(tensors: Tensors) -> Tensors:
        return {
            ours: value for name, tensor in tensors.items() for ours, value in _of_clip(_without_root(name), tensor)
        }

    return convert


def _unet_names(names: list[str]) -> Names:
    """The names of a UNet in one naming or the other."""
    if not any(name.startswith("input_blocks.") for name in names):
        return {name: name for name in names if _UNET_TOPS.match(name)}
    places = _places(names)
    ours = {}
    for name in names:
        if found := _NUMBERED.match(name):
            place = places.get(found[0])
            rest = name[found.end() :]
        else:
            start, dot, rest = name.rpartition(".")
            place = f"{UNET_ENDS[start]}{dot}" if start in UNET_ENDS else None
        if place is not None:
            ours[name] = place + _within(rest)
    return ours


def _within(rest: str) -> str:
    """A name inside a block: those of residual blocks and of resampling are others, those of attention are the same."""
    return next((new + rest.removeprefix(old) for old, new in INSIDE.items() if rest.startswith(f"{old}.")), rest)


def _places(names: list[str]) -> Names:
    """Where the numbered pieces of a UNet stand: `input_blocks.4.1.` → `down_blocks.1.attentions.0.`."""
    pieces: dict[tuple[str, int], dict[int, set[str]]] = {}
    for name in names:
        if (found := _NUMBERED.match(name)) and found[1] != "middle" and found[3]:
            inside = pieces.setdefault((found[1], int(found[2])), {})
            inside.setdefault(int(found[3]), set()).add(name[found.end() :].partition(".")[0])
    middle = ("resnets.0", "attentions.0", "resnets.1")
    places = {f"middle_block.{number}.": f"mid_block.{what}." for number, what in enumerate(middle)}
    for side, blocks in (("input", "down_blocks"), ("output", "up_blocks")):
        level = layer = 0
        for number, inside in sorted((number, inside) for (at, number), inside in pieces.items() if at == side):
            for place, words in sorted(inside.items()):
                theirs = f"{side}_blocks.{number}.{place}."
                if side == "input" and number == 0:
                    places[theirs] = "conv_in."
                elif "in_layers" in words:
                    places[theirs] = f"{blocks}.{level}.resnets.{layer}."
                elif "op" in words:
                    places[theirs] = f"{blocks}.{level}.downsamplers.0."
                elif "conv" in words:
                    places[theirs] = f"{blocks}.{level}.upsamplers.0."
                else:
                    places[theirs] = f"{blocks}.{level}.attentions.{layer}."
            resamples = any({"op", "conv"} & words for words in inside.values())
            level, layer = (level + 1, 0) if resamples else (level, layer + (number > 0 or side == "output"))
    return places


def _vae_names(names: list[str]) -> Names:
    """The names of a VAE in one naming or another."""
    levels = {int(found[1]) for name in names if (found := re.match(r"decoder\.up\.(\d+)\.", name))}
    ours = {}
    for name in names:
        if not _VAE_TOPS.match(name):
            continue
        new = re.sub(
            r"\.up\.(\d+)\.",
            lambda found: f".up_blocks.{max(levels) - int(found[1])}.",  # CompVis counts from the image
            name,
        )
        for pattern, word in _VAE_WORDS:
            new = pattern.sub(word, new)
        if found := _ATTENTION.fullmatch(new):
            new = found[1] + _VAE_ATTENTION.get(found[2], found[2]) + found[3]
        ours[name] = new
    return ours


def _without_root(name: str) -> str:
    """Names begin with `text_model.` or not, by the release of transformers that wrote the file."""
    return name.removeprefix("text_model.")


def _of_clip(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What a tensor of CLIP becomes: one, three or none."""
    if name in _CLIP_ENDS:
        yield _CLIP_ENDS[name], tensor
    elif name == _PROJECTION:
        yield _PROJECTION, tensor
    elif name == _TRANSPOSED:
        yield _PROJECTION, tensor.t().contiguous()
    elif found := _CLIP_LAYER.fullmatch(name):
        layer, inside = f"layers.{found[1]}.", found[2]
        if joint := _JOINT.fullmatch(inside):
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                yield f"{layer}self_attn.{part}_proj.{joint[1]}", piece
        else:
            start, dot, end = inside.rpartition(".")
            yield layer + _CLIP_WORDS.get(start, start) + dot + end, tensor
