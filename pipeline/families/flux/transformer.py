"""FLUX's transformer in our own keeping: streamed, its modulation computed before the first step, its blocks compiled.

Compiled, the blocks take half the time: what lies between two products becomes one kernel. Must not know prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from pipeline.families.flux.architecture import DIT, LATENT, TEXT_TOKENS
from pipeline.families.flux.modulation import PrecomputedModulation
from pipeline.streaming.compilation import compile_kinds
from pipeline.streaming.streamed_module import StreamedModule

WARM_UP_SIDE_PX: Final = 512


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
        """Compile the code of the blocks, once for all sizes; whether that worked. See `compile_kinds`.

        Args:
            run_step: that of a `Residency`, if there is one.
            text_tokens: what prompts are padded to; the code is for this number.
            backend: of `torch.compile`; another one for tests.
        """
        blocks = [module for name, module in self.module.named_modules() if name in set(self.running)]
        warm_up = partial(self._warm_up, run_step or (lambda step: step()), text_tokens)
        self.is_compiled = compile_kinds(blocks, _for_every_size, warm_up, device=self.device, backend=backend)
        return self.is_compiled

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
