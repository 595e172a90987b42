"""Prompts → hidden states of Qwen3, each read once: the tokenizer, the text encoder, `PromptEmbeddingCache`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from pipeline.families.qwen3 import Qwen3TextEncoder
from pipeline.families.qwen3_component import MOST_TOKENS, chat_text
from pipeline.runtime.prompt_cache import PromptEmbeddingCache
from pipeline.runtime.prompt_tokenizer import ReadsPrompts

READING: Final = 1  # to be raised if this file read otherwise: what was read is kept across releases


class PromptReader:
    """Reads prompts as Z-Image knows them: what the last layer but one gives of a message that is to be answered."""

    def __init__(
        self, encoder: Qwen3TextEncoder, tokenizer: ReadsPrompts, cache: PromptEmbeddingCache, *, device: str
    ) -> None:
        """Take an encoder that ends with the last layer but one."""
        self.encoder, self._tokenizer, self._cache, self._device = encoder, tokenizer, cache, device

    def embeddings(self, prompt: str) -> Tensor:
        """Read a prompt, at most 512 tokens of it: (T, C), without padding."""
        found = self._cache.embeddings(prompt, MOST_TOKENS, read=self._read, device=self._device)
        return found["text"][0, : int(found["tokens"])]

    @torch.no_grad()
    def _read(self, prompts: Sequence[str]) -> dict[str, Tensor]:
        """Read several prompts, each padded to the longest with zeros; `tokens` says how long each is."""
        texts = [chat_text(prompt, may_think=True) for prompt in prompts]
        tokens = self._tokenizer(texts, max_length=MOST_TOKENS)
        mask = tokens.attention_mask.bool()
        (hidden,) = self.encoder.hidden_states(tokens.input_ids, mask, [self.encoder.depth])
        rows = [row[kept.to(row.device)] for row, kept in zip(hidden, mask, strict=True)]
        return {
            "text": torch.nn.utils.rnn.pad_sequence(rows, batch_first=True),
            "tokens": mask.sum(1),
        }
