"""FLUX.2's modules with the sizes of a checkpoint's tensors: DiffSynth's classes, and the two halves of its VAE.

`shapes` are those of the tensors in the names of `names.py`. Must not know files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from diffsynth.models.flux2_dit import Flux2DiT
from torch import nn

from pipeline.errors import GenerationFailed
from pipeline.families.flux2.architecture import LATENT
from pipeline.families.flux2.autoencoder import PATCH, Decoder, Encoder
from pipeline.families.flux2.names import VAE_LEVELS
from pipeline.families.recipes import Shapes

AXES: Final = 4  # time, row, column, and place in the text, which share a head alike
THETA: Final = 2000
GROUPS: Final = 32


def make_transformer(shapes: Shapes) -> nn.Module:
    """Make a transformer without values, on the default device.

    Raises:
        GenerationFailed: none of the family has these shapes.
    """
    dim, channels = _shape(shapes, "x_embedder.weight", 2)
    (head,) = _shape(shapes, "transformer_blocks.0.attn.norm_q.weight", 1)
    hidden = _shape(shapes, "transformer_blocks.0.ff.linear_out.weight", 2)[1]
    if channels != LATENT.channels:
        raise GenerationFailed(f"the transformer takes {channels} channels per patch, not {LATENT.channels}")
    if head % (2 * AXES) or dim % head or int(dim * (hidden / dim)) != hidden:
        raise GenerationFailed(f"the transformer has heads of {head} in a width of {dim}, which fit no model")
    transformer: nn.Module = Flux2DiT(
        in_channels=channels,
        num_layers=_count(shapes, "transformer_blocks"),
        num_single_layers=_count(shapes, "single_transformer_blocks"),
        attention_head_dim=head,
        num_attention_heads=dim // head,
        joint_attention_dim=_shape(shapes, "context_embedder.weight", 2)[1],
        timestep_guidance_channels=_shape(shapes, "time_guidance_embed.timestep_embedder.linear_1.weight", 2)[1],
        mlp_ratio=hidden / dim,
        axes_dims_rope=(head // AXES,) * AXES,
        rope_theta=THETA,
        guidance_embeds=False,
    )
    return transformer


def make_decoder(shapes: Shapes) -> nn.Module:
    """Make what turns latents into an image, without values, on the default device.

    Raises:
        GenerationFailed: none has these shapes.
    """
    widths = _widths(shapes, "decoder.up_blocks")[::-1]
    return Decoder(widths, _count(shapes, "decoder.up_blocks.0.resnets") - 1)


def make_encoder(shapes: Shapes) -> nn.Module:
    """Make what turns an image into latents, without values, on the default device.

    Raises:
        GenerationFailed: none has these shapes.
    """
    widths = _widths(shapes, "encoder.down_blocks")
    return Encoder(widths, _count(shapes, "encoder.down_blocks.0.resnets"))


def _widths(shapes: Shapes, blocks: str) -> list[int]:
    """What the first block of each level gives, in the order in which they run."""
    levels = range(_count(shapes, blocks))
    widths = [_shape(shapes, f"{blocks}.{level}.resnets.0.conv1.weight", 4)[0] for level in levels]
    if len(widths) != VAE_LEVELS or any(width % GROUPS for width in widths):
        raise GenerationFailed(f"the VAE is {', '.join(map(str, widths)) or 'not'} wide, which fits no model")
    (channels,) = _shape(shapes, "running_mean", 1)
    if channels != LATENT.channels:
        raise GenerationFailed(f"the VAE has {channels // PATCH**2} channels, not {LATENT.channels // PATCH**2}")
    return widths


def _shape(shapes: Shapes, name: str, dimensions: int) -> Sequence[int]:
    if name not in shapes:
        raise GenerationFailed(f"the checkpoint lacks {name}")
    if len(shapes[name]) != dimensions or not all(shapes[name]):
        raise GenerationFailed(f"{name} is {tuple(shapes[name])}, which has not {dimensions} dimensions")
    return shapes[name]


def _count(shapes: Shapes, blocks: str) -> int:
    """How many blocks a list has. If numbers are left out, those at the end will be found to be missing."""
    pattern = re.compile(rf"{re.escape(blocks)}\.(\d+)\.")
    return len({found[1] for name in shapes if (found := pattern.match(name))})
