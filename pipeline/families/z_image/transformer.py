"""Z-Image's transformer in our own keeping: streamed, its text refined once per image, its blocks compiled.

It computes what DiffSynth's `model_fn_z_image_turbo` does with the same modules. Must not know prompts or images.

Letters in shapes: T tokens, C channels, D channels of a head, H and W sides of the latents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.catalog.architecture import MODULATION
from pipeline.families.z_image.architecture import DIT, LATENT, MULTIPLE
from pipeline.families.z_image.names import PATCH
from pipeline.runtime.denoising_run import NotFinite
from pipeline.streaming.compilation import compile_kinds
from pipeline.streaming.streamed_module import StreamedModule

WARM_UP_SIDE_PX: Final = 512
WARM_UP_TOKENS: Final = 40
TRAINED_STEPS: Final = 1000


class RefinedText(NamedTuple):
    """A prompt as every step meets it.

    read: (T, C) as the text encoder gave it.
    tokens: (1, T, C), padded and refined.
    rotation: (1, T, D/2, 2), cosines and sines of their places.
    """

    read: Tensor
    tokens: Tensor
    rotation: Tensor


class Transformer(StreamedModule):
    """A transformer of the family."""

    COMPONENT = DIT
    IS_LOCKED = True

    def __init__(self, module: Any, packed: Mapping[str, Tensor], device: str) -> None:
        super().__init__(module, packed, device)
        self.dtype: torch.dtype = next(module.cap_embedder.parameters()).dtype
        self._text_blocks = [name for name in self.blocks if name.endswith(MODULATION)]
        for block in (*module.noise_refiner, *module.context_refiner, *module.layers):
            block.attention.apply_rotary_emb = _rotated

    @torch.no_grad()
    def refine(self, read: Tensor) -> RefinedText:
        """Prepare what the text encoder gave of a prompt, (T, C), for any number of steps."""
        dit: Any = self.module
        read = read.to(self.device, self.dtype)
        # The places of text do not depend on the image, which has to be one all the same.
        empty = torch.zeros(LATENT.channels, 1, 2, 2, device=self.device, dtype=self.dtype)
        _, (padded,), at = dit.patchify_and_embed([empty], [read])
        tokens = dit.cap_embedder(padded)
        tokens[len(read) :] = dit.cap_pad_token
        rotation = self._rotation(at["cap_pos_ids"][0])
        tokens = tokens[None]
        for name in self.visit(self._text_blocks):
            tokens = dit.get_submodule(name.removesuffix(MODULATION))(tokens, None, rotation)
        return RefinedText(read, tokens, rotation)

    @torch.no_grad()
    def predict(self, latents: Tensor, timestep: Tensor, text: RefinedText) -> Tensor:
        """Predict the velocity of latents (1, 16, H, W) at a timestep () of 1000 to 0: (1, 16, H, W), float32.

        Raises:
            NotFinite
        """
        dit: Any = self.module
        time = self._time(timestep)
        image = latents.to(self.device, self.dtype).transpose(0, 1).contiguous()  # (channels, images, H, W)
        (patches,), _, at = dit.patchify_and_embed([image], [text.read])
        tokens = dit.all_x_embedder[PATCH](patches)
        tokens[latents.shape[2] * latents.shape[3] // 4 :] = dit.x_pad_token
        tokens, rotation = tokens[None], self._rotation(at["x_pos_ids"][0])
        for block in dit.noise_refiner:
            tokens = block(tokens, None, rotation, time)
        count = tokens.shape[1]
        tokens, rotation = torch.cat([tokens, text.tokens], 1), torch.cat([rotation, text.rotation], 1)
        for block in dit.layers:
            tokens = block(tokens, None, rotation, time)
        made = dit.all_final_layer[PATCH](tokens, time)[0, :count]
        (velocity,) = dit.unpatchify([made], at["x_size"])
        velocity = -velocity.transpose(0, 1).float()
        if not bool(torch.isfinite(velocity).all()):
            raise NotFinite(f"the step at {float(timestep):.0f} gave values that are not finite")
        return velocity

    def compile_blocks(
        self, run_step: Callable[[Callable[[], Tensor]], Tensor], *, backend: str | Callable[..., Any] = "inductor"
    ) -> bool:
        """Compile the blocks that every step runs, once for all sizes; whether that worked. See `compile_kinds`.

        Args:
            run_step: that of a `Residency`.
            backend: of `torch.compile`; another one for tests.
        """
        blocks = [self.module.get_submodule(name) for name in self.running]
        side = WARM_UP_SIDE_PX // LATENT.factor

        def step() -> Tensor:
            text = self.refine(random_text(self.module))
            return self.predict(torch.zeros(1, LATENT.channels, side, side), torch.tensor(500.0), text)

        self.is_compiled = compile_kinds(
            blocks, _for_every_size, lambda: run_step(step), device=self.device, backend=backend
        )
        return self.is_compiled

    def _time(self, timestep: Tensor) -> Tensor:
        """The embedding of a timestep (), (1, C). Through bfloat16, as in DiffSynth, whatever weights are kept in."""
        dit: Any = self.module
        clock = dit.t_embedder
        passed = (TRAINED_STEPS - timestep.float()).to(self.device)[None]
        waves = clock.timestep_embedding(passed, clock.frequency_embedding_size).to(torch.bfloat16)
        time: Tensor = clock.mlp(waves.to(self.dtype))
        return time

    def _rotation(self, places: Tensor) -> Tensor:
        """Places (T, 3) → (1, T, D/2, 2)."""
        dit: Any = self.module
        return torch.view_as_real(dit.rope_embedder(places))[None]


def random_text(dit: Any, tokens: int = WARM_UP_TOKENS) -> Tensor:
    """Noise in place of what a text encoder gives of a prompt, (T, C)."""
    width = dit.cap_embedder[1].in_features
    assert tokens % MULTIPLE, "padding is part of the code that is compiled"
    return torch.randn(tokens, width, generator=torch.Generator().manual_seed(1))


def _rotated(heads: Tensor, rotation: Tensor) -> Tensor:
    """Heads (1, T, heads, D), pairs of neighbours turned as by complex numbers, in float32.

    Compilers know no complex numbers; without one, DiffSynth's bits come out.
    """
    pairs = heads.float().unflatten(-1, (-1, 2))
    turn = rotation.unsqueeze(2)
    if torch.compiler.is_compiling():
        (first, second), (cosine, sine) = pairs.unbind(-1), turn.unbind(-1)
        turned = torch.stack((first * cosine - second * sine, first * sine + second * cosine), -1)
    else:
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turn))
    return turned.flatten(3).type_as(heads)


def _for_every_size(compiled: Any) -> Any:
    """A compiled forward pass of a block that counts on any number of tokens from the start."""

    def forward(block: nn.Module, tokens: Tensor, mask: None, rotation: Tensor, time: Tensor) -> Any:
        torch._dynamo.maybe_mark_dynamic(tokens, 1)
        torch._dynamo.maybe_mark_dynamic(rotation, 1)
        return compiled(block, tokens, mask, rotation, time)

    return forward
