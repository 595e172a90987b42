"""FLUX.2's transformer in our own keeping: its blocks streamed and compiled, its one modulation always on the GPU.

Must not know prompts or files.

Letters in shapes: H and W sides of the latents, T text tokens, R tokens of all references, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import torch
from torch import Tensor, nn

from pipeline.families.flux2.architecture import DIT, LATENT, TEXT_TOKENS
from pipeline.runtime.denoising_run import NotFinite
from pipeline.streaming.compilation import compile_kinds
from pipeline.streaming.streamed_module import StreamedModule

WARM_UP_SIDE_PX: Final = 512
REFERENCE_TIME: Final = 10  # of the first reference; the image itself is at 0, the second reference at twice as much
TIMESTEPS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditioning:
    """What a transformer is told beside the latents and the time.

    text: (1, T, C).
    references: (1, R, 128), or None.
    reference_places: (R, 4), int64, or None.
    """

    text: Tensor
    references: Tensor | None = None
    reference_places: Tensor | None = None

    @classmethod
    def of(cls, text: Tensor, references: Sequence[Tensor] = ()) -> Self:
        """Put the latents of references, (1, 128, h, w) each, one after the other, each at a time of its own."""
        if not references:
            return cls(text=text)
        places = [
            places_of(each.shape[2], each.shape[3], time=REFERENCE_TIME * number)
            for number, each in enumerate(references, 1)
        ]
        return cls(
            text=text,
            references=torch.cat([tokens_of(each) for each in references], dim=1),
            reference_places=torch.cat(places),
        )


class Transformer(StreamedModule):
    """A transformer of FLUX.2."""

    COMPONENT = DIT
    IS_LOCKED = True

    def __init__(self, module: nn.Module, packed: Mapping[str, Tensor], device: str) -> None:
        super().__init__(module, packed, device)
        self.dtype = next(module.parameters()).dtype

    @torch.no_grad()
    def predict(self, latents: Tensor, timestep: Tensor, told: Conditioning) -> Tensor:
        """Predict the velocity of latents (1, 128, H, W) at a timestep in 0…1000, (): (1, 128, H, W), float32.

        Raises:
            NotFinite
        """
        device, dtype = self.device, self.dtype
        tokens = tokens_of(latents).to(device, dtype)
        count, places = tokens.shape[1], places_of(latents.shape[2], latents.shape[3], time=0)
        if told.references is not None and told.reference_places is not None:
            tokens = torch.cat([tokens, told.references.to(device, dtype)], dim=1)
            places = torch.cat([places, told.reference_places])
        velocity: Tensor = self.module(
            hidden_states=tokens,
            encoder_hidden_states=told.text.to(device, dtype),
            timestep=timestep[None].to(device, dtype) / TIMESTEPS,
            txt_ids=text_places(told.text.shape[1]).to(device),
            img_ids=places.to(device),
        )[:, :count]
        if not bool(torch.isfinite(velocity).all()):
            raise NotFinite(f"the step at {float(timestep):.0f} gave values that are not finite")
        return velocity.float().transpose(1, 2).unflatten(2, latents.shape[2:])

    def compile_blocks(
        self,
        run_step: Callable[[Callable[[], Tensor]], Tensor],
        *,
        backend: str | Callable[..., Any] = "inductor",
    ) -> bool:
        """Compile the blocks, once for all sizes and any number of references; whether that worked.

        Args:
            run_step: that of a `Residency`.
            backend: of `torch.compile`; another one for tests.
        """
        blocks = [self.module.get_submodule(name) for name in self.running]
        latents, told = random_inputs(self.module, WARM_UP_SIDE_PX)

        def warm_up() -> None:
            run_step(lambda: self.predict(latents, torch.tensor(500.0), told))

        self.is_compiled = compile_kinds(blocks, _for_every_size, warm_up, device=self.device, backend=backend)
        return self.is_compiled


def tokens_of(latents: Tensor) -> Tensor:
    """(1, C, H, W) → (1, H·W, C), row by row."""
    return latents.flatten(2).transpose(1, 2)


def places_of(height: int, width: int, *, time: int) -> Tensor:
    """Where the tokens of an image are: (H·W, 4) of time, row, column and 0."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    zeros = torch.zeros_like(rows)
    return torch.stack([zeros + time, rows, columns, zeros], dim=-1).flatten(0, 1)


def text_places(tokens: int) -> Tensor:
    """Where the tokens of a text are: (T, 4), of which the last number counts."""
    places = torch.zeros(tokens, 4, dtype=torch.long)
    places[:, 3] = torch.arange(tokens)
    return places


def random_inputs(module: Any, side_px: int, references: Sequence[int] = ()) -> tuple[Tensor, Conditioning]:
    """Noise in place of the latents of a square image, and of a prompt; references are squares of so many px a side."""
    generator = torch.Generator().manual_seed(1)

    def square(side: int) -> Tensor:
        return torch.randn(1, LATENT.channels, side // LATENT.factor, side // LATENT.factor, generator=generator)

    text = torch.randn(1, TEXT_TOKENS, module.context_embedder.in_features, generator=generator)
    return square(side_px), Conditioning.of(text, [square(side) for side in references])


def _for_every_size(compiled: Any) -> Any:
    """A compiled forward pass of a block that counts on any number of tokens from the start."""

    def forward(block: nn.Module, **inputs: Any) -> Any:
        torch._dynamo.maybe_mark_dynamic(inputs["hidden_states"], 1)
        for each in inputs["image_rotary_emb"]:
            torch._dynamo.maybe_mark_dynamic(each, 0)
        return compiled(block, **inputs)

    return forward
