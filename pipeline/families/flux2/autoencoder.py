"""DiffSynth's VAE of FLUX.2 as the two halves that the engine guards: latents → image, image → latents.

Between them and the transformer, latents are packed in patches of 2 × 2 and normed channel by channel.

Letters in shapes: B batch, H and W sides of the image in px.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from diffsynth.models.flux2_vae import Flux2VAEDecoder, Flux2VAEEncoder
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from pipeline.families.flux2.architecture import LATENT

PATCH: Final = 2
CHANNELS: Final = LATENT.channels // PATCH**2
EPSILON: Final = 1e-4  # of the variances; huggingface/diffusers:…/autoencoder_kl_flux2.py, `batch_norm_eps`


class _Half(nn.Module):
    """What both halves have: the mean and the variance of each channel of the packed latents."""

    def __init__(self) -> None:
        super().__init__()
        self.running_mean = nn.Parameter(torch.zeros(LATENT.channels), requires_grad=False)
        self.running_var = nn.Parameter(torch.ones(LATENT.channels), requires_grad=False)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """(mean, deviation), (1, 128, 1, 1) each."""
        return self.running_mean.view(1, -1, 1, 1), (self.running_var + EPSILON).sqrt().view(1, -1, 1, 1)


class Decoder(_Half):
    """Latents (B, 128, H/16, W/16) → images (B, 3, H, W) in −1…1; `widths` from the image's side inwards."""

    def __init__(self, widths: Sequence[int], layers: int) -> None:
        super().__init__()
        self.post_quant_conv = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.decoder = Flux2VAEDecoder(
            latent_channels=CHANNELS, block_out_channels=tuple(widths), layers_per_block=layers
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Decode, in the type of the weights."""
        mean, deviation = self.statistics()
        unpacked = pixel_shuffle(latents.to(mean.dtype) * deviation + mean, PATCH)
        image: Tensor = self.decoder(self.post_quant_conv(unpacked))
        return image


class Encoder(_Half):
    """Images (B, 3, H, W) in −1…1 → latents (B, 128, H/16, W/16).

    Of the distribution that the VAE gives, the mean: what is drawn depends on the seed in one way only.
    """

    def __init__(self, widths: Sequence[int], layers: int) -> None:
        super().__init__()
        self.encoder = Flux2VAEEncoder(
            latent_channels=CHANNELS, block_out_channels=tuple(widths), layers_per_block=layers
        )
        self.quant_conv = nn.Conv2d(2 * CHANNELS, 2 * CHANNELS, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Encode, in the type of the weights."""
        mean, deviation = self.statistics()
        moments = self.quant_conv(self.encoder(image.to(mean.dtype)))
        return (pixel_unshuffle(moments[:, :CHANNELS], PATCH) - mean) / deviation
