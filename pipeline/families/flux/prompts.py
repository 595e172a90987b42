"""DiffSynth's reader of prompts, with a memory: `PromptEmbeddingCache` between its pipeline and its text encoders."""

from __future__ import annotations

from typing import Any

from diffsynth.pipelines.flux_image import FluxImagePipeline, FluxImageUnit_PromptEmbedder

from pipeline.runtime.prompt_cache import PromptEmbeddingCache


class CachedPromptEmbedder(FluxImageUnit_PromptEmbedder):  # type: ignore[misc]
    """Asks the text encoders only for prompts that the cache does not know."""

    def __init__(self, cache: PromptEmbeddingCache) -> None:
        super().__init__()
        self._cache = cache

    def process(self, pipe: FluxImagePipeline, prompt: str, t5_sequence_length: int, positive: bool) -> dict[str, Any]:
        """Embeddings of a prompt by name, on the device of the pipeline."""

        def read(prompts: list[str]) -> dict[str, Any]:
            found: dict[str, Any] = super(CachedPromptEmbedder, self).process(
                pipe, prompts, t5_sequence_length, positive
            )
            return found

        return self._cache.embeddings(prompt, t5_sequence_length, read=read, device=pipe.device)


def remember_prompts(pipe: FluxImagePipeline, cache: PromptEmbeddingCache) -> None:
    """Give a pipeline the memory."""
    units = (CachedPromptEmbedder(cache) if type(unit) is FluxImageUnit_PromptEmbedder else unit for unit in pipe.units)
    pipe.units = list(units)
