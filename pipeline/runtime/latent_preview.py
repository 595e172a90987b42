"""A rough picture of what a step is heading for, for less than a millisecond.

The autoencoder is nearly linear in its colours: each latent channel stands for a shade. Which one is found out by
decoding flat latents once, so it works for every autoencoder; one number per channel and colour, no detail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from pipeline.engine import Preview

CHANNELS: Final = 16
FLAT_LATENTS: Final = 8  # a side of the flat latents; the middle of what they decode to has no edge
AMPLITUDE: Final = 1.0


class Previewer:
    """Latents → small pictures, for one autoencoder."""

    def __init__(self, decode: Callable[[Tensor], Tensor]) -> None:
        """`decode` takes latents (B, 16, H, W) to pictures (B, 3, 8 H, 8 W) in −1…1; it is called once."""
        directions = torch.eye(CHANNELS) * AMPLITUDE
        flat = torch.cat([torch.zeros(1, CHANNELS), directions, -directions])
        pictures = decode(flat[:, :, None, None].expand(-1, -1, FLAT_LATENTS, FLAT_LATENTS))
        third = pictures.shape[-1] // 3
        colours = pictures[:, :, third:-third, third:-third].float().mean((2, 3)).cpu()
        self._grey = colours[0]  # (3,)
        self._shades = (colours[1 : CHANNELS + 1] - colours[CHANNELS + 1 :]) / (2 * AMPLITUDE)  # (16, 3)

    def __call__(self, latents: Tensor) -> Preview:
        """Paint latents (1, 16, H, W), a pixel each."""
        colours = latents[0].permute(1, 2, 0).float().cpu() @ self._shades + self._grey
        pixels = ((colours + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return Preview(pixels=pixels.numpy().tobytes(), width=pixels.shape[1], height=pixels.shape[0])
