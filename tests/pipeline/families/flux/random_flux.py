"""Random FLUX.1 checkpoints of any size in the real file layout, for tests without the real files.

Tensor names and shapes are those of the published files: DiT and VAE as Black Forest Labs write them, T5
and CLIP as transformers does. Files are written tensor by tensor, so that full size needs little memory.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import FLUX1_DEV
from pipeline.spec import Aspect

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Widths and depths; the defaults are a miniature that draws 64 × 64 in a blink."""

    dim: int = 64
    heads: int = 2
    joint_blocks: int = 2
    single_blocks: int = 2
    t5_vocabulary: int = 128
    t5_dim: int = 48
    t5_hidden_dim: int = 64
    t5_heads: int = 2
    t5_head_dim: int = 16
    t5_layers: int = 2
    clip_vocabulary: int = 514
    clip_dim: int = 64
    clip_hidden_dim: int = 64
    clip_layers: int = 2
    vae_widths: tuple[int, int, int, int] = (32, 64, 128, 128)


FULL = Sizes(
    dim=3072,
    heads=24,
    joint_blocks=19,
    single_blocks=38,
    t5_vocabulary=32128,
    t5_dim=4096,
    t5_hidden_dim=10240,
    t5_heads=64,
    t5_head_dim=64,
    t5_layers=24,
    clip_vocabulary=49408,
    clip_dim=768,
    clip_hidden_dim=3072,
    clip_layers=12,
    vae_widths=(128, 256, 512, 512),
)


def dit_shapes(sizes: Sizes, prefix: str = "", *, is_guided: bool = True) -> Shapes:
    """`flux1-dev.safetensors`, or `flux1-schnell.safetensors`, which has no guidance.

    MajicFLUX has the same under the prefix `model.diffusion_model.`.
    """
    dim, head_dim = sizes.dim, sizes.dim // sizes.heads
    shapes: Shapes = {}
    linear = {
        "img_in": (dim, 64),
        "txt_in": (dim, sizes.t5_dim),
        "time_in.in_layer": (dim, 256),
        "time_in.out_layer": (dim, dim),
        "vector_in.in_layer": (dim, sizes.clip_dim),
        "vector_in.out_layer": (dim, dim),
        **({"guidance_in.in_layer": (dim, 256), "guidance_in.out_layer": (dim, dim)} if is_guided else {}),
        "final_layer.linear": (64, dim),
        "final_layer.adaLN_modulation.1": (2 * dim, dim),
    }
    for block in range(sizes.joint_blocks):
        for stream in ("img", "txt"):
            at = f"double_blocks.{block}.{stream}"
            linear |= {
                f"{at}_mod.lin": (6 * dim, dim),
                f"{at}_attn.qkv": (3 * dim, dim),
                f"{at}_attn.proj": (dim, dim),
                f"{at}_mlp.0": (4 * dim, dim),
                f"{at}_mlp.2": (dim, 4 * dim),
            }
            shapes[f"{at}_attn.norm.query_norm.scale"] = shapes[f"{at}_attn.norm.key_norm.scale"] = (head_dim,)
    for block in range(sizes.single_blocks):
        at = f"single_blocks.{block}"
        linear |= {
            f"{at}.modulation.lin": (3 * dim, dim),
            f"{at}.linear1": (7 * dim, dim),
            f"{at}.linear2": (dim, 5 * dim),
        }
        shapes[f"{at}.norm.query_norm.scale"] = shapes[f"{at}.norm.key_norm.scale"] = (head_dim,)
    return {prefix + name: shape for name, shape in (shapes | _with_bias(linear)).items()}


def t5_shapes(sizes: Sizes) -> Shapes:
    """`text_encoder_2/model-*.safetensors`."""
    dim, inner = sizes.t5_dim, sizes.t5_heads * sizes.t5_head_dim
    shapes: Shapes = {"shared.weight": (sizes.t5_vocabulary, dim), "encoder.final_layer_norm.weight": (dim,)}
    for block in range(sizes.t5_layers):
        attention = f"encoder.block.{block}.layer.0"
        feed_forward = f"encoder.block.{block}.layer.1"
        shapes |= {f"{attention}.SelfAttention.{name}.weight": (inner, dim) for name in "qkv"}
        shapes |= {
            f"{attention}.SelfAttention.o.weight": (dim, inner),
            f"{attention}.layer_norm.weight": (dim,),
            f"{feed_forward}.DenseReluDense.wi_0.weight": (sizes.t5_hidden_dim, dim),
            f"{feed_forward}.DenseReluDense.wi_1.weight": (sizes.t5_hidden_dim, dim),
            f"{feed_forward}.DenseReluDense.wo.weight": (dim, sizes.t5_hidden_dim),
            f"{feed_forward}.layer_norm.weight": (dim,),
        }
    shapes["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = (32, sizes.t5_heads)
    return shapes


def clip_shapes(sizes: Sizes) -> Shapes:
    """`text_encoder/model.safetensors`."""
    dim = sizes.clip_dim
    shapes: Shapes = {
        "text_model.embeddings.token_embedding.weight": (sizes.clip_vocabulary, dim),
        "text_model.embeddings.position_embedding.weight": (77, dim),
    }
    linear: Shapes = {"text_model.final_layer_norm": (dim,)}
    for layer in range(sizes.clip_layers):
        at = f"text_model.encoder.layers.{layer}"
        linear |= {f"{at}.self_attn.{name}_proj": (dim, dim) for name in ("q", "k", "v", "out")}
        linear |= {
            f"{at}.mlp.fc1": (sizes.clip_hidden_dim, dim),
            f"{at}.mlp.fc2": (dim, sizes.clip_hidden_dim),
            f"{at}.layer_norm1": (dim,),
            f"{at}.layer_norm2": (dim,),
        }
    return shapes | _with_bias(linear)


def vae_shapes(sizes: Sizes) -> Shapes:
    """`ae.safetensors`."""
    widths, top = sizes.vae_widths, sizes.vae_widths[-1]
    layers: Shapes = {
        "encoder.conv_in": (widths[0], 3, 3, 3),
        "encoder.norm_out": (top,),
        "encoder.conv_out": (32, top, 3, 3),
        "decoder.conv_in": (top, 16, 3, 3),
        "decoder.norm_out": (widths[0],),
        "decoder.conv_out": (3, widths[0], 3, 3),
    }
    for side in ("encoder", "decoder"):
        layers |= _residual(f"{side}.mid.block_1", top, top) | _residual(f"{side}.mid.block_2", top, top)
        layers[f"{side}.mid.attn_1.norm"] = (top,)
        layers |= {f"{side}.mid.attn_1.{name}": (top, top, 1, 1) for name in ("q", "k", "v", "proj_out")}
    previous = widths[0]
    for level, width in enumerate(widths):
        for block in range(2):
            layers |= _residual(f"encoder.down.{level}.block.{block}", previous, width)
            previous = width
        if level < 3:
            layers[f"encoder.down.{level}.downsample.conv"] = (width, width, 3, 3)
    previous = top
    for level, width in reversed(list(enumerate(widths))):
        for block in range(3):
            layers |= _residual(f"decoder.up.{level}.block.{block}", previous, width)
            previous = width
        if level > 0:
            layers[f"decoder.up.{level}.upsample.conv"] = (width, width, 3, 3)
    return _with_bias(layers)


def write_random_flux(
    models_dir: Path,
    card: ModelCard,
    sizes: Sizes,
    *,
    dtype: torch.dtype = torch.float32,
    dit_dtype: torch.dtype | None = None,
    device: str = "cpu",
) -> None:
    """Write every file of a card of the family with random weights; T5 in two shards with an index."""
    files = card.files
    generator = torch.Generator(device).manual_seed(1)

    def write(path: Path, shapes: Shapes, dtype: torch.dtype = dtype) -> None:
        write_safetensors(path, shapes, dtype=dtype, generator=generator)

    def place(kind: str) -> Path:
        path = models_dir / str(files[kind].repo) / files[kind].path
        (path if files[kind].is_folder else path.parent).mkdir(parents=True, exist_ok=True)
        return path

    write(place("dit"), dit_shapes(sizes, is_guided=card.guidance > 0), dit_dtype or dtype)
    write(place("vae"), vae_shapes(sizes))
    write(place("clip"), clip_shapes(sizes))
    t5 = sorted(t5_shapes(sizes).items())
    weight_map: dict[str, str] = {}
    for number, part in enumerate((dict(t5[: len(t5) // 2]), dict(t5[len(t5) // 2 :])), start=1):
        name = f"model-{number:05}-of-00002.safetensors"
        write(place("t5") / name, part)
        weight_map |= dict.fromkeys(part, name)
    index = place("t5") / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    write_clip_tokenizer(place("tokenizer_1"))
    write_t5_tokenizer(place("tokenizer_2"))


def write_safetensors(path: Path, shapes: Shapes, *, dtype: torch.dtype, generator: torch.Generator) -> None:
    """Write random tensors one by one: matrices with unit gain, norm scales one, biases zero.

    Layout: github.com/huggingface/safetensors, "Format".
    """
    width = torch.empty((), dtype=dtype).element_size()
    name_of = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float8_e4m3fn: "F8_E4M3"}[dtype]
    header, offset = {}, 0
    for name, shape in shapes.items():
        end = offset + torch.Size(shape).numel() * width
        header[name] = {"dtype": name_of, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            values = _random(name, shape, generator).to(dtype)
            file.write(values.contiguous().view(torch.uint8).cpu().numpy().data)


def _random(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    if len(shape) == 1:
        fill = 0.0 if name.endswith(".bias") else 1.0
        return torch.full(shape, fill, device=generator.device)
    fan_in = torch.Size(shape[1:]).numel()
    values = torch.empty(shape, device=generator.device, dtype=torch.float32)
    return values.normal_(0, fan_in**-0.5, generator=generator)


def _with_bias(layers: Mapping[str, tuple[int, ...]]) -> Shapes:
    shapes: Shapes = {}
    for name, shape in layers.items():
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = shape[:1]
    return shapes


def _residual(at: str, channels_in: int, channels_out: int) -> Shapes:
    layers: Shapes = {
        f"{at}.norm1": (channels_in,),
        f"{at}.conv1": (channels_out, channels_in, 3, 3),
        f"{at}.norm2": (channels_out,),
        f"{at}.conv2": (channels_out, channels_out, 3, 3),
    }
    if channels_in != channels_out:
        layers[f"{at}.nin_shortcut"] = (channels_out, channels_in, 1, 1)
    return layers


def write_clip_tokenizer(folder: Path) -> None:
    """CLIP's byte-level pieces without merges: 512 single bytes, start and end."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    end = "<|endoftext|>"
    special = {"bos_token": "<|startoftext|>", "eos_token": end, "pad_token": end, "unk_token": end}
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_t5_tokenizer(folder: Path) -> None:
    """A unigram tokenizer over ASCII letters."""
    letters = [(chr(code), -3.0 - code / 1000) for code in range(33, 127)]
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *letters]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "T5Tokenizer",
        "model_max_length": 512,
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "extra_ids": 0,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def miniature_card(*, is_large: bool = False) -> ModelCard:
    """The `flux1-dev` card with a small picture and few steps; `is_large` as if its weights were many."""
    return dataclasses.replace(
        FLUX1_DEV,
        sizes={Aspect.SQUARE: (64, 64)},
        default_steps=3,
        is_streamed=is_large,
        needs_gpu=is_large,
        packed_gb=FLUX1_DEV.packed_gb * is_large,
    )
