"""FLUX's transformer and its text encoders in our own keeping: one ring, a plan for the memory there is, and less.

Compiled, the blocks of the transformer take half the time: what lies between two products becomes one kernel.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import MethodType
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn
from torch.utils._triton import has_triton

from pipeline.device.gpu import MIB
from pipeline.device.memory_plan import LATENT_PX, TEXT_TOKENS, Plan, plan_blocks
from pipeline.families.flux.modulation import PrecomputedModulation
from pipeline.runtime.cuda_memory import start_cuda
from pipeline.streaming.block_ring import BlockRing
from pipeline.streaming.quantization import mark_constants
from pipeline.streaming.streamed_module import StreamedModule

log = logging.getLogger(__name__)

RETRIES: Final = 2  # of a step that found too little memory
SHRINK_BYTES: Final = 512 * MIB
WARM_UP_SIDE_PX: Final = 512
# Otherwise every start measures some kernels anew and takes those that happen to be faster, which sum in another order.
REPEATABLE: Final[dict[str, str | int | bool | Callable[..., Any]]] = {"deterministic": True}


class Transformer(StreamedModule):
    """A transformer. `predict` stands in for DiffSynth's `model_fn_flux_image`."""

    KIND = "flux_dit"
    IS_LOCKED = True

    def __init__(self, module: nn.Module, packed: Mapping[str, Tensor], device: str) -> None:
        super().__init__(module, packed, device)
        self.predict = PrecomputedModulation(module, self.visit)

    def compile_blocks(
        self, predict: Callable[..., Tensor] | None = None, *, backend: str | Callable[..., Any] = "inductor"
    ) -> bool:
        """Compile the code of the blocks, once for all of a kind and for every size; whether that worked.

        The first time takes about a minute on a usual computer, later some seconds: results are kept on disk. Compiled
        anew, they compute the same bits.

        Args:
            predict: that of a `Residency`, where there is one.
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
            self._warm_up(predict or self.predict)
        except Exception as error:
            traceback.clear_frames(error.__traceback__)
            log.warning("blocks could not be compiled, so pictures take longer: %s", str(error).partition("\n")[0])
            for block in blocks:
                del block.forward
            return False
        return True

    @torch.no_grad()
    def _warm_up(self, predict: Callable[..., Tensor]) -> None:
        dtype = next(self.module.get_submodule("x_embedder").parameters()).dtype
        inputs = random_inputs(self.module, WARM_UP_SIDE_PX, self.device, dtype)
        timestep = torch.tensor([500.0], device=self.device, dtype=dtype)
        predict(dit=self.module, schedule=timestep.float().cpu(), timestep=timestep, progress_id=0, **inputs)


class TextEncoder(StreamedModule):
    """T5. Its activations have outliers that are no good in 8 bits, so those are only how its weights are kept.

    The table of word pieces stays in host memory: a few of its rows are needed once per prompt. Of several prompts
    at once, every block reads one after the other: as a batch they would be rounded otherwise than alone.
    """

    KIND = "flux_text_encoder_t5"
    IS_RENAMED = False
    WORDS: ClassVar[str] = "shared"

    def __init__(self, module: Any, packed: Mapping[str, Tensor], device: str) -> None:
        super().__init__(module, packed, device)
        self.use_8bit_matmul(False)
        for name in self.running:
            block = module.get_submodule(name)
            block.forward = partial(_one_by_one, block.forward)
        words = module.get_submodule(self.WORDS)
        words.register_forward_pre_hook(lambda _module, inputs: tuple(ids.cpu() for ids in inputs))
        words.register_forward_hook(lambda _module, _inputs, found: found.to(device))

    @classmethod
    def simplify(cls, module: Any) -> None:
        module.encoder.embed_tokens = module.shared  # the file has one table, the library's class two


class PooledTextEncoder(TextEncoder):
    """CLIP, of which FLUX uses one vector per prompt."""

    KIND = "flux_text_encoder_clip"
    IS_RENAMED = True
    WORDS = "token_embedding"

    @classmethod
    def simplify(cls, module: Any) -> None:
        module.attn_mask = module.attention_mask(len(module.attn_mask))  # no weight, so not in the file


class Residency:
    """Which blocks stay on the card: planned for so much memory, and planned again when that changes."""

    def __init__(
        self,
        transformer: Transformer,
        text_encoders: Collection[TextEncoder] = (),
        *,
        sizes: Iterable[tuple[int, int]],
        fixed_bytes: int = 0,
        link_repeat: int = 1,
    ) -> None:
        """Prepare for the largest of these pictures (width, height), in px. Nothing is placed yet.

        Args:
            fixed_bytes: of weights on the card that are not ours.
            link_repeat: see `BlockRing`.
        """
        self._transformer, self._text_encoders = transformer, text_encoders
        self.parts: tuple[StreamedModule, ...] = (transformer, *text_encoders)
        self._size = max(sizes, key=lambda size: size[0] * size[1])
        self._fixed_bytes = fixed_bytes
        self._link_repeat = link_repeat
        self._ring: BlockRing | None = None
        self._limit_bytes = 0
        self.plan: Plan | None = None
        self.is_short = False

    def fit(self, limit_bytes: int, *, is_short: bool = False) -> None:
        """Place the blocks so that this process takes at most so much of the card, its CUDA context included.

        Does nothing if that changes little. May be called between pictures and between steps.

        Args:
            limit_bytes: of the card's memory.
            is_short: whether more was to be had and was not there; kept for whoever asks.

        Raises:
            OutOfMemory: not even one block at a time fits.
            torch.OutOfMemoryError: less is left than the limit allows. Nothing can run before a call that succeeds.
        """
        self.is_short = is_short
        if self.plan is not None and 0 <= limit_bytes - self._limit_bytes < SHRINK_BYTES:
            return
        transformer = self._transformer
        plan = plan_blocks(
            transformer.sizes,
            [part.sizes for part in self._text_encoders],
            fixed_bytes=self._fixed_bytes,
            free_bytes=limit_bytes - (start_cuda() if transformer.device == "cuda" else 0),
            width=self._size[0],
            height=self._size[1],
        )
        if self.plan is not None and plan.is_resident == self.plan.is_resident:
            self._limit_bytes = limit_bytes
            return
        self.plan = None  # until everything has found its place
        log.info(
            "weights on the card: %.1f GB, streamed at every step: %.1f GB, expected peak: %.1f GB",
            plan.resident_bytes / 1e9,
            plan.streamed_bytes / 1e9,
            plan.peak_bytes / 1e9,
        )
        if self._ring is None or self._ring.slot_bytes != plan.slot_bytes:
            if self._ring is not None:
                self._empty(self._ring)
            self._ring = None
            self._ring = BlockRing(plan.slot_bytes, plan.ring_slots, transformer.device, repeat=self._link_repeat)
        transformer.place(
            [name for name, stays in zip(transformer.running, plan.is_resident, strict=True) if stays], ring=self._ring
        )
        for part in self._text_encoders:
            part.place([], ring=self._ring)
        self._limit_bytes, self.plan = limit_bytes, plan

    def release(self) -> None:
        """Give host memory back that only the last picture needed."""
        for part in self.parts:
            part.release()

    @contextmanager
    def lend_ring(self) -> Iterator[None]:
        """Let something else use the memory of the ring meanwhile, unless `fit` makes a larger one.

        Raises:
            torch.OutOfMemoryError: it is not there any more. Nothing can run before a `fit` that succeeds.
        """
        ring = self._ring
        if ring is None:
            yield
            return
        self._empty(ring)
        try:
            yield
        except torch.OutOfMemoryError as error:
            traceback.clear_frames(error.__traceback__)  # they hold what the ring needs again
            raise
        finally:
            if self._ring is ring:  # `fit` may have made another one
                plan, self._ring, self.plan = self.plan, None, None
                ring.restore()
                self._ring, self.plan = ring, plan

    def predict(self, **inputs: Any) -> Tensor:
        """One step, again with fewer blocks on the card if there is too little memory; see `PrecomputedModulation`."""
        for _ in range(RETRIES):
            try:
                return self._transformer.predict(**inputs)
            except torch.OutOfMemoryError as error:
                traceback.clear_frames(error.__traceback__)  # they hold the activations of the failed step
            self.shrink()
        return self._transformer.predict(**inputs)

    def _empty(self, ring: BlockRing) -> None:
        """Give its memory back."""
        for part in self.parts:
            part.leave_ring()
        ring.release()

    def shrink(self) -> None:
        """Give memory back by streaming more."""
        log.warning("too little memory on the card: %d MiB less are used from here on", SHRINK_BYTES // MIB)
        if self._transformer.device == "cuda":
            torch.cuda.empty_cache()
        self.fit(self._limit_bytes - SHRINK_BYTES, is_short=True)


def random_inputs(dit: Any, side_px: int, device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """What a transformer is given for a square picture, but for the time; noise in place of a prompt."""
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    return {
        "latents": random(1, 16, side_px // LATENT_PX, side_px // LATENT_PX),
        "prompt_emb": random(1, TEXT_TOKENS, dit.context_embedder.in_features),
        "pooled_prompt_emb": random(1, dit.pooled_text_embedder[0].in_features),
        "guidance": torch.tensor([3.5], device=device, dtype=dtype),
        "text_ids": torch.zeros(1, TEXT_TOKENS, 3, device=device, dtype=dtype),
    }


def _one_by_one(forward: Callable[..., Any], hidden: Tensor, *args: Any, **kw: Any) -> Any:
    """A block's forward pass for (B, T, C), as if each of B were alone.

    Whatever else it takes and returns has to be the same for all, as a mask of no padding and distances are.
    """
    assert all(len(each) == 1 for each in (*args, *kw.values()) if isinstance(each, Tensor) and each.dim() > 2)
    outs = [forward(row, *args, **kw) for row in hidden.split(1)]
    if isinstance(outs[0], Tensor):
        return torch.cat(outs)
    return (torch.cat([out[0] for out in outs]), *outs[0][1:])


def _for_every_size(compiled: Any) -> Any:
    """A compiled forward pass of a block that counts on any number of tokens from the start."""

    def forward(
        block: nn.Module, hidden: Tensor, text: Tensor, time: Tensor, rotary: Tensor, *args: Any, **kw: Any
    ) -> Any:
        torch._dynamo.maybe_mark_dynamic(hidden, 1)
        torch._dynamo.maybe_mark_dynamic(rotary, 2)
        return compiled(block, hidden, text, time, rotary, *args, **kw)

    return forward
