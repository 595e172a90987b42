"""T5's encoder (arXiv 1910.10683, version 1.1: gated GELU), with the tensor names that its checkpoints have.

It computes the same bits as the classes of transformers, whose import alone takes longer than drawing with the demo.
For inference: no dropout, no mask, no decoder. Must not know files or prompts.

Letters in shapes: B batch, T tokens, C channels, H heads.
"""

from __future__ import annotations

import math
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON: Final = 1e-6
BUCKETS: Final = 32
GELU_CUBIC: Final = 0.044715  # arXiv 1606.08415, the approximation by tanh


class Words(nn.Embedding):
    """A table whose first values are made only where they have a place.

    Without one (the meta device), torch would import its compiler and sympy to make nothing: two seconds.
    """

    def reset_parameters(self) -> None:
        """Make first values."""
        if not self.weight.is_meta:
            super().reset_parameters()


class RmsNorm(nn.Module):
    """Scales (…, C) to a root mean square of one; the mean itself stays (arXiv 1910.07467)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, hidden: Tensor) -> Tensor:
        """Normalize; the squares are summed in float32."""
        variance = hidden.to(torch.float32).pow(2).mean(-1, keepdim=True)
        normed: Tensor = hidden * torch.rsqrt(variance + EPSILON)
        if self.weight.dtype is torch.bfloat16:
            normed = normed.to(torch.bfloat16)
        return self.weight * normed


class SelfAttention(nn.Module):
    """Attention without a scale: T5's first weights make up for it. The first block's holds the bias of all."""

    def __init__(self, dim: int, heads: int, head_dim: int, *, max_distance: int, has_bias: bool) -> None:
        super().__init__()
        self.heads, self.head_dim, self.max_distance = heads, head_dim, max_distance
        self.q, self.k, self.v = (nn.Linear(dim, heads * head_dim, bias=False) for _ in range(3))
        self.o = nn.Linear(heads * head_dim, dim, bias=False)
        if has_bias:
            self.relative_attention_bias = Words(BUCKETS, heads)

    def bias(self, length: int, device: torch.device) -> Tensor:
        """What is added to the scores of every pair of tokens: (1, H, T, T).

        Contiguous, since with other strides torch takes another kernel on a GPU, which rounds otherwise.
        """
        values: Tensor = self.relative_attention_bias(relative_buckets(length, self.max_distance, device))
        return values.permute(2, 0, 1).unsqueeze(0).contiguous()

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """Mix (B, T, C)."""
        query, key, value = (
            project(hidden).unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for project in (self.q, self.k, self.v)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=1.0)
        out: Tensor = self.o(mixed.transpose(1, 2).contiguous().flatten(2))
        return out


class FeedForward(nn.Module):
    """(…, C) → (…, C) through a gated hidden layer."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.wi_0, self.wi_1 = (nn.Linear(dim, hidden_dim, bias=False) for _ in range(2))
        self.wo = nn.Linear(hidden_dim, dim, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Each token alone."""
        out: Tensor = self.wo(gelu(self.wi_0(hidden)) * self.wi_1(hidden))
        return out


class AttentionLayer(nn.Module):
    """Attention and what is around it; the names are those of checkpoints."""

    def __init__(self, attention: SelfAttention, dim: int) -> None:
        super().__init__()
        self.SelfAttention = attention
        self.layer_norm = RmsNorm(dim)


class FeedForwardLayer(nn.Module):
    """The hidden layer and what is around it; the names are those of checkpoints."""

    def __init__(self, feed: FeedForward, dim: int) -> None:
        super().__init__()
        self.DenseReluDense = feed
        self.layer_norm = RmsNorm(dim)


class Block(nn.Module):
    """One layer of attention and one of a gated network."""

    def __init__(self, attention: AttentionLayer, feed: FeedForwardLayer) -> None:
        super().__init__()
        self.layer = nn.ModuleList([attention, feed])

    @property
    def attention(self) -> AttentionLayer:
        """The first layer."""
        return cast("AttentionLayer", self.layer[0])

    @property
    def feed(self) -> FeedForwardLayer:
        """The second layer."""
        return cast("FeedForwardLayer", self.layer[1])

    def forward(self, hidden: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, T, C) → the same, and the bias of all blocks, which the first one makes."""
        attention, feed = self.attention, self.feed
        if bias is None:
            bias = attention.SelfAttention.bias(hidden.shape[1], hidden.device)
        hidden = hidden + attention.SelfAttention(attention.layer_norm(hidden), bias)
        return hidden + feed.DenseReluDense(feed.layer_norm(hidden)), bias


class Stack(nn.Module):
    """The blocks between the table of word pieces and the last norm."""

    def __init__(self, words: nn.Embedding, blocks: list[Block], dim: int) -> None:
        super().__init__()
        self.embed_tokens = words  # the table has two names in a module, and one in a file
        self.block = nn.ModuleList(blocks)
        self.final_layer_norm = RmsNorm(dim)

    def forward(self, input_ids: Tensor) -> Tensor:
        """(B, T) ids → (B, T, C)."""
        hidden, bias = self.embed_tokens(input_ids), None
        for block in self.block:
            hidden, bias = block(hidden, bias)
        normed: Tensor = self.final_layer_norm(hidden)
        return normed


class T5Encoder(nn.Module):
    """(B, T) ids → (B, T, dim). The defaults are the sizes of T5-XXL, which FLUX.1 has."""

    def __init__(  # noqa: PLR0913 - sizes of the model
        self,
        vocabulary: int = 32128,
        dim: int = 4096,
        hidden_dim: int = 10240,
        heads: int = 64,
        head_dim: int = 64,
        layers: int = 24,
        max_distance: int = 128,
    ) -> None:
        super().__init__()
        self.shared = Words(vocabulary, dim)
        blocks = [
            Block(
                AttentionLayer(
                    SelfAttention(dim, heads, head_dim, max_distance=max_distance, has_bias=index == 0), dim
                ),
                FeedForwardLayer(FeedForward(dim, hidden_dim), dim),
            )
            for index in range(layers)
        ]
        self.encoder = Stack(self.shared, blocks, dim)

    def forward(self, input_ids: Tensor) -> Tensor:
        """Encode; padding counts as text."""
        encoded: Tensor = self.encoder(input_ids)
        return encoded


def relative_buckets(length: int, max_distance: int, device: torch.device | None = None) -> Tensor:
    """Bucket of the distance from each token to each: (T, T) int64. Near ones each have their own, far ones share.

    The upper half is for what comes after; in each half, one bucket per distance up to a half of it, then in steps
    that grow with the logarithm up to `max_distance`.
    """
    position = torch.arange(length, dtype=torch.long, device=device)
    distance = position[None, :] - position[:, None]
    half = BUCKETS // 2
    exact = half // 2
    buckets = (distance > 0).to(torch.long) * half
    distance = distance.abs()
    far = torch.log(distance.float() / exact) / math.log(max_distance / exact) * (half - exact)
    far = (exact + far.to(torch.long)).clamp(max=half - 1)
    return buckets + torch.where(distance < exact, distance, far)


def gelu(x: Tensor) -> Tensor:
    """GELU by tanh, one operation at a time: torch's own rounds otherwise."""
    return 0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + GELU_CUBIC * torch.pow(x, 3.0))))
