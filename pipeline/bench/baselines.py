"""How others run the same transformer on a small card, each as its own documentation says. For comparison only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

import torch
from torch import Tensor

from pipeline.bench.random_weights import fill
from pipeline.errors import GenerationFailed
from pipeline.families.flux.architecture import TEXT_TOKENS, TOKEN_PX
from pipeline.streaming.quantization import FLOAT8

MMGP_ROOM_MIB: Final = 2200  # of the limit, for CUDA itself and what blocks compute with

Steps = Callable[[int], Callable[[int], object]]  # side of the picture in px → what runs a step of it, all alike


def diffusers_steps(device: str, limit_mib: int) -> Steps:
    """diffusers with weights in 8-bit floats that are cast layer by layer, the next block on its way in a stream.

    Both are in its guide to memory, https://huggingface.co/docs/diffusers/optimization/memory. It takes as little
    memory as it can and has no option to use what more there is.

    Raises:
        GenerationFailed: it is not installed.
    """
    model = _diffusers_model()
    # First, or the page-locked copies that the other makes would have 16 bits.
    model.enable_layerwise_casting(storage_dtype=FLOAT8, compute_dtype=torch.bfloat16)
    if device == "cuda":
        model.enable_group_offload(
            onload_device=torch.device(device),
            offload_device=torch.device("cpu"),
            offload_type="block_level",
            num_blocks_per_group=1,
            use_stream=True,
            record_stream=True,
        )
    return _steps_of(model, device)


def mmgp_steps(device: str, limit_mib: int) -> Steps:
    """mmgp, "Memory Management for the GPU Poor": 8-bit integers by quanto, blocks stay as far as there is room.

    As its profile for much memory and a small card sets it (https://github.com/deepbeepmeep/mmgp), but with as much of
    the card as is left, where the profile takes 1.2 GB.

    Raises:
        GenerationFailed: it or diffusers, whose model it moves, is not installed.
    """
    offload = _imported("mmgp.offload")
    model = _diffusers_model()
    budgets = {"transformer": max(1, limit_mib - MMGP_ROOM_MIB)}  # 0 would be all there is
    offload.all({"transformer": model}, pinnedMemory=True, budgets=budgets, verboseLevel=0)
    return _steps_of(model, device)


STEPS: Final[Mapping[str, Callable[[str, int], Steps]]] = {"diffusers": diffusers_steps, "mmgp": mmgp_steps}


def _imported(name: str) -> Any:
    package = name.partition(".")[0]
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        raise GenerationFailed(f"{package} is not installed: pip install {package}") from error


def _diffusers_model() -> Any:
    diffusers = _imported("diffusers")
    with torch.device("meta"):
        model = diffusers.FluxTransformer2DModel(guidance_embeds=True).eval()
    fill(model, torch.bfloat16)
    return model


def _steps_of(model: Any, device: str) -> Steps:
    def at(side_px: int) -> Callable[[int], object]:
        inputs = _inputs(model.config, side_px, device)
        return lambda _number: model(**inputs, return_dict=False)

    return at


def _inputs(config: Any, side_px: int, device: str) -> dict[str, Tensor]:
    generator = torch.Generator("cpu").manual_seed(1)
    tokens = (side_px // TOKEN_PX) ** 2

    def random(*shape: int) -> Tensor:
        # mmgp makes the card the default device
        return torch.randn(*shape, generator=generator, device="cpu").to(device, torch.bfloat16)

    return {
        "hidden_states": random(1, tokens, config.in_channels),
        "encoder_hidden_states": random(1, TEXT_TOKENS, config.joint_attention_dim),
        "pooled_projections": random(1, config.pooled_projection_dim),
        "timestep": torch.tensor([0.5], device=device, dtype=torch.bfloat16),
        "guidance": torch.tensor([3.5], device=device, dtype=torch.bfloat16),
        "img_ids": torch.zeros(tokens, 3, device=device, dtype=torch.bfloat16),
        "txt_ids": torch.zeros(TEXT_TOKENS, 3, device=device, dtype=torch.bfloat16),
    }
