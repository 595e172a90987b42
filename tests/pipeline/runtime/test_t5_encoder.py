"""Our T5 computes the same bits as the classes of transformers, from the same tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffsynth.utils.state_dict_converters.flux_text_encoder_t5 import FluxTextEncoderT5StateDictConverter
from transformers import T5Config, T5EncoderModel
from transformers.models.t5.modeling_t5 import T5Attention

from pipeline.demo.model import SmallT5
from pipeline.runtime.t5_encoder import SelfAttention, T5Encoder, relative_buckets


def theirs(*, max_distance: int = 128) -> T5EncoderModel:
    torch.manual_seed(3)
    config = T5Config(
        vocab_size=97,
        d_model=48,
        d_kv=16,
        d_ff=80,
        num_layers=3,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        relative_attention_max_distance=max_distance,
    )
    return T5EncoderModel(config).eval()


def ours(model: T5EncoderModel, *, max_distance: int = 128) -> T5Encoder:
    made = T5Encoder(97, 48, 80, 4, 16, 3, max_distance=max_distance)
    tensors = {name: value for name, value in model.state_dict().items() if name != "encoder.embed_tokens.weight"}
    made.load_state_dict(FluxTextEncoderT5StateDictConverter(tensors))
    return made.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("length", "batch"), [(1, 1), (48, 1), (77, 2), (512, 1)])
@torch.no_grad()
def test_same_tensors_give_the_same_bits(dtype: torch.dtype, length: int, batch: int) -> None:
    library = theirs().to(dtype)
    ids = torch.randint(97, (batch, length), generator=torch.Generator().manual_seed(length))
    wanted: Any = library(input_ids=ids).last_hidden_state
    assert torch.equal(ours(library).to(dtype)(ids), wanted)


@torch.no_grad()
def test_bias_lies_in_the_order_of_its_shape() -> None:
    """Which the bits do not tell on a CPU, but on a GPU: see `SelfAttention.bias`."""
    bias = SelfAttention(48, 4, 16, max_distance=128, has_bias=True).bias(48, torch.device("cpu"))
    assert bias.shape == (1, 4, 48, 48)
    assert bias.is_contiguous()


@pytest.mark.parametrize("max_distance", [64, 128])
@torch.no_grad()
def test_distances_fall_into_the_same_buckets(max_distance: int) -> None:
    position = torch.arange(600)
    wanted = T5Attention._relative_position_bucket(
        position[None] - position[:, None], bidirectional=True, num_buckets=32, max_distance=max_distance
    )
    assert torch.equal(relative_buckets(600, max_distance), wanted)


def test_tensors_have_the_names_of_checkpoints() -> None:
    assert T5Encoder(97, 48, 80, 4, 16, 3).state_dict().keys() == theirs().state_dict().keys()


def test_made_without_a_place_it_needs_no_first_values() -> None:
    with torch.device("meta"):
        assert all(weight.is_meta for weight in SmallT5().parameters())
    assert all(bool(weight.isfinite().all()) for weight in SmallT5(layers=1).parameters())
