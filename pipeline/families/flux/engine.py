"""The engine of the FLUX.1 family: DiffSynth's pipeline driven, watched and put back to rest.

Files and precision are the business of `checkpoint.py`, what torch's errors mean that of `cuda_memory.py`.
Must not know people, queues or PNG.
"""

from __future__ import annotations

import gc
import logging
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from diffsynth.pipelines.flux_image import FluxImagePipeline
from PIL import Image

from pipeline.catalog.model_card import ModelCard
from pipeline.config import PipelineConfig
from pipeline.device.gpu import INSTALL_DRIVER, MIB, TorchBuild, find_gpu, judge_gpu, why_slow
from pipeline.device.memory_plan import (
    BYTES_PER_DECODED_PIXEL,
    EFFICIENCY,
    HEADROOM_BYTES,
    LATENT_PX,
    TILE_PX,
    floor_seconds,
)
from pipeline.engine import GeneratedImage, OnProgress, Preview, Progress, ShouldStop, Stage, check_source
from pipeline.errors import (
    EngineDead,
    GenerationFailed,
    GenerationStopped,
    GpuUnusable,
    InvalidSpec,
    OutOfMemory,
)
from pipeline.families.flux.checkpoint import Arithmetic, Loaded, choose_arithmetic, load_pipeline
from pipeline.families.flux.modulation import NotFinite
from pipeline.families.flux.transformer import RETRIES, SHRINK_BYTES, Residency, Transformer
from pipeline.runtime.cuda_memory import available_bytes, hold_to, room_bytes, start_cuda, total_mib, translate
from pipeline.runtime.latent_preview import Previewer
from pipeline.runtime.process_setup import COMPILERS, keep_compiled_in, use_threads
from pipeline.runtime.prompt_cache import PromptEmbeddingCache
from pipeline.runtime.vae import in_tiles
from pipeline.spec import ImageSpec
from pipeline.streaming.packed_cache import PackedFile
from pipeline.streaming.quantization import Format

log = logging.getLogger(__name__)

TOO_SLOW: Final = 3  # times what is planned
ATTEMPTS: Final = 3  # at a picture whose weights turn out to be damaged
POLL_S: Final = 0.2  # between looks whether to stop, while weights are checked


class FluxEngine:
    """Draws with one model; every call comes from the same one thread. See `pipeline.engine.Engine`."""

    def __init__(
        self,
        card: ModelCard,
        config: PipelineConfig,
        *,
        prompts_dir: Path | None = None,
        read: Callable[..., Loaded] = load_pipeline,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            prompts_dir: where what a large model reads of prompts is kept across restarts; None: nowhere.
            read: makes the model, as `load_pipeline` does; another one for models without files.
        """
        self._card = card
        self._config = config
        self._prompts_dir = prompts_dir
        self._read = read
        self._device = choose_device(config.device, card)
        self._limit_bytes = 0  # of the card's memory, known when it is loaded
        self._found_bytes = 0  # the same, or what other programs had left of it when the blocks were placed
        self._pipe: FluxImagePipeline | None = None
        self._arithmetic: Arithmetic | None = None
        self._transformer: Transformer | None = None
        self._residency: Residency | None = None  # of a model that is larger than the card
        self._prompts: PromptEmbeddingCache | None = None
        self._previewer: Previewer | None = None
        self._packed: tuple[PackedFile, ...] = ()  # what the weights are read from, where they were packed

    def load(self) -> None:
        """Read the model files into memory."""
        if self._pipe is not None:
            return
        started_at = time.perf_counter()
        use_threads(self._config.cpu_threads)
        try:
            self._limit_bytes = self._config.limit_mib(total_mib() if self._device == "cuda" else 0) * MIB
            if self._device == "cuda":
                hold_to(self._limit_bytes)
                keep_compiled_in(self._config.packed_folder)
            self._arithmetic = choose_arithmetic(
                is_offloaded=self._card.is_offloaded,
                device=self._device,
                precision=self._config.precision,
                packed_dir=self._config.packed_folder,
            )
            loaded = self._read(
                self._card,
                self._config.models_dir,
                self._arithmetic,
                packed_dir=self._config.packed_folder,
                prompts_dir=self._prompts_dir,
            )
            pipe, transformer, self._residency = loaded.pipe, loaded.transformer, loaded.residency
            self._place()
            if self._residency is not None and self._config.compile:
                compile_blocks(transformer, self._residency, self._config.packed_folder)
            self._previewer = self._make_previewer(pipe)
            for part, picture_px in ((pipe.vae_decoder, LATENT_PX), (pipe.vae_encoder, 1)):
                part.forward = partial(self._without_loss, part, part.forward, picture_px)
        except Exception as error:
            self._residency = None
            traceback.clear_frames(error.__traceback__)  # they hold what was read so far
            raise translate(error) from error
        self._pipe, self._transformer, self._prompts = pipe, transformer, loaded.prompts
        parts = (transformer,) if self._residency is None else self._residency.parts
        self._packed = tuple(part.packed_file for part in parts if part.packed_file is not None)
        for file in self._packed:
            file.check()
        log.info(
            "model loaded",
            extra={
                "model": self._card.name,
                "device": self._device,
                "seconds": round(time.perf_counter() - started_at, 2),
            },
        )

    def generate(
        self,
        spec: ImageSpec,
        *,
        on_progress: OnProgress,
        should_stop: ShouldStop,
        source: bytes | None = None,
        upcoming: Sequence[str] = (),
    ) -> GeneratedImage:
        """Draw one picture; see `Engine.generate`. Same spec, same machine: same bytes.

        What was drawn with weights that turn out to be damaged is drawn again, after they were packed again.
        """
        check_source(spec, source)
        if spec.model != self._card.name:
            raise InvalidSpec("model", f"this engine draws with {self._card.name}")
        for _ in range(ATTEMPTS):
            self._drop_damaged()
            try:
                image = self._attempt(spec, source, on_progress, should_stop, upcoming)
            except GenerationFailed:
                if not self._is_damaged(should_stop):
                    raise
            else:
                if not self._is_damaged(should_stop):
                    if self._prompts is not None:
                        self._prompts.keep()
                    return image
        raise GenerationFailed("the packed weights are damaged each time: the disk or the memory may be broken")

    def close(self) -> None:
        """Drop the model and give its memory back."""
        for file in self._packed:
            file.abandon()
        self._packed = ()
        self._pipe = self._transformer = self._residency = self._prompts = self._previewer = None
        gc.collect()  # hooks refer to what they are hooked to
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _is_damaged(self, should_stop: ShouldStop) -> bool:
        """Whether the weights that were drawn with are others than those that were packed; waits until that is known.

        Raises:
            GenerationStopped: meanwhile.
        """
        for file in self._packed:
            while not file.wait(POLL_S):
                if should_stop():
                    raise GenerationStopped
        return any(file.flaw for file in self._packed)

    def _drop_damaged(self) -> None:
        """Drop the model if its weights are known to be damaged, and the files that they are in."""
        damaged = [file for file in self._packed if file.flaw]
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
        source: bytes | None,
        on_progress: OnProgress,
        should_stop: ShouldStop,
        upcoming: Sequence[str],
    ) -> GeneratedImage:
        if self._pipe is None:
            on_progress(Progress(stage=Stage.LOADING, steps=spec.steps))
            self.load()
        try:
            if should_stop():  # loading may have taken minutes
                raise GenerationStopped
            self._place()
            if self._residency is not None and self._prompts is not None:
                self._prompts.upcoming = upcoming
            try:
                return self._draw(self._pipe, spec, source, on_progress, should_stop)
            except NotFinite as error:
                log.warning("%s: drawing it once more without 8-bit arithmetic", error)
            assert self._transformer is not None and self._arithmetic is not None
            self._transformer.use_8bit_matmul(False)
            try:
                with torch.compiler.set_stance("force_eager"):  # compiling other arithmetic would take a minute
                    return self._draw(self._pipe, spec, source, on_progress, should_stop)
            finally:
                self._arithmetic.use_in(self._transformer)
        except Exception as error:
            # The frames of the failed run hold its activations; freed now, they are free for the next run
            # even if somebody keeps the exception.
            traceback.clear_frames(error.__traceback__)
            meaning = translate(error)
            if meaning is error:
                raise
            raise meaning from error
        finally:
            self._rest()

    def _place(self) -> None:
        """Use the memory that the setting allows, or what other programs have left of it."""
        limit = self._found_bytes = self._limit_bytes
        if self._residency is None:
            return
        if self._device == "cuda" and (available := available_bytes()) < limit:
            limit = self._found_bytes = available // SHRINK_BYTES * SHRINK_BYTES
        for retry in range(RETRIES):
            try:
                self._residency.fit(limit, is_short=retry > 0)
            except torch.OutOfMemoryError as error:  # less is left than the driver says
                traceback.clear_frames(error.__traceback__)
                limit -= SHRINK_BYTES
            else:
                return
        self._residency.fit(limit, is_short=True)

    def _draw(
        self,
        pipe: FluxImagePipeline,
        spec: ImageSpec,
        source: bytes | None,
        on_progress: OnProgress,
        should_stop: ShouldStop,
    ) -> GeneratedImage:
        run = _Run(spec, on_progress, should_stop, self._device, self._previewer)
        if self._device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        on_progress(Progress(stage=Stage.ENCODING, steps=spec.steps))
        if self._transformer is not None:
            for part in (self._transformer,) if self._residency is None else self._residency.parts:
                part.on_block = run.check_stop
            self._transformer.predict.on_estimate = run.show
        check = pipe.vae_decoder.register_forward_hook(_check_finite)
        try:
            picture: Image.Image = pipe(
                prompt=spec.prompt,
                input_image=None if source is None else Image.frombytes("RGB", (spec.width, spec.height), source),
                denoising_strength=spec.strength,
                cfg_scale=spec.cfg_scale,
                embedded_guidance=spec.guidance,
                width=spec.width,
                height=spec.height,
                seed=spec.seed,
                rand_device="cpu",  # the same noise on every machine
                num_inference_steps=spec.steps,
                progress_bar_cmd=run.watch,
            )
        finally:
            check.remove()
        if picture.getbbox() is None:
            raise GenerationFailed("the picture is black")
        image = run.finish(picture)
        self._check_speed(image, run.steps_s[1:])
        return image

    def _make_previewer(self, pipe: FluxImagePipeline) -> Previewer:
        def decode(latents: torch.Tensor) -> torch.Tensor:
            picture: torch.Tensor = pipe.vae_decoder(latents.to(self._device, pipe.torch_dtype), device=self._device)
            return picture

        with torch.no_grad():
            return Previewer(decode)

    def _without_loss(
        self, part: torch.nn.Module, call: Any, picture_px: int, x: torch.Tensor, **options: Any
    ) -> torch.Tensor:
        """Decode or encode (1, C, H, W), if need be on the CPU in float32: the steps are done and shall not be lost.

        `picture_px` is how many pixels of the picture an element of `x` is wide.
        """

        def of(piece: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = call(piece, **options)
            return made

        made: torch.Tensor | None = None
        tile, pixels = TILE_PX // picture_px, x.shape[2] * x.shape[3] * picture_px**2
        must_tile = self._must_tile(pixels)
        try:
            with nullcontext() if self._residency is None else self._residency.lend_ring():
                made = self._in_pieces(of, x, pixels, tile, must_tile=must_tile)
        except (OutOfMemory, torch.OutOfMemoryError) as error:  # of the ring as well, which matters to steps alone
            traceback.clear_frames(error.__traceback__)
        if made is None or not (x.dtype is torch.float32 or bool(torch.isfinite(made).all())):
            why = "finds no memory on the card" if made is None else "overflowed"
            log.warning("the autoencoder %s: it works in float32 on the CPU, which takes a while", why)
            with in_float32_on_the_cpu(part):
                made = in_tiles(of, x.to("cpu", torch.float32), tile=tile).to(x)
        is_before_steps = picture_px == 1
        if is_before_steps and self._residency is not None and self._residency.plan is None:
            self._place()
        return made

    def _in_pieces(
        self, of: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, pixels: int, tile: int, *, must_tile: bool
    ) -> torch.Tensor:
        """The same where `x` is, in tiles if there is too little memory for so many pixels of the picture."""
        for _ in range(RETRIES):
            try:
                self._make_room(min(pixels, TILE_PX**2))
                return in_tiles(of, x, tile=tile) if must_tile else of(x)
            except torch.OutOfMemoryError as error:
                traceback.clear_frames(error.__traceback__)
            if must_tile and self._residency is not None:
                with suppress(OutOfMemory):  # then it has to do with what there is
                    self._residency.shrink()
            log.warning("too little memory for the autoencoder: it works in tiles")
            must_tile = True
        return in_tiles(of, x, tile=tile)

    def _make_room(self, pixels: int) -> None:
        """Let the autoencoder find what it needs for a tile, if the steps found too little.

        Where cuDNN finds too little, torch takes its next kernels without a word and keeps to them, so that from then
        on the same seed draws other bytes.
        """
        if self._residency is None or not self._residency.is_short:
            return
        with suppress(OutOfMemory):  # then it has to do with what there is
            while pixels * BYTES_PER_DECODED_PIXEL + HEADROOM_BYTES > room_bytes():
                self._residency.shrink()

    def _check_speed(self, image: GeneratedImage, steps_s: list[float]) -> None:
        """Say so if even the fastest step took far longer than this card needs."""
        if not steps_s or self._arithmetic is None or self._arithmetic.speed is None or self._transformer is None:
            return
        speed, weight_format = self._arithmetic.speed, self._arithmetic.weight_format
        tflops = speed.tflops.get(weight_format if self._arithmetic.uses_8bit_matmul else Format.BFLOAT16)
        if tflops is None:
            return
        floor_s = floor_seconds(
            self._transformer.sizes,
            streamed_bytes=self._transformer.streamed_bytes,
            bytes_per_weight=weight_format.dtype.itemsize,
            link_gb_s=speed.link_gb_s,
            tflops=tflops,
            width=image.width,
            height=image.height,
        )
        planned_s = floor_s / EFFICIENCY
        if min(steps_s) > TOO_SLOW * planned_s:
            why = "; ".join(why_slow()) or "its driver gives no reason, so it may be shared with other programs"
            log.warning("a step took %.2f s where this card needs about %.2f s: %s", min(steps_s), planned_s, why)

    def _must_tile(self, pixels: int) -> bool:
        """Whether the autoencoder has to work tile by tile beside what stays on the card and the ring, not yet lent."""
        if self._device == "cpu":
            return False
        room = self._found_bytes - start_cuda() - torch.cuda.memory_allocated()
        if self._residency is not None and self._residency.is_short:
            room = min(room, room_bytes())
        return pixels * BYTES_PER_DECODED_PIXEL > room

    def _rest(self) -> None:
        """Give memory that only this picture needed back to the card and to the host.

        Raises:
            EngineDead: the GPU no longer answers.
        """
        if self._residency is not None:
            self._residency.release()
        if self._device == "cpu":
            return
        try:
            torch.cuda.empty_cache()
        except Exception as error:
            raise EngineDead(f"the graphics card does not answer: {error}") from error


class _Run:
    """What is measured and reported about one picture."""

    def __init__(
        self,
        spec: ImageSpec,
        on_progress: OnProgress,
        should_stop: ShouldStop,
        device: str,
        previewer: Previewer | None,
    ) -> None:
        self._previewer = previewer
        self._preview: Preview | None = None
        self._spec = spec
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._device = device
        self._started_at = self._encoded_at = self._denoised_at = self._now()
        self.steps_s: list[float] = []  # the first one makes what all steps share, too

    def watch(self, timesteps: torch.Tensor) -> Iterator[torch.Tensor]:
        """Hand DiffSynth its timesteps one by one; between them, report and look for a stop.

        Raises:
            GenerationStopped: inside DiffSynth's loop, through which it leaves the pipeline.
        """
        self._encoded_at = self._denoised_at = self._now()
        for step, timestep in enumerate(timesteps):
            self.check_stop()
            self._report(Stage.DENOISING, step)
            yield timestep
            # A GPU runs behind the program; without waiting, all steps would be reported at once.
            began_at, self._denoised_at = self._denoised_at, self._now()
            self.steps_s.append(self._denoised_at - began_at)
        self._report(Stage.DENOISING, self._spec.steps)
        self._report(Stage.DECODING, self._spec.steps)

    def show(self, estimate: torch.Tensor) -> None:
        """Take a look at where the picture is heading: latents (1, 16, H, W)."""
        if self._previewer is not None:
            self._preview = self._previewer(estimate)

    def check_stop(self) -> None:
        """Leave the pipeline if a stop was asked for.

        Raises:
            GenerationStopped
        """
        if self._should_stop():
            raise GenerationStopped

    def finish(self, picture: Image.Image) -> GeneratedImage:
        """Measure the end and pack the picture."""
        ended_at = self._now()
        return GeneratedImage(
            pixels=picture.convert("RGB").tobytes(),
            width=picture.width,
            height=picture.height,
            spec=self._spec,
            encode_s=self._encoded_at - self._started_at,
            denoise_s=self._denoised_at - self._encoded_at,
            decode_s=ended_at - self._denoised_at,
            peak_mib=torch.cuda.max_memory_reserved() // MIB if self._device == "cuda" else None,
        )

    def _report(self, stage: Stage, step: int) -> None:
        denoise_s = self._denoised_at - self._encoded_at
        self._on_progress(
            Progress(stage=stage, step=step, steps=self._spec.steps, denoise_s=denoise_s, preview=self._preview)
        )

    def _now(self) -> float:
        if self._device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def compile_blocks(transformer: Transformer, residency: Residency, packed_dir: Path) -> None:
    """Compile the blocks; where that fails with code that was kept, once more without it, since it may be damaged."""
    kept = [folder for compiler in COMPILERS if (folder := packed_dir / compiler).is_dir()]
    if transformer.compile_blocks(residency.predict) or not kept:
        return
    log.info("what was compiled before is deleted, and all is compiled anew")
    for folder in kept:
        shutil.rmtree(folder, ignore_errors=True)
    torch.compiler.reset()
    if not transformer.compile_blocks(residency.predict):
        for folder in kept:  # or the next start would try twice as well
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def in_float32_on_the_cpu(module: torch.nn.Module) -> Iterator[None]:
    """Move what it computes with there for a while; what lies on the card stays, so that going back takes no memory."""
    tensors = [*module.parameters(), *module.buffers()]
    kept = [tensor.data for tensor in tensors]
    try:
        for tensor in tensors:
            dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype  # a buffer may hold indices
            tensor.data = tensor.data.to("cpu", dtype)
        yield
    finally:
        for tensor, data in zip(tensors, kept, strict=True):
            tensor.data = data


def choose_device(setting: str, card: ModelCard) -> str:
    """Return `cuda` or `cpu` for a setting of `auto`, `cuda` or `cpu`.

    Raises:
        GenerationFailed: it has to be `cuda`, and PyTorch finds no card.
        GpuUnusable: the model is large, and nobody asked for the CPU by name.
    """
    if setting == "cpu":
        if card.is_offloaded:
            log.warning(
                "%s draws on the CPU, as [pipeline] device says: that takes hours and tens of gigabytes", card.name
            )
        return "cpu"
    build = TorchBuild(
        version=torch.__version__, cuda=torch.version.cuda, architectures=tuple(torch.cuda.get_arch_list())
    )
    state = judge_gpu(find_gpu(), build)
    # Some containers have CUDA and not the part of the driver that describes cards.
    if torch.cuda.is_available() and (state.gpu is None or state.is_usable):
        return "cuda"
    obstacle = state.obstacle or "PyTorch finds no graphics card that it can use"
    if card.is_offloaded:
        gpu = "" if state.gpu is None else state.gpu.description
        raise GpuUnusable(card.name, gpu=gpu, obstacle=obstacle, way_out=state.way_out or INSTALL_DRIVER)
    if setting == "cuda":
        raise GenerationFailed(f"PyTorch finds no graphics card that it can use: {obstacle}")
    return "cpu"


def _check_finite(_decoder: torch.nn.Module, _inputs: Any, picture: torch.Tensor) -> None:
    """Refuse a decoded picture (B, 3, H, W) with a NaN or an infinity: cast to bytes it would be noise."""
    if not bool(torch.isfinite(picture).all()):
        raise GenerationFailed("the decoded picture is not finite")
