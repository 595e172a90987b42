"""A FLUX model in memory: DiffSynth's pipeline, driven for one image at a time. See `TorchModel`."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from diffsynth.diffusion import FlowMatchScheduler
from diffsynth.pipelines.flux_image import FluxImagePipeline
from PIL import Image
from torch import Tensor

from pipeline.catalog.architecture import Architecture
from pipeline.families.flux.loras import lora_parts
from pipeline.families.flux.prompts import remember_prompts
from pipeline.families.flux.transformer import Transformer
from pipeline.runtime.denoising_run import DenoisingRun
from pipeline.runtime.prompt_cache import PromptEmbeddingCache
from pipeline.runtime.tiles import TiledSteps
from pipeline.spec import ImageSpec, last_steps
from pipeline.streaming.lora_names import LoraParts
from pipeline.streaming.residency import Residency


class FluxModel:
    """What was read from a model's files, and how it draws."""

    def __init__(
        self,
        pipe: FluxImagePipeline,
        transformer: Transformer,
        residency: Residency,
        prompts: PromptEmbeddingCache,
        architecture: Architecture,
    ) -> None:
        """Take over a pipeline that has all parts but its transformer.

        Args:
            architecture: says how long texts are, and which schedule the model was trained for.
        """
        self.pipe, self.transformer, self.residency, self.prompts = pipe, transformer, residency, prompts
        self._architecture = architecture
        pipe.scheduler = FlowMatchScheduler(architecture.schedule)
        pipe.dit, pipe.model_fn = transformer.module, self._predict
        remember_prompts(pipe, prompts)
        pipe.eval().requires_grad_(False)
        self._run: DenoisingRun | None = None  # of the image that is being drawn
        self._steps: TiledSteps | None = None  # likewise

    @property
    def decoder(self) -> torch.nn.Module:
        """See `TorchModel`."""
        decoder: torch.nn.Module = self.pipe.vae_decoder
        return decoder

    @property
    def encoder(self) -> torch.nn.Module:
        """See `TorchModel`."""
        encoder: torch.nn.Module = self.pipe.vae_encoder
        return encoder

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """See `TorchModel`."""
        pipe = self.pipe
        image: torch.Tensor = pipe.vae_decoder(latents.to(pipe.device, pipe.torch_dtype), device=pipe.device)
        return image

    def draw(self, spec: ImageSpec, init_image: Image.Image | None, run: DenoisingRun) -> Image.Image:
        """See `TorchModel`."""
        self._run, self._steps = run, TiledSteps(spec, self._architecture, self.residency)
        image: Image.Image = self.pipe(
            prompt=spec.text,
            input_image=init_image,
            denoising_strength=spec.strength,
            cfg_scale=spec.cfg_scale,
            embedded_guidance=spec.guidance,
            t5_sequence_length=self._architecture.text_tokens,
            sigma_shift=self._architecture.schedule_shift,
            width=spec.width,
            height=spec.height,
            seed=spec.seed,
            rand_device="cpu",  # the same noise on every machine
            num_inference_steps=last_steps(spec.steps, spec.strength) if spec.upscale else spec.steps,
            progress_bar_cmd=run.watch,
        )
        return image

    def forget_prompts(self) -> None:
        """See `TorchModel`."""
        self.prompts.forget()
        self.transformer.predict.forget()

    def lora_parts(self) -> LoraParts:
        """See `TakesLoras`."""
        clip, t5 = self.residency.parts[1:] or (self.pipe.text_encoder_1, self.pipe.text_encoder_2)
        return lora_parts(self.transformer, clip, t5)

    def forget_steps(self) -> None:
        """See `TakesLoras`."""
        self.transformer.predict.forget()

    def compile_blocks(self) -> bool:
        """See `TorchModel`."""
        return self.transformer.compile_blocks(self.residency.run_step, text_tokens=self._architecture.text_tokens)

    def _predict(self, *, latents: Tensor, timestep: Tensor, **inputs: Any) -> Tensor:
        """One step, in place of DiffSynth's `model_fn_flux_image`."""
        assert self._run is not None and self._steps is not None, "nothing is being drawn"
        inputs["image_ids"] = None  # each tile has places of its own, as if it were a whole image
        predict = partial(self.transformer.predict, schedule=self.pipe.scheduler.timesteps, timestep=timestep, **inputs)
        velocity = self._steps(lambda tile: predict(latents=tile), latents)
        self._run.show(latents - timestep / 1000 * velocity)
        return velocity
