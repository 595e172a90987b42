"""The UNet in our own keeping: its transformer blocks streamed, both halves of guidance in one pass.

Must not know prompts, samplers or images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, nn

from pipeline.families.stable_diffusion.architecture import CHUNK_TOKENS, LATENT, UNET
from pipeline.runtime.denoising_run import NotFinite
from pipeline.streaming.compilation import compile_kinds
from pipeline.streaming.streamed_module import StreamedModule

WARM_UP_SIDE_PX: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditioning:
    """What a UNet is told beside the latents and the time.

    text: (B, T, C): the prompt; if there is guidance, B is 2 and the second row is the negative prompt.
    pooled: (B, P), with SDXL.
    time_ids: (B, 6), with SDXL: height and width of the original, the top left corner of what was cut out of it, height
        and width.
    """

    text: Tensor
    pooled: Tensor | None = None
    time_ids: Tensor | None = None


class UNet(StreamedModule):
    """A UNet of SD 1.5 or SDXL."""

    COMPONENT = UNET
    IS_LOCKED = True

    def __init__(self, module: nn.Module, packed: Mapping[str, Tensor], device: str) -> None:
        super().__init__(module, packed, device)
        self.dtype = next(module.parameters()).dtype
        if device == "cpu":
            compute_row_by_row(module, self.running)

    @torch.no_grad()
    def predict(self, latents: Tensor, timestep: Tensor, told: Conditioning, cfg_scale: float) -> Tensor:
        """Predict the noise in latents (1, 4, H, W) at one of the 1000 timesteps, (): (1, 4, H, W), float32.

        One pass, of a batch of two if there is guidance, so that the weights cross the link once.

        Raises:
            NotFinite
        """
        added = {"text_embeds": told.pooled, "time_ids": told.time_ids}
        both: Tensor = self.module(
            latents.to(self.device, self.dtype).expand(len(told.text), -1, -1, -1),
            timestep[None].to(self.device),
            encoder_hidden_states=told.text.to(self.device, self.dtype),
            added_cond_kwargs={
                name: value if value is None else value.to(self.device, self.dtype) for name, value in added.items()
            },
            return_dict=False,
        )[0].float()
        noise = both
        if len(both) > 1:
            wanted, unwanted = both.chunk(2)
            noise = unwanted + cfg_scale * (wanted - unwanted)
        if not bool(torch.isfinite(noise).all()):
            raise NotFinite(f"the step at {float(timestep):.0f} gave values that are not finite")
        return noise

    def compile_blocks(
        self,
        run_step: Callable[[Callable[[], Tensor]], Tensor],
        *,
        backend: str | Callable[..., Any] = "inductor",
    ) -> bool:
        """Compile the transformer blocks, once for all sizes; whether that worked. See `compile_kinds`.

        Args:
            run_step: that of a `Residency`.
            backend: of `torch.compile`; another one for tests.
        """
        blocks = [self.module.get_submodule(name) for name in self.running]
        side = WARM_UP_SIDE_PX // LATENT.factor
        told = random_conditioning(self.module)

        def warm_up() -> None:
            latents = torch.zeros(1, LATENT.channels, side, side)
            run_step(lambda: self.predict(latents, torch.tensor(500.0), told, cfg_scale=1.0))

        self.is_compiled = compile_kinds(blocks, _for_every_size, warm_up, device=self.device, backend=backend)
        return self.is_compiled


def random_conditioning(unet: Any) -> Conditioning:
    """What a UNet may be told, with guidance: noise, as from two prompts of one chunk."""
    generator = torch.Generator().manual_seed(1)
    width = next(block.attn2.to_k.in_features for block in unet.modules() if hasattr(block, "attn2"))
    text = torch.randn(2, CHUNK_TOKENS, width, generator=generator)
    if not hasattr(unet, "add_embedding"):
        return Conditioning(text=text)
    time_ids = torch.tensor([[512.0, 512.0, 0.0, 0.0, 512.0, 512.0]]).expand(2, -1)
    pooled = unet.add_embedding.linear_1.in_features - time_ids.shape[1] * unet.add_time_proj.num_channels
    return Conditioning(text=text, pooled=torch.randn(2, pooled, generator=generator), time_ids=time_ids)


def compute_row_by_row(module: nn.Module, blocks: list[str]) -> None:
    """Have a module compute the rows of a batch one after the other, so that each is what it would be alone.

    On a CPU that costs nothing, and products of more rows are rounded otherwise there: DiffSynth computes both halves
    of guidance in passes of their own, and so the same bits come out.
    """
    whole = [module.get_submodule(name) for name in blocks]
    inside = {child for block in whole for child in block.modules()}
    leaves = [child for child in module.modules() if isinstance(child, nn.Conv2d | nn.Linear) and child not in inside]
    for each in (*whole, *leaves):
        each.forward = partial(_row_by_row, each.forward)


def _row_by_row(forward: Callable[..., Tensor], x: Tensor, *args: Any, **kw: Any) -> Tensor:
    """A forward pass for a batch (B, …); of what else it is given, what has as many rows goes along with them."""

    def row(number: int, value: Any) -> Any:
        is_batch = isinstance(value, Tensor) and len(value) == len(x)
        return value[number : number + 1] if is_batch else value

    if len(x) == 1:
        return forward(x, *args, **kw)
    return torch.cat(
        [
            forward(row(at, x), *(row(at, each) for each in args), **{name: row(at, each) for name, each in kw.items()})
            for at in range(len(x))
        ]
    )


def _for_every_size(compiled: Any) -> Any:
    """A compiled forward pass of a block that counts on any number of tokens from the start."""

    def forward(block: nn.Module, hidden_states: Tensor, encoder_hidden_states: Tensor) -> Any:
        torch._dynamo.maybe_mark_dynamic(hidden_states, 1)
        torch._dynamo.maybe_mark_dynamic(encoder_hidden_states, 1)
        return compiled(block, hidden_states, encoder_hidden_states)

    return forward
