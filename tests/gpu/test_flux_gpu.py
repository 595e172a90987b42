"""FLUX.1 at full size on a real GPU held to 7.4 GiB, with random weights in the real file layout.

Needs about 22 GB of disk for the files, 26 GB of host memory and some minutes. Proves memory, stopping and
repeatability; what the pictures look like needs the real weights. `--log-cli-level=INFO` shows the seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pipeline.cards import ModelCard
from pipeline.config import PipelineConfig
from pipeline.engine import GeneratedImage, Progress, Stage
from pipeline.errors import GenerationStopped, OutOfMemory
from pipeline.models import DEMO, FLUX1_DEV, create_engine
from pipeline.spec import Aspect, ImageOptions, ImageSpec

if TYPE_CHECKING:
    from pipeline.flux.engine import FluxEngine

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

log = logging.getLogger(__name__)

CAP_MIB = int(7.4 * 1024)
STEPS = 3


@pytest.fixture(scope="module", autouse=True)
def gpu() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA GPU")


@pytest.fixture(scope="module")
def cap() -> Iterator[Callable[[int], None]]:
    """Sets how many MiB this process may take of the GPU; no limit again at the end."""
    import torch

    total = torch.cuda.get_device_properties(0).total_memory

    def set_cap(mib: int) -> None:
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(mib * 2**20 / total)

    set_cap(CAP_MIB)
    yield set_cap
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return FLUX1_DEV


@pytest.fixture(scope="module")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Full-size files; the transformer is written in 8 bits, which halves the time and is how it rests."""
    import torch

    from tests.pipeline.flux.random_flux import FULL, write_random_flux

    folder = tmp_path_factory.mktemp("models")
    started_at = time.perf_counter()
    write_random_flux(folder, FULL, seed=1, dtype=torch.bfloat16, dit_dtype=torch.float8_e4m3fn, device="cuda")
    torch.cuda.empty_cache()
    log.info("random weights written in %.1f s", time.perf_counter() - started_at)
    return folder


@pytest.fixture(scope="module")
def engine(models_dir: Path, card: ModelCard, cap: Callable[[int], None]) -> Iterator[FluxEngine]:
    from pipeline.flux.engine import FluxEngine

    engine = FluxEngine(card, PipelineConfig(device="cuda", models_dir=models_dir, vram_limit_mib=7000))
    started_at = time.perf_counter()
    engine.load()
    log.info("loaded in %.1f s", time.perf_counter() - started_at)
    yield engine
    engine.close()


def spec_of(card: ModelCard, *, side_px: int = 512, seed: int = 1) -> ImageSpec:
    return ImageSpec(
        prompt="a red apple on a wooden table",
        seed=seed,
        steps=STEPS,
        width=side_px,
        height=side_px,
        guidance=card.guidance,
        cfg_scale=card.cfg_scale,
        model=card.name,
    )


def draw(engine: FluxEngine, spec: ImageSpec) -> GeneratedImage:
    image = engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False)
    log.info(
        "%d × %d: encode %.2f s, %.2f s/step, decode %.2f s, peak %s MiB",
        image.width,
        image.height,
        image.encode_s,
        image.step_s,
        image.decode_s,
        image.peak_mib,
    )
    return image


def allocated_mib() -> float:
    import torch

    return torch.cuda.memory_allocated() / 2**20


@pytest.fixture(scope="module")
def first_image(engine: FluxEngine, card: ModelCard) -> GeneratedImage:
    return draw(engine, spec_of(card))


def test_picture_is_drawn_within_the_cap(first_image: GeneratedImage) -> None:
    assert (first_image.width, first_image.height) == (512, 512)
    assert len(set(first_image.pixels)) > 16
    assert first_image.peak_mib is not None
    assert 0 < first_image.peak_mib <= CAP_MIB


def test_memory_is_back_at_rest_after_a_picture(first_image: GeneratedImage) -> None:
    assert allocated_mib() < 64


def test_same_seed_draws_the_same_bytes(engine: FluxEngine, card: ModelCard, first_image: GeneratedImage) -> None:
    assert draw(engine, spec_of(card)).pixels == first_image.pixels


def test_memory_is_back_at_rest_after_a_stop(engine: FluxEngine, card: ModelCard) -> None:
    seen: list[Progress] = []
    busy: list[float] = []

    def watch(progress: Progress) -> None:
        seen.append(progress)
        if progress.stage is Stage.DENOISING:
            busy.append(allocated_mib())

    with pytest.raises(GenerationStopped):
        engine.generate(spec_of(card, seed=2), on_progress=watch, should_stop=lambda: bool(seen) and seen[-1].step == 1)
    assert max(busy) > 1000
    assert allocated_mib() < 64


def test_real_out_of_memory_fails_the_run_only(engine: FluxEngine, card: ModelCard, cap: Callable[[int], None]) -> None:
    cap(600)
    try:
        with pytest.raises(OutOfMemory):
            draw(engine, spec_of(card))
        assert allocated_mib() < 64
    finally:
        cap(CAP_MIB)
    draw(engine, spec_of(card, side_px=256))


def test_one_megapixel_fits_under_the_cap(engine: FluxEngine, card: ModelCard) -> None:
    width, height = card.sizes[Aspect.SQUARE]
    assert width == height
    image = draw(engine, spec_of(card, side_px=width))
    assert image.peak_mib is not None
    assert image.peak_mib <= CAP_MIB


@pytest.mark.parametrize("kept_as", ["int8", "float8"])
def test_streamed_transformer_computes_what_the_resident_one_does(
    models_dir: Path, card: ModelCard, cap: Callable[[int], None], kept_as: str
) -> None:
    """Bit for bit, at both sizes, after a run that was broken off, and with other things in the ring meanwhile."""
    import torch

    from pipeline import files
    from pipeline.flux.formats import Format
    from pipeline.flux.transformer import Transformer, place_within

    paths = files.weights_of(card.files["dit"], models_dir)
    cache = models_dir / "packed" / f"{kept_as}.safetensors"
    schedule = torch.linspace(1000, 100, 6)
    generator = torch.Generator("cuda").manual_seed(1)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device="cuda", dtype=torch.bfloat16)

    text = {
        "prompt_emb": random(1, 512, 4096),
        "pooled_prompt_emb": random(1, 768),
        "guidance": torch.tensor([3.5], device="cuda", dtype=torch.bfloat16),
        "text_ids": torch.zeros(1, 512, 3, device="cuda", dtype=torch.bfloat16),
    }
    latents = {side: random(1, 16, side // 8, side // 8) for side in (512, 1024)}

    @torch.no_grad()
    def run(transformer: Transformer, side: int) -> torch.Tensor:
        steps, started_at = [], time.perf_counter()
        for step, timestep in enumerate(schedule):
            timestep = timestep[None].to("cuda", torch.bfloat16)
            predicted = transformer.predict(
                dit=transformer.module,
                schedule=schedule,
                timestep=timestep,
                progress_id=step,
                latents=latents[side],
                **text,
            )
            steps.append(predicted)
            if step == 0:
                torch.cuda.synchronize()
                log.info("%s %d: first step %.3f s", kept_as, side, time.perf_counter() - started_at)
                started_at = time.perf_counter()
        torch.cuda.synchronize()
        seconds = (time.perf_counter() - started_at) / (len(schedule) - 1)
        peak = torch.cuda.max_memory_reserved() / 2**20
        log.info("%s %d: %.4f s/step, peak %.0f MiB", kept_as, side, seconds, peak)
        return torch.stack(steps)

    cap(torch.cuda.get_device_properties(0).total_memory // 2**20)
    started_at = time.perf_counter()
    transformer = Transformer.read(paths, kept_as=Format(kept_as), dtype=torch.bfloat16, device="cuda", cache=cache)
    log.info("%s: packed in %.1f s", kept_as, time.perf_counter() - started_at)
    transformer.place()
    resident = {side: run(transformer, side) for side in latents}
    resident = {side: run(transformer, side) for side in latents}  # warm
    assert all(torch.isfinite(steps).all() for steps in resident.values())
    cap(CAP_MIB)
    torch.cuda.reset_peak_memory_stats()
    started_at = time.perf_counter()
    place_within(transformer, None, 7000 * 2**20, sizes=[(1024, 1024)])
    seconds = time.perf_counter() - started_at
    log.info("%s: placed in %.1f s, %.2f GB streamed", kept_as, seconds, transformer.streamed_bytes / 1e9)
    for _ in range(2):
        for side in latents:
            assert torch.equal(run(transformer, side), resident[side])
    hook = transformer.module.single_blocks[7].register_forward_pre_hook(lambda *_inputs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(transformer, 512)
    hook.remove()
    transformer.predict._tables.clear()  # modulation passes through the ring in between
    assert torch.equal(run(transformer, 512), resident[512])


def test_own_engine_draws_within_the_cap(models_dir: Path, card: ModelCard, cap: Callable[[int], None]) -> None:
    from pipeline.flux.engine import FluxEngine

    cap(CAP_MIB)
    config = PipelineConfig(device="cuda", models_dir=models_dir, vram_limit_mib=7000, precision="int8")
    engine = FluxEngine(card, config)
    for side_px in (512, 1024):
        first, again = (draw(engine, spec_of(card, side_px=side_px)) for _ in range(2))
        assert first.pixels == again.pixels
        assert first.peak_mib is not None and first.peak_mib <= CAP_MIB
    engine.close()


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
