"""Prompts → what the transformer is told of them, each read once: Qwen3, its tokenizer, `PromptEmbeddingCache`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from pipeline.families.flux2.architecture import READING_LAYERS, TEXT_TOKENS
from pipeline.families.qwen3 import Qwen3TextEncoder
from pipeline.families.qwen3_component import chat_text
from pipeline.runtime.prompt_cache import PromptEmbeddingCache
from pipeline.runtime.prompt_tokenizer import ReadsPrompts

READING: Final = 1  # to be raised if this file reads otherwise: what was read is kept across releases


class PromptReader:
    """Reads prompts as messages that Qwen3 answers without thinking, padding included, as klein was trained."""

    def __init__(self, encoder: Qwen3TextEncoder, tokenizer: ReadsPrompts, cache: PromptEmbeddingCache) -> None:
        """Take over the parts."""
        self.encoder, self._tokenizer, self._cache = encoder, tokenizer, cache

    def embedding(self, prompt: str) -> Tensor:
        """(1, 512, 3·C): after a quarter, a half and three quarters of Qwen3's layers, side by side."""
        device = self.encoder.device
        return self._cache.embeddings(prompt, TEXT_TOKENS, read=self._read, device=device)["text"]

    @torch.no_grad()
    def _read(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """Read several prompts, every block of the encoder once."""
        texts = [chat_text(prompt, may_think=False) for prompt in prompts]
        tokens = self._tokenizer(texts, max_length=TEXT_TOKENS)
        hidden = self.encoder.hidden_states(tokens.input_ids, tokens.attention_mask, READING_LAYERS)
        return {"text": torch.cat(hidden, dim=-1)}
