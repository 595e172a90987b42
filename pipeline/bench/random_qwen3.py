"""Qwen3 without its files, for every family that reads with it: arbitrary weights, and a tokenizer of bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import torch
from diffsynth.models.z_image_text_encoder import ZImageTextEncoder
from torch import nn

from pipeline.bench.random_weights import random_part
from pipeline.families.qwen3 import Qwen3, Qwen3TextEncoder
from pipeline.families.qwen3_component import chat_text
from pipeline.runtime.prompt_tokenizer import Tokens
from pipeline.streaming.quantization import Format

STOCK: Final = ZImageTextEncoder  # DiffSynth's, of 4 billion weights
SIZES_4B: Final[Mapping[str, int]] = {
    "vocabulary": 151936,
    "width": 2560,
    "hidden_width": 9728,
    "heads": 32,
    "key_heads": 8,
    "head_width": 128,
}


class ByteTokenizer:
    """A prompt's bytes are its tokens, which is more than a real tokenizer makes of it. As DiffSynth asks it, too."""

    def __call__(self, prompt: str | Sequence[str], *, max_length: int, **_options: object) -> Tokens:
        """Encode one prompt or several."""
        rows = [list(text.encode())[:max_length] for text in ([prompt] if isinstance(prompt, str) else prompt)]
        return Tokens(
            torch.tensor([row + [0] * (max_length - len(row)) for row in rows]),
            torch.tensor([[1] * len(row) + [0] * (max_length - len(row)) for row in rows]),
        )

    def apply_chat_template(
        self, messages: Sequence[Mapping[str, str]], *, enable_thinking: bool, **_options: object
    ) -> str:
        """Write the one message that there is."""
        (message,) = messages
        return chat_text(message["content"], may_think=enable_thinking)


def random_encoder(
    sizes: Mapping[str, int], layers: int, weight_format: Format, dtype: torch.dtype, device: str
) -> Qwen3TextEncoder:
    """Make ours, with so many layers; nothing is placed yet."""
    return random_part(Qwen3TextEncoder, partial(Qwen3, **sizes, layers=layers), weight_format, dtype, device)


def stock_encoder() -> nn.Module:
    """Make DiffSynth's."""
    made: nn.Module = STOCK()
    return made
