"""The modulation hoist: every AdaLN vector of every step, computed before the first step.

A quarter of FLUX.1's weights turn one vector (time, guidance, pooled prompt) into shifts, scales and gates.
That vector does not depend on the picture, so all steps' results fit a table of some 40 MB, and the weights
need not be there while the picture is drawn. Row by row, so that every bit is as if they were; but weights of 8 bits
are unpacked once for all rows, since for each row anew that would move twenty times the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import torch
from cachetools import LRUCache
from diffsynth.pipelines.flux_image import model_fn_flux_image
from torch import Tensor, nn
from torch.nn.functional import silu

from pipeline.catalog.architecture import MODULATION
from pipeline.families.flux.architecture import DIT
from pipeline.runtime.denoising_run import NotFinite
from pipeline.streaming.quantization import QuantizedLinear

TABLES: Final = 2  # kept, newest last: one per prompt and schedule, two with a negative prompt

Table = dict[str, Tensor]
Visit = Callable[[Sequence[str]], Iterable[str]]


class Row(nn.Module):
    """Stands where a modulation layer stood and gives the row that is due, (1, M)."""

    def __init__(self) -> None:
        super().__init__()
        self.row: Tensor | None = None

    def forward(self, _conditioning: Tensor) -> Tensor:
        """The row; what it was made from is not looked at."""
        assert self.row is not None, "no step is under way"
        return self.row


class PrecomputedModulation:
    """DiffSynth's `model_fn_flux_image` for a transformer whose modulation layers it takes out.

    `visit` brings blocks of weights to the device one after the other, and yields the name of each when it is there.
    """

    def __init__(self, dit: nn.Module, visit: Visit) -> None:
        self.visit = visit
        self.layers: dict[str, dict[str, nn.Module]] = {}  # by block
        self._rows: dict[str, Row] = {}
        self.tables: LRUCache[tuple[Any, ...], Table] = LRUCache(TABLES)
        for name, module in list(dit.named_modules()):
            block = DIT.block_of(f"{name}.")
            if block.endswith(MODULATION):
                parent, _, attribute = name.rpartition(".")
                self.layers.setdefault(block, {})[name] = module
                self._rows[name] = Row()
                setattr(dit.get_submodule(parent), attribute, self._rows[name])

    def forget(self) -> None:
        """Drop the tables: they follow from prompts."""
        self.tables.clear()
        for row in self._rows.values():
            row.row = None

    def __call__(  # noqa: PLR0913 - what DiffSynth gives
        self,
        *,
        dit: Any,
        latents: Tensor,
        timestep: Tensor,
        pooled_prompt_emb: Tensor,
        guidance: Tensor,
        schedule: Tensor,
        progress_id: int,
        **inputs: Any,
    ) -> Tensor:
        """Predict one step's velocity, (1, 16, H ÷ 8, W ÷ 8). `schedule` holds all timesteps of the run, (steps,).

        Raises:
            NotFinite
        """
        key = (
            tuple(schedule.tolist()),
            tuple(guidance.tolist()),
            latents.dtype,
            pooled_prompt_emb.cpu().view(torch.uint8).numpy().tobytes(),
        )
        if key not in self.tables:
            self.tables[key] = self._table(dit, schedule.to(timestep), pooled_prompt_emb, guidance, latents.dtype)
        for name, rows in self.tables[key].items():
            self._rows[name].row = rows[progress_id : progress_id + 1]
        velocity: Tensor = model_fn_flux_image(
            dit=dit,
            latents=latents,
            timestep=timestep,
            pooled_prompt_emb=pooled_prompt_emb,
            guidance=guidance,
            progress_id=progress_id,
            **inputs | {"tiled": False},  # meant for the VAE; DiffSynth would cut up the transformer's work as well
        )
        if not bool(torch.isfinite(velocity).all()):
            raise NotFinite(f"step {progress_id + 1} gave values that are not finite")
        return velocity

    def _table(self, dit: Any, schedule: Tensor, pooled: Tensor, guidance: Tensor, dtype: torch.dtype) -> Table:
        """What each layer gives at each step, (steps, M) by name."""
        fixed = dit.pooled_text_embedder(pooled)
        steps = []
        for timestep in schedule:  # the same sums in the same order as in `model_fn_flux_image`
            conditioning = dit.time_embedder(timestep[None], dtype) + fixed
            if dit.guidance_embedder is not None:
                conditioning = conditioning + dit.guidance_embedder(guidance * 1000, dtype)
            steps.append(silu(conditioning))
        return {
            name: _of_all(layer, steps)
            for block in self.visit(list(self.layers))
            for name, layer in self.layers[block].items()
        }


def _of_all(layer: nn.Module, steps: Sequence[Tensor]) -> Tensor:
    """What a layer gives for each of these (1, K), (steps, M)."""
    if isinstance(layer, QuantizedLinear) and layer.format.is_8bit:
        rows = torch.cat(list(steps))
        return layer.add_side(layer.unpacked(rows), rows)
    return torch.cat([layer(step) for step in steps])
