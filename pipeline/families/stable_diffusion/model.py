"""A Stable Diffusion model in memory, and how it draws. See `TorchModel`.

The loop is ours: DiffSynth's pipelines take no init image and know one sampler.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pipeline.catalog.architecture import Architecture
from pipeline.families.stable_diffusion.architecture import LATENT
from pipeline.families.stable_diffusion.autoencoder import Decoder, Encoder, decode_small
from pipeline.families.stable_diffusion.conditioning import PromptReader
from pipeline.families.stable_diffusion.loras import lora_parts
from pipeline.families.stable_diffusion.samplers import Stepper, initial, schedule_of
from pipeline.families.stable_diffusion.unet import UNet
from pipeline.runtime.denoising_run import DenoisingRun
from pipeline.runtime.prompt_cache import PromptEmbeddingCache
from pipeline.runtime.tiles import TiledSteps
from pipeline.spec import ImageSpec, Sampler
from pipeline.streaming.lora_names import LoraParts
from pipeline.streaming.residency import Residency


class StableDiffusionModel:
    """What was read from a model's files, and how it draws."""

    def __init__(  # noqa: PLR0913 - the parts of a model
        self,
        unet: UNet,
        reader: PromptReader,
        residency: Residency,
        prompts: PromptEmbeddingCache,
        *,
        decoder: Decoder,
        encoder: Encoder,
        latent_scale: float,
        architecture: Architecture,
    ) -> None:
        """Take over the parts.

        Args:
            latent_scale: what the VAE's latents are multiplied by for the UNet.
        """
        self.residency, self.prompts = residency, prompts
        self.decoder, self.encoder = decoder, encoder
        self._unet, self.reader, self._scale = unet, reader, latent_scale
        self._architecture = architecture

    def decode(self, latents: Tensor) -> Tensor:
        """See `TorchModel`."""
        return decode_small(self.decoder, latents / self._scale, device=self._unet.device, dtype=self._unet.dtype)

    def forget_prompts(self) -> None:
        """See `TorchModel`."""
        self.prompts.forget()

    def lora_parts(self) -> LoraParts:
        """See `TakesLoras`."""
        return lora_parts(self._unet, self.residency.parts[1:])

    def forget_steps(self) -> None:
        """See `TakesLoras`."""

    def compile_blocks(self) -> bool:
        """See `TorchModel`."""
        return self._unet.compile_blocks(self.residency.run_step)

    @torch.no_grad()
    def draw(self, spec: ImageSpec, init_image: Image.Image | None, run: DenoisingRun) -> Image.Image:
        """See `TorchModel`."""
        device = self._unet.device
        schedule = schedule_of(Sampler(spec.sampler or Sampler.DPMPP_2M_KARRAS), spec.steps, strength=spec.strength)
        told, steps = self.reader.conditioning(spec), TiledSteps(spec, self._architecture, self.residency)
        init_latents = None if init_image is None else self._encode(init_image)
        # The same noise on every machine: float32, from the CPU.
        shape = (1, LATENT.channels, spec.height // LATENT.factor, spec.width // LATENT.factor)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(spec.seed)).to(device)
        latents, stepper = initial(noise, init_latents, schedule), Stepper(schedule)
        for timestep in run.watch(schedule.timesteps):
            predict = partial(self._unet.predict, timestep=timestep, told=told, cfg_scale=spec.cfg_scale)
            latents = stepper(steps(predict, latents), latents)
            run.show(stepper.estimate)
        return image_of(self.decoder((latents / self._scale).to(self._unet.dtype)))

    def _encode(self, image: Image.Image) -> Tensor:
        """An image → latents as the UNet knows them, (1, 4, H/8, W/8), float32."""
        values = torch.from_numpy(np.array(image.convert("RGB"), dtype=np.float32)).to(self._unet.device)
        pixels = values.permute(2, 0, 1)[None] * (2 / 255) - 1
        latents: Tensor = self.encoder(pixels.to(self._unet.dtype))
        return latents.float() * self._scale


def image_of(decoded: Tensor) -> Image.Image:
    """(1, 3, H, W) in −1…1 → an image, rounded down as DiffSynth does."""
    pixels = ((decoded[0].permute(1, 2, 0) + 1) * (255 / 2)).clip(0, 255)
    return Image.fromarray(pixels.to("cpu", torch.uint8).numpy())
