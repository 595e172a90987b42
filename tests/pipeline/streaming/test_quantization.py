"""Quantized products stay near the exact ones, for ordinary and for hostile weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from pipeline.streaming.quantization import MAX_GROUP, Format, QuantizedLinear, quantize, rotate

TOKENS, INPUTS, OUTPUTS = 40, 512, 96


def filled(weight: Tensor, bias: Tensor | None, weight_format: Format) -> QuantizedLinear:
    module = QuantizedLinear(
        weight.shape[1], weight.shape[0], weight_format, has_bias=bias is not None, dtype=torch.float32
    )
    for name, value in quantize(weight, weight_format).items():
        setattr(module, name, value)
    module.bias = bias
    return module


def error(found: Tensor, exact: Tensor) -> float:
    """Relative, root mean square."""
    return float((found - exact).norm() / exact.norm())


@pytest.fixture
def weight() -> Tensor:
    return torch.randn(OUTPUTS, INPUTS, generator=torch.Generator().manual_seed(1)) / INPUTS**0.5


@pytest.fixture
def inputs() -> Tensor:
    return torch.randn(TOKENS, INPUTS, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    ("weight_format", "bound"), [("float32", 1e-6), ("bfloat16", 0.004), ("float8", 0.04), ("int8", 0.02)]
)
@pytest.mark.parametrize("tokens", [1, TOKENS])
def test_product_is_near_the_exact_one(
    weight: Tensor, inputs: Tensor, weight_format: str, bound: float, tokens: int
) -> None:
    bias = torch.arange(OUTPUTS, dtype=torch.float32) / 100
    rows = inputs[:tokens]
    found = filled(weight, bias, Format(weight_format))(rows[None])
    assert found.shape == (1, tokens, OUTPUTS) and found.dtype == torch.float32
    assert error(found[0] - bias, linear(rows, weight)) <= bound


def test_rotation_bears_outliers_that_plain_integers_do_not(weight: Tensor, inputs: Tensor) -> None:
    """One input in 200 is 20 times the others, as in the activations of real models."""
    inputs[:, ::200] *= 20
    exact = linear(inputs, weight)
    rotated = error(filled(weight, None, Format.INT8)(inputs), exact)
    scale = inputs.abs().amax(1, keepdim=True) / 127
    weight_scale = weight.abs().amax(1, keepdim=True) / 127
    plain = linear((inputs / scale).round() * scale, (weight / weight_scale).round() * weight_scale)
    assert rotated < 0.02 < error(plain, exact)


@pytest.mark.parametrize("width", [64, 256, 768, 3072])
def test_rotation_is_orthogonal_and_its_own_inverse(width: int) -> None:
    x = torch.randn(3, width, dtype=torch.float64)
    assert torch.allclose(rotate(rotate(x)), x)
    assert torch.allclose(rotate(x).norm(dim=1), x.norm(dim=1))
    spike = torch.zeros(1, width)
    spike[0, 0] = 1
    assert rotate(spike).abs().max() == pytest.approx(min(MAX_GROUP, width & -width) ** -0.5)


@pytest.mark.parametrize("weight_format", [Format.FLOAT8, Format.INT8])
def test_rows_of_zeros_and_of_huge_values_survive(weight_format: Format, inputs: Tensor) -> None:
    weight = torch.zeros(3, INPUTS)
    weight[1], weight[2] = 1e30, 1e-30
    found = filled(weight, None, weight_format)(inputs)
    assert torch.isfinite(found).all()
    assert (found[:, 0] == 0).all()


def test_each_token_is_rounded_by_itself(weight: Tensor, inputs: Tensor) -> None:
    """A picture does not change with what else is computed beside it."""
    module = filled(weight, None, Format.INT8)
    loud = inputs.clone()
    loud[0] *= 1000
    assert torch.equal(module(loud)[1:], module(inputs)[1:])


@pytest.mark.parametrize("weight_format", list(Format))
def test_empty_copy_of_a_linear_has_its_sizes(weight_format: Format) -> None:
    module = QuantizedLinear.like(nn.Linear(8, 24, bias=False), weight_format, torch.bfloat16)
    assert module.weight.shape == (24, 8) and module.weight.is_meta and module.weight.dtype == weight_format.dtype
    assert module.bias is None and (module.scale is None) == (not weight_format.is_8bit)


@pytest.mark.parametrize("weight_format", [Format.FLOAT8, Format.INT8])
@pytest.mark.parametrize("tokens", [1024, 1025, 2300])
def test_many_tokens_are_multiplied_in_pieces_to_the_same_result(
    weight: Tensor, weight_format: Format, tokens: int
) -> None:
    rows = torch.randn(tokens, INPUTS, generator=torch.Generator().manual_seed(3))
    module = filled(weight, torch.ones(OUTPUTS), weight_format)
    module.uses_8bit_matmul = True
    found = module(rows)
    assert error(found, linear(rows, weight, torch.ones(OUTPUTS))) < 0.05
    for first in (0, 1000, tokens - 17):
        assert error(found[first : first + 17], module(rows[first : first + 17])) < 1e-5


def test_small_weights_keep_their_scales_in_float16() -> None:
    """A scale of 1e-6 is 0.95e-6 there."""
    weight = torch.randn(8, 64, generator=torch.Generator().manual_seed(1)) * 2e-5
    linear = QuantizedLinear(64, 8, Format.INT8, has_bias=False, dtype=torch.float16, device="cpu")
    for name, value in quantize(weight, Format.INT8).items():
        setattr(linear, name, value)
    rows = torch.ones(4, 64, dtype=torch.float16)
    assert torch.allclose(linear(rows).float(), rows.float() @ weight.T, rtol=0.03, atol=2e-6)
