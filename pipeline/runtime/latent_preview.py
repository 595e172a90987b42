"""A rough picture of what a step is heading for, for less than a millisecond.

The autoencoder is nearly linear in its colours: each latent channel stands for a shade. Which one is found out by
decoding flat latents once, so it works for every autoencoder; one number per channel and colour, no detail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from pipeline.catalog.architecture import Latent
from pipeline.engine import Preview

FLAT_PX: Final = 64  # a side of what flat latents decode to, whose middle has no edge
AMPLITUDE: Final = 1.0


class Previewer:
    """Latents → small pictures, for one autoencoder."""

    def __init__(self, decode: Callable[[Tensor], Tensor], latent: Latent) -> None:
        """Decode flat latents of each channel.

        Args:
            decode: latents (B, C, H, W) → images (B, 3, f·H, f·W) in −1…1; it is called once.
        """
        channels, side, alike = latent.channels, FLAT_PX // latent.factor, latent.alike
        directions = torch.eye(channels // alike).repeat_interleave(alike, 1) * AMPLITUDE
        flat = torch.cat([torch.zeros(1, channels), directions, -directions])
        pictures = decode(flat[:, :, None, None].expand(-1, -1, side, side))
        third = pictures.shape[-1] // 3
        colours = pictures[:, :, third:-third, third:-third].float().mean((2, 3)).cpu()
        self._grey = colours[0]  # (3,)
        brighter, darker = colours[1:].chunk(2)
        self._shades = ((brighter - darker) / (2 * AMPLITUDE * alike)).repeat_interleave(alike, 0)  # (C, 3)

    def __call__(self, latents: Tensor) -> Preview:
        """Paint latents (1, C, H, W), a pixel each."""
        colours = latents[0].permute(1, 2, 0).float().cpu() @ self._shades + self._grey
        pixels = ((colours + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return Preview(pixels=pixels.numpy().tobytes(), width=pixels.shape[1], height=pixels.shape[0])
