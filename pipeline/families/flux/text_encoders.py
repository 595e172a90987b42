"""FLUX's two text encoders in our own keeping: T5, which reads words, and CLIP, which sums a prompt up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pipeline.families.flux.architecture import CLIP, T5
from pipeline.streaming.streamed_module import StreamedModule


class TextEncoder(StreamedModule):
    """T5. Its activations have outliers that are no good in 8 bits, so those are only how its weights are kept.

    The table of word pieces stays in host memory: a few of its rows are needed once per prompt. Of several prompts
    at once, every block reads one after the other: as a batch they would be rounded otherwise than alone.
    """

    COMPONENT = T5

    def __init__(self, module: Any, packed: Mapping[str, Tensor], device: str) -> None:
        super().__init__(module, packed, device)
        self.use_8bit_matmul(False)
        for name in self.running:
            block = module.get_submodule(name)
            block.forward = partial(_one_by_one, block.forward)
        (table,) = self.COMPONENT.tables
        words = module.get_submodule(table)
        words.register_forward_pre_hook(lambda _module, inputs: tuple(ids.cpu() for ids in inputs))
        words.register_forward_hook(lambda _module, _inputs, found: found.to(device))

    @classmethod
    def simplify(cls, module: Any) -> None:
        module.encoder.embed_tokens = module.shared  # the file has one table, the library's class two


class PooledTextEncoder(TextEncoder):
    """CLIP, of which FLUX uses one vector per prompt."""

    COMPONENT = CLIP

    @classmethod
    def simplify(cls, module: Any) -> None:
        module.attn_mask = module.attention_mask(len(module.attn_mask))  # no weight, so not in the file


def _one_by_one(forward: Callable[..., Any], hidden: Tensor, *args: Any, **kw: Any) -> Any:
    """A block's forward pass for (B, T, C), as if each of B were alone.

    Whatever else it takes and returns has to be the same for all, as a mask of no padding and distances are.
    """
    assert all(len(each) == 1 for each in (*args, *kw.values()) if isinstance(each, Tensor) and each.dim() > 2)
    outs = [forward(row, *args, **kw) for row in hidden.split(1)]
    if isinstance(outs[0], Tensor):
        return torch.cat(outs)
    return (torch.cat([out[0] for out in outs]), *outs[0][1:])
