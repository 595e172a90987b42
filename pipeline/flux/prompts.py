"""Prompts are read once: another seed of the same words needs no text encoder.

Kept in memory only, so what was asked for is gone with the process. With streamed encoders it saves seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from diffsynth.pipelines.flux_image import FluxImagePipeline, FluxImageUnit_PromptEmbedder
from torch import Tensor

PROMPTS: Final = 16  # kept, 4 MB each with FLUX.1's encoders


class PromptMemory(FluxImageUnit_PromptEmbedder):  # type: ignore[misc]
    """DiffSynth's reader of prompts with a memory."""

    def __init__(self) -> None:
        super().__init__()
        self._read: OrderedDict[tuple[str, int], dict[str, Tensor]] = OrderedDict()

    def process(self, pipe: FluxImagePipeline, prompt: str, t5_sequence_length: int, positive: bool) -> dict[str, Any]:
        """Embeddings of a prompt by name, on the device of the pipeline."""
        key = prompt, t5_sequence_length
        if key not in self._read:
            found = super().process(pipe, prompt, t5_sequence_length, positive)
            self._read[key] = {name: tensor.cpu() for name, tensor in found.items()}
            if len(self._read) > PROMPTS:
                self._read.popitem(last=False)
        self._read.move_to_end(key)
        return {name: tensor.to(pipe.device) for name, tensor in self._read[key].items()}


def remember_prompts(pipe: FluxImagePipeline) -> None:
    """Give a pipeline the memory."""
    pipe.units = [PromptMemory() if type(unit) is FluxImageUnit_PromptEmbedder else unit for unit in pipe.units]
