"""FLUX.1 at full size on a real GPU held to 7000 MiB, with random weights in the real file layout.

Needs about 40 GB of disk for the files, 16 GB of host memory and some minutes. Proves memory, stopping and
repeatability; what the pictures look like needs the real weights. `--log-cli-level=INFO` shows the seconds.
"""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import itertools
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import DEMO, FLUX1_DEV, create_engine
from pipeline.config import PipelineConfig
from pipeline.device.gpu import find_gpu
from pipeline.device.memory_plan import RING_SLOTS
from pipeline.engine import GeneratedImage, Progress, Stage
from pipeline.errors import GenerationStopped, OutOfMemory
from pipeline.families.flux.architecture import BYTES_PER_DECODED_PIXEL, FLUX
from pipeline.spec import Aspect, ImageOptions, ImageSpec

if TYPE_CHECKING:
    from pipeline.families.flux.engine import FluxEngine
    from pipeline.families.flux.model import FluxModel

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

log = logging.getLogger(__name__)
_gpu = find_gpu()
BEFORE_MIB = 0 if _gpu is None else _gpu.total_mib - _gpu.free_mib  # by whatever else is on the card

LIMIT_MIB = 7000  # of the whole process, CUDA's own part included
SLOT_BYTES = 226_825_216  # of the ring: a double block of FLUX.1 in 8 bits
STEPS = 3
MANY = int(os.environ.get("GPU_TEST_PICTURES", "200"))


SECOND_START = """
import hashlib, json, sys, time
import psutil
from pipeline.config import PipelineConfig
from pipeline.families.flux.engine import FluxEngine
from pipeline.catalog.models import FLUX1_DEV
from pipeline.spec import ImageSpec

engine = FluxEngine(FLUX1_DEV, PipelineConfig.model_validate(json.loads(sys.argv[1])))
started_at = time.perf_counter()
engine.load()
loaded_s = time.perf_counter() - started_at
ready_s = time.time() - psutil.Process().create_time()
spec = ImageSpec(**json.loads(sys.argv[2]))
for _ in range(2):
    image = engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False)
print(
    json.dumps(
        {
            "loaded_s": round(loaded_s, 2),
            "ready_s": round(ready_s, 2),
            "step_s": round(image.step_s, 4),
            "streamed_gb": round(engine.loaded.model.transformer.streamed_bytes / 1e9, 2),
            "sha256": hashlib.sha256(image.pixels).hexdigest(),
        }
    )
)
"""


AUTOENCODER = """
import json
import torch
from diffsynth.models.flux_vae import FluxVAEDecoder

decoder, needed = FluxVAEDecoder().to("cuda", torch.bfloat16), {}
for side_px in (512, 768, 1024):
    latents = torch.randn(1, 16, side_px // 8, side_px // 8, device="cuda", dtype=torch.bfloat16)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with torch.no_grad():
        decoder(latents, device="cuda")
    needed[side_px] = torch.cuda.max_memory_allocated() - before
print(json.dumps(needed))
"""


@pytest.fixture(scope="module", autouse=True)
def gpu() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA GPU")
    from pipeline.runtime.cuda_memory import start_cuda

    log.info("CUDA takes %d MiB by itself", start_cuda() >> 20)


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return FLUX1_DEV


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory, card: ModelCard) -> Iterator[Path]:
    """Full-size files; the transformer is written in 8 bits, which halves the time and is how it rests."""
    import torch

    from tests.pipeline.families.flux.random_flux import FULL, write_random_flux

    folder = tmp_path_factory.mktemp("models")
    started_at = time.perf_counter()
    write_random_flux(folder, card, FULL, dtype=torch.bfloat16, dit_dtype=torch.float8_e4m3fn, device="cuda")
    torch.cuda.empty_cache()
    log.info("random weights written in %.1f s", time.perf_counter() - started_at)
    yield folder
    shutil.rmtree(folder)  # another module's take as much again


@pytest.fixture(scope="module")
def engine(models_dir: Path, card: ModelCard) -> Iterator[FluxEngine]:
    from pipeline.families.flux.engine import FluxEngine

    config = PipelineConfig(device="cuda", models_dir=models_dir, vram_limit_mib=LIMIT_MIB)
    for what in ("packed, compiled and loaded", "loaded again"):
        engine = FluxEngine(card, config)
        started_at = time.perf_counter()
        engine.load()
        log.info("%s in %.1f s: %s", what, time.perf_counter() - started_at, engine.loaded and engine.loaded.arithmetic)
        if what != "loaded again":
            engine.close()
    yield engine
    engine.close()


def spec_of(
    card: ModelCard, *, side_px: int = 512, seed: int = 1, steps: int = STEPS, prompt: str = "a red apple on a table"
) -> ImageSpec:
    return ImageSpec(
        prompt=prompt,
        seed=seed,
        steps=steps,
        width=side_px,
        height=side_px,
        guidance=card.guidance,
        cfg_scale=card.cfg_scale,
        model=card.name,
    )


def is_same(one: GeneratedImage, other: GeneratedImage) -> bool:
    """Whether every pixel is equal. Compared in an assertion, millions of bytes would be explained for minutes."""
    return one.pixels == other.pixels


def used_mib() -> int:
    """Memory of the card that is in use, by the driver's count."""
    gpu = find_gpu()
    assert gpu is not None
    return gpu.total_mib - gpu.free_mib


def model_of(engine: FluxEngine) -> FluxModel:
    from pipeline.families.flux.model import FluxModel

    assert engine.loaded is not None and isinstance(engine.loaded.model, FluxModel)
    return engine.loaded.model


def draw(engine: FluxEngine, spec: ImageSpec) -> GeneratedImage:
    image = engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False)
    log.info(
        "%d × %d, %d steps: encode %.3f s, %.4f s/step, decode %.3f s, peak %s MiB, process %d MiB",
        image.width,
        image.height,
        spec.steps,
        image.encode_s,
        image.step_s,
        image.decode_s,
        image.peak_mib,
        used_mib() - BEFORE_MIB,
    )
    return image


def allocated_mib() -> float:
    import torch

    return torch.cuda.memory_allocated() / 2**20


@pytest.fixture(scope="module")
def first_image(engine: FluxEngine, card: ModelCard) -> GeneratedImage:
    return draw(engine, spec_of(card))


@pytest.mark.parametrize("weight_format", ["int8", "float8"])
def test_streamed_transformer_computes_what_the_resident_one_does(
    models_dir: Path, card: ModelCard, weight_format: str
) -> None:
    """Bit for bit, at both sizes, after a run that was broken off, and with other things in the ring meanwhile."""
    import torch

    from pipeline.families.flux.checkpoint import recipe_of
    from pipeline.families.flux.transformer import Transformer, random_inputs
    from pipeline.families.recipes import sources_of
    from pipeline.runtime.cuda_memory import hold_to
    from pipeline.runtime.vram_budget import CudaBudget
    from pipeline.streaming.arithmetic import choose_arithmetic
    from pipeline.streaming.autotune import can_fuse_rows, fastest_tiles, is_supported
    from pipeline.streaming.quantization import Format
    from pipeline.streaming.residency import Residency

    arithmetic = choose_arithmetic(is_streamed=False, device="cuda", precision=weight_format, packed_dir=models_dir)
    cache = models_dir / "packed" / f"{card.name}.dit.{weight_format}.safetensors"
    schedule = torch.linspace(1000, 100, 4)

    @torch.no_grad()
    def run(transformer: Transformer, side: int) -> torch.Tensor:
        inputs = random_inputs(transformer.module, side, "cuda", torch.bfloat16)
        return torch.stack(
            [
                transformer.predict(
                    dit=transformer.module,
                    schedule=schedule,
                    timestep=timestep[None].to("cuda", torch.bfloat16),
                    progress_id=step,
                    **inputs,
                )
                for step, timestep in enumerate(schedule)
            ]
        )

    hold_to(torch.cuda.get_device_properties(0).total_memory)
    checkpoint = recipe_of("dit", sources_of(card, models_dir)["dit"])
    transformer = checkpoint.streamed(Transformer, Format(weight_format), arithmetic, cache)
    transformer.use_8bit_matmul(is_supported(Format(weight_format)))
    transformer.use_kernels(fastest_tiles(), fuses_rows=can_fuse_rows())
    transformer.place()
    resident = {side: run(transformer, side) for side in (512, 1024)}
    assert all(torch.isfinite(steps).all() for steps in resident.values())
    total = torch.cuda.get_device_properties(0).total_memory
    residency = Residency(transformer, budget=CudaBudget(total), cost=FLUX.cost(1024, 1024, 4))
    residency.fit_to(LIMIT_MIB * 2**20)
    hold_to(LIMIT_MIB * 2**20)
    for side in (512, 1024, 512):
        assert torch.equal(run(transformer, side), resident[side])
    hook = transformer.module.single_blocks[7].register_forward_pre_hook(lambda *_inputs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(transformer, 512)
    hook.remove()
    transformer.predict.tables.clear()  # modulation passes through the ring in between
    assert torch.equal(run(transformer, 512), resident[512])
    del transformer, residency
    gc.collect()
    torch.cuda.empty_cache()


def test_8_bits_stay_near_exact_arithmetic_and_nearer_than_stock() -> None:
    """Full size, weights with outliers, 20 steps at 512²; exact: the same weights, multiplied and summed in float32."""
    import torch
    from diffsynth.models.flux_dit import FluxDiT
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from pipeline.runtime.cuda_memory import hold_to
    from pipeline.streaming.autotune import can_fuse_rows, fastest_tiles, is_supported
    from pipeline.streaming.quantization import Format
    from tests.pipeline.families.flux.accuracy import Course, as_stock_keeps, seeded

    hold_to(torch.cuda.get_device_properties(0).total_memory)
    with sdpa_kernel(SDPBackend.MATH):
        course = Course(seeded(FluxDiT, Format.BFLOAT16, torch.float32, "cuda"), side_px=512, steps=20)
    found = {}
    for name, weight_format, options in (
        ("int8", Format.INT8, []),
        ("float8", Format.FLOAT8, []),
        ("bfloat16", Format.BFLOAT16, []),
        ("stock", Format.BFLOAT16, [as_stock_keeps]),
    ):
        transformer = seeded(FluxDiT, weight_format, torch.bfloat16, "cuda", *options)
        transformer.use_8bit_matmul(is_supported(weight_format))
        transformer.use_kernels(fastest_tiles(), fuses_rows=can_fuse_rows())
        found[name] = course.accuracy(transformer, torch.bfloat16)
        log.info("%s: worst step %.4f, latents %.1f dB", name, found[name].worst_step, found[name].psnr_db)
        del transformer
        gc.collect()
        torch.cuda.empty_cache()
    hold_to(LIMIT_MIB * 2**20)
    assert found["int8"].worst_step < found["float8"].worst_step < found["stock"].worst_step
    assert found["int8"].psnr_db > found["float8"].psnr_db > found["stock"].psnr_db
    assert found["int8"].worst_step < 0.06


def test_autoencoder_gets_what_it_takes_where_there_is_plenty() -> None:
    """Given less, it draws other bytes. In a process of its own: torch keeps to the kernels that it took first."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AUTOENCODER], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    needed = {int(side_px): count for side_px, count in json.loads(done.stdout).items()}
    for side_px, count in needed.items():
        log.info("decoding %d²: %d MiB, %.0f bytes per pixel", side_px, count >> 20, count / side_px**2)
        assert count <= side_px**2 * BYTES_PER_DECODED_PIXEL + RING_SLOTS * SLOT_BYTES


def test_memory_that_the_system_will_not_lock_is_streamed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that fails leaves its error behind in CUDA, where torch finds it after the next launch of a kernel."""
    import torch

    from pipeline.demo.model import SmallDiT
    from pipeline.families.flux.transformer import random_inputs
    from pipeline.streaming.block_ring import BlockRing
    from pipeline.streaming.quantization import Format
    from tests.pipeline.families.flux.accuracy import seeded

    cudart = torch.cuda.cudart()
    asked: list[int] = []

    class Refusing:
        cudaHostUnregister = cudart.cudaHostUnregister  # noqa: N815

        def cudaHostRegister(self, _address: int, size: int, flags: int) -> object:  # noqa: N802
            asked.append(size)
            return cudart.cudaHostRegister(0, size, flags)  # no address: a real error

    transformer = seeded(SmallDiT, Format.FLOAT32, torch.float32, "cuda")
    inputs = random_inputs(transformer.module, 256, "cuda", torch.float32)
    inputs |= {"schedule": torch.tensor([500.0]), "timestep": torch.tensor([500.0], device="cuda"), "progress_id": 0}
    with torch.no_grad():
        resident = transformer.predict(dit=transformer.module, **inputs)
        monkeypatch.setattr(torch.cuda, "cudart", Refusing)
        transformer.place([], ring=BlockRing(max(transformer.sizes.values()), 3, "cuda"))
        assert len(asked) == 1
        assert torch.equal(transformer.predict(dit=transformer.module, **inputs), resident)


def test_picture_is_drawn_within_the_limit(first_image: GeneratedImage) -> None:
    assert (first_image.width, first_image.height) == (512, 512)
    assert len(set(first_image.pixels)) > 16
    assert first_image.peak_mib is not None
    assert 0 < first_image.peak_mib <= LIMIT_MIB
    assert used_mib() - BEFORE_MIB <= LIMIT_MIB


def test_same_seed_draws_the_same_bytes(engine: FluxEngine, card: ModelCard, first_image: GeneratedImage) -> None:
    assert is_same(draw(engine, spec_of(card)), first_image)
    draw(engine, spec_of(card, prompt="a blue cup"))
    assert is_same(draw(engine, spec_of(card)), first_image)


@pytest.mark.parametrize(("limit_mib", "is_compiled_anew"), [(LIMIT_MIB, False), (None, False), (LIMIT_MIB, True)])
def test_second_start_draws_the_same_bytes(
    models_dir: Path,
    card: ModelCard,
    first_image: GeneratedImage,
    tmp_path: Path,
    limit_mib: int | None,
    is_compiled_anew: bool,
) -> None:
    """What was measured and packed comes from the disk, and what was compiled. Without a limit nothing is streamed."""
    if limit_mib is None and (_gpu is None or _gpu.total_mib < 24_000):
        pytest.skip("the weights do not fit on this card beside those of the first start")
    settings = json.dumps({"device": "cuda", "models_dir": str(models_dir), "vram_limit_mib": limit_mib})
    spec = json.dumps(dataclasses.asdict(spec_of(card)))
    caches = {f"{compiler}_CACHE_DIR": str(tmp_path / compiler) for compiler in ("TORCHINDUCTOR", "TRITON")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SECOND_START, settings, spec],
        env=os.environ | (caches if is_compiled_anew else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    log.info("second start: %s", found)
    assert found["sha256"] == hashlib.sha256(first_image.pixels).hexdigest()
    assert (found["streamed_gb"] > 0) == (limit_mib is not None)


def test_prompt_that_was_read_along_draws_what_it_draws_alone(
    engine: FluxEngine, card: ModelCard, first_image: GeneratedImage
) -> None:
    alone = draw(engine, spec_of(card, prompt="a grey fox"))
    prompts = model_of(engine).prompts
    prompts.forget()
    other = spec_of(card, prompt="a brown hen")
    engine.generate(
        other, on_progress=lambda _progress: None, should_stop=lambda: False, upcoming=["a grey fox", "a white owl"]
    )
    assert "a grey fox" in prompts.prompts
    assert is_same(draw(engine, spec_of(card, prompt="a grey fox")), alone)


def test_memory_is_back_at_rest_after_a_stop(engine: FluxEngine, card: ModelCard, first_image: GeneratedImage) -> None:
    at_rest = allocated_mib()
    asked_at: list[float] = []

    def should_stop() -> bool:
        if not seen or seen[-1].step < 1:
            return False
        asked_at.append(time.perf_counter())
        return True

    seen: list[Progress] = []
    with pytest.raises(GenerationStopped):
        engine.generate(spec_of(card, seed=2, side_px=1024), on_progress=seen.append, should_stop=should_stop)
    log.info("stopped %.3f s after it was asked for", time.perf_counter() - asked_at[0])
    assert seen[-1].stage is Stage.DENOISING
    assert abs(allocated_mib() - at_rest) < 64


def test_real_out_of_memory_streams_more_and_then_fails_the_run_only(
    engine: FluxEngine, card: ModelCard, first_image: GeneratedImage
) -> None:
    import torch

    before = draw(engine, spec_of(card, side_px=1024))
    total = torch.cuda.get_device_properties(0).total_memory
    transformer, residency = model_of(engine).transformer, model_of(engine).residency
    streamed = transformer.streamed_bytes

    def cap(mib: float) -> None:
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(mib * 2**20 / total)

    try:
        cap(allocated_mib() + 100)  # too little for a step of this size beside what stays on the card
        again = draw(engine, spec_of(card, side_px=1024))
        assert transformer.streamed_bytes > streamed
        assert is_same(again, before)
        residency.fit_to(3000 * 2**20)  # of what stays now, a small picture would take what it needs
        cap(600)
        with pytest.raises(OutOfMemory):
            draw(engine, spec_of(card))
    finally:
        cap(LIMIT_MIB)
    assert is_same(draw(engine, spec_of(card, side_px=1024)), before)
    assert abs(transformer.streamed_bytes - streamed) < 10**9  # it has grown back


def test_one_megapixel_fits_within_the_limit(engine: FluxEngine, card: ModelCard, first_image: GeneratedImage) -> None:
    width, height = card.sizes[Aspect.SQUARE]
    assert width == height
    image = draw(engine, spec_of(card, side_px=width))
    assert image.peak_mib is not None
    assert image.peak_mib <= LIMIT_MIB


def test_whole_pictures(engine: FluxEngine, card: ModelCard, first_image: GeneratedImage) -> None:
    for side_px, prompt in itertools.product((512, 1024), ("a green pear", "a green pear", "a yellow quince")):
        started_at = time.perf_counter()
        draw(engine, spec_of(card, side_px=side_px, prompt=prompt, steps=20))
        log.info("whole picture: %.2f s", time.perf_counter() - started_at)


def test_many_pictures_of_all_sizes_leak_nothing(
    engine: FluxEngine, card: ModelCard, first_image: GeneratedImage
) -> None:
    import psutil

    sides = itertools.cycle((512, 768, 1024, 640))
    draw(engine, spec_of(card, side_px=1024, steps=1))
    at_rest, host = allocated_mib(), psutil.Process().memory_info().rss
    for number in range(MANY):
        spec = spec_of(card, side_px=next(sides), seed=number, steps=1 + number % 2, prompt=f"picture {number % 40}")
        engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False)
    host_mib = psutil.Process().memory_info().rss / 2**20
    grown = host_mib - host / 2**20
    log.info(
        "%d pictures: %+.0f MiB on the card, %+.0f MiB on the host, to %.0f MiB",
        MANY, allocated_mib() - at_rest, grown, host_mib,
    )  # fmt: skip
    assert abs(allocated_mib() - at_rest) < 64
    assert grown < 500
    assert is_same(draw(engine, spec_of(card)), first_image)


def test_demo_draws_nearly_the_same_on_gpu_and_cpu(tmp_path: Path) -> None:
    """Same noise, other arithmetic: below one level of 255 on average."""
    spec = DEMO.resolve(ImageOptions(prompt="a red apple", seed=7), random_seed=0)
    pictures = []
    for device in ("cpu", "cuda"):
        engine = create_engine("demo", PipelineConfig.model_validate({"device": device, "models_dir": tmp_path}))
        image = engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False)
        pictures.append(np.frombuffer(image.pixels, np.uint8).astype(float))
        engine.close()
    assert np.abs(pictures[0] - pictures[1]).mean() < 1
