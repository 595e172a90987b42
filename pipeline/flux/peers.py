"""How others run the same transformer on a small card, each as its own documentation says. For comparison only."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from pipeline.errors import GenerationFailed
from pipeline.flux.formats import FLOAT8
from pipeline.flux.random_model import fill
from pipeline.plan import TEXT_TOKENS, TOKEN_PX


def diffusers_steps(device: str) -> Callable[[int], Callable[[int], object]]:
    """diffusers with weights in 8-bit floats that are cast layer by layer, the next block on its way in a stream.

    Both are in its guide to memory, https://huggingface.co/docs/diffusers/optimization/memory. It takes as little
    memory as it can and has no option to use what more there is.

    Returns:
        Side of the picture in px → what runs a step of it; they are all the same.

    Raises:
        GenerationFailed: it is not installed.
    """
    try:
        diffusers: Any = import_module("diffusers")
    except ModuleNotFoundError as error:
        if error.name != "diffusers":
            raise
        raise GenerationFailed("diffusers is not installed: pip install diffusers") from error
    with torch.device("meta"):
        model = diffusers.FluxTransformer2DModel(guidance_embeds=True).eval()
    fill(model, torch.bfloat16)
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

    def at(side_px: int) -> Callable[[int], object]:
        inputs = _inputs(model.config, side_px, device)
        return lambda _number: model(**inputs, return_dict=False)

    return at


def _inputs(config: Any, side_px: int, device: str) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    tokens = (side_px // TOKEN_PX) ** 2

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device, torch.bfloat16)

    return {
        "hidden_states": random(1, tokens, config.in_channels),
        "encoder_hidden_states": random(1, TEXT_TOKENS, config.joint_attention_dim),
        "pooled_projections": random(1, config.pooled_projection_dim),
        "timestep": torch.tensor([0.5], device=device, dtype=torch.bfloat16),
        "guidance": torch.tensor([3.5], device=device, dtype=torch.bfloat16),
        "img_ids": torch.zeros(tokens, 3, device=device, dtype=torch.bfloat16),
        "txt_ids": torch.zeros(TEXT_TOKENS, 3, device=device, dtype=torch.bfloat16),
    }
