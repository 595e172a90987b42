"""Qwen3 as a text encoder in our own keeping: its blocks pass through the ring, its word table stays in host memory.

It computes the same bits as the class of transformers that DiffSynth uses (`ZImageTextEncoder`), up to the last layer
that somebody asks for; later layers, the last norm and the head are not read. Families choose the layers.

    make = partial(make_qwen3, shapes, layers=-1)
    encoder = Qwen3TextEncoder.read(source, make, convert=qwen3_weights, …)
    (text,) = encoder.hidden_states(ids, mask, [encoder.depth])

Letters in shapes: B batch, T tokens, C channels, D channels of a head.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import GenerationFailed
from pipeline.families.qwen3_component import QWEN3
from pipeline.families.qwen3_component import chat_text as chat_text
from pipeline.families.recipes import UNPACKED, Shapes
from pipeline.runtime.t5_encoder import Words
from pipeline.streaming.arithmetic import Arithmetic
from pipeline.streaming.lora_names import Layers, LoraPart, Target, whole
from pipeline.streaming.lora_parts import part_of
from pipeline.streaming.quantization import Format
from pipeline.streaming.streamed_module import StreamedModule

EPSILON: Final = 1e-6
THETA: Final = 1_000_000.0
# How names of its layers begin in LoRAs: diffusers', ComfyUI's, kohya's.
LORA_PREFIXES: Final = (
    "text_encoder.", "text_encoders.qwen3_4b.transformer.", "text_encoders.qwen3_4b.", "lora_te_", "lora_te1_",
)  # fmt: skip

Rotation = tuple[Tensor, Tensor]  # cosines and sines, (T, D) each


class RmsNorm(nn.Module):
    """Scales (…, C) to a root mean square of one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, hidden: Tensor) -> Tensor:
        """Normalize in float32."""
        exact = hidden.to(torch.float32)
        exact = exact * torch.rsqrt(exact.pow(2).mean(-1, keepdim=True) + EPSILON)
        normed: Tensor = self.weight * exact.to(hidden.dtype)
        return normed


class Attention(nn.Module):
    """Causal attention whose keys and values serve several heads each."""

    def __init__(self, width: int, heads: int, key_heads: int, head_width: int) -> None:
        super().__init__()
        self.head_width, self.repeats = head_width, heads // key_heads
        self.q_proj = nn.Linear(width, heads * head_width, bias=False)
        self.k_proj = nn.Linear(width, key_heads * head_width, bias=False)
        self.v_proj = nn.Linear(width, key_heads * head_width, bias=False)
        self.o_proj = nn.Linear(heads * head_width, width, bias=False)
        self.q_norm, self.k_norm = RmsNorm(head_width), RmsNorm(head_width)

    def forward(self, hidden: Tensor, rotation: Rotation, mask: Tensor | None) -> Tensor:
        """Mix (1, T, C); the mask (1, 1, T, T) is true where a token sees another, None if nothing is padding."""
        split = (-1, self.head_width)
        query = _rotated(self.q_norm(self.q_proj(hidden).unflatten(-1, split)).transpose(1, 2), rotation)
        key = _rotated(self.k_norm(self.k_proj(hidden).unflatten(-1, split)).transpose(1, 2), rotation)
        value = self.v_proj(hidden).unflatten(-1, split).transpose(1, 2)
        if mask is None:
            mixed = functional.scaled_dot_product_attention(
                query, key, value, is_causal=True, enable_gqa=self.repeats > 1
            )
        else:  # with a mask, kernels want a key per head
            key, value = (each.repeat_interleave(self.repeats, dim=1) for each in (key, value))
            mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        out: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """(…, C) → (…, C) through a gated hidden layer."""

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, hidden_width, bias=False)
        self.up_proj = nn.Linear(width, hidden_width, bias=False)
        self.down_proj = nn.Linear(hidden_width, width, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Each token alone."""
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(hidden)) * self.up_proj(hidden))
        return out


class Layer(nn.Module):
    """One layer. Of several prompts it reads one after the other: as a batch they would be rounded otherwise."""

    def __init__(self, attention: Attention, feed: FeedForward, width: int) -> None:
        super().__init__()
        self.self_attn, self.mlp = attention, feed
        self.input_layernorm, self.post_attention_layernorm = RmsNorm(width), RmsNorm(width)

    def forward(self, hidden: Tensor, rotation: Rotation, masks: Sequence[Tensor | None]) -> Tensor:
        """(B, T, C) → (B, T, C)."""
        rows = zip(hidden.split(1), masks, strict=True)
        return torch.cat([self._read(row, rotation, mask) for row, mask in rows])

    def _read(self, hidden: Tensor, rotation: Rotation, mask: Tensor | None) -> Tensor:
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), rotation, mask)
        read: Tensor = hidden + self.mlp(self.post_attention_layernorm(hidden))
        return read


class Qwen3(nn.Module):
    """The first layers of a Qwen3 model, without its last norm."""

    def __init__(  # noqa: PLR0913 - sizes of the model
        self,
        *,
        vocabulary: int,
        width: int,
        hidden_width: int,
        heads: int,
        key_heads: int,
        head_width: int,
        layers: int,
        unread: int = 0,
    ) -> None:
        """Make the module.

        Args:
            unread: how many layers the file has beyond those that are read.
        """
        super().__init__()
        self.head_width, self.unread = head_width, unread
        self.embed_tokens = Words(vocabulary, width)
        self.layers = nn.ModuleList(
            Layer(Attention(width, heads, key_heads, head_width), FeedForward(width, hidden_width), width)
            for _ in range(layers)
        )

    def forward(self, ids: Tensor, mask: Tensor, wanted: Collection[int]) -> dict[int, Tensor]:
        """Ids and mask (B, T) → the wanted of the hidden states, (B, T, C) each, by number; 0 is before all layers."""
        hidden: Tensor = self.embed_tokens(ids)
        masks = [_seen(row, hidden.device) for row in mask.bool().cpu()]
        rotation = rotation_of(ids.shape[1], self.head_width, hidden)
        found = {0: hidden} if 0 in wanted else {}
        for number, layer in enumerate(self.layers, 1):
            hidden = layer(hidden, rotation, masks)
            if number in wanted:
                found[number] = hidden
        return found


class Qwen3TextEncoder(StreamedModule):
    """Qwen3. Its activations have outliers that are no good in 8 bits, so those are only how its weights are kept."""

    COMPONENT = QWEN3

    def __init__(self, module: Any, packed: Mapping[str, Tensor], device: str) -> None:
        super().__init__(module, packed, device)
        self.use_8bit_matmul(False)
        (table,) = self.COMPONENT.tables
        words = module.get_submodule(table)
        words.register_forward_pre_hook(lambda _module, inputs: tuple(ids.cpu() for ids in inputs))
        words.register_forward_hook(lambda _module, _inputs, found: found.to(device))

    @property
    def depth(self) -> int:
        """How many there are; the number of the last hidden state."""
        return len(self.running)

    def lora_part(self) -> LoraPart:
        """What LoRAs may change of it; those for layers that are not read change no image."""
        unread: Any = self.module.unread
        names = partial(_lora_names, depth=self.depth, unread=unread)
        return part_of(self, LORA_PREFIXES, names, is_text=True)

    @torch.no_grad()
    def hidden_states(self, ids: Tensor, mask: Tensor, layers: Sequence[int]) -> tuple[Tensor, ...]:
        """Read prompts; every block crosses the link once for all of them.

        Args:
            ids: (B, T), padded at the end, on any device.
            mask: (B, T), 1 or true where a token is not padding.
            layers: numbers of hidden states as transformers counts them: 0 is what the word table gives, n what the
                n-th layer gives.

        Returns:
            One (B, T, C) for each of `layers`, on the device.
        """
        assert ids.shape == mask.shape and bool(mask[:, 0].all()), "padding comes at the end"
        found = self.module(ids, mask, layers)
        return tuple(found[number] for number in layers)


def _lora_names(modules: Mapping[str, nn.Module], *, depth: int, unread: int) -> Layers:
    """Every name of every layer, as transformers and ComfyUI have them."""
    inside = {name.split(".", 2)[2] for name in modules if name.startswith("layers.0.")}
    found: dict[str, tuple[Target, ...]] = {name: whole(name, module) for name, module in modules.items()}
    found |= {f"layers.{number}.{each}": () for number in range(depth, depth + unread) for each in inside}
    return found | {f"model.{name}": targets for name, targets in found.items()}


def rotation_of(tokens: int, head_width: int, like: Tensor) -> Rotation:
    """The rotary embedding of so many tokens, computed in float32, in the dtype and on the device of `like`."""
    frequencies = 1.0 / (THETA ** (torch.arange(0, head_width, 2, dtype=torch.float) / head_width))
    angles = torch.arange(tokens, device=like.device)[:, None].float() * frequencies.to(like.device)
    both = torch.cat((angles, angles), dim=-1)
    return both.cos().to(like.dtype), both.sin().to(like.dtype)


def _rotated(heads: Tensor, rotation: Rotation) -> Tensor:
    """(1, heads, T, D), the first half of D turned against the second."""
    cosines, sines = rotation
    first, second = heads.chunk(2, dim=-1)
    return heads * cosines + torch.cat((-second, first), dim=-1) * sines


def _seen(row: Tensor, device: torch.device) -> Tensor | None:
    """Which tokens each token of a prompt sees, (1, 1, T, T); None if there is no padding: all before it."""
    if bool(row.all()):
        return None
    return (torch.ones(len(row), len(row), dtype=torch.bool).tril() & row)[None, None].to(device)


_GGUF: Final = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}  # llama.cpp's names, github.com/ggml-org/llama.cpp, gguf-py/gguf/tensor_mapping.py
_TABLES: Final = {"token_embd.weight", "embed_tokens.weight"}
_IN_GGUF: Final = re.compile(r"blk\.(?P<number>\d+)\.(?P<owner>\w+)\.weight")
_IN_LAYER: Final = re.compile(rf"layers\.\d+\.(?:{'|'.join(map(re.escape, _GGUF.values()))})\.weight")


def qwen3_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a file of transformers, ComfyUI or llama.cpp; the last norm and the head are left out."""
    found = {}
    for name, tensor in tensors.items():
        plain = name.removeprefix("model.")
        if plain in _TABLES:
            found["embed_tokens.weight"] = tensor
        elif _IN_LAYER.fullmatch(plain):
            found[plain] = tensor
        elif (block := _IN_GGUF.fullmatch(name)) is not None and block["owner"] in _GGUF:
            found[f"layers.{block['number']}.{_GGUF[block['owner']]}.weight"] = tensor
    return found


def make_qwen3(shapes: Shapes, *, layers: int) -> Qwen3:
    """Make the module of a checkpoint's sizes, without values, on the default device.

    Args:
        layers: how many of its layers are needed; a negative number counts from the end.

    Raises:
        GenerationFailed: no Qwen3 has these shapes, or it has too few layers.
    """
    vocabulary, width = _shape(shapes, "embed_tokens.weight", 2)
    first = "layers.0.self_attn"
    (head_width,) = _shape(shapes, f"{first}.q_norm.weight", 1)
    queries, keys = (_shape(shapes, f"{first}.{each}_proj.weight", 2)[0] for each in "qk")
    if not head_width or head_width % 2 or not keys or queries % head_width or keys % head_width or queries % keys:
        raise GenerationFailed(f"no Qwen3 has {queries} queries and {keys} keys in heads of {head_width}")
    there = len({name.split(".")[1] for name in shapes if name.startswith("layers.")})
    wanted = layers if layers >= 0 else there + layers
    if not 0 < wanted <= there:
        raise GenerationFailed(f"the Qwen3 text encoder has {there} layers, of which {layers} cannot be read")
    return Qwen3(
        vocabulary=vocabulary,
        width=width,
        hidden_width=_shape(shapes, "layers.0.mlp.gate_proj.weight", 2)[0],
        heads=queries // head_width,
        key_heads=keys // head_width,
        head_width=head_width,
        layers=wanted,
        unread=there - wanted,
    )


def _shape(shapes: Shapes, name: str, dimensions: int) -> Sequence[int]:
    """Raises GenerationFailed: there is no such tensor, or it has other dimensions."""
    if name not in shapes:
        raise GenerationFailed(f"the checkpoint lacks {name}")
    if len(shapes[name]) != dimensions:
        raise GenerationFailed(f"{name} is {tuple(shapes[name])}, which has not {dimensions} dimensions")
    return shapes[name]


def reading_format(arithmetic: Arithmetic) -> Format:
    """How it is kept beside such a transformer: in 8 bits if that is, as integers, since floats are the less exact."""
    return Format.INT8 if arithmetic.weight_format.is_8bit else UNPACKED[arithmetic.dtype]
