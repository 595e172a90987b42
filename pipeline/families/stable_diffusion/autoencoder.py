"""DiffSynth's VAE as the two halves that the engine guards: latents → image, image → latents.

Letters in shapes: B batch, H and W sides of the image in px.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn

from pipeline.families.stable_diffusion.architecture import SD15, SDXL
from pipeline.runtime.vae import in_float32

# What latents are multiplied by so that their variance is 1, as the UNets know them: `scale_factor` of
# CompVis/stable-diffusion:configs/stable-diffusion/v1-inference.yaml and
# Stability-AI/generative-models:configs/inference/sd_xl_base.yaml.
SCALES: Final = {SD15.name: 0.18215, SDXL.name: 0.13025}


class Decoder(nn.Module):
    """Latents (B, 4, H/8, W/8), not scaled → images (B, 3, H, W) in −1…1."""

    def __init__(self, vae: Any) -> None:
        """Take a half of DiffSynth's `StableDiffusionVAE`."""
        super().__init__()
        self.post_quant_conv, self.decoder = vae.post_quant_conv, vae.decoder

    def forward(self, latents: Tensor) -> Tensor:
        """Decode."""
        image: Tensor = self.decoder(latents if self.post_quant_conv is None else self.post_quant_conv(latents))
        return image


class Encoder(nn.Module):
    """Images (B, 3, H, W) in −1…1 → latents (B, 4, H/8, W/8), not scaled.

    Of the distribution that the VAE gives, the mean: what is drawn depends on the seed in one way only.
    """

    def __init__(self, vae: Any) -> None:
        """Take a half of DiffSynth's `StableDiffusionVAE`."""
        super().__init__()
        self.encoder, self.quant_conv = vae.encoder, vae.quant_conv

    def forward(self, image: Tensor) -> Tensor:
        """Encode."""
        moments: Tensor = self.encoder(image)
        if self.quant_conv is not None:
            moments = self.quant_conv(moments)
        mean, _log_variance = moments.chunk(2, dim=1)
        return mean


@torch.no_grad()
def decode_small(decoder: nn.Module, latents: Tensor, *, device: str, dtype: torch.dtype) -> Tensor:
    """Decode small latents (B, 4, h, w), not scaled, without a plan for memory; in float32 if 16 bits overflow."""
    images: Tensor = decoder(latents.to(device, dtype))
    if not bool(torch.isfinite(images).all()):
        with in_float32(decoder, device):
            images = decoder(latents.to(device, torch.float32))
    return images
