"""The modules of the demo model: FLUX.1's, built narrow, with what only it has.

It was trained on one size of image and on short texts, and its VAE has no norms. The defaults are the sizes of the
shipped weights. Must not know files or prompts.

Letters in shapes: B batch, T text tokens, C channels, H and W image sides in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from diffsynth.models.flux_vae import DownSampler, FluxVAEDecoder, FluxVAEEncoder, ResnetBlock, UpSampler
from torch import Tensor, nn

from pipeline.families.flux.sized import (
    Modules,
    SizedClip,
    SizedDiT,
    clip_sizes,
    dit_sizes,
    t5_sizes,
    widths_of,
)
from pipeline.runtime.t5_encoder import T5Encoder

VOCABULARY: Final = 6001  # 6000 pieces and CLIP's end token, whose id must be the highest
MAX_DISTANCE: Final = 64  # of tokens that T5 still tells apart
LATENT_CHANNELS: Final = 16
TRAINED_PATCHES: Final = 16  # per side: 256 px


class SmallDiT(SizedDiT):
    """FLUX's transformer.

    trained_patches: per side, of the only size that it was trained on; None if it draws any size, as FLUX.1 does.
    """

    def __init__(  # noqa: PLR0913 - sizes of the model
        self,
        dim: int = 256,
        heads: int = 4,
        axes: Sequence[int] = (8, 28, 28),
        joint_blocks: int = 3,
        single_blocks: int = 8,
        text_dim: int = 256,
        pooled_dim: int = 128,
        trained_patches: int | None = None,
        **others: Any,
    ) -> None:
        super().__init__(
            dim=dim,
            heads=heads,
            axes=axes,
            joint_blocks=joint_blocks,
            single_blocks=single_blocks,
            text_dim=text_dim,
            pooled_dim=pooled_dim,
            **others,
        )
        self.trained_patches = trained_patches

    def prepare_image_ids(self, latents: Tensor) -> Tensor:
        """Place the patches of latents (B, C, H/8, W/8): (B, patches, (index, row, column)).

        A model that was trained on one size learned where in it things stand, so the patches of any other are spread
        over the same places: otherwise a smaller image would be a corner of the usual one.
        """
        places: Tensor = super().prepare_image_ids(latents)
        if self.trained_patches is not None:
            for axis, side in ((1, latents.shape[-2]), (2, latents.shape[-1])):
                scale = self.trained_patches / (side // 2)
                places[..., axis] = (places[..., axis] + 0.5) * scale - 0.5  # from middle to middle
        return places


class SmallT5(T5Encoder):
    """T5's encoder, (B, T) ids → (B, min(T, text_length), dim).

    The pipeline pads prompts to 512 tokens; training used `text_length`, and FLUX masks nothing, so the
    padding beyond it is cut off here.
    """

    def __init__(  # noqa: PLR0913 - sizes of the model
        self,
        vocabulary: int = VOCABULARY,
        dim: int = 256,
        hidden_dim: int = 512,
        heads: int = 4,
        head_dim: int = 64,
        layers: int = 3,
        text_length: int = 48,
    ) -> None:
        super().__init__(vocabulary, dim, hidden_dim, heads, head_dim, layers, max_distance=MAX_DISTANCE)
        self.text_length = text_length

    def forward(self, input_ids: Tensor) -> Tensor:
        """Encode the first `text_length` ids."""
        return super().forward(input_ids[:, : self.text_length])


class SmallClip(SizedClip):
    """CLIP's text encoder, (B, length) ids → pooled (B, dim) at the token with the highest id."""

    def __init__(
        self,
        vocabulary: int = VOCABULARY,
        dim: int = 128,
        hidden_dim: int = 512,
        heads: int = 2,
        layers: int = 2,
        length: int = 77,
    ) -> None:
        super().__init__(
            vocabulary=vocabulary, dim=dim, hidden_dim=hidden_dim, heads=heads, layers=layers, length=length
        )


class SmallVAEDecoder(FluxVAEDecoder):  # type: ignore[misc]
    """Latents (B, 16, H/8, W/8) → picture (B, 3, H, W) in −1…1; `widths` from the picture's side inwards."""

    def __init__(self, widths: Sequence[int] = (32, 64, 96, 96)) -> None:
        nn.Module.__init__(self)
        _add_latent_scale(self)
        innermost = widths[-1]
        blocks: list[nn.Module] = [_residual(innermost, innermost), _residual(innermost, innermost)]
        previous = innermost
        for level, width in reversed(list(enumerate(widths))):
            blocks += [_residual(previous, width), _residual(width, width)]
            if level > 0:
                blocks.append(UpSampler(width))
            previous = width
        self.conv_in = nn.Conv2d(LATENT_CHANNELS, innermost, kernel_size=3, padding=1)
        self.blocks = nn.ModuleList(blocks)
        self.conv_norm_out = nn.Identity()
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(widths[0], 3, kernel_size=3, padding=1)


class SmallVAEEncoder(FluxVAEEncoder):  # type: ignore[misc]
    """Picture (B, 3, H, W) in −1…1 → latents (B, 16, H/8, W/8); for pictures as input, and for training."""

    def __init__(self, widths: Sequence[int] = (32, 64, 96, 96)) -> None:
        nn.Module.__init__(self)
        _add_latent_scale(self)
        blocks: list[nn.Module] = []
        previous = widths[0]
        for level, width in enumerate(widths):
            blocks.append(_residual(previous, width))
            if level < len(widths) - 1:
                blocks.append(DownSampler(width, padding=0, extra_padding=True))
            previous = width
        blocks += [_residual(previous, previous), _residual(previous, previous)]
        self.conv_in = nn.Conv2d(3, widths[0], kernel_size=3, padding=1)
        self.blocks = nn.ModuleList(blocks)
        self.conv_norm_out = nn.Identity()
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(widths[-1], 2 * LATENT_CHANNELS, kernel_size=3, padding=1)


def _add_latent_scale(vae: nn.Module) -> None:
    """Give latents zero mean and unit variance per channel; FLUX has one number for all of them."""
    vae.register_buffer("scaling_factor", torch.ones(1, LATENT_CHANNELS, 1, 1))
    vae.register_buffer("shift_factor", torch.zeros(1, LATENT_CHANNELS, 1, 1))


def _residual(channels_in: int, channels_out: int) -> nn.Module:
    """FLUX's residual block without its group norms.

    On 32 to 96 channels they take the absolute colour out of a flat picture. Without them the network is a
    plain local convolution, so any picture size works and training on crops is exact.
    """
    block: nn.Module = ResnetBlock(channels_in, channels_out, groups=1, eps=1e-6)
    block.norm1 = nn.Identity()
    block.norm2 = nn.Identity()
    return block


DEMO_MODULES: Final = Modules(
    dit=lambda shapes: SmallDiT(**dit_sizes(shapes), trained_patches=TRAINED_PATCHES),
    clip=lambda shapes: SmallClip(**clip_sizes(shapes)),
    t5=lambda shapes: SmallT5(**t5_sizes(shapes)),
    vae_decoder=lambda shapes: SmallVAEDecoder(widths_of(shapes, (11, 8, 5, 2))),
    vae_encoder=lambda shapes: SmallVAEEncoder(widths_of(shapes, (0, 2, 4, 6))),
)
