"""A FLUX.2 model in memory, and how it draws. See `TorchModel`.

The loop is ours and does what DiffSynth's `Flux2ImagePipeline` does, whose import alone takes seconds; a test compares
them bit by bit. References are more tokens of an image, at times of their own, which are dropped after each step.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Final

import numpy as np
import torch
from diffsynth.diffusion import FlowMatchScheduler
from PIL import Image
from torch import Tensor

from pipeline.catalog.architecture import Architecture
from pipeline.engine import Reference
from pipeline.families.flux2.architecture import LATENT
from pipeline.families.flux2.autoencoder import Decoder, Encoder
from pipeline.families.flux2.loras import lora_parts
from pipeline.families.flux2.prompts import PromptReader
from pipeline.families.flux2.transformer import TIMESTEPS, Conditioning, Transformer
from pipeline.runtime.denoising_run import DenoisingRun
from pipeline.runtime.prompt_cache import PromptEmbeddingCache
from pipeline.runtime.tiles import TiledSteps
from pipeline.spec import ImageSpec, last_steps
from pipeline.streaming.lora_names import LoraParts
from pipeline.streaming.residency import Residency

DECODED_AT_ONCE: Final = 16  # small images, of which previews need 65


class Flux2Model:
    """What was read from a model's files, and how it draws."""

    def __init__(  # noqa: PLR0913 - the parts of a model
        self,
        transformer: Transformer,
        reader: PromptReader,
        residency: Residency,
        prompts: PromptEmbeddingCache,
        *,
        decoder: Decoder,
        encoder: Encoder,
        architecture: Architecture,
    ) -> None:
        """Take over the parts."""
        self.residency, self.prompts = residency, prompts
        self.decoder, self.encoder = decoder, encoder
        self.transformer, self.reader = transformer, reader
        self._architecture = architecture

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """See `TorchModel`."""
        latents = latents.to(self.transformer.device, self.transformer.dtype)
        return torch.cat([self.decoder(few) for few in latents.split(DECODED_AT_ONCE)])

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
        text = self.reader.embedding(spec.text)
        references = [self._encode(_picture(each)) for each in run.references]
        told, steps = Conditioning.of(text, references), TiledSteps(spec, self._architecture, self.residency)
        schedule = schedule_of(spec, self._architecture.schedule)
        latents = self._noise(spec)
        if init_image is not None:
            sigma = float(schedule.sigmas[0])
            latents = (1 - sigma) * self._encode(init_image).float() + sigma * latents
        for timestep in run.watch(schedule.timesteps):
            velocity = steps(partial(self.transformer.predict, timestep=timestep, told=told), latents)
            run.show(latents - timestep / TIMESTEPS * velocity)
            latents = schedule.step(velocity, timestep, latents)
        return image_of(self.decoder(latents.to(self.transformer.dtype)))

    def _noise(self, spec: ImageSpec) -> Tensor:
        """The same on every machine: float32, from the CPU."""
        shape = (1, LATENT.channels, spec.height // LATENT.factor, spec.width // LATENT.factor)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(spec.seed))
        return noise.to(self.transformer.device)

    def _encode(self, image: Image.Image) -> Tensor:
        """An image → latents (1, 128, H/16, W/16)."""
        values = torch.from_numpy(np.array(image.convert("RGB"), dtype=np.float32))
        pixels = values.to(self.transformer.device, self.transformer.dtype).permute(2, 0, 1)[None] * (2 / 255) - 1
        latents: Tensor = self.encoder(pixels)
        return latents


def schedule_of(spec: ImageSpec, name: str) -> FlowMatchScheduler:
    """The noise of each step, as DiffSynth computes it for a whole image.

    From an init image, `strength` is the share of noise to begin with: DiffSynth's schedule is bent so far that four
    steps would begin with three quarters of it at least.
    """
    width, height = spec.tile_size
    tokens = width // LATENT.factor * (height // LATENT.factor)
    schedule = FlowMatchScheduler(name)
    steps = last_steps(spec.steps, spec.strength) if spec.upscale else spec.steps
    schedule.set_timesteps(steps, dynamic_shift_len=tokens)
    if spec.strength < 1:
        bend = math.exp(FlowMatchScheduler.compute_empirical_mu(tokens, steps))
        first = spec.strength / (spec.strength + bend * (1 - spec.strength))  # what is bent to the strength
        straight = torch.linspace(first, first / steps, steps)
        schedule.sigmas = bend / (bend + (1 / straight - 1))
        schedule.timesteps = schedule.sigmas * TIMESTEPS
    return schedule


def image_of(decoded: Tensor) -> Image.Image:
    """(1, 3, H, W) in −1…1 → an image, rounded down as DiffSynth does."""
    pixels = ((decoded[0].permute(1, 2, 0) + 1) * (255 / 2)).clip(0, 255)
    return Image.fromarray(pixels.to("cpu", torch.uint8).numpy())


def _picture(reference: Reference) -> Image.Image:
    return Image.frombytes("RGB", (reference.width, reference.height), reference.pixels)
