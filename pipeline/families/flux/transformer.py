"""FLUX's transformer in our own keeping: streamed, its modulation computed before the first step, its blocks compiled.

Compiled, the blocks take half the time: what lies between two products becomes one kernel. Must not know prompts.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from types import MethodType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.utils._triton import has_triton

from pipeline.families.flux.architecture import DIT, LATENT, TEXT_TOKENS
from pipeline.families.flux.modulation import PrecomputedModulation
from pipeline.streaming.quantization import mark_constants
from pipeline.streaming.streamed_module import StreamedModule

log = logging.getLogger(__name__)

WARM_UP_SIDE_PX: Final = 512
# Otherwise every start measures some kernels anew and takes those that happen to be faster, which sum in another order.
REPEATABLE: Final[dict[str, str | int | bool | Callable[..., Any]]] = {"deterministic": True}


class Transformer(StreamedModule):
    """A transformer. `predict` stands in for DiffSynth's `model_fn_flux_image`."""

    COMPONENT = DIT
    IS_LOCKED = True

    def __init__(self, module: nn.Module, packed: Mapping[str, Tensor], device: str) -> None:
        super().__init__(module, packed, device)
        self.predict = PrecomputedModulation(module, self.visit)

    def compile_blocks(
        self,
        run_step: Callable[[Callable[[], Tensor]], Tensor] | None = None,
        *,
        text_tokens: int = TEXT_TOKENS,
        backend: str | Callable[..., Any] = "inductor",
    ) -> bool:
        """Compile the code of the blocks, once for all of a kind and for every size; whether that worked.

        The first time takes about a minute on a usual computer, later some seconds: results are kept on disk. Compiled
        anew, they compute the same bits.

        Args:
            run_step: that of a `Residency`, if there is one.
            text_tokens: what prompts are padded to; the code is for this number.
            backend: of `torch.compile`; another one for tests.
        """
        if self.device != "cpu" and not has_triton():
            log.info("Triton is missing, so blocks are not compiled and pictures take longer")
            return False
        mark_constants()
        blocks = [module for name, module in self.module.named_modules() if name in set(self.running)]
        options = REPEATABLE if backend == "inductor" else None
        compiled = {
            kind: torch.compile(kind.forward, backend=backend, options=options)
            for kind in {type(block) for block in blocks}
        }
        for block in blocks:
            block.forward = MethodType(_for_every_size(compiled[type(block)]), block)
        try:
            self._warm_up(run_step or (lambda step: step()), text_tokens)
        except Exception as error:  # noqa: BLE001 - a compiler raises anything
            traceback.clear_frames(error.__traceback__)
            log.warning("blocks could not be compiled, so pictures take longer: %s", str(error).partition("\n")[0])
            for block in blocks:
                del block.forward
            return False
        return True

    @torch.no_grad()
    def _warm_up(self, run_step: Callable[[Callable[[], Tensor]], Tensor], text_tokens: int) -> None:
        dtype = next(self.module.get_submodule("x_embedder").parameters()).dtype
        inputs = random_inputs(self.module, WARM_UP_SIDE_PX, self.device, dtype, text_tokens=text_tokens)
        timestep = torch.tensor([500.0], device=self.device, dtype=dtype)
        step = partial(
            self.predict, dit=self.module, schedule=timestep.float().cpu(), timestep=timestep, progress_id=0, **inputs
        )
        run_step(step)


def random_inputs(
    dit: Any, side_px: int, device: str, dtype: torch.dtype, *, text_tokens: int = TEXT_TOKENS
) -> dict[str, Tensor]:
    """What a transformer is given for a square picture, but for the time; noise in place of a prompt."""
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    return {
        "latents": random(1, LATENT.channels, side_px // LATENT.factor, side_px // LATENT.factor),
        "prompt_emb": random(1, text_tokens, dit.context_embedder.in_features),
        "pooled_prompt_emb": random(1, dit.pooled_text_embedder[0].in_features),
        "guidance": torch.tensor([3.5], device=device, dtype=dtype),
        "text_ids": torch.zeros(1, text_tokens, 3, device=device, dtype=dtype),
    }


def _for_every_size(compiled: Any) -> Any:
    """A compiled forward pass of a block that counts on any number of tokens from the start."""

    def forward(
        block: nn.Module, hidden: Tensor, text: Tensor, time: Tensor, rotary: Tensor, *args: Any, **kw: Any
    ) -> Any:
        torch._dynamo.maybe_mark_dynamic(hidden, 1)
        torch._dynamo.maybe_mark_dynamic(rotary, 2)
        return compiled(block, hidden, text, time, rotary, *args, **kw)

    return forward
