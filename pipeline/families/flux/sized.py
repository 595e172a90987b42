"""FLUX.1's modules with the sizes of their checkpoints: DiffSynth's classes, whose own sizes are those of FLUX.1 alone.

Forward passes are inherited, so DiffSynth's pipeline runs them as it runs FLUX.1. `FLUX_MODULES` makes them of the
shapes of their tensors; a model whose modules are others has a `Modules` of its own. Must not know files or names of
files' tensors.

Letters in shapes: B batch, T text tokens, C channels, H and W image sides in pixels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from diffsynth.models.flux_dit import (
    AdaLayerNormContinuous,
    FluxDiT,
    FluxJointTransformerBlock,
    FluxSingleTransformerBlock,
    RoPEEmbedding,
)
from diffsynth.models.flux_text_encoder_clip import CLIPEncoderLayer, FluxTextEncoderClip
from diffsynth.models.flux_vae import (
    DownSampler,
    FluxVAEDecoder,
    FluxVAEEncoder,
    ResnetBlock,
    UpSampler,
    VAEAttentionBlock,
)
from diffsynth.models.general_modules import TimestepEmbeddings
from torch import nn

from pipeline.errors import GenerationFailed
from pipeline.families.flux.architecture import LATENT
from pipeline.families.recipes import Make, Shapes
from pipeline.runtime.t5_encoder import BUCKETS, T5Encoder, Words

TIME_CHANNELS: Final = 256
THETA: Final = 10000
CLIP_HEAD_DIM: Final = 64
CLIP_TOKENS: Final = 77
VAE_GROUPS: Final = 32
VAE_EPSILON: Final = 1e-6
# github.com/black-forest-labs/flux, src/flux/util.py, `scale_factor` and `shift_factor`
LATENT_SCALE: Final = 0.3611
LATENT_SHIFT: Final = 0.1159


class SizedDiT(FluxDiT):  # type: ignore[misc]
    """FLUX's transformer. `axes` are the rotary dimensions of (index, row, column); they fill one head."""

    def __init__(  # noqa: PLR0913 - sizes of the model
        self,
        *,
        dim: int,
        heads: int,
        axes: Sequence[int],
        joint_blocks: int,
        single_blocks: int,
        text_dim: int,
        pooled_dim: int,
        patch_channels: int = 4 * LATENT.channels,
        is_guided: bool = True,
    ) -> None:
        nn.Module.__init__(self)  # FluxDiT.__init__ would build 12 billion parameters
        self.pos_embedder = RoPEEmbedding(dim, THETA, list(axes))
        self.time_embedder = TimestepEmbeddings(TIME_CHANNELS, dim)
        self.guidance_embedder: Any = TimestepEmbeddings(TIME_CHANNELS, dim) if is_guided else None
        self.pooled_text_embedder = nn.Sequential(nn.Linear(pooled_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.context_embedder = nn.Linear(text_dim, dim)
        self.x_embedder = nn.Linear(patch_channels, dim)
        self.blocks = nn.ModuleList(FluxJointTransformerBlock(dim, heads) for _ in range(joint_blocks))
        self.single_blocks = nn.ModuleList(FluxSingleTransformerBlock(dim, heads) for _ in range(single_blocks))
        self.final_norm_out = AdaLayerNormContinuous(dim)
        self.final_proj_out = nn.Linear(dim, patch_channels)
        self.input_dim = patch_channels


class SizedClip(FluxTextEncoderClip):  # type: ignore[misc]
    """CLIP's text encoder, (B, length) ids → pooled (B, dim) at the token with the highest id."""

    def __init__(self, *, vocabulary: int, dim: int, hidden_dim: int, heads: int, layers: int, length: int) -> None:
        nn.Module.__init__(self)
        self.token_embedding = Words(vocabulary, dim)
        self.position_embeds = nn.Parameter(torch.zeros(1, length, dim))
        self.encoders = nn.ModuleList(
            CLIPEncoderLayer(dim, hidden_dim, num_heads=heads, head_dim=dim // heads) for _ in range(layers)
        )
        with torch.device("cpu"):  # no weight, so not in the file
            self.attn_mask = self.attention_mask(length)
        self.final_layer_norm = nn.LayerNorm(dim)


class SizedVAEDecoder(FluxVAEDecoder):  # type: ignore[misc]
    """Latents (B, 16, H/8, W/8) → image (B, 3, H, W) in −1…1; `widths` from the image's side inwards."""

    def __init__(self, widths: Sequence[int]) -> None:
        nn.Module.__init__(self)
        self.scaling_factor, self.shift_factor = LATENT_SCALE, LATENT_SHIFT
        top = widths[-1]
        blocks: list[nn.Module] = [*_middle(top)]
        previous = top
        for level, width in reversed(list(enumerate(widths))):
            blocks += [_residual(previous if block == 0 else width, width) for block in range(3)]
            blocks += [UpSampler(width)] if level > 0 else []
            previous = width
        self.conv_in = nn.Conv2d(LATENT.channels, top, kernel_size=3, padding=1)
        self.blocks = nn.ModuleList(blocks)
        self.conv_norm_out = nn.GroupNorm(num_channels=widths[0], num_groups=VAE_GROUPS, eps=VAE_EPSILON)
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(widths[0], 3, kernel_size=3, padding=1)


class SizedVAEEncoder(FluxVAEEncoder):  # type: ignore[misc]
    """Image (B, 3, H, W) in −1…1 → latents (B, 16, H/8, W/8)."""

    def __init__(self, widths: Sequence[int]) -> None:
        nn.Module.__init__(self)
        self.scaling_factor, self.shift_factor = LATENT_SCALE, LATENT_SHIFT
        top = widths[-1]
        blocks: list[nn.Module] = []
        previous = widths[0]
        for level, width in enumerate(widths):
            blocks += [_residual(previous if block == 0 else width, width) for block in range(2)]
            blocks += [DownSampler(width, padding=0, extra_padding=True)] if level < len(widths) - 1 else []
            previous = width
        self.conv_in = nn.Conv2d(3, widths[0], kernel_size=3, padding=1)
        self.blocks = nn.ModuleList([*blocks, *_middle(top)])
        self.conv_norm_out = nn.GroupNorm(num_channels=top, num_groups=VAE_GROUPS, eps=VAE_EPSILON)
        self.conv_act = nn.SiLU()
        self.conv_out = nn.Conv2d(top, 2 * LATENT.channels, kernel_size=3, padding=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Modules:
    """What makes the modules of a model, each of the shapes of its tensors.

    They raise GenerationFailed if no such module has these shapes.
    """

    dit: Make
    clip: Make
    t5: Make
    vae_decoder: Make
    vae_encoder: Make


def dit_sizes(shapes: Shapes) -> dict[str, Any]:
    """The arguments of `SizedDiT`. BFL's axes of a head of 128 are 16, 56 and 56; others are divided alike.

    Source of the axes: github.com/black-forest-labs/flux, src/flux/util.py, `axes_dim`.
    """
    dim, patch_channels = _shape(shapes, "x_embedder.weight", 2)
    (head_dim,) = _shape(shapes, "single_blocks.0.norm_q_a.weight", 1)
    if patch_channels != 4 * LATENT.channels:
        raise GenerationFailed(f"the transformer takes {patch_channels} channels per patch, not {4 * LATENT.channels}")
    if not dim or not head_dim or head_dim % 32 or dim % head_dim:
        raise GenerationFailed(f"the transformer has heads of {head_dim}, which its width of {dim} is not made of")
    return {
        "dim": dim,
        "heads": dim // head_dim,
        "axes": (head_dim // 8, head_dim * 7 // 16, head_dim * 7 // 16),
        "joint_blocks": _count(shapes, "blocks"),
        "single_blocks": _count(shapes, "single_blocks"),
        "text_dim": _shape(shapes, "context_embedder.weight", 2)[1],
        "pooled_dim": _shape(shapes, "pooled_text_embedder.0.weight", 2)[1],
        "is_guided": any(name.startswith("guidance_embedder.") for name in shapes),
    }


def t5_sizes(shapes: Shapes) -> dict[str, Any]:
    """The arguments of `T5Encoder`."""
    vocabulary, dim = _shape(shapes, "shared.weight", 2)
    attention = "encoder.block.0.layer.0.SelfAttention"
    buckets, heads = _shape(shapes, f"{attention}.relative_attention_bias.weight", 2)
    inner = _shape(shapes, f"{attention}.q.weight", 2)[0]
    if buckets != BUCKETS or not heads or inner % heads:
        raise GenerationFailed(f"the T5 text encoder has {heads} heads with {buckets} distances in a width of {inner}")
    return {
        "vocabulary": vocabulary,
        "dim": dim,
        "hidden_dim": _shape(shapes, "encoder.block.0.layer.1.DenseReluDense.wi_0.weight", 2)[0],
        "heads": heads,
        "head_dim": inner // heads,
        "layers": _count(shapes, "encoder.block"),
    }


def clip_sizes(shapes: Shapes) -> dict[str, Any]:
    """The arguments of `SizedClip`."""
    vocabulary, dim = _shape(shapes, "token_embedding.weight", 2)
    if not dim or dim % CLIP_HEAD_DIM:
        raise GenerationFailed(f"the CLIP text encoder is {dim} wide, which is no multiple of {CLIP_HEAD_DIM}")
    length = _shape(shapes, "position_embeds", 3)[1]
    if length != CLIP_TOKENS:  # the prompt is cut to that, and a mask is made of the square of it
        raise GenerationFailed(f"the CLIP text encoder reads {length} tokens at a time, not {CLIP_TOKENS}")
    return {
        "vocabulary": vocabulary,
        "dim": dim,
        "hidden_dim": _shape(shapes, "encoders.0.fc1.weight", 2)[0],
        "heads": dim // CLIP_HEAD_DIM,
        "layers": _count(shapes, "encoders"),
        "length": length,
    }


def widths_of(shapes: Shapes, blocks: Sequence[int]) -> tuple[int, ...]:
    """The argument of a half of a VAE: what the first block of each level gives, from the image's side inwards."""
    return tuple(_shape(shapes, f"blocks.{number}.conv1.weight", 4)[0] for number in blocks)


FLUX_MODULES: Final = Modules(
    dit=lambda shapes: SizedDiT(**dit_sizes(shapes)),
    clip=lambda shapes: SizedClip(**clip_sizes(shapes)),
    t5=lambda shapes: T5Encoder(**t5_sizes(shapes)),
    vae_decoder=lambda shapes: SizedVAEDecoder(_grouped(widths_of(shapes, (15, 11, 7, 3)))),
    vae_encoder=lambda shapes: SizedVAEEncoder(_grouped(widths_of(shapes, (0, 3, 6, 9)))),
)


def _shape(shapes: Shapes, name: str, dimensions: int) -> Sequence[int]:
    """Raises GenerationFailed: there is no such tensor, or it has other dimensions."""
    if name not in shapes:
        raise GenerationFailed(f"the checkpoint lacks {name}")
    if len(shapes[name]) != dimensions:
        raise GenerationFailed(f"{name} is {tuple(shapes[name])}, which has not {dimensions} dimensions")
    return shapes[name]


def _count(shapes: Shapes, blocks: str) -> int:
    """How many blocks a list has. Where numbers are left out, those at the end will be found to be missing."""
    pattern = re.compile(rf"{re.escape(blocks)}\.(\d+)\.")
    return len({found[1] for name in shapes if (found := pattern.match(name))})


def _grouped(widths: Sequence[int]) -> Sequence[int]:
    if any(not width or width % VAE_GROUPS for width in widths):
        raise GenerationFailed(f"the VAE is {', '.join(map(str, widths))} wide: no multiples of {VAE_GROUPS}")
    return widths


def _middle(width: int) -> tuple[nn.Module, ...]:
    attention: nn.Module = VAEAttentionBlock(1, width, width, 1, eps=VAE_EPSILON)
    return _residual(width, width), attention, _residual(width, width)


def _residual(channels_in: int, channels_out: int) -> nn.Module:
    block: nn.Module = ResnetBlock(channels_in, channels_out, eps=VAE_EPSILON)
    return block
