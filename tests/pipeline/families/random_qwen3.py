"""A miniature Qwen3: random weights in DiffSynth's own class, under the names of the files that people have."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from diffsynth.models.z_image_text_encoder import ZImageTextEncoder
from torch import Tensor
from transformers import Qwen3Config, Qwen3Model

WORDS = 300
WIDTH = 48
LAYERS = 4
LLAMA_CPP = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def miniature_qwen3(**sizes: int) -> ZImageTextEncoder:
    """DiffSynth's text encoder, of small sizes and otherwise what Qwen3 is."""
    config = {
        "vocab_size": WORDS,
        "hidden_size": WIDTH,
        "intermediate_size": 80,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
    } | sizes
    encoder: Any = ZImageTextEncoder.__new__(ZImageTextEncoder)
    torch.nn.Module.__init__(encoder)
    torch.manual_seed(5)
    encoder.model = Qwen3Model(
        Qwen3Config(**config, rms_norm_eps=1e-6, rope_theta=1_000_000, attention_bias=False, hidden_act="silu")
    )
    fill = partial(torch.rand, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        for name, weight in encoder.named_parameters():
            if name.endswith("norm.weight"):
                weight.copy_(0.5 + fill(weight.shape))
            else:
                weight.mul_(4)  # beyond the small first values, so that attention is not the same everywhere
    encoder.eval().requires_grad_(False)
    return encoder


def tensors_of(encoder: ZImageTextEncoder) -> dict[str, Tensor]:
    """As transformers and ComfyUI name them, with the head that files have and nobody needs."""
    tensors = {name: value.contiguous() for name, value in encoder.state_dict().items()}
    return tensors | {"lm_head.weight": tensors["model.embed_tokens.weight"].clone()}


def llama_cpp_tensors(encoder: ZImageTextEncoder) -> dict[str, Tensor]:
    """As GGUF files name them."""
    found = {}
    for name, value in tensors_of(encoder).items():
        plain = name.removeprefix("model.")
        if plain.startswith("layers."):
            _, number, owner = plain.split(".", 2)
            found[f"blk.{number}.{LLAMA_CPP[owner.removesuffix('.weight')]}.weight"] = value
        else:
            names = {"embed_tokens.weight": "token_embd", "norm.weight": "output_norm", "lm_head.weight": "output"}
            found[f"{names[plain]}.weight"] = value
    return found
