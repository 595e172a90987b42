"""DiffSynth's modules of Stable Diffusion with the sizes of a checkpoint's tensors; no table of files is needed.

`shapes` are those of the tensors in the names of `names.py`. What shapes do not tell is what all published models have:
SD 1.5 has 8 heads everywhere, SDXL and CLIP have heads of 64 channels, and norms have 32 groups. Must not know files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from diffsynth.models.stable_diffusion_unet import UNet2DConditionModel
from diffsynth.models.stable_diffusion_vae import StableDiffusionVAE
from diffsynth.models.stable_diffusion_xl_unet import SDXLUNet2DConditionModel
from torch import nn

from pipeline.errors import GenerationFailed
from pipeline.families.recipes import Shapes
from pipeline.families.stable_diffusion.architecture import LATENT
from pipeline.families.stable_diffusion.text_encoders import Clip

GROUPS: Final = 32
SD15_HEADS: Final = 8
HEAD_DIM: Final = 64
PROJECTION: Final = "text_projection.weight"
TIME_IDS: Final = 6  # of SDXL: the original size, the corner and the size, two numbers each


def make_unet(shapes: Shapes, *, pooled_width: int | None) -> nn.Module:
    """Make a UNet without values, on the default device.

    Args:
        pooled_width: of the vector that SDXL's second text encoder sums a prompt up in; None for SD 1.5.

    Raises:
        GenerationFailed: no UNet of the family has these shapes.
    """
    downs = _count(shapes, "down_blocks")
    widths = tuple(_shape(shapes, f"down_blocks.{level}.resnets.0.conv1.weight", 4)[0] for level in range(downs))
    depths = [_count(shapes, f"down_blocks.{level}.attentions.0.transformer_blocks") for level in range(downs)]
    if _shape(shapes, "conv_in.weight", 4)[1] != LATENT.channels:
        raise GenerationFailed("the UNet takes more than latents: a model for inpainting or of another family")
    _demand_multiples("the UNet", widths, GROUPS)
    sizes: dict[str, Any] = {
        "block_out_channels": widths,
        "layers_per_block": _count(shapes, "down_blocks.0.resnets"),
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths],
        "up_block_types": ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)],
        "cross_attention_dim": _text_width(shapes),
        "norm_num_groups": GROUPS,
    }
    if pooled_width is None:
        _demand_multiples("the UNet", widths, SD15_HEADS)
        unet: nn.Module = UNet2DConditionModel(**sizes, attention_head_dim=SD15_HEADS)
        return unet
    added = _shape(shapes, "add_embedding.linear_1.weight", 2)[1]
    proj_in = next((shape for name, shape in shapes.items() if name.endswith(".proj_in.weight")), ())
    larger: nn.Module = SDXLUNet2DConditionModel(
        **sizes,
        attention_head_dim=[max(1, width // HEAD_DIM) for width in widths],
        transformer_layers_per_block=[depth or 1 for depth in depths],
        use_linear_projection=len(proj_in) == 2,
        addition_embed_type="text_time",
        addition_time_embed_dim=_time_width(added, pooled_width),
        projection_class_embeddings_input_dim=added,
    )
    return larger


def make_clip(shapes: Shapes, *, activation: str) -> Clip:
    """Make a CLIP text encoder without values, on the default device.

    Raises:
        GenerationFailed: none has these shapes.
    """
    vocabulary, width = _shape(shapes, "token_embedding.weight", 2)
    _demand_multiples("the CLIP text encoder", [width], HEAD_DIM)
    return Clip(
        vocabulary=vocabulary,
        width=width,
        hidden_width=_shape(shapes, "layers.0.mlp.fc1.weight", 2)[0],
        heads=width // HEAD_DIM,
        layers=_count(shapes, "layers"),
        tokens=_shape(shapes, "position_embedding.weight", 2)[0],
        projection=pooled_width(shapes) if PROJECTION in shapes else None,
        activation=activation,
    )


def pooled_width(shapes: Shapes) -> int:
    """How wide the vector is that a CLIP text encoder sums a prompt up in.

    Raises:
        GenerationFailed: it has none.
    """
    return _shape(shapes, PROJECTION, 2)[0]


def make_vae(shapes: Shapes) -> nn.Module:
    """Make a VAE without values, on the default device.

    Raises:
        GenerationFailed: none has these shapes.
    """
    levels = _count(shapes, "encoder.down_blocks")
    widths = [_shape(shapes, f"encoder.down_blocks.{level}.resnets.0.conv1.weight", 4)[0] for level in range(levels)]
    if not widths:
        raise GenerationFailed("the VAE has no encoder")
    _demand_multiples("the VAE", widths, GROUPS)
    if _shape(shapes, "decoder.conv_in.weight", 4)[1] != LATENT.channels:
        raise GenerationFailed(f"the VAE has not {LATENT.channels} channels")
    vae: nn.Module = StableDiffusionVAE(
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        block_out_channels=widths,
        layers_per_block=_count(shapes, "encoder.down_blocks.0.resnets"),
        latent_channels=LATENT.channels,
        norm_num_groups=GROUPS,
        use_quant_conv="quant_conv.weight" in shapes,
        use_post_quant_conv="post_quant_conv.weight" in shapes,
    )
    return vae


def _text_width(shapes: Shapes) -> int:
    """How wide the text is that a UNet looks at."""
    for name, shape in shapes.items():
        if name.endswith(".attn2.to_k.weight") and len(shape) == 2:
            return shape[1]
    raise GenerationFailed("the UNet looks at no text")


def _time_width(added: int, pooled: int) -> int:
    """How wide each of SDXL's numbers is: what the vector that is added to the time has beside the pooled text."""
    width, rest = divmod(added - pooled, TIME_IDS)
    if rest or width <= 0 or width % 2:
        raise GenerationFailed(
            f"the UNet adds {added} numbers to the time, which is not {TIME_IDS} times as many beside the {pooled} of "
            "pooled text: SDXL's refiner, or text encoders of another model"
        )
    return width


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


def _demand_multiples(what: str, widths: Sequence[int], of: int) -> None:
    if not widths or any(width % of for width in widths):
        raise GenerationFailed(f"{what} is {', '.join(map(str, widths)) or 'not'} wide: no multiples of {of}")
