"""Readings are kept in memory, the latest of them."""

from __future__ import annotations

from pathlib import Path

import torch

from pipeline.runtime.prompt_cache import PROMPTS, PromptEmbeddingCache, PromptFiles, Reading


def test_as_many_readings_are_kept_as_there_is_memory_for_and_the_one_left_alone_longest_goes() -> None:
    cache, asked = PromptEmbeddingCache(), []

    def read(prompts: list[str]) -> Reading:
        asked.append(prompts)
        return {"t5": torch.zeros(len(prompts), 4)}

    def look_up(prompt: str) -> None:
        cache.embeddings(prompt, 4, read=read, device="cpu")

    for number in range(PROMPTS):
        look_up(f"prompt {number}")
    look_up("prompt 0")  # is known, and the latest now
    assert len(asked) == PROMPTS
    look_up("one more")
    assert len(cache.prompts) == PROMPTS and "prompt 1" not in cache.prompts
    look_up("prompt 0")
    assert len(asked) == PROMPTS + 1
    look_up("prompt 1")
    assert asked[-1] == ["prompt 1"]


def test_another_length_is_another_reading() -> None:
    cache, asked = PromptEmbeddingCache(), []

    def read(prompts: list[str]) -> Reading:
        asked.append(prompts)
        return {"t5": torch.zeros(len(prompts), 4)}

    for tokens in (256, 512, 256):
        cache.embeddings("a cat", tokens, read=read, device="cpu")
    assert len(asked) == 2


def test_nothing_of_a_prompt_that_was_forgotten_is_kept_or_read_ahead(tmp_path: Path) -> None:
    cache = PromptEmbeddingCache(PromptFiles(tmp_path, "encoders"))
    cache.upcoming = ("secret words, too",)
    cache.embeddings("secret words", 3, read=lambda texts: {"text": torch.ones(len(texts), 2)}, device="cpu")
    assert len(cache.prompts) == 2
    cache.forget()
    cache.keep()
    assert cache.prompts == [] and list(cache.upcoming) == [] and not list(tmp_path.iterdir())
