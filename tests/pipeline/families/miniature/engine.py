"""The engine of the miniature family: what only it has. Everything else is `TorchEngine`."""

from __future__ import annotations

from pathlib import Path

import torch
from diffsynth.diffusion import FlowMatchScheduler
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from pipeline.catalog import files
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.parts import Naming, Part, PartKind
from pipeline.config import PipelineConfig
from pipeline.device.gpu_profile import packed_path
from pipeline.errors import ModelFilesMissing
from pipeline.families.torch_engine import TorchEngine
from pipeline.runtime.denoising_run import DenoisingRun
from pipeline.runtime.prompt_cache import PromptEmbeddingCache, PromptFiles
from pipeline.runtime.vram_budget import VramBudget
from pipeline.spec import ImageSpec
from pipeline.streaming.arithmetic import Arithmetic
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.quantization import Format
from pipeline.streaming.residency import Residency
from pipeline.streaming.streamed_module import StreamedModule
from tests.pipeline.families.miniature.architecture import DENOISER, MINIATURE, READER, TEXT_TOKENS
from tests.pipeline.families.miniature.modules import Autoencoder, Denoiser, Reader


class StreamedDenoiser(StreamedModule):
    COMPONENT = DENOISER
    IS_LOCKED = True


class StreamedReader(StreamedModule):
    COMPONENT = READER


class MiniatureModel:
    """See `TorchModel`."""

    def __init__(
        self, card: ModelCard, residency: Residency, autoencoder: Autoencoder, prompts: PromptEmbeddingCache
    ) -> None:
        self.residency, self.prompts = residency, prompts
        self.decoder, self.encoder = autoencoder.decoder, autoencoder.encoder
        self._card = card
        self._denoiser, self._reader = residency.parts
        self._scheduler = FlowMatchScheduler(MINIATURE.schedule)

    def decode(self, latents: Tensor) -> Tensor:
        images: Tensor = self.decoder(latents)
        return images

    @torch.no_grad()
    def draw(self, spec: ImageSpec, init_image: Image.Image | None, run: DenoisingRun) -> Image.Image:
        wanted, unwanted = (self._embedding(prompt) for prompt in (spec.prompt, self._card.negative_prompt))
        latents = self._first_latents(spec, init_image)
        for step, timestep in enumerate(run.watch(self._scheduler.timesteps)):
            velocity = self._velocity(latents, wanted, timestep)
            if spec.cfg_scale != 1:
                other = self._velocity(latents, unwanted, timestep)
                velocity = other + spec.cfg_scale * (velocity - other)
            run.show(latents - self._scheduler.sigmas[step] * velocity)
            latents = self._scheduler.step(velocity, timestep, latents)
        return to_pil_image((self.decoder(latents)[0].tanh() + 1) / 2)

    def forget_prompts(self) -> None:
        self.prompts.forget()

    def compile_blocks(self) -> bool:
        return False

    def _first_latents(self, spec: ImageSpec, init_image: Image.Image | None) -> Tensor:
        self._scheduler.set_timesteps(spec.steps, denoising_strength=spec.strength)
        sides = spec.height // MINIATURE.latent.factor, spec.width // MINIATURE.latent.factor
        noise = torch.randn(1, MINIATURE.latent.channels, *sides, generator=torch.Generator().manual_seed(spec.seed))
        if init_image is None:
            return noise
        encoded: Tensor = self.encoder(pil_to_tensor(init_image)[None] / 127.5 - 1)
        noisy: Tensor = self._scheduler.add_noise(encoded, noise, self._scheduler.timesteps[0])
        return noisy

    def _velocity(self, latents: Tensor, text: Tensor, timestep: Tensor) -> Tensor:
        time = timestep[None] / 1000
        return self.residency.run_step(lambda: self._denoiser.module(latents, text, time))

    def _embedding(self, prompt: str) -> Tensor:
        return self.prompts.embeddings(prompt, TEXT_TOKENS, read=self._read, device="cpu")["text"]

    def _read(self, prompts: list[str]) -> dict[str, Tensor]:
        letters = [list(prompt.encode()[:TEXT_TOKENS].ljust(TEXT_TOKENS)) for prompt in prompts]
        return {"text": torch.cat([self._reader.module(torch.tensor([row])) for row in letters])}


def read_miniature(
    card: ModelCard,
    config: PipelineConfig,
    arithmetic: Arithmetic,
    *,
    budget: VramBudget | None,
    prompts_dir: Path | None,
) -> MiniatureModel:
    if missing := files.missing(card, config.models_dir):
        raise ModelFilesMissing(card.name, [file.path for file in missing])
    paths = {name: files.weights_of(file, config.models_dir) for name, file in card.files.items()}
    sources = {
        name: CheckpointFiles(
            Part(kind=PartKind.DENOISER, architecture="miniature", paths=tuple(paths[name]), naming=Naming.ORIGINAL)
        )
        for name in MINIATURE.streamable
    }

    def read(part: type[StreamedModule], name: str, weight_format: Format) -> StreamedModule:
        return part.read(
            sources[name],
            {"denoiser": Denoiser, "reader": Reader}[name],
            convert=None,
            weight_format=weight_format,
            dtype=arithmetic.dtype,
            device=arithmetic.device,
            cache=packed_path(config.packed_folder, card, name, weight_format),
        )

    denoiser = read(StreamedDenoiser, "denoiser", arithmetic.weight_format)
    reader = read(StreamedReader, "reader", Format.INT8 if arithmetic.weight_format.is_8bit else Format.FLOAT32)
    reader.use_8bit_matmul(False)
    autoencoder = Autoencoder()
    (path,) = paths["autoencoder"]
    autoencoder.load_state_dict(load_file(path))
    residency = Residency(
        denoiser,
        [reader],
        budget=budget,
        cost=card.largest_cost() if arithmetic.is_streamed else None,
        fixed_bytes=sum(weight.nbytes for weight in autoencoder.parameters()),
    )
    kept = (
        None
        if prompts_dir is None
        else PromptFiles(prompts_dir, sources["reader"].fingerprint(arithmetic.weight_format))
    )
    return MiniatureModel(card, residency, autoencoder.eval(), PromptEmbeddingCache(kept))


class MiniatureEngine(TorchEngine):
    """Draws with a model of the family."""

    def __init__(
        self,
        card: ModelCard,
        config: PipelineConfig,
        *,
        prompts_dir: Path | None = None,
        budget: VramBudget | None = None,
    ) -> None:
        super().__init__(card, config, read=read_miniature, prompts_dir=prompts_dir, budget=budget)
