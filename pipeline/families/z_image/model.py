"""A Z-Image model in memory, and how it draws. See `TorchModel`.

The loop is ours: DiffSynth's rounds the time and the latents to 16 bits at every step.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from diffsynth.diffusion import FlowMatchScheduler
from PIL import Image
from torch import Tensor, nn

from pipeline.catalog.architecture import Architecture
from pipeline.families.z_image.architecture import LATENT
from pipeline.families.z_image.loras import lora_parts
from pipeline.families.z_image.prompts import PromptReader
from pipeline.families.z_image.transformer import Transformer
from pipeline.runtime.denoising_run import DenoisingRun
from pipeline.runtime.prompt_cache import PromptEmbeddingCache
from pipeline.runtime.tiles import TiledSteps
from pipeline.spec import ImageSpec, last_steps
from pipeline.streaming.lora_names import LoraParts
from pipeline.streaming.residency import Residency


class ZImageModel:
    """What was read from a model's files, and how it draws."""

    def __init__(  # noqa: PLR0913 - the parts of a model
        self,
        transformer: Transformer,
        reader: PromptReader,
        residency: Residency,
        prompts: PromptEmbeddingCache,
        *,
        decoder: nn.Module,
        encoder: nn.Module,
        architecture: Architecture,
    ) -> None:
        """Take over the parts.

        Args:
            decoder: FLUX.1's, which knows how its latents are scaled; the encoder likewise.
        """
        self.residency, self.prompts = residency, prompts
        self.decoder, self.encoder = decoder, encoder
        self.transformer, self.reader = transformer, reader
        self._architecture = architecture
        self._scheduler: Any = FlowMatchScheduler(architecture.schedule)

    def decode(self, latents: Tensor) -> Tensor:
        """See `TorchModel`."""
        images: Tensor = self.decoder(latents.to(self.transformer.device, self.transformer.dtype))
        return images

    def forget_prompts(self) -> None:
        """See `TorchModel`."""
        self.prompts.forget()

    def lora_parts(self) -> LoraParts:
        """See `TakesLoras`."""
        return lora_parts(self.transformer, self.reader.encoder)

    def forget_steps(self) -> None:
        """See `TakesLoras`."""

    def compile_blocks(self) -> bool:
        """See `TorchModel`."""
        return self.transformer.compile_blocks(self.residency.run_step)

    @torch.no_grad()
    def draw(self, spec: ImageSpec, init_image: Image.Image | None, run: DenoisingRun) -> Image.Image:
        """See `TorchModel`."""
        transformer, scheduler, residency = self.transformer, self._scheduler, self.residency
        count = last_steps(spec.steps, spec.strength) if spec.upscale else spec.steps
        scheduler.set_timesteps(count, denoising_strength=spec.strength, shift=self._architecture.schedule_shift)
        refine = partial(transformer.refine, self.reader.embeddings(spec.text))
        # The same noise on every machine: float32, from the CPU.
        shape = (1, LATENT.channels, spec.height // LATENT.factor, spec.width // LATENT.factor)
        latents = torch.randn(shape, generator=torch.Generator().manual_seed(spec.seed)).to(transformer.device)
        if init_image is not None:
            latents = scheduler.add_noise(self._encode(init_image), latents, timestep=scheduler.timesteps[0])
        text, steps = residency.run_step(refine), TiledSteps(spec, self._architecture, residency)
        for timestep in run.watch(scheduler.timesteps):
            velocity = steps(partial(transformer.predict, timestep=timestep, text=text), latents)
            run.show(latents - timestep / 1000 * velocity)
            latents = scheduler.step(velocity, timestep, latents)
        return image_of(self.decoder(latents.to(transformer.dtype)))

    def _encode(self, image: Image.Image) -> Tensor:
        """An image → latents (1, 16, H/8, W/8), float32."""
        values = torch.from_numpy(np.array(image.convert("RGB"), dtype=np.float32)).to(self.transformer.device)
        pixels = values.permute(2, 0, 1)[None] * (2 / 255) - 1
        latents: Tensor = self.encoder(pixels.to(self.transformer.dtype))
        return latents.float()


def image_of(decoded: Tensor) -> Image.Image:
    """(1, 3, H, W) in −1…1 → an image, rounded down as DiffSynth does."""
    pixels = ((decoded[0].permute(1, 2, 0) + 1) * (255 / 2)).clip(0, 255)
    return Image.fromarray(pixels.to("cpu", torch.uint8).numpy())
