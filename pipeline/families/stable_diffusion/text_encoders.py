"""CLIP's two text encoders, L and G, in our own keeping: DiffSynth's layers, of which any may be the last that is used.

Letters in shapes: T tokens of a chunk, C channels, P channels of the pooled vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import torch
from diffsynth.models.stable_diffusion_text_encoder import CLIPEncoderLayer
from torch import Tensor, nn

from pipeline.families.stable_diffusion.architecture import CLIP_G, CLIP_L
from pipeline.runtime.t5_encoder import Words
from pipeline.streaming.streamed_module import StreamedModule

EPSILON: Final = 1e-5
QUICK_GELU: Final = "quick_gelu"  # OpenAI's CLIP
GELU: Final = "gelu"  # OpenCLIP


class Read(NamedTuple):
    """What CLIP makes of a chunk.

    layers: what goes in and what comes out of each layer, (1, T, C) each; the last is not normed.
    pooled: (1, P) at the end of the text, if the encoder has a projection.
    """

    layers: tuple[Tensor, ...]
    pooled: Tensor | None


class Clip(nn.Module):
    """A CLIP text encoder, (1, T) ids → `Read`."""

    def __init__(  # noqa: PLR0913 - sizes of the model
        self,
        *,
        vocabulary: int,
        width: int,
        hidden_width: int,
        heads: int,
        layers: int,
        tokens: int,
        projection: int | None,
        activation: str,
    ) -> None:
        super().__init__()
        self.token_embedding = Words(vocabulary, width)
        self.position_embedding = Words(tokens, width)
        self.layers = nn.ModuleList(
            CLIPEncoderLayer(width, heads, width // heads, hidden_width, activation, EPSILON) for _ in range(layers)
        )
        self.final_layer_norm = nn.LayerNorm(width, eps=EPSILON)
        self.text_projection = None if projection is None else nn.Linear(width, projection, bias=False)

    @property
    def pooled_width(self) -> int | None:
        """P, if there is a projection."""
        return None if self.text_projection is None else self.text_projection.out_features

    def forward(self, ids: Tensor) -> Read:
        """Read one chunk: every token sees those before it."""
        words = self.token_embedding(ids)
        hidden = words + self.position_embedding.weight[: words.shape[1]]
        mask = hidden.new_full((words.shape[1],) * 2, -torch.inf).triu(1)[None, None]
        layers = [hidden]
        for layer in self.layers:
            layers.append(layer(layers[-1], attention_mask=mask))
        pooled = None
        if self.text_projection is not None:
            # The end of the text has the highest id, and padding that has it too comes later. DiffSynth takes the
            # first token here, which sees no text at all.
            end = self.final_layer_norm(layers[-1])[:, int(ids[0].argmax())]
            pooled = self.text_projection(end)
        return Read(tuple(layers), pooled)


class TextEncoder(StreamedModule):
    """CLIP-L. The table of word pieces stays in host memory: a few of its rows are needed once per prompt."""

    COMPONENT = CLIP_L

    def __init__(self, module: Any, packed: Mapping[str, Tensor], device: str) -> None:
        super().__init__(module, packed, device)
        (table,) = self.COMPONENT.tables
        words = module.get_submodule(table)
        words.register_forward_pre_hook(lambda _module, inputs: tuple(ids.cpu() for ids in inputs))
        words.register_forward_hook(lambda _module, _inputs, found: found.to(device))

    def read_chunk(self, ids: Tensor) -> Read:
        """Read (1, T) ids, anywhere; what comes out is on the device."""
        read: Read = self.module(ids)
        return read


class PooledTextEncoder(TextEncoder):
    """CLIP-G, which sums a prompt up as well."""

    COMPONENT = CLIP_G
