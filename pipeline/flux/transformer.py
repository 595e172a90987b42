"""FLUX's transformer and its T5 in our own keeping: read, planned, placed, sharing one ring."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from pipeline.flux.modulation import HoistedModel
from pipeline.flux.packing import MODULATION, REST
from pipeline.flux.ring import Ring
from pipeline.flux.streamed import Streamed
from pipeline.plan import make_plan

log = logging.getLogger(__name__)


class Transformer(Streamed):
    """A transformer. `predict` stands in for DiffSynth's `model_fn_flux_image`."""

    KIND = "flux_dit"

    def __init__(self, module: nn.Module, packed: Mapping[str, Tensor], device: str) -> None:
        super().__init__(module, packed, device)
        self.predict = HoistedModel(module, self.visit)


class TextEncoder(Streamed):
    """T5. Its activations have outliers that are no good in 8 bits, so those are only how its weights are kept.

    The table of word pieces stays in host memory: a few of its rows are needed once per prompt.
    """

    KIND = "flux_text_encoder_t5"
    IS_RENAMED = False

    def __init__(self, module: Any, packed: Mapping[str, Tensor], device: str) -> None:
        super().__init__(module, packed, device)
        self.multiply_integers(False)
        module.shared.register_forward_pre_hook(lambda _module, inputs: tuple(ids.cpu() for ids in inputs))
        module.shared.register_forward_hook(lambda _module, _inputs, found: found.to(device))

    @classmethod
    def _simplify(cls, module: Any) -> None:
        module.encoder.embed_tokens = module.shared  # the file has one table, the library's class two


def place_within(
    transformer: Transformer, text_encoder: TextEncoder | None, limit_bytes: int, sizes: Iterable[tuple[int, int]]
) -> None:
    """Place both as `pipeline.plan` says for the largest of these pictures (width, height), in px.

    Raises:
        OutOfMemory: not even one block at a time fits.
    """
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    passing = [block.size for name, block in transformer.blocks.items() if name.endswith(MODULATION)]
    fixed = transformer.blocks[REST].size
    if text_encoder is not None:
        passing += [text_encoder.blocks[name].size for name in text_encoder.running]
        fixed += text_encoder.blocks[REST].size
    plan = make_plan(
        [transformer.blocks[name].size for name in transformer.running],
        other_blocks=passing,
        fixed_bytes=fixed,
        free_bytes=limit_bytes,
        width=width,
        height=height,
    )
    log.info(
        "weights on the card: %.1f GB, streamed at every step: %.1f GB, expected peak: %.1f GB",
        plan.resident_bytes / 1e9,
        plan.streamed_bytes / 1e9,
        plan.peak_bytes / 1e9,
    )
    ring = Ring(plan.slot_bytes, plan.ring_slots, transformer.device)
    resident = [name for name, stays in zip(transformer.running, plan.is_resident, strict=True) if stays]
    transformer.place(resident, ring=ring)
    if text_encoder is not None:
        text_encoder.place([], ring=ring)
