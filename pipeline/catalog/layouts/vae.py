"""VAEs: of FLUX.1, FLUX.2 and Stable Diffusion, under CompVis's, diffusers' and DiffSynth's names.

Sources: CompVis/latent-diffusion:ldm/modules/diffusionmodules/model.py;
black-forest-labs/flux:src/flux/modules/autoencoder.py;
huggingface/diffusers:src/diffusers/models/autoencoders/autoencoder_kl.py. Stable Diffusion 3's has the names and shapes
of FLUX.1's, so nobody can tell them apart by their heads.
"""

from __future__ import annotations

from typing import Final

from pipeline.catalog.layouts.findings import Finding, refused
from pipeline.catalog.layouts.templates import Template, absent, blocks_of
from pipeline.catalog.layouts.tensors import Tensors, unskipped
from pipeline.catalog.parts import Naming, PartKind

_RESNET: Final = ("norm1", "conv1", "norm2", "conv2")
_GROUPS: Final = 32  # that norms divide channels into
_FLUX_LEVELS: Final = 4  # of sizes, each half of the one before
_TAKE_FLUX: Final = "take FLUX.1's ae.safetensors"
_FLUX2_CHANNELS: Final = 32
_FLUX2_MORE: Final = (
    "encoder.quant_conv|quant_conv",
    "decoder.post_quant_conv|post_quant_conv",
    "=bn.running_mean",
    "=bn.running_var",
)
_VIDEO_DIMENSIONS: Final = 5  # of a convolution over time
_HALVES: Final = ("encoder", "decoder")
ORIGINAL: Final = Template(
    rest=(
        *(f"{half}.{each}" for half in _HALVES for each in ("conv_in", "norm_out", "conv_out")),
        *(f"{half}.mid.block_{n}.{each}" for half in _HALVES for n in (1, 2) for each in _RESNET),
        *(f"{half}.mid.attn_1.{each}" for half in _HALVES for each in ("norm", "q", "k", "v", "proj_out")),
    ),
    blocks=(
        ("encoder.down.#.block.#.", _RESNET),
        ("encoder.down.#.", ("block.0.conv1",)),
        ("decoder.up.#.block.#.", _RESNET),
        ("decoder.up.#.", ("block.0.conv1",)),
    ),
    needs=("encoder.down.#.block.#.", "decoder.up.#.block.#."),
)
# Before 2023 diffusers wrote query, key, value and proj_attn.
_ATTENTION: Final = ("group_norm", "to_q|query", "to_k|key", "to_v|value", "to_out.0|proj_attn")
DIFFUSERS: Final = Template(
    rest=(
        *(f"{half}.{each}" for half in _HALVES for each in ("conv_in", "conv_norm_out", "conv_out")),
        *(f"{half}.mid_block.resnets.{n}.{each}" for half in _HALVES for n in (0, 1) for each in _RESNET),
        *(
            f"{half}.mid_block.attentions.0.{each}".replace("|", f"|{half}.mid_block.attentions.0.")
            for half in _HALVES
            for each in _ATTENTION
        ),
    ),
    blocks=(
        ("encoder.down_blocks.#.resnets.#.", _RESNET),
        ("encoder.down_blocks.#.", ("resnets.0.conv1",)),
        ("decoder.up_blocks.#.resnets.#.", _RESNET),
        ("decoder.up_blocks.#.", ("resnets.0.conv1",)),
    ),
    needs=("encoder.down_blocks.#.resnets.#.", "decoder.up_blocks.#.resnets.#."),
)
DIFFSYNTH: Final = Template(
    rest=tuple(f"{half}.{each}" for half in _HALVES for each in ("conv_in", "conv_out")),
    blocks=(
        ("encoder.blocks.#.(conv1.|conv2.)", ("conv1", "conv2")),
        ("decoder.blocks.#.(conv1.|conv2.)", ("conv1", "conv2")),
    ),
    needs=("encoder.blocks.#.(conv1.|conv2.)", "decoder.blocks.#.(conv1.|conv2.)"),
)


def read_original(tensors: Tensors, _hints: str) -> Finding:
    """CompVis's names, which Black Forest Labs kept."""
    halvings = blocks_of("encoder.down.#.", tensors.names)[:-1]
    doublings = blocks_of("decoder.up.#.", tensors.names)[1:]
    scales = [f"{level}downsample.conv" for level in halvings] + [f"{level}upsample.conv" for level in doublings]
    found = _finding(tensors, ORIGINAL, Naming.ORIGINAL, scales, "nin_shortcut")
    return _of_known_sizes(tensors, found, {len(halvings) + 1, len(doublings) + 1})


def read_diffusers(tensors: Tensors, _hints: str) -> Finding:
    """Names of diffusers' `AutoencoderKL`."""
    halvings = blocks_of("encoder.down_blocks.#.", tensors.names)[:-1]
    doublings = blocks_of("decoder.up_blocks.#.", tensors.names)[:-1]
    scales = [f"{level}downsamplers.0.conv" for level in halvings]
    scales += [f"{level}upsamplers.0.conv" for level in doublings]
    found = _finding(tensors, DIFFUSERS, Naming.DIFFUSERS, scales, "conv_shortcut")
    return _of_known_sizes(tensors, found, {len(halvings) + 1, len(doublings) + 1})


def read_diffsynth(tensors: Tensors, _hints: str) -> Finding:
    """The demo's VAE."""
    return Finding(
        title="demo VAE",
        kind=PartKind.VAE,
        architecture="flux",
        variant="demo",
        naming=Naming.DIFFSYNTH,
        lacks=DIFFSYNTH.lacks(tensors.names),
    )


def _finding(tensors: Tensors, template: Template, naming: Naming, scales: list[str], shortcut: str) -> Finding:
    if any(len(each.info.shape) == _VIDEO_DIMENSIONS for each in tensors.stored.values()):
        return refused("the VAE of a video model", "it goes with that model only", _TAKE_FLUX)
    channels = tensors.side(1, "decoder.conv_in.weight")
    lacks = template.lacks(tensors.names) or absent(tensors.names, scales) or unskipped(tensors, "conv1", shortcut)
    if channels == _FLUX2_CHANNELS and tensors.any_in("bn."):
        lacks = lacks or absent(tensors.names, _FLUX2_MORE)
        return Finding(title="FLUX.2 VAE", kind=PartKind.VAE, architecture="flux2-klein", naming=naming, lacks=lacks)
    if channels not in (0, 4, 16):
        return refused(
            f"a VAE of {channels} latent channels",
            "FLUX.1's has 16, FLUX.2's has 32 and norms them, and Stable Diffusion's has 4",
            "take FLUX.1's ae.safetensors, FLUX.2's flux2-vae.safetensors, or the VAE of a Stable Diffusion model",
        )
    title, architecture = ("Stable Diffusion VAE", "sd15") if channels == 4 else ("FLUX.1 VAE", "flux")
    return Finding(title=title, kind=PartKind.VAE, architecture=architecture, naming=naming, lacks=lacks)


def _of_known_sizes(tensors: Tensors, found: Finding, levels: set[int]) -> Finding:
    """The same, unless it is whole and there is no module of its sizes."""
    if found.refusal is not None or found.lacks:
        return found
    if found.architecture in ("flux", "flux2-klein") and levels != {_FLUX_LEVELS}:
        reason = f"it has {' and '.join(map(str, sorted(levels)))} levels of sizes instead of {_FLUX_LEVELS}"
        channels = tensors.side(1, "decoder.conv_in.weight")
        return refused(f"a VAE of {channels} latent channels of another model", reason, "take the VAE of the model")
    for name, each in tensors.stored.items():
        shape = each.info.shape
        if "norm" in name and name.endswith(".weight") and len(shape) == 1 and (shape[0] % _GROUPS or not shape[0]):
            reason = f"{name} has {shape[0]} channels, which is no multiple of {_GROUPS}"
            return refused("a VAE of sizes that no model has", reason, "take the VAE of the model")
    return found
