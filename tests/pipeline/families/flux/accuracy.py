"""How near a way to keep and multiply weights comes to exact arithmetic, on weights that follow from their names.

Weights are normal with a spread of one over the root of their inputs, and 0.5 % of the inputs of every block's last
products weigh twenty times as much: trained transformers have such outliers, and 8 bits suffer from them.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from diffsynth.diffusion import FlowMatchScheduler
from torch import Tensor

from pipeline.families.flux.architecture import DIT
from pipeline.families.flux.transformer import Transformer, random_inputs
from pipeline.streaming.block_packing import layout, prepare
from pipeline.streaming.quantization import FLOAT8, Format, QuantizedLinear, quantize

OUTLIER_SHARE = 0.005
OUTLIER_FACTOR = 20
OUTLIER_LAYERS = (".ff_a.2.weight", ".ff_b.2.weight", ".a_to_out.weight", ".b_to_out.weight", ".proj_out.weight")
MODULATION_VARIANCE = 0.3  # gates stay small, so that what passes many blocks does not grow without end


class SeededBlocks(Mapping[str, Tensor]):
    """The blocks of a prepared module, made when they are asked for. `alter` is done to every tensor first."""

    def __init__(self, module: torch.nn.Module, device: str, alter: Callable[[Tensor], Tensor]) -> None:
        self._blocks, self._device, self._alter = layout(module, DIT), device, alter
        self._linears = {name: each for name, each in module.named_modules() if isinstance(each, QuantizedLinear)}

    def __getitem__(self, name: str) -> Tensor:
        block = self._blocks[name]
        data = torch.zeros(block.size, dtype=torch.uint8, device=self._device)
        views = block.views(data)
        for entry in block.entries:
            owner, _, attribute = entry.name.rpartition(".")
            if attribute == "scale":
                continue  # comes with its weight
            value = self._alter(self._value(entry.name, entry.shape))
            weight_format = self._linears[owner].format if attribute == "weight" and owner in self._linears else None
            parts = {attribute: value} if weight_format is None else quantize(value, weight_format)
            for part, values in parts.items():
                views[f"{owner}.{part}"].copy_(values)
        return data

    def _value(self, name: str, shape: torch.Size) -> Tensor:
        """In bfloat16, as checkpoints are."""
        if len(shape) == 1:
            return torch.full(shape, float(name.endswith(".weight")), dtype=torch.bfloat16, device=self._device)
        generator = torch.Generator(self._device).manual_seed(zlib.crc32(name.encode()))
        value = torch.randn(shape, generator=generator, device=self._device) / math.sqrt(shape[1])
        if ".linear." in name:
            value *= math.sqrt(MODULATION_VARIANCE)
        if name.endswith(OUTLIER_LAYERS):
            count = max(1, round(OUTLIER_SHARE * shape[1]))
            chosen = torch.randperm(shape[1], generator=generator, device=self._device)[:count]
            value[:, chosen] *= OUTLIER_FACTOR
        return value.bfloat16()

    def __iter__(self) -> Iterator[str]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Against exact arithmetic: of the predictions on the way that it draws, and of the end of the own way."""

    worst_step: float  # relative L2
    psnr_db: float  # of the latents, whose range is the peak


def seeded(
    make: Callable[[], Any],
    weight_format: Format,
    dtype: torch.dtype,
    device: str,
    alter: Callable[[Tensor], Tensor] = lambda value: value,
) -> Transformer:
    """A transformer whose weights all lie on the device."""
    with torch.device("meta"):
        module = make()
    prepare(module, DIT, weight_format, dtype)
    transformer = Transformer(module, SeededBlocks(module, device, alter), device)
    transformer.place()
    return transformer


def as_stock_keeps(value: Tensor) -> Tensor:
    """DiffSynth's recipe for small cards: 8-bit floats without scales."""
    return value.to(FLOAT8).to(value.dtype)


class Course:
    """The way to a picture: exact latents before each step, and what is predicted there."""

    def __init__(self, exact: Transformer, *, side_px: int, steps: int) -> None:
        self._side_px = side_px
        self._scheduler = FlowMatchScheduler("FLUX.1")
        self._scheduler.set_timesteps(steps)
        self._exact = self._draw(exact, torch.float32)

    def accuracy(self, transformer: Transformer, dtype: torch.dtype) -> Accuracy:
        """Of another transformer with the same weights."""
        worst = 0.0
        for step, (latents, wanted) in enumerate(self._exact[:-1]):
            found = self._predict(transformer, latents.to(dtype), step).float()
            worst = max(worst, float((found - wanted).norm() / wanted.norm()))
        end, exact_end = self._draw(transformer, dtype)[-1][0].float(), self._exact[-1][0]
        peak = float(exact_end.max() - exact_end.min())
        error = float((end - exact_end).pow(2).mean())
        return Accuracy(worst_step=worst, psnr_db=10 * math.log10(peak**2 / error) if error else math.inf)

    def _draw(self, transformer: Transformer, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
        latents = random_inputs(transformer.module, self._side_px, transformer.device, dtype)["latents"]
        course = []
        for step, timestep in enumerate(self._scheduler.timesteps):
            velocity = self._predict(transformer, latents, step)
            course.append((latents, velocity))
            latents = self._scheduler.step(velocity, timestep, latents)
        return [*course, (latents, torch.empty(0))]

    @torch.no_grad()
    def _predict(self, transformer: Transformer, latents: Tensor, step: int) -> Tensor:
        device, dtype = transformer.device, latents.dtype
        # Times and guidance as bfloat16 rounds them (3.504 × 1000 alike in both): the embedding of a number that
        # is off by three has little to do with it, which would hide what arithmetic costs.
        schedule = self._scheduler.timesteps.bfloat16().float()
        guidance = torch.tensor([3.504], device=device, dtype=dtype)
        inputs = random_inputs(transformer.module, self._side_px, device, dtype)
        inputs |= {"latents": latents, "guidance": guidance}
        return transformer.predict(
            dit=transformer.module,
            schedule=schedule,
            timestep=schedule[step][None].to(device, dtype),
            progress_id=step,
            **inputs,
        )
