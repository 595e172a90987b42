"""Times the transformer of FLUX.1 at full size without its files: random weights, real shapes.

Speed and memory do not depend on what the weights are; what a picture looks like does, so nothing is drawn.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import torch
from diffsynth.core.vram.initialization import skip_model_initialization
from diffsynth.core.vram.layers import AutoWrappedLinear, AutoWrappedModule, enable_vram_management
from diffsynth.models.flux_dit import FluxDiT, RMSNorm
from diffsynth.pipelines.flux_image import model_fn_flux_image
from torch import Tensor, nn

from pipeline.flux.formats import FLOAT8, Format
from pipeline.flux.packing import Block, layout, prepare
from pipeline.flux.transformer import Transformer, place_within
from pipeline.hardware import MIB
from pipeline.plan import LATENT_PX, TEXT_TOKENS
from pipeline.timing import STOCK, Timing

WARM_UP: Final = 2
LINK_BYTES: Final = 2**29
PATTERN_BYTES: Final = 2**24 - 3  # odd, so that no two rows of a weight are equal


class RandomBlocks(Mapping[str, Tensor]):
    """Blocks of a prepared module with arbitrary weights of the usual size, made when they are asked for."""

    def __init__(self, dit: nn.Module) -> None:
        self._blocks = layout(dit)
        self._linears = {f"{name}.weight" for name, module in dit.named_modules() if hasattr(module, "in_features")}
        generator = torch.Generator().manual_seed(1)
        self._pattern = torch.randn(PATTERN_BYTES, generator=generator)

    def __getitem__(self, name: str) -> Tensor:
        block: Block = self._blocks[name]
        data = torch.zeros(block.size, dtype=torch.uint8)
        for entry_name, view in block.views(data).items():
            if entry_name in self._linears:
                gain = {torch.int8: 36.0, FLOAT8: 100.0}.get(view.dtype, view.shape[1] ** -0.5)
                flat = view.view(-1)
                for start in range(0, len(flat), PATTERN_BYTES):
                    part = flat[start : start + PATTERN_BYTES]
                    part.copy_((self._pattern[: len(part)] * gain).clamp_(-127 * gain, 127 * gain))
            elif entry_name.endswith(".scale"):
                weight = entry_name.removesuffix("scale") + "weight"
                shape = next(entry.shape for entry in block.entries if entry.name == weight)
                view.fill_(shape[1] ** -0.5 / (36.0 if self._is_int8(block, weight) else 100.0))
            elif not entry_name.endswith(".bias"):
                view.fill_(1)
        return data

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)

    @staticmethod
    def _is_int8(block: Block, name: str) -> bool:
        return next(entry.dtype for entry in block.entries if entry.name == name) is torch.int8


def time_systems(
    systems: Sequence[str],
    *,
    device: str,
    limit_mib: int,
    sides: Sequence[int],
    steps: int,
    make_dit: Any = FluxDiT,
) -> Iterator[Timing]:
    """Time one system after the other; `systems` are formats, or `STOCK`.

    Args:
        limit_mib: GPU memory that each may take.
        sides: of square pictures, in px.
        make_dit: makes the module; FLUX.1's unless a test wants a smaller one.
    """
    link = link_gb_s() if device == "cuda" else None
    for system in systems:
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        yield from (_time_stock if system == STOCK else _time_ours)(
            system, device=device, limit_mib=limit_mib, sides=sides, steps=steps, make_dit=make_dit, link=link
        )


def link_gb_s() -> float:
    """How fast page-locked memory goes to the GPU, in 10⁹ bytes per second."""
    source = torch.empty(LINK_BYTES, dtype=torch.uint8, pin_memory=True)
    target = torch.empty(LINK_BYTES, dtype=torch.uint8, device="cuda")
    seconds = []
    for _ in range(4):
        torch.cuda.synchronize()
        started_at = time.perf_counter()
        target.copy_(source, non_blocking=True)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started_at)
    return LINK_BYTES / min(seconds) / 1e9


def _time_ours(
    system: str, *, device: str, limit_mib: int, sides: Sequence[int], steps: int, make_dit: Any, link: float | None
) -> Iterator[Timing]:
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    with torch.device("meta"):
        dit = make_dit()
    prepare(dit, Format(system), dtype)
    transformer = Transformer(dit, RandomBlocks(dit), device)
    if device == "cuda":
        place_within(transformer, None, limit_mib * MIB, sizes=[(side, side) for side in sides])
    else:
        transformer.place()
    schedule = torch.linspace(1000, 100, steps + WARM_UP)
    for side in sides:
        inputs = _inputs(dit, side, device, dtype)
        seconds = []
        for step, timestep in enumerate(schedule):
            seconds.append(
                _seconds(
                    device,
                    lambda step=step, timestep=timestep: transformer.predict(
                        dit=dit,
                        schedule=schedule,
                        timestep=timestep[None].to(device, dtype),
                        progress_id=step,
                        **inputs,  # noqa: B023 - called before the next side
                    ),
                )
            )
        yield _timing(system, side, seconds, transformer.streamed_bytes, link, device)


def _time_stock(
    system: str, *, device: str, limit_mib: int, sides: Sequence[int], steps: int, make_dit: Any, link: float | None
) -> Iterator[Timing]:
    """The transformer in 8-bit floats in host memory, as DiffSynth's examples for small cards have it."""
    dtype = torch.bfloat16
    with skip_model_initialization():
        dit = make_dit()
    with torch.device("meta"):
        shapes = make_dit()
    prepare(shapes, Format.BFLOAT16, dtype)
    random = RandomBlocks(shapes)
    for name, block in layout(shapes).items():
        for entry_name, view in block.views(random[name]).items():
            owner, _, attribute = entry_name.rpartition(".")
            value = nn.Parameter(view.to(FLOAT8), requires_grad=False)
            dit.get_submodule(owner)._parameters[attribute] = value
    dit = enable_vram_management(
        dit.eval(),
        {nn.Linear: AutoWrappedLinear, RMSNorm: AutoWrappedModule},
        vram_config={
            "offload_dtype": FLOAT8,
            "offload_device": "cpu",
            "onload_dtype": FLOAT8,
            "onload_device": "cpu",
            "preparing_dtype": FLOAT8,
            "preparing_device": device,
            "computation_dtype": dtype,
            "computation_device": device,
        },
        vram_limit=limit_mib / 1024 if device == "cuda" else None,
    )
    for module in dit.modules():
        if hasattr(module, "onload"):
            module.onload()
    for side in sides:
        inputs = _inputs(dit, side, device, dtype)
        timestep = torch.tensor([500.0], device=device, dtype=dtype)
        seconds = [
            _seconds(device, lambda: model_fn_flux_image(dit=dit, timestep=timestep, **inputs))  # noqa: B023
            for _ in range(min(steps, 3) + WARM_UP)
        ]
        yield _timing(system, side, seconds, None, link, device)


def _timing(
    system: str, side: int, seconds: Sequence[float], streamed: int | None, link: float | None, device: str
) -> Timing:
    return Timing(
        system=system,
        side_px=side,
        first_step_s=seconds[0],
        step_s=statistics.median(seconds[WARM_UP:]),
        peak_mib=torch.cuda.max_memory_reserved() // MIB if device == "cuda" else None,
        streamed_bytes=streamed,
        link_gb_s=link,
    )


@torch.no_grad()
def _seconds(device: str, call: Any) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    started_at = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started_at


def _inputs(dit: Any, side: int, device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    return {
        "latents": random(1, 16, side // LATENT_PX, side // LATENT_PX),
        "prompt_emb": random(1, TEXT_TOKENS, dit.context_embedder.in_features),
        "pooled_prompt_emb": random(1, dit.pooled_text_embedder[0].in_features),
        "guidance": torch.tensor([3.5], device=device, dtype=dtype),
        "text_ids": torch.zeros(1, TEXT_TOKENS, 3, device=device, dtype=dtype),
    }
