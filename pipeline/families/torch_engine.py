"""`TorchEngine`: what the engines of all families share. A family adds a `TorchModel`, read from its files.

Loads, draws once more what damaged weights or 8-bit arithmetic spoiled, keeps GPU memory within its budget, translates
errors, and leaves everything at rest. Must not know people, queues, PNG or any one family.
"""

from __future__ import annotations

import gc
import logging
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import torch
from PIL import Image

from pipeline.catalog.architecture import Feature, StepCost
from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.device.gpu import MIB
from pipeline.device.memory_plan import EFFICIENCY, floor_seconds
from pipeline.engine import (
    GeneratedImage,
    OnProgress,
    Progress,
    Reference,
    ShouldStop,
    Stage,
    check_references,
    check_source,
)
from pipeline.errors import EngineDead, GenerationFailed, GenerationStopped, InvalidSpec, PipelineError
from pipeline.families.inputs import Inputs
from pipeline.families.wanted_loras import FindLoras, placement_for, wanted_loras
from pipeline.runtime.cuda_errors import translate
from pipeline.runtime.cuda_memory import total_mib
from pipeline.runtime.denoising_run import DenoisingRun, NotFinite
from pipeline.runtime.latent_preview import Previewer
from pipeline.runtime.process_setup import keep_compiled_in, use_threads
from pipeline.runtime.prompt_cache import PromptEmbeddingCache
from pipeline.runtime.slow_steps import warn_if_slow
from pipeline.runtime.torch_setup import choose_device
from pipeline.runtime.vae import check_finite, guard
from pipeline.runtime.vram_budget import CudaBudget, VramBudget
from pipeline.spec import ImageSpec
from pipeline.streaming.arithmetic import Arithmetic, choose_arithmetic
from pipeline.streaming.compilation import compile_or_start_over
from pipeline.streaming.lora_placement import LoraPlacement, Wanted
from pipeline.streaming.packed_cache import PackedFile
from pipeline.streaming.quantization import Format
from pipeline.streaming.residency import Residency

log = logging.getLogger(__name__)

ATTEMPTS: Final = 3  # at an image whose weights turn out to be damaged
POLL_S: Final = 0.2  # between looks whether to stop, while weights are checked


class TorchModel(Protocol):
    """A family's model in memory. Nothing can be drawn before `residency.fit`."""

    @property
    def residency(self) -> Residency:
        """Where its blocks are."""

    @property
    def prompts(self) -> PromptEmbeddingCache:
        """What its text encoders have read."""

    @property
    def decoder(self) -> torch.nn.Module:
        """The VAE's half from latents to an image."""

    @property
    def encoder(self) -> torch.nn.Module:
        """The VAE's half from an image to latents."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (B, C, H, W), float32, CPU → images (B, 3, f·H, f·W) in −1…1."""

    def draw(self, spec: ImageSpec, init_image: Image.Image | None, run: DenoisingRun) -> Image.Image:
        """Encode, denoise, decode. An init image comes at the size that is drawn.

        Every timestep goes through `run.watch`, and after each step `run.show` gets the latents that it is heading for.
        A family with `Feature.UPSCALE` predicts through `TiledSteps`, one with `Feature.EDIT` looks at
        `run.references`.
        """

    def forget_prompts(self) -> None:
        """Drop the embeddings in memory and what was computed from them."""

    def compile_blocks(self) -> bool:
        """Compile the blocks of the transformer; whether that worked."""


class ReadModel(Protocol):
    """Reads a model from its files; blocks for seconds to minutes."""

    def __call__(
        self,
        card: ModelCard,
        config: PipelineConfig,
        arithmetic: Arithmetic,
        *,
        budget: VramBudget | None,
        prompts_dir: Path | None,
    ) -> TorchModel:
        """Raises ModelFilesMissing, GenerationFailed, DiskFull."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model that is ready to draw."""

    model: TorchModel
    arithmetic: Arithmetic
    previewer: Previewer
    loras: LoraPlacement
    packed: tuple[PackedFile, ...]  # what the weights are read from, if they were packed


class TorchEngine:
    """Draws with one model; every call comes from the same one thread. See `pipeline.engine.Engine`."""

    def __init__(
        self,
        card: ModelCard,
        config: PipelineConfig,
        *,
        read: ReadModel,
        prompts_dir: Path | None = None,
        budget: VramBudget | None = None,
        loras: FindLoras = dict,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            prompts_dir: where what a streamed model reads of prompts is kept across restarts; None: nowhere.
            budget: of GPU memory; None: what the configuration says of the GPU, and none on a CPU.
            loras: says which LoRAs there are, by name; asked for each image that wants some.
        """
        self.card = card
        self._config = config
        self._prompts_dir = prompts_dir
        self._read = read
        self._device = choose_device(config.device, card)
        self._budget = budget
        self._find_loras = loras
        self.loaded: Loaded | None = None

    def load(self) -> None:
        """Read the model files into memory."""
        if self.loaded is not None:
            return
        started_at = time.perf_counter()
        use_threads(self._config.cpu_threads)
        try:
            loaded = self._load()
        except Exception as error:
            traceback.clear_frames(error.__traceback__)  # they hold what was read so far
            raise translate(error) from error
        self.loaded = loaded
        for file in loaded.packed:
            file.check()
        log.info(
            "model loaded",
            extra={
                "model": self.card.name,
                "device": self._device,
                "seconds": round(time.perf_counter() - started_at, 2),
            },
        )

    def choose_arithmetic(self, budget: VramBudget | None) -> Arithmetic:
        """Decide how the model is kept and computed with. A family may know better."""
        return choose_arithmetic(
            is_streamed=self.card.is_streamed and budget is not None,
            device=self._device,
            precision=self._config.precision,
            packed_dir=self._config.packed_folder,
            half=self.card.architecture.half,
            bears_float8=self.card.architecture.bears_float8,
        )

    def _load(self) -> Loaded:
        config, card, architecture = self._config, self.card, self.card.architecture
        budget = self._budget
        if self._device == "cuda":
            budget = budget or CudaBudget(config.limit_mib(total_mib()) * MIB)
            keep_compiled_in(config.packed_folder)
        arithmetic = self.choose_arithmetic(budget)
        model = self._read(card, config, arithmetic, budget=budget, prompts_dir=self._prompts_dir)
        residency = model.residency
        arithmetic.use_in(residency.transformer)
        residency.fit()
        if residency.is_streamed and config.compile:
            compile_or_start_over(model.compile_blocks, config.packed_folder)
        with torch.no_grad():
            previewer = Previewer(model.decode, architecture.latent)
        guard(model.decoder, px=architecture.latent.factor, cost=architecture.cost, memory=residency)
        guard(model.encoder, px=1, cost=architecture.cost, memory=residency)
        packed = tuple(part.packed_file for part in residency.parts if part.packed_file is not None)
        loras = placement_for(model)
        return Loaded(model=model, arithmetic=arithmetic, previewer=previewer, loras=loras, packed=packed)

    def generate(
        self,
        spec: ImageSpec,
        *,
        on_progress: OnProgress,
        should_stop: ShouldStop,
        source: bytes | None = None,
        references: Sequence[Reference] = (),
        upcoming: Sequence[str] = (),
    ) -> GeneratedImage:
        """Draw one image; see `Engine.generate`. Same spec, same machine: same bytes.

        What was drawn with weights that turn out to be damaged is drawn again, after they were packed again.
        """
        check_source(spec, source)
        check_references(spec, references)
        if references and Feature.EDIT not in self.card.supports:
            raise InvalidSpec("references", f"cannot be looked at by {self.card.name}")
        loras = wanted_loras(spec, self.card, self._find_loras)
        if spec.model != self.card.name:
            raise InvalidSpec("model", f"this engine draws with {self.card.name}")
        inputs = Inputs.of(spec, source, references)
        for _ in range(ATTEMPTS):
            self._drop_damaged()
            try:
                image = self._attempt(spec, inputs, loras, on_progress, should_stop, upcoming)
            except GenerationFailed:
                if not self._is_damaged(should_stop):
                    raise
            else:
                if not self._is_damaged(should_stop):
                    if self.loaded is not None:
                        self.loaded.model.prompts.keep()
                    return image
        raise GenerationFailed("the packed weights are damaged each time: the disk or the memory may be broken")

    def forget_prompts(self) -> None:
        """Drop the embeddings in memory and what was computed from them."""
        if self.loaded is not None:
            self.loaded.model.forget_prompts()

    def close(self) -> None:
        """Drop the model and give its memory back."""
        if self.loaded is not None:
            for file in self.loaded.packed:
                file.abandon()
        self.loaded = None
        gc.collect()  # hooks refer to what they are hooked to
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _packed(self) -> tuple[PackedFile, ...]:
        return () if self.loaded is None else self.loaded.packed

    def _is_damaged(self, should_stop: ShouldStop) -> bool:
        """Whether the weights that were drawn with are others than those that were packed; waits until that is known.

        Raises:
            GenerationStopped: meanwhile.
        """
        for file in self._packed():
            while not file.wait(POLL_S):
                if should_stop():
                    raise GenerationStopped
        return any(file.flaw for file in self._packed())

    def _drop_damaged(self) -> None:
        """Drop the model if its weights are known to be damaged, and the files that they are in."""
        damaged = [file for file in self._packed() if file.flaw]
        if not damaged:
            return
        for file in damaged:
            log.warning("%s is of no use: %s", file.path, file.flaw)
        self.close()
        try:
            for file in damaged:
                file.discard()
        except OSError as error:
            raise translate(error) from error

    def _attempt(
        self,
        spec: ImageSpec,
        inputs: Inputs,
        loras: Wanted,
        on_progress: OnProgress,
        should_stop: ShouldStop,
        upcoming: Sequence[str],
    ) -> GeneratedImage:
        if self.loaded is None:
            on_progress(Progress(stage=Stage.LOADING, steps=spec.steps))
            self.load()
        loaded = self.loaded
        assert loaded is not None
        residency, transformer = loaded.model.residency, loaded.model.residency.transformer
        try:
            if should_stop():  # loading may have taken minutes
                raise GenerationStopped
            loaded.loras.use(loras, inputs.cost(self.card.architecture, spec))
            if residency.is_streamed:
                loaded.model.prompts.upcoming = upcoming
            try:
                return self._draw(loaded, spec, inputs, on_progress, should_stop)
            except NotFinite as error:
                if not loaded.arithmetic.uses_8bit_matmul:  # the same again would overflow again
                    raise
                log.warning("%s: drawing it once more without 8-bit arithmetic", error)
            transformer.use_8bit_matmul(False)
            try:
                with torch.compiler.set_stance("force_eager"):  # compiling other arithmetic would take a minute
                    return self._draw(loaded, spec, inputs, on_progress, should_stop)
            finally:
                loaded.arithmetic.use_in(transformer)
        except Exception as error:
            # The frames of the failed run hold its activations; freed now, they are free for the next run
            # even if somebody keeps the exception.
            traceback.clear_frames(error.__traceback__)
            meaning = _with_advice(translate(error), loaded.arithmetic)
            if meaning is error:
                raise
            raise meaning from error
        finally:
            _rest(residency)

    def _draw(
        self,
        loaded: Loaded,
        spec: ImageSpec,
        inputs: Inputs,
        on_progress: OnProgress,
        should_stop: ShouldStop,
    ) -> GeneratedImage:
        model, residency = loaded.model, loaded.model.residency

        def tell(progress: Progress) -> None:  # another program may take memory, or give it back, during an image
            on_progress(replace(progress, taken_mib=residency.taken_bytes // MIB))

        run = DenoisingRun(spec, tell, should_stop, self._device, loaded.previewer, references=inputs.references)
        for part in residency.parts:
            part.on_block = run.check_stop
        check = model.decoder.register_forward_hook(check_finite)
        try:
            picture = model.draw(spec, inputs.init_image, run)
        finally:
            check.remove()
        if picture.getbbox() is None:
            raise GenerationFailed("the image is black")
        image = run.finish(picture, residency.snapshot() if residency.is_streamed else None)
        if (planned_s := self._planned_step_s(loaded, spec, inputs.cost(self.card.architecture, spec))) is not None:
            warn_if_slow(run.steps_s[1:], planned_s)
        return image

    def _planned_step_s(self, loaded: Loaded, spec: ImageSpec, cost: StepCost) -> float | None:
        """What a step should take; None if the GPU was not measured."""
        arithmetic, transformer = loaded.arithmetic, loaded.model.residency.transformer
        if arithmetic.speed is None:
            return None
        weight_format = arithmetic.weight_format
        tflops = arithmetic.speed.tflops.get(weight_format if arithmetic.uses_8bit_matmul else Format.BFLOAT16)
        if tflops is None:
            return None
        tiles = max(1, spec.upscale) ** 2
        floor_s = floor_seconds(
            transformer.weights,
            streamed_bytes=transformer.streamed_bytes,
            bytes_per_weight=weight_format.dtype.itemsize,
            link_gb_s=arithmetic.speed.link_gb_s,
            tflops=tflops,
            cost=cost,
        )
        return tiles * floor_s / EFFICIENCY * cost.passes / spec.steps


def _with_advice(error: PipelineError, arithmetic: Arithmetic) -> PipelineError:
    """Name the setting that helps against an overflow, if one may."""
    if not isinstance(error, NotFinite) or arithmetic.dtype is not torch.float16:
        return error
    return NotFinite(f'{error}; precision = "bfloat16" or "float32" has more room than float16')


def _rest(residency: Residency) -> None:
    """Give memory that only this image needed back to the GPU and to the host.

    Raises:
        EngineDead: the GPU no longer answers.
    """
    residency.release()
    try:
        residency.trim()
    except Exception as error:
        raise EngineDead(f"the graphics card does not answer: {error}") from error
