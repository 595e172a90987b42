"""The names that the tensors of Z-Image's transformer have in files → DiffSynth's, and the sizes of its module.

DiffSynth has the names of diffusers and of the published files. Files for ComfyUI, GGUF too, have those of Lumina 2:
queries, keys and values are one tensor there. What the module has no use for is left out. Must not know files.

Sources: comfyanonymous/ComfyUI:comfy/utils.py (`z_image_to_diffusers`); city96/ComfyUI-GGUF:tools/convert.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from diffsynth.models.z_image_dit import ZImageDiT
from torch import Tensor, nn

from pipeline.errors import GenerationFailed
from pipeline.families.recipes import Shapes
from pipeline.families.z_image.architecture import LATENT

PATCH: Final = "2-1"  # DiffSynth's key of the one size of patches: 2 × 2 px of the latents, 1 image
AXES: Final = (4, 6, 6)  # sixteenths of a head, of which rotary embeddings of (index, row, column) take so many
_HEAD_MULTIPLE: Final = 16
_PADS: Final = ("x_pad_token", "cap_pad_token")
_ENDS: Final = re.compile(r"(?P<before>x_embedder|final_layer)\.(?P<inner>.+)")
_KNOWN: Final = re.compile(
    rf"all_(?:x_embedder|final_layer)\.{PATCH}\..+|t_embedder\.mlp\..+|cap_embedder\.\d\..+"
    r"|(?:layers|noise_refiner|context_refiner)\.\d+\."
    r"(?:attention\.(?:to_[qkv]|to_out\.0|norm_[qk])|feed_forward\.w[123]|(?:attention|ffn)_norm[12]"
    r"|adaLN_modulation\.0)\.(?:weight|bias)"
)
_QKV: Final = ".attention.qkv."
_RENAMED: Final = {
    ".attention.out.": ".attention.to_out.0.",
    ".attention.q_norm.": ".attention.norm_q.",
    ".attention.k_norm.": ".attention.norm_k.",
}


def transformer_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a transformer, and part what Lumina 2 joins."""
    found = {}
    for name, tensor in tensors.items():
        if name in _PADS:
            found[name] = tensor.reshape(1, -1)  # some GGUF files hold them without the first dimension
        elif _QKV in name:
            for piece, part in zip("qkv", tensor.chunk(3), strict=True):
                found[name.replace(_QKV, f".attention.to_{piece}.")] = part
        else:
            new = name
            for old, word in _RENAMED.items():
                new = new.replace(old, word)
            if (end := _ENDS.fullmatch(new)) is not None:
                new = f"all_{end['before']}.{PATCH}.{end['inner']}"
            if _KNOWN.fullmatch(new):
                found[new] = tensor
    return found


def make_transformer(shapes: Shapes) -> nn.Module:
    """Make a transformer of the sizes of its tensors, without values, on the default device.

    Raises:
        GenerationFailed: no transformer of the family has these shapes.
    """
    width, patch = _shape(shapes, f"all_x_embedder.{PATCH}.weight", 2)
    (head,) = _shape(shapes, "layers.0.attention.norm_q.weight", 1)
    if patch != 4 * LATENT.channels:
        raise GenerationFailed(f"the transformer takes {patch} values for each token, not {4 * LATENT.channels}")
    if not head or head % _HEAD_MULTIPLE or not width or width % head:
        raise GenerationFailed(f"no transformer of the family has heads of {head} in a width of {width}")
    refiners = {_count(shapes, "noise_refiner"), _count(shapes, "context_refiner")}
    if len(refiners) > 1:
        raise GenerationFailed(f"the transformer has {' and '.join(map(str, sorted(refiners)))} refiners")
    transformer: nn.Module = ZImageDiT(
        in_channels=LATENT.channels,
        dim=width,
        n_layers=_count(shapes, "layers"),
        n_refiner_layers=refiners.pop(),
        n_heads=width // head,
        n_kv_heads=width // head,
        cap_feat_dim=_shape(shapes, "cap_embedder.1.weight", 2)[1],
        axes_dims=[head // _HEAD_MULTIPLE * axis for axis in AXES],
    )
    return transformer


def _shape(shapes: Shapes, name: str, dimensions: int) -> Sequence[int]:
    """Raises GenerationFailed: there is no such tensor, or it has other dimensions."""
    if name not in shapes:
        raise GenerationFailed(f"the checkpoint lacks {name}")
    if len(shapes[name]) != dimensions:
        raise GenerationFailed(f"{name} is {tuple(shapes[name])}, which has not {dimensions} dimensions")
    return shapes[name]


def _count(shapes: Shapes, blocks: str) -> int:
    """How many blocks a list has. Where numbers are left out, those at the end will be found to be missing."""
    return len({name.split(".")[1] for name in shapes if name.startswith(f"{blocks}.")})
