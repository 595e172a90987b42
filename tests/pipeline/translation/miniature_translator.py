"""Writes a Qwen3 language model of a few thousand weights, as real files: config, byte-level tokenizer, weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from pipeline.translation.translator_card import CONFIG, TOKENIZER, WEIGHTS, TranslatorPaths, read_shape

MARKS: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>")
SIZES: Final[dict[str, Any]] = {
    "model_type": "qwen3",
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 272,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000,
    "tie_word_embeddings": True,
    "hidden_act": "silu",
    "max_position_embeddings": 4096,
}


def write_translator(folder: Path, *, dtype: torch.dtype = torch.bfloat16, **sizes: object) -> TranslatorPaths:
    """Write the files into a folder; its weights are waves, the same on every machine."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({**SIZES, **sizes}), "utf-8")
    write_tokenizer(folder / TOKENIZER)
    shape = read_shape(folder / CONFIG)
    weights = {name: _waves(number, size).to(dtype) for number, (name, size) in enumerate(shape.tensors().items())}
    save_file(weights, folder / WEIGHTS)
    return TranslatorPaths(weights=folder / WEIGHTS, config=folder / CONFIG, tokenizer=folder / TOKENIZER)


def write_tokenizer(path: Path) -> None:
    """Write a tokenizer with a token for each byte, and the marks of turns."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, special=True) for mark in MARKS])
    tokenizer.save(str(path))


def _waves(number: int, size: tuple[int, ...]) -> torch.Tensor:
    count = torch.tensor(size).prod().item()
    waves = torch.sin(torch.arange(count, dtype=torch.float64) * (0.7 + 0.013 * number) + number)
    return (1 + 0.1 * waves if len(size) == 1 else 0.2 * waves).reshape(size).float()
