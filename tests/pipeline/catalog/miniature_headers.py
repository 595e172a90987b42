"""Writes files of weights of every kind that people have, in miniature and without torch: names, shapes, and bytes.

Names are spelled out here anew, not taken from the templates that the tests are about.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

Shapes = dict[str, tuple[int, ...]]
Typed = tuple[str, tuple[int, ...]]
Tensors = Mapping[str, tuple[int, ...]] | Mapping[str, Typed] | Mapping[str, tuple[int, ...] | Typed]

BITS = {"F64": 64, "F32": 32, "I32": 32, "U32": 32, "BF16": 16, "F16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "U8": 8, "I8": 8}
MOST_FILLED = 2**22


def typed(tensors: Tensors, dtype: str = "BF16") -> dict[str, Typed]:
    """All tensors that have no type yet in one."""
    found: dict[str, Typed] = {}
    for name, each in tensors.items():
        match each:
            case (str() as own, tuple() as shape):
                found[name] = (own, shape)
            case shape:
                found[name] = (dtype, tuple(side for side in shape if isinstance(side, int)))
    return found


def below(prefix: str, tensors: Tensors) -> dict[str, Typed]:
    """The same tensors under longer names."""
    return {f"{prefix}{name}": each for name, each in typed(tensors).items()}


def write_safetensors(
    path: Path,
    tensors: Tensors,
    *,
    metadata: Mapping[str, str] | None = None,
    contents: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a file whose tensors are (type, shape), or a shape in bf16. Small ones are filled, large ones are holes.

    Args:
        contents: what certain tensors hold.
    """
    head: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    places: dict[str, int] = {}
    end = 0
    for name, (dtype, shape) in typed(tensors).items():
        size = math.prod(shape) * BITS.get(dtype, 8) // 8
        head[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        places[name] = end
        end += size
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        if end <= MOST_FILLED:
            file.write(b"x" * end)
        file.truncate(8 + len(text) + end)
        for name, content in (contents or {}).items():
            file.seek(8 + len(text) + places[name])
            file.write(content)
    return path


def both(*stems: str, shape: tuple[int, ...]) -> Shapes:
    """Weights and biases."""
    return {f"{stem}.{leaf}": shape if leaf == "weight" else shape[:1] for stem in stems for leaf in ("weight", "bias")}


def flux(
    *,
    double: int = 2,
    single: int = 2,
    width: int = 32,
    head: int = 16,
    text: int = 24,
    pooled: int = 16,
    token: int = 64,
    guidance: bool = True,
) -> Shapes:
    """FLUX.1's transformer under the names of Black Forest Labs."""
    shapes = both("img_in", shape=(width, token)) | both("txt_in", shape=(width, text))
    for name, inputs in (("time_in", 256), ("vector_in", pooled), *([("guidance_in", 256)] if guidance else [])):
        shapes |= both(f"{name}.in_layer", shape=(width, inputs)) | both(f"{name}.out_layer", shape=(width, width))
    for n in range(double):
        for stream in ("img", "txt"):
            block = f"double_blocks.{n}.{stream}_"
            shapes |= both(f"{block}mod.lin", shape=(6 * width, width)) | both(
                f"{block}attn.qkv", shape=(3 * width, width)
            )
            shapes |= {f"{block}attn.norm.{each}_norm.scale": (head,) for each in ("query", "key")}
            shapes |= both(f"{block}attn.proj", shape=(width, width))
            shapes |= both(f"{block}mlp.0", shape=(4 * width, width)) | both(f"{block}mlp.2", shape=(width, 4 * width))
    for n in range(single):
        block = f"single_blocks.{n}."
        shapes |= both(f"{block}linear1", shape=(7 * width, width)) | both(f"{block}linear2", shape=(width, 5 * width))
        shapes |= {f"{block}norm.{each}_norm.scale": (head,) for each in ("query", "key")}
        shapes |= both(f"{block}modulation.lin", shape=(3 * width, width))
    shapes |= both("final_layer.linear", shape=(64, width))
    return shapes | both("final_layer.adaLN_modulation.1", shape=(2 * width, width))


def flux_diffusers(
    *, double: int = 2, single: int = 2, width: int = 32, head: int = 16, token: int = 64, guidance: bool = True
) -> Shapes:
    """FLUX.1's transformer under the names of diffusers."""
    shapes = both("x_embedder", shape=(width, token)) | both("context_embedder", shape=(width, 24))
    for name, inputs in (("timestep", 256), ("text", 16), *([("guidance", 256)] if guidance else [])):
        shapes |= both(f"time_text_embed.{name}_embedder.linear_1", shape=(width, inputs))
        shapes |= both(f"time_text_embed.{name}_embedder.linear_2", shape=(width, width))
    for n in range(double):
        block = f"transformer_blocks.{n}."
        shapes |= both(f"{block}norm1.linear", f"{block}norm1_context.linear", shape=(6 * width, width))
        linears = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
        shapes |= both(*(f"{block}attn.{each}" for each in linears), shape=(width, width))
        shapes |= {f"{block}attn.norm_{each}.weight": (head,) for each in ("q", "k", "added_q", "added_k")}
        shapes |= both(f"{block}ff.net.0.proj", f"{block}ff_context.net.0.proj", shape=(4 * width, width))
        shapes |= both(f"{block}ff.net.2", f"{block}ff_context.net.2", shape=(width, 4 * width))
    for n in range(single):
        block = f"single_transformer_blocks.{n}."
        shapes |= both(f"{block}norm.linear", shape=(3 * width, width)) | both(
            f"{block}proj_mlp", shape=(4 * width, width)
        )
        shapes |= both(f"{block}proj_out", shape=(width, 5 * width))
        shapes |= both(*(f"{block}attn.to_{each}" for each in "qkv"), shape=(width, width))
        shapes |= {f"{block}attn.norm_{each}.weight": (head,) for each in "qk"}
    return shapes | both("norm_out.linear", shape=(2 * width, width)) | both("proj_out", shape=(64, width))


def t5(*, blocks: int = 2, width: int = 24, words: int = 40) -> Shapes:
    """T5's encoder under the names of transformers."""
    shapes: Shapes = {"shared.weight": (words, width), "encoder.final_layer_norm.weight": (width,)}
    shapes["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = (32, 4)
    for n in range(blocks):
        block = f"encoder.block.{n}.layer."
        shapes |= {f"{block}0.SelfAttention.{each}.weight": (width, width) for each in "qkvo"}
        shapes |= {f"{block}{each}.layer_norm.weight": (width,) for each in "01"}
        shapes |= {f"{block}1.DenseReluDense.{each}.weight": (2 * width, width) for each in ("wi_0", "wi_1")}
        shapes[f"{block}1.DenseReluDense.wo.weight"] = (width, 2 * width)
    return shapes


def clip(*, blocks: int = 2, width: int = 16, words: int = 40) -> Shapes:
    """A CLIP text encoder under the names of transformers."""
    shapes: Shapes = {
        "text_model.embeddings.token_embedding.weight": (words, width),
        "text_model.embeddings.position_embedding.weight": (77, width),
    }
    for n in range(blocks):
        layer = f"text_model.encoder.layers.{n}."
        shapes |= both(*(f"{layer}self_attn.{each}_proj" for each in ("q", "k", "v", "out")), shape=(width, width))
        shapes |= both(f"{layer}layer_norm1", f"{layer}layer_norm2", shape=(width,))
        shapes |= both(f"{layer}mlp.fc1", shape=(4 * width, width)) | both(f"{layer}mlp.fc2", shape=(width, 4 * width))
    return shapes | both("text_model.final_layer_norm", shape=(width,))


def _resnet(stem: str, inputs: int, outputs: int, shortcut: str) -> Shapes:
    shapes = both(f"{stem}norm1", shape=(inputs,)) | both(f"{stem}conv1", shape=(outputs, inputs, 3, 3))
    shapes |= both(f"{stem}norm2", shape=(outputs,)) | both(f"{stem}conv2", shape=(outputs, outputs, 3, 3))
    return shapes if inputs == outputs else shapes | both(f"{stem}{shortcut}", shape=(outputs, inputs, 1, 1))


def vae(*, latent: int = 16, width: int = 8, levels: int = 2) -> Shapes:
    """A VAE under CompVis's names: FLUX.1's with 16 latent channels, Stable Diffusion's with 4."""
    sides = [width * 2**n for n in range(levels)]
    shapes = both("encoder.conv_in", shape=(width, 3, 3, 3)) | both("decoder.conv_in", shape=(sides[-1], latent, 3, 3))
    before = width
    for n, side in enumerate(sides):
        shapes |= _resnet(f"encoder.down.{n}.block.0.", before, side, "nin_shortcut")
        before = side
        if n < levels - 1:
            shapes |= both(f"encoder.down.{n}.downsample.conv", shape=(side, side, 3, 3))
    for half in ("encoder", "decoder"):
        for block in (1, 2):
            shapes |= _resnet(f"{half}.mid.block_{block}.", before, before, "")
        shapes |= both(f"{half}.mid.attn_1.norm", shape=(before,))
        shapes |= both(
            *(f"{half}.mid.attn_1.{each}" for each in ("q", "k", "v", "proj_out")), shape=(before, before, 1, 1)
        )
    for n, side in reversed(list(enumerate(sides))):
        shapes |= _resnet(f"decoder.up.{n}.block.0.", before, side, "nin_shortcut")
        before = side
        if n:
            shapes |= both(f"decoder.up.{n}.upsample.conv", shape=(side, side, 3, 3))
    shapes |= both("encoder.norm_out", shape=(sides[-1],)) | both("decoder.norm_out", shape=(width,))
    shapes |= both("encoder.conv_out", shape=(2 * latent, sides[-1], 3, 3))
    shapes |= both("decoder.conv_out", shape=(3, width, 3, 3))
    if latent == 4:
        shapes |= both("quant_conv", shape=(8, 8, 1, 1)) | both("post_quant_conv", shape=(4, 4, 1, 1))
    return shapes


def vae_diffusers(*, latent: int = 16, width: int = 8, levels: int = 2) -> Shapes:
    """A VAE under the names of diffusers."""
    sides = [width * 2**n for n in range(levels)]
    shapes = both("encoder.conv_in", shape=(width, 3, 3, 3)) | both("decoder.conv_in", shape=(sides[-1], latent, 3, 3))
    before = width
    for n, side in enumerate(sides):
        shapes |= _resnet(f"encoder.down_blocks.{n}.resnets.0.", before, side, "conv_shortcut")
        before = side
        if n < levels - 1:
            shapes |= both(f"encoder.down_blocks.{n}.downsamplers.0.conv", shape=(side, side, 3, 3))
    for half in ("encoder", "decoder"):
        for block in (0, 1):
            shapes |= _resnet(f"{half}.mid_block.resnets.{block}.", before, before, "")
        attention = f"{half}.mid_block.attentions.0."
        shapes |= both(f"{attention}group_norm", shape=(before,))
        shapes |= both(*(f"{attention}{each}" for each in ("to_q", "to_k", "to_v", "to_out.0")), shape=(before, before))
    for n, side in enumerate(reversed(sides)):
        shapes |= _resnet(f"decoder.up_blocks.{n}.resnets.0.", before, side, "conv_shortcut")
        before = side
        if n < levels - 1:
            shapes |= both(f"decoder.up_blocks.{n}.upsamplers.0.conv", shape=(side, side, 3, 3))
    shapes |= both("encoder.conv_norm_out", shape=(sides[-1],)) | both("decoder.conv_norm_out", shape=(width,))
    shapes |= both("encoder.conv_out", shape=(2 * latent, sides[-1], 3, 3))
    shapes |= both("decoder.conv_out", shape=(3, width, 3, 3))
    if latent == 4:
        shapes |= both("quant_conv", shape=(8, 8, 1, 1)) | both("post_quant_conv", shape=(4, 4, 1, 1))
    return shapes


def write_shards(folder: Path, tensors: Tensors, count: int = 2, *, index: bool = True) -> list[Path]:
    """Write a folder of shards, as diffusers and transformers do."""
    names = [f"model-{k:05}-of-{count:05}.safetensors" for k in range(1, count + 1)]
    share: dict[str, str] = {name: names[n * count // len(tensors)] for n, name in enumerate(tensors)}
    for shard in names:
        write_safetensors(folder / shard, {name: each for name, each in typed(tensors).items() if share[name] == shard})
    if index:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": share}))
    return [folder / name for name in names]


def without(tensors: Tensors, names: Iterable[str]) -> dict[str, Typed]:
    """The tensors but for some."""
    gone = set(names)
    return {name: each for name, each in typed(tensors).items() if name not in gone}
