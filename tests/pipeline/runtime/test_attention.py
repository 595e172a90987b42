"""Attention in DiffSynth's words gives the bits that DiffSynth's gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffsynth.core.attention.attention import torch_sdpa

from pipeline.runtime.attention import attention_forward


@pytest.mark.parametrize("pattern", ["b s n d", "b n s d"])
@pytest.mark.parametrize(
    "options", [{}, {"scale": 0.3}, {"is_causal": True}, {"attn_mask": torch.ones(6, 6).tril() > 0}]
)
def test_bits_are_those_of_diffsynth(pattern: str, options: dict[str, Any]) -> None:
    query, key, value = torch.randn(3, 2, 6, 6, 16, generator=torch.Generator().manual_seed(1))
    options = {**options, **dict.fromkeys(("q_pattern", "k_pattern", "v_pattern", "out_pattern"), pattern)}
    assert torch.equal(attention_forward(query, key, value, **options), torch_sdpa(query, key, value, **options))


def test_other_orders_are_refused() -> None:
    query, key, value = torch.zeros(3, 1, 2, 4)
    with pytest.raises(ValueError, match="b s"):
        attention_forward(query, key, value, q_pattern="b s (n d)")
