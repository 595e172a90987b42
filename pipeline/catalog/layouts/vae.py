"""VAEs: of FLUX.1 and of Stable Diffusion, under CompVis's, diffusers' and DiffSynth's names.

Sources: CompVis/latent-diffusion:ldm/modules/diffusionmodules/model.py;
black-forest-labs/flux:src/flux/modules/autoencoder.py;
huggingface/diffusers:src/diffusers/models/autoencoders/autoencoder_kl.py.
"""

from __future__ import annotations

from typing import Final

from pipeline.catalog.layouts.findings import Finding, refused
from pipeline.catalog.layouts.templates import Template
from pipeline.catalog.layouts.tensors import Tensors
from pipeline.catalog.parts import Naming, PartKind

_RESNET: Final = ("norm1", "conv1", "norm2", "conv2")
_HALVES: Final = ("encoder", "decoder")
ORIGINAL: Final = Template(
    rest=(
        *(f"{half}.{each}" for half in _HALVES for each in ("conv_in", "norm_out", "conv_out")),
        *(f"{half}.mid.block_{n}.{each}" for half in _HALVES for n in (1, 2) for each in _RESNET),
        *(f"{half}.mid.attn_1.{each}" for half in _HALVES for each in ("norm", "q", "k", "v", "proj_out")),
    ),
    blocks=(("encoder.down.#.block.#.", _RESNET), ("decoder.up.#.block.#.", _RESNET)),
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
    blocks=(("encoder.down_blocks.#.resnets.#.", _RESNET), ("decoder.up_blocks.#.resnets.#.", _RESNET)),
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
    return _finding(tensors, ORIGINAL, Naming.ORIGINAL)


def read_diffusers(tensors: Tensors, _hints: str) -> Finding:
    """Names of diffusers' `AutoencoderKL`."""
    return _finding(tensors, DIFFUSERS, Naming.DIFFUSERS)


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


def _finding(tensors: Tensors, template: Template, naming: Naming) -> Finding:
    channels = tensors.side(1, "decoder.conv_in.weight")
    lacks = template.lacks(tensors.names)
    if channels == 4:
        return Finding(title="Stable Diffusion VAE", kind=PartKind.VAE, architecture="sd15", naming=naming, lacks=lacks)
    if channels in (0, 16):
        return Finding(title="FLUX.1 VAE", kind=PartKind.VAE, architecture="flux", naming=naming, lacks=lacks)
    return refused(
        f"a VAE of {channels} latent channels",
        "FLUX.1's has 16, and Stable Diffusion's has 4",
        "take FLUX.1's ae.safetensors, or the VAE of a Stable Diffusion model",
    )
