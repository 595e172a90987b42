"""Attention as DiffSynth's newer transformers ask for it: torch's own, whatever else is installed.

DiffSynth's module of it compiles flex attention when it is imported, which takes seconds, and takes the first of six
libraries that it finds, so that the same seed would draw another image on the next machine.
"""

from __future__ import annotations

from typing import Final

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

_INWARD: Final = "b n s d"  # batch, heads, tokens, channels of a head: as torch has it
_OUTWARD: Final = "b s n d"


def attention_forward(  # noqa: PLR0913 - what DiffSynth gives
    q: Tensor,
    k: Tensor,
    v: Tensor,
    q_pattern: str = _INWARD,
    k_pattern: str = _INWARD,
    v_pattern: str = _INWARD,
    out_pattern: str = _INWARD,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
    is_causal: bool = False,
) -> Tensor:
    """Mix values by how queries match keys; what comes out has `out_pattern`.

    Raises:
        ValueError: of an order of dimensions that no transformer here has.
    """
    query, key, value = (_turned(each, pattern) for each, pattern in ((q, q_pattern), (k, k_pattern), (v, v_pattern)))
    mixed = scaled_dot_product_attention(query, key, value, attn_mask, scale=scale, is_causal=is_causal)
    return _turned(mixed, out_pattern)


def _turned(each: Tensor, pattern: str) -> Tensor:
    """From one order of dimensions to the other, or from torch's to torch's."""
    if pattern not in (_INWARD, _OUTWARD):
        raise ValueError(f"dimensions in the order {pattern} are not known")
    return each.transpose(1, 2) if pattern == _OUTWARD else each
