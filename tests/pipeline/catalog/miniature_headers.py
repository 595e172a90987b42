"""Writes files of weights of every kind that people have, in miniature and without torch: names, shapes, and bytes.

Names are spelled out here anew, not taken from the templates that the tests are about.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

Shapes = dict[str, tuple[int, ...]]
Typed = tuple[str, tuple[int, ...]]
Tensors = Mapping[str, tuple[int, ...]] | Mapping[str, Typed] | Mapping[str, tuple[int, ...] | Typed]

BITS = {
    "F64": 64,
    "I64": 64,
    "F32": 32,
    "I32": 32,
    "U32": 32,
    "BF16": 16,
    "F16": 16,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "U8": 8,
    "I8": 8,
}
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
    head: int = 32,
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
    *, double: int = 2, single: int = 2, width: int = 32, head: int = 32, token: int = 64, guidance: bool = True
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


def vae(*, latent: int = 16, width: int = 32, levels: int = 4) -> Shapes:
    """A VAE under CompVis's names: FLUX.1's with 16 latent channels, Stable Diffusion's with 4."""
    sides = [width] * (levels - 1) + [2 * width]
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


def vae_diffusers(*, latent: int = 16, width: int = 32, levels: int = 4) -> Shapes:
    """A VAE under the names of diffusers."""
    sides = [width] * (levels - 1) + [2 * width]
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


GGUF_TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "BF16": (30, 1, 2), "Q4_0": (2, 32, 18), "Q8_0": (8, 32, 34)}
GGUF_TYPES |= {"Q2_K": (10, 256, 84), "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210)}
GGUF_TYPES |= {"Q8_K": (15, 256, 292), "Q5_0": (6, 32, 22), "Q3_K": (11, 256, 110)}
TEXT, ARRAY, UINT32, INT32 = 8, 9, 4, 5


def gguf_text(text: str) -> bytes:
    """A text as GGUF has it."""
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf_value(value: str | int | Sequence[int] | Sequence[str]) -> bytes:
    """A value behind its type."""
    match value:
        case str():
            return struct.pack("<I", TEXT) + gguf_text(value)
        case int():
            return struct.pack("<II", UINT32, value)
        case [str(), *_]:
            return struct.pack("<IIQ", ARRAY, TEXT, len(value)) + b"".join(gguf_text(str(each)) for each in value)
        case _:
            return struct.pack(f"<IIQ{len(value)}i", ARRAY, INT32, len(value), *value)


def write_gguf(
    path: Path,
    tensors: Tensors,
    *,
    dtype: str = "Q8_0",
    metadata: Mapping[str, str | int | Sequence[int] | Sequence[str]] | None = None,
) -> Path:
    """Write a GGUF file. Matrices have the type if their rows fit its blocks; everything else is F32."""
    pairs = {"general.architecture": "flux"} | dict(metadata or {})
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(pairs))
    head += b"".join(gguf_text(name) + gguf_value(value) for name, value in pairs.items())
    end = 0
    for name, (own, shape) in typed(tensors, "").items():
        fits = len(shape) > 1 and shape[-1] % GGUF_TYPES[dtype][1] == 0
        kind, block, block_bytes = GGUF_TYPES[own or (dtype if fits else "F32")]
        head += gguf_text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), kind, end)
        end += -(-math.prod(shape) // block * block_bytes // 32) * 32
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        start = -(-len(head) // 32) * 32
        file.write(head.ljust(start, b"\0"))
        if end <= MOST_FILLED:
            file.write(b"x" * end)
        file.truncate(start + end)
    return path


def t5_llama_cpp(*, blocks: int = 2, width: int = 32, words: int = 40) -> Shapes:
    """T5's encoder under the names of llama.cpp."""
    shapes: Shapes = {
        "token_embd.weight": (words, width),
        "enc.output_norm.weight": (width,),
        "enc.blk.0.attn_rel_b.weight": (32, 4),
    }
    for n in range(blocks):
        block = f"enc.blk.{n}."
        shapes |= {f"{block}attn_{each}.weight": (width, width) for each in "qkvo"}
        shapes |= {f"{block}{each}_norm.weight": (width,) for each in ("attn", "ffn")}
        shapes |= {f"{block}ffn_{each}.weight": (2 * width, width) for each in ("gate", "up")}
        shapes[f"{block}ffn_down.weight"] = (width, 2 * width)
    return shapes


def z_image(*, blocks: int = 2, width: int = 96, head: int = 32, text: int = 48, token: int = 64) -> Shapes:
    """Z-Image as ComfyUI's and GGUF files name it."""
    shapes: Shapes = {"x_pad_token": (1, width), "cap_pad_token": (1, width), "cap_embedder.0.weight": (text,)}
    shapes |= both("x_embedder", shape=(width, token)) | both("cap_embedder.1", shape=(width, text))
    shapes |= both("final_layer.linear", shape=(token, width))
    shapes |= both("final_layer.adaLN_modulation.1", shape=(width, width))
    shapes |= both("t_embedder.mlp.0", shape=(1024, 256)) | both("t_embedder.mlp.2", shape=(width, 1024))
    lists = {"layers": blocks, "noise_refiner": 1, "context_refiner": 1}
    for at in (f"{name}.{number}" for name, count in lists.items() for number in range(count)):
        shapes |= {
            f"{at}.attention.qkv.weight": (3 * width, width),
            f"{at}.attention.out.weight": (width, width),
            f"{at}.attention.q_norm.weight": (head,),
            f"{at}.attention.k_norm.weight": (head,),
            f"{at}.feed_forward.w1.weight": (256, width),
            f"{at}.feed_forward.w2.weight": (width, 256),
            f"{at}.feed_forward.w3.weight": (256, width),
        }
        shapes |= {f"{at}.{part}_norm{number}.weight": (width,) for part in ("attention", "ffn") for number in (1, 2)}
        if not at.startswith("context"):
            shapes |= both(f"{at}.adaLN_modulation.0", shape=(4 * width, width))
    return shapes


def z_image_diffusers() -> Shapes:
    """Z-Image as its publishers and diffusers name it."""
    found: Shapes = {}
    words = (("x_embedder.", "all_x_embedder.2-1."), ("final_layer.", "all_final_layer.2-1."))
    inner = ((".out.", ".to_out.0."), (".q_norm.", ".norm_q."), (".k_norm.", ".norm_k."))
    for name, shape in z_image().items():
        for old, new in words:
            name = new + name.removeprefix(old) if name.startswith(old) else name
        for old, new in inner:
            name = name.replace(old, new)
        if ".qkv." in name:
            found |= {name.replace(".qkv.", f".to_{each}."): (shape[0] // 3, shape[1]) for each in "qkv"}
        else:
            found[name] = shape
    return found


def qwen3(*, blocks: int = 2, width: int = 48, words: int = 40) -> Shapes:
    """Qwen3 as transformers and ComfyUI name it; heads of 16, two for the keys of four."""
    shapes: Shapes = {"model.embed_tokens.weight": (words, width), "model.norm.weight": (width,)}
    for at in (f"model.layers.{number}" for number in range(blocks)):
        shapes |= {f"{at}.self_attn.{each}_proj.weight": (32, width) for each in "kv"}
        shapes |= {f"{at}.self_attn.q_proj.weight": (64, width), f"{at}.self_attn.o_proj.weight": (width, 64)}
        shapes |= {f"{at}.self_attn.{each}_norm.weight": (16,) for each in "qk"}
        shapes |= {f"{at}.mlp.{each}_proj.weight": (80, width) for each in ("gate", "up")}
        shapes |= {f"{at}.mlp.down_proj.weight": (width, 80)}
        shapes |= {f"{at}.{each}_layernorm.weight": (width,) for each in ("input", "post_attention")}
    return shapes


def qwen3_llama_cpp() -> Shapes:
    """Qwen3 as GGUF files name it."""
    words = {
        "model.layers.": "blk.",
        "self_attn.o_proj": "attn_output",
        "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm",
        "post_attention_layernorm": "ffn_norm",
        "input_layernorm": "attn_norm",
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
    }
    words |= {f"self_attn.{each}_proj": f"attn_{each}" for each in "qkv"}
    words |= {f"mlp.{each}_proj": f"ffn_{each}" for each in ("gate", "up", "down")}
    found: Shapes = {}
    for name, shape in qwen3().items():
        for old, new in words.items():
            name = name.replace(old, new)
        found[name] = shape
    return found


def open_clip(*, blocks: int = 2, width: int = 16, words: int = 40) -> Shapes:
    """A CLIP text encoder under OpenCLIP's names."""
    shapes: Shapes = {
        "positional_embedding": (77, width),
        "token_embedding.weight": (words, width),
        "text_projection": (width, width),
        "logit_scale": (),
    }
    for n in range(blocks):
        block = f"transformer.resblocks.{n}."
        shapes |= {f"{block}attn.in_proj_weight": (3 * width, width), f"{block}attn.in_proj_bias": (3 * width,)}
        shapes |= both(f"{block}attn.out_proj", shape=(width, width)) | both(
            f"{block}ln_1", f"{block}ln_2", shape=(width,)
        )
        shapes |= both(f"{block}mlp.c_fc", shape=(4 * width, width)) | both(
            f"{block}mlp.c_proj", shape=(width, 4 * width)
        )
    return shapes | both("ln_final", shape=(width,))


def _attention(stem: str, width: int, context: int, *, is_linear: bool) -> Shapes:
    projection = (width, width) if is_linear else (width, width, 1, 1)
    shapes = both(f"{stem}norm", shape=(width,)) | both(f"{stem}proj_in", f"{stem}proj_out", shape=projection)
    block = f"{stem}transformer_blocks.0."
    shapes |= both(*(f"{block}norm{n}" for n in (1, 2, 3)), shape=(width,))
    for n, inputs in ((1, width), (2, context)):
        shapes |= {f"{block}attn{n}.to_{each}.weight": (width, width if each == "q" else inputs) for each in "qkv"}
        shapes |= both(f"{block}attn{n}.to_out.0", shape=(width, width))
    return (
        shapes
        | both(f"{block}ff.net.0.proj", shape=(8 * width, width))
        | both(f"{block}ff.net.2", shape=(width, 4 * width))
    )


def _unet_resnet(stem: str, inputs: int, outputs: int, time: int) -> Shapes:
    shapes = both(f"{stem}in_layers.0", shape=(inputs,)) | both(f"{stem}in_layers.2", shape=(outputs, inputs, 3, 3))
    shapes |= both(f"{stem}emb_layers.1", shape=(outputs, time)) | both(f"{stem}out_layers.0", shape=(outputs,))
    shapes |= both(f"{stem}out_layers.3", shape=(outputs, outputs, 3, 3))
    return shapes if inputs == outputs else shapes | both(f"{stem}skip_connection", shape=(outputs, inputs, 1, 1))


def unet(
    *, is_xl: bool = False, is_linear: bool | None = None, channels: int = 4, width: int = 8, context: int = 16
) -> Shapes:
    """A UNet of two levels under CompVis's names: SD 1.5 has attention in the first, SDXL in the last."""
    is_linear = is_xl if is_linear is None else is_linear
    time, wide = 4 * width, 2 * width
    shapes = both("time_embed.0", shape=(time, width)) | both("time_embed.2", shape=(time, time))
    if is_xl:
        shapes |= both("label_emb.0.0", shape=(time, 24)) | both("label_emb.0.2", shape=(time, time))
    shapes |= both("input_blocks.0.0", shape=(width, channels, 3, 3))
    shapes |= _unet_resnet("input_blocks.1.0.", width, width, time)
    shapes |= both("input_blocks.2.0.op", shape=(width, width, 3, 3))
    shapes |= _unet_resnet("input_blocks.3.0.", width, wide, time)
    shapes |= _unet_resnet("middle_block.0.", wide, wide, time) | _unet_resnet("middle_block.2.", wide, wide, time)
    shapes |= _attention("middle_block.1.", wide, context, is_linear=is_linear)
    place, side = ("input_blocks.3.1.", wide) if is_xl else ("input_blocks.1.1.", width)
    shapes |= _attention(place, side, context, is_linear=is_linear)
    for n, (inputs, outputs) in enumerate(
        ((2 * wide, wide), (wide + width, wide), (wide + width, width), (wide, width))
    ):
        shapes |= _unet_resnet(f"output_blocks.{n}.0.", inputs, outputs, time)
        if (n < 2) == is_xl:
            shapes |= _attention(f"output_blocks.{n}.1.", outputs, context, is_linear=is_linear)
    shapes |= both(f"output_blocks.1.{2 if is_xl else 1}.conv", shape=(wide, wide, 3, 3))
    return shapes | both("out.0", shape=(width,)) | both("out.2", shape=(4, width, 3, 3))


def unet_diffusers(*, is_xl: bool = False, channels: int = 4, width: int = 8, context: int = 16) -> Shapes:
    """A UNet of two levels under the names of diffusers."""
    time, wide = 4 * width, 2 * width
    shapes = both("time_embedding.linear_1", shape=(time, width)) | both("time_embedding.linear_2", shape=(time, time))
    if is_xl:
        shapes |= both("add_embedding.linear_1", shape=(time, 24)) | both("add_embedding.linear_2", shape=(time, time))
    shapes |= both("conv_in", shape=(width, channels, 3, 3)) | both(
        "down_blocks.0.downsamplers.0.conv", shape=(8, 8, 3, 3)
    )
    resnets = {"down_blocks.0.resnets.0.": (width, width), "down_blocks.1.resnets.0.": (width, wide)}
    resnets |= {f"mid_block.resnets.{n}.": (wide, wide) for n in (0, 1)}
    resnets |= {"up_blocks.0.resnets.0.": (2 * wide, wide), "up_blocks.0.resnets.1.": (wide + width, wide)}
    resnets |= {"up_blocks.1.resnets.0.": (wide + width, width), "up_blocks.1.resnets.1.": (wide, width)}
    for stem, (inputs, outputs) in resnets.items():
        shapes |= _resnet(stem, inputs, outputs, "conv_shortcut") | both(f"{stem}time_emb_proj", shape=(outputs, time))
    down, up = (1, 0) if is_xl else (0, 1)
    places = {f"down_blocks.{down}.attentions.0.": wide if is_xl else width, "mid_block.attentions.0.": wide}
    places |= {f"up_blocks.{up}.attentions.{n}.": wide if is_xl else width for n in (0, 1)}
    for stem, side in places.items():
        shapes |= _attention(stem, side, context, is_linear=is_xl)
    shapes |= both("up_blocks.0.upsamplers.0.conv", shape=(wide, wide, 3, 3))
    return shapes | both("conv_norm_out", shape=(width,)) | both("conv_out", shape=(4, width, 3, 3))


def checkpoint_sd15() -> dict[str, Typed]:
    """A single file of SD 1.5 as people have it, with the leftovers of training."""
    return {
        **below("model.diffusion_model.", typed(unet(), "F16")),
        **below("cond_stage_model.transformer.", typed(clip(), "F32")),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": ("I64", (1, 77)),
        **below("first_stage_model.", typed(vae(latent=4), "F32")),
        "alphas_cumprod": ("F32", (1000,)),
        "model_ema.decay": ("F32", ()),
        "model_ema.diffusion_modelinput_blocks00weight": ("F32", (8, 4, 3, 3)),
    }


def checkpoint_sdxl() -> dict[str, Typed]:
    """A single file of SDXL."""
    return {
        **below("model.diffusion_model.", typed(unet(is_xl=True), "F16")),
        **below("conditioner.embedders.0.transformer.", typed(clip(), "F16")),
        **below("conditioner.embedders.1.model.", typed(open_clip(), "F16")),
        **below("first_stage_model.", typed(vae(latent=4), "F16")),
    }


def checkpoint_flux() -> dict[str, Typed]:
    """An all-in-one file as ComfyUI saves it: a bf16 transformer beside a T5 in fp8."""
    return {
        **below("model.diffusion_model.", flux()),
        **below("text_encoders.clip_l.transformer.", typed(clip(), "F16")),
        "text_encoders.clip_l.logit_scale": ("F32", ()),
        "text_encoders.clip_l.transformer.text_projection.weight": ("F16", (16, 16)),
        **below("text_encoders.t5xxl.transformer.", scaled_float8(t5(), marker="scaled_fp8", scale="scale_weight")),
        "text_encoders.t5xxl.logit_scale": ("F32", ()),
        **below("vae.", typed(vae(), "F32")),
    }


def linears(shapes: Shapes) -> list[str]:
    """The stems of the matrices that quantizers change."""
    return [
        name.removesuffix(".weight") for name, shape in shapes.items() if name.endswith(".weight") and len(shape) == 2
    ]


def scaled_float8(shapes: Shapes, *, scale: str = "weight_scale", marker: str = "comfy_quant") -> dict[str, Typed]:
    """Scaled fp8 in either spelling: a marker for the whole file, or one beside each weight, or none."""
    tensors = typed(shapes)
    for stem in linears(shapes):
        tensors[f"{stem}.weight"] = ("F8_E4M3", shapes[f"{stem}.weight"])
        tensors[f"{stem}.{scale}"] = ("F32", ())
        if marker == "comfy_quant":
            tensors[f"{stem}.comfy_quant"] = ("U8", (len(FLOAT8_NOTE),))
    return tensors if marker != "scaled_fp8" else tensors | {marker: ("F8_E4M3", (2,))}


FLOAT8_NOTE = b'{"format": "float8_e4m3fn"}'
CONVROT_NOTE = b'{"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 16}'


def notes(tensors: Tensors, note: bytes) -> dict[str, bytes]:
    """What the markers of a file hold."""
    return {name: note for name in tensors if name.endswith(".comfy_quant")}


def marked(shapes: Shapes, note: bytes, dtype: str, *more: tuple[str, str]) -> dict[str, Typed]:
    """Weights of a type with a scale for each row and a marker beside, and what else lies there as (name, type)."""
    tensors = typed(shapes)
    for stem in linears(shapes):
        rows = shapes[f"{stem}.weight"][0]
        tensors[f"{stem}.weight"] = (dtype, shapes[f"{stem}.weight"])
        tensors[f"{stem}.weight_scale"] = ("F32", (rows, 1))
        tensors[f"{stem}.comfy_quant"] = ("U8", (len(note),))
        tensors |= {f"{stem}.{name}": (kind, (rows,)) for name, kind in more}
    return tensors


def nf4(shapes: Shapes, kind: str = "nf4") -> tuple[dict[str, Typed], dict[str, bytes]]:
    """4 bits as bitsandbytes saves them, and what the states hold."""
    tensors, contents = typed(shapes), {}
    for stem in linears(shapes):
        shape = shapes[f"{stem}.weight"]
        weight, state = f"{stem}.weight", f"{stem}.weight.quant_state.bitsandbytes__{kind}"
        note = json.dumps({"quant_type": kind, "blocksize": 64, "dtype": "bfloat16", "shape": list(shape)}).encode()
        tensors[weight] = ("U8", (math.prod(shape) // 2, 1))
        tensors |= {f"{weight}.absmax": ("F32", (-(-math.prod(shape) // 64),)), f"{weight}.quant_map": ("F32", (16,))}
        tensors[state] = ("U8", (len(note),))
        contents[state] = note
    return tensors, contents


def replaced(shapes: Shapes, *ends: tuple[str, str]) -> dict[str, Typed]:
    """Matrices replaced by tensors of other names, as (end, type)."""
    tensors = typed(
        {name: shape for name, shape in shapes.items() if name.removesuffix(".weight") not in linears(shapes)}
    )
    for stem in linears(shapes):
        tensors |= {f"{stem}.{end}": (dtype, (4, 4)) for end, dtype in ends}
    return tensors


def lora(*stems: str, ends: Iterable[str] = ("lora_down.weight", "lora_up.weight", "alpha")) -> Shapes:
    """An adapter."""
    return {f"{stem}.{end}": (4, 4) for stem in stems for end in ends}
