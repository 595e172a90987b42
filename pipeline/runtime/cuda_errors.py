"""What torch raises about the GPU, and a library or a file about anything, in the errors of this side."""

from __future__ import annotations

import torch

from pipeline.errors import EngineDead, GenerationFailed, OutOfMemory, PipelineError
from pipeline.runtime.cuda_memory import free_mib

# Messages, because torch raises plain RuntimeError for these outside its CUDA allocator. "out of memory":
# cudaMalloc inside a library; the rest: cuBLAS workspace; host allocator on Linux and on Windows.
_OUT_OF_MEMORY = ("out of memory", "cublas_status_alloc_failed", "can't allocate memory", "not enough memory")
# After these the CUDA context stays broken until the process ends: illegal address, launch failure, a
# device-side assert, a fallen-off card. A wrong launch configuration does not belong here.
_DEAD = ("cuda error", "cudnn_status_execution_failed", "cublas_status_execution_failed")


def translate(error: Exception) -> PipelineError:
    """Say what an exception of torch, DiffSynth or a file means for the engine."""
    if isinstance(error, PipelineError):
        return error
    text = str(error).lower()
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(words in text for words in _OUT_OF_MEMORY)
    ):
        return OutOfMemory(free_mib=free_mib())
    if isinstance(error, torch.AcceleratorError) or (
        isinstance(error, RuntimeError) and any(words in text for words in _DEAD)
    ):
        return EngineDead(_in_short(error))
    return GenerationFailed(_in_short(error))


def _in_short(error: Exception) -> str:
    """Class and first line; CUDA's messages go on with paragraphs of advice."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
