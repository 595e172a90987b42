"""Muon: momentum made orthogonal, for hidden matrices (https://kellerjordan.github.io/posts/muon/).

Equal shapes are handled as one batch. Updates have the size of AdamW's, so both share a learning rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # the post's coefficients
STEPS = 5


def orthogonalise(matrices: Tensor) -> Tensor:
    """(B, rows, columns) → the nearest matrices whose singular values are all about 1, float32."""
    a, b, c = NEWTON_SCHULZ
    x = matrices.bfloat16() if matrices.is_cuda else matrices.float()
    is_tall = x.shape[-2] > x.shape[-1]
    x = x.mT if is_tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    nearest: Tensor = x.mT if is_tall else x
    return nearest.float()


def orthogonal_update(update: Tensor) -> Tensor:
    """(B, rows, columns) → the step, of AdamW's size (0.2 RMS per entry; Liu et al. 2025, arXiv 2502.16982).

    Fused projections (query, key, value and MLP in one matrix) are made orthogonal in square blocks.
    """
    count, rows, columns = update.shape
    if rows > columns and rows % columns == 0:
        blocks = update.view(-1, columns, columns)
        return 0.2 * math.sqrt(columns) * orthogonalise(blocks).view_as(update)
    if columns > rows and columns % rows == 0:
        blocks = update.view(count, rows, columns // rows, rows).transpose(1, 2).reshape(-1, rows, rows)
        square = orthogonalise(blocks).view(count, columns // rows, rows, rows)
        return 0.2 * math.sqrt(rows) * square.transpose(1, 2).reshape_as(update)
    return 0.2 * math.sqrt(max(rows, columns)) * orthogonalise(update)


class Muon(torch.optim.Optimizer):
    """For parameters with two axes only."""

    def __init__(
        self, params: Iterable[Tensor], lr: float, *, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; `closure` is not supported."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(tuple(parameter.shape), []).append(parameter)
            for parameters in by_shape.values():
                gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
                momenta = [
                    self.state[parameter].setdefault("m", torch.zeros_like(parameter)) for parameter in parameters
                ]
                torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
                update = torch.stack(torch._foreach_lerp(gradients, momenta, group["momentum"]))  # Nesterov
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(parameters, list(orthogonal_update(update).unbind(0)), alpha=-group["lr"])
