"""The FLUX engine beyond the contract suite: errors translated, rest after failure, offloading."""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import os
import shutil
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from diffsynth.diffusion import FlowMatchScheduler

from pipeline.catalog import files
from pipeline.catalog.architecture import MODULATION
from pipeline.config import PipelineConfig
from pipeline.device.gpu import MIB, Gpu
from pipeline.device.memory_plan import HEADROOM_BYTES, RING_SLOTS
from pipeline.engine import Progress, Stage
from pipeline.errors import EngineDead, GenerationFailed, GenerationStopped, GpuUnusable, OutOfMemory, PipelineError
from pipeline.families import torch_engine
from pipeline.families.flux.architecture import BYTES_PER_DECODED_PIXEL, FLUX
from pipeline.families.flux.engine import FluxEngine
from pipeline.families.flux.model import FluxModel
from pipeline.runtime import process_setup, prompt_cache, torch_setup
from pipeline.runtime.out_of_memory import RETRIES
from pipeline.runtime.torch_setup import choose_device
from pipeline.runtime.vae import VaeHalf, decode_with_fallback, guard
from pipeline.runtime.vram_budget import FakeBudget
from pipeline.spec import ImageOptions, ImageSpec
from pipeline.streaming import quantization
from pipeline.streaming.block_ring import BlockRing
from pipeline.streaming.compilation import compile_or_start_over
from pipeline.streaming.packed_cache import PackedFile
from pipeline.streaming.residency import Residency, State
from tests.pipeline.families.flux.library import library_pipeline
from tests.pipeline.families.flux.random_flux import miniature_card
from tests.pipeline.measured import measured_card


def never() -> bool:
    return False


def ignore(_progress: Progress) -> None:
    pass


def a_spec(prompt: str = "a cat", **changes: object) -> ImageSpec:
    spec = miniature_card().resolve(ImageOptions(prompt=prompt, seed=1), random_seed=0)
    return dataclasses.replace(spec, **changes)


@pytest.fixture
def engine(cpu_config: PipelineConfig) -> FluxEngine:
    engine = FluxEngine(miniature_card(), cpu_config)
    engine.load()
    return engine


@pytest.fixture(scope="module")
def lasting_engine(miniature_dir: Path) -> FluxEngine:
    """One for tests that leave it as it was."""
    engine = FluxEngine(miniature_card(), PipelineConfig(device="cpu", models_dir=miniature_dir))
    engine.load()
    return engine


GRAIN = 2**14
Restart = Callable[[Path], tuple[FluxEngine, list[int]]]


def model_of(engine: FluxEngine) -> FluxModel:
    assert engine.loaded is not None and isinstance(engine.loaded.model, FluxModel)
    return engine.loaded.model


@pytest.fixture
def budget() -> FakeBudget:
    """A GPU that is too small for the model, with the CPU in its place; see `streaming_engine`."""
    return FakeBudget(2**40, grain=GRAIN)


@pytest.fixture
def streaming_config(miniature_dir: Path, tmp_path: Path) -> PipelineConfig:
    shutil.copytree(miniature_dir, tmp_path, dirs_exist_ok=True)
    return PipelineConfig(device="cpu", precision="int8", models_dir=tmp_path, compile=False)


@pytest.fixture
def streaming_engine(streaming_config: PipelineConfig, budget: FakeBudget) -> FluxEngine:
    """An engine whose GPU has room for half of the transformer."""
    engine = FluxEngine(miniature_card(is_large=True), streaming_config, budget=budget)
    engine.load()
    residency = model_of(engine).residency
    roomy, largest = residency.snapshot(), max(residency.transformer.weights.running.values())
    slots_bytes = RING_SLOTS * largest - roomy.ring_bytes  # for which it has to grow
    budget.limit = roomy.expected_peak_bytes + slots_bytes - roomy.resident_bytes // 2
    residency.fit()
    assert roomy.streamed_bytes == 0 < residency.snapshot().streamed_bytes < roomy.resident_bytes
    return engine


@pytest.fixture
def restart(streaming_engine: FluxEngine, streaming_config: PipelineConfig, budget: FakeBudget) -> Restart:
    """Makes another engine of the same files, and a list that grows by how many prompts it reads at a time."""

    def restart(prompts_dir: Path, **changes: object) -> tuple[FluxEngine, list[int]]:
        config = streaming_config.model_copy(update=changes)
        again = FluxEngine(miniature_card(is_large=True), config, prompts_dir=prompts_dir, budget=budget)
        again.load()
        return again, count_readings(again)

    return restart


def draw(engine: FluxEngine, spec: ImageSpec) -> np.ndarray:
    """(H, W, RGB) as float."""
    image = engine.generate(spec, on_progress=ignore, should_stop=never)
    return np.frombuffer(image.pixels, np.uint8).reshape(image.height, image.width, 3).astype(float)


def raise_in_the_transformer(engine: FluxEngine, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(*_args: object, **_kwargs: object) -> torch.Tensor:
        raise error

    monkeypatch.setattr(model_of(engine).pipe.dit.x_embedder, "forward", forward)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), OutOfMemory),
        (RuntimeError("CUDA error: out of memory"), OutOfMemory),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), OutOfMemory),
        (MemoryError(), OutOfMemory),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), EngineDead),
        (RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be"), EngineDead),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), GenerationFailed),
        (StopIteration(), GenerationFailed),
    ],
    ids=repr,
)
def test_error_in_the_transformer_is_translated(
    lasting_engine: FluxEngine, error: Exception, meaning: type[PipelineError], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        raise_in_the_transformer(lasting_engine, error, patch)
        with pytest.raises(meaning) as raised:
            lasting_engine.generate(a_spec(), on_progress=ignore, should_stop=never)
    assert raised.value.__cause__ is error
    assert "\n" not in str(raised.value)
    draw(lasting_engine, a_spec())


def test_failure_of_the_caller_fails_the_run_only(engine: FluxEngine) -> None:
    def broken(_progress: Progress) -> None:
        raise ValueError("no listener")

    with pytest.raises(GenerationFailed, match="no listener"):
        engine.generate(a_spec(), on_progress=broken, should_stop=never)
    draw(engine, a_spec())


def test_failed_run_frees_its_tensors_while_its_error_is_kept(
    engine: FluxEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def forward(_tokens: torch.Tensor) -> torch.Tensor:
        activation = torch.ones(8)
        held.append(weakref.ref(activation))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model_of(engine).pipe.dit.x_embedder, "forward", forward)
    with pytest.raises(OutOfMemory) as raised:
        engine.generate(a_spec(), on_progress=ignore, should_stop=never)
    gc.collect()
    assert held[0]() is None
    assert raised.value.__cause__ is not None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_picture_that_is_not_finite_fails(engine: FluxEngine, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_of(engine).decoder.conv_out, "forward", lambda x: torch.full((1, 3, 64, 64), value))
    with pytest.raises(GenerationFailed, match="not finite"):
        engine.generate(a_spec(), on_progress=ignore, should_stop=never)


def test_schedule_is_the_one_that_the_family_declares(engine: FluxEngine) -> None:
    declared, used = FlowMatchScheduler(FLUX.schedule), model_of(engine).pipe.scheduler
    for steps, strength in ((4, 1.0), (7, 0.5)):
        declared.set_timesteps(steps, denoising_strength=strength)
        used.set_timesteps(steps, denoising_strength=strength)
        assert torch.equal(declared.timesteps, used.timesteps)


def test_black_picture_fails(engine: FluxEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_of(engine).decoder.conv_out, "forward", lambda x: torch.full((1, 3, 64, 64), -2.0))
    with pytest.raises(GenerationFailed, match="black"):
        engine.generate(a_spec(), on_progress=ignore, should_stop=never)


def test_prompt_of_any_length_and_script_is_drawn(engine: FluxEngine) -> None:
    for prompt in ("x" * 2000, "一只熊猫" * 500, "👩\u200d🚀 🐱", "`'\"\\<|endoftext|></s>"):
        draw(engine, a_spec(prompt))


def test_prompt_guidance_and_scale_change_the_picture(engine: FluxEngine) -> None:
    plain = draw(engine, a_spec())
    for other in (a_spec("a dog"), a_spec(guidance=1.0), a_spec(cfg_scale=2.0)):
        assert not np.array_equal(plain, draw(engine, other))


def test_streamed_model_draws_nearly_the_same_picture(engine: FluxEngine, streaming_engine: FluxEngine) -> None:
    """Another seed is 56 of 255 levels apart."""
    streamed = draw(streaming_engine, a_spec())
    assert 0 < np.abs(streamed - draw(engine, a_spec())).mean() < 5
    assert np.array_equal(draw(streaming_engine, a_spec()), streamed)
    assert not np.array_equal(draw(streaming_engine, a_spec("a dog")), streamed)
    assert np.array_equal(draw(streaming_engine, a_spec()), streamed)


def test_streamed_model_stops_before_any_block(streaming_engine: FluxEngine) -> None:
    """Of the text encoders and of what is used once per prompt as well: from a slow disk those take seconds."""
    before, asked, spec = draw(streaming_engine, a_spec()), list[None](), a_spec("counted")
    streaming_engine.generate(spec, on_progress=ignore, should_stop=lambda: bool(asked.append(None)))
    transformer, residency = model_of(streaming_engine).transformer, model_of(streaming_engine).residency
    once = [name for name in transformer.blocks if name.endswith(MODULATION)]
    read = [name for part in residency.parts[1:] for name in part.running]
    assert len(asked) == 1 + len(read) + len(once) + spec.steps * (1 + len(transformer.running))
    for checks in range(len(asked)):
        with pytest.raises(GenerationStopped):
            streaming_engine.generate(
                a_spec(f"number {checks}"), on_progress=ignore, should_stop=iter([False] * checks + [True]).__next__
            )
    assert np.array_equal(draw(streaming_engine, a_spec()), before)


def test_streamed_model_bears_failures(streaming_engine: FluxEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = draw(streaming_engine, a_spec())
    with monkeypatch.context() as patch:
        raise_in_the_transformer(streaming_engine, torch.OutOfMemoryError("CUDA out of memory"), patch)
        with pytest.raises(OutOfMemory):
            draw(streaming_engine, a_spec())
    assert np.array_equal(draw(streaming_engine, a_spec()), before)


def test_packed_weights_lie_where_the_setting_says(
    miniature_dir: Path, streaming_config: PipelineConfig, budget: FakeBudget, tmp_path: Path
) -> None:
    config = streaming_config.model_copy(update={"models_dir": miniature_dir, "packed_dir": tmp_path / "elsewhere"})
    engine = FluxEngine(miniature_card(is_large=True), config, budget=budget)
    engine.load()
    engine.close()
    assert len(list((tmp_path / "elsewhere").glob("*.safetensors"))) == 3
    assert not (miniature_dir / "packed").exists()


def test_packed_weights_are_written_once(restart: Restart, tmp_path: Path) -> None:
    folder = tmp_path / "packed"
    written = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    assert set(written) == {
        f"{miniature_card().name}.{kind}.safetensors" for kind in ("dit.int8", "t5.int8", "clip.bfloat16")
    }
    restart(tmp_path / "prompts")
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")} == written


def flip(path: Path, *, keeps_time: bool = True) -> None:
    """Change a bit of a number in the middle of a packed file."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(status.st_size // 2)
        (byte,) = file.read(1)
        file.seek(status.st_size // 2)
        file.write(bytes([byte ^ 64]))
    if keeps_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def late_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are checked when a picture is there, as gigabytes of them are."""
    check, wait = PackedFile.check, PackedFile.wait

    started: list[PackedFile] = []

    def check_now(file: PackedFile, timeout_s: float | None) -> bool:
        if not any(each is file for each in started):
            started.append(file)
            check(file)
        return wait(file, timeout_s)

    monkeypatch.setattr(PackedFile, "check", lambda _file: None)
    monkeypatch.setattr(PackedFile, "wait", check_now)


@pytest.mark.usefixtures("late_checks")
@pytest.mark.parametrize("part", ["dit.int8", "t5.int8", "clip.bfloat16"])
def test_damaged_weights_are_packed_again_and_draw_the_picture_that_whole_ones_draw(
    streaming_engine: FluxEngine, restart: Restart, tmp_path: Path, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What was read of the prompt with them is forgotten, on the disk as well."""
    path = tmp_path / "packed" / f"{miniature_card().name}.{part}.safetensors"
    before, written = draw(streaming_engine, a_spec()), path.read_bytes()
    flip(path)
    assert path.read_bytes() != written
    again, read = restart(tmp_path / "prompts")
    assert np.array_equal(draw(again, a_spec()), before)
    assert path.read_bytes() == written
    assert f"{path} is of no use" in caplog.text
    last, read = restart(tmp_path / "prompts")
    assert np.array_equal(draw(last, a_spec()), before)
    assert read == []


def test_weights_that_are_damaged_in_use_are_packed_again(streaming_engine: FluxEngine, tmp_path: Path) -> None:
    path = tmp_path / "packed" / f"{miniature_card().name}.dit.int8.safetensors"
    before, written = draw(streaming_engine, a_spec()), path.read_bytes()
    for damage in (partial(flip, keeps_time=False), lambda path: os.truncate(path, 4096)):
        damage(path)
        assert np.array_equal(draw(streaming_engine, a_spec()), before)
        assert path.read_bytes() == written


def test_readings_of_unchecked_weights_are_not_kept(
    restart: Restart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stops before the weights were checked has no picture, and no reading of the prompt stays behind."""
    flip(tmp_path / "packed" / f"{miniature_card().name}.t5.int8.safetensors")
    again, _ = restart(tmp_path / "prompts")
    monkeypatch.setattr(PackedFile, "wait", lambda _file, _timeout_s: False)
    steps: list[int] = []
    with pytest.raises(GenerationStopped):
        again.generate(
            a_spec(), on_progress=lambda progress: steps.append(progress.step), should_stop=lambda: steps[-1:] == [3]
        )
    assert not (tmp_path / "prompts").exists()


@pytest.mark.usefixtures("late_checks")
def test_failure_that_damaged_weights_explain_is_made_good(
    streaming_engine: FluxEngine, restart: Restart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = draw(streaming_engine, a_spec())
    flip(tmp_path / "packed" / f"{miniature_card().name}.dit.int8.safetensors")
    again, _ = restart(tmp_path / "prompts")
    raise_in_the_transformer(again, RuntimeError("not what weights should be"), monkeypatch)
    assert np.array_equal(draw(again, a_spec()), before)


def test_weights_that_are_damaged_each_time_fail_the_picture(
    streaming_engine: FluxEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PackedFile, "flaw", "its block '' does not hold what was written")
    with pytest.raises(GenerationFailed, match="disk or the memory"):
        draw(streaming_engine, a_spec())


@pytest.mark.parametrize(
    ("failures", "calls"),
    [
        (1, [(8, 8), *[(4, 4)] * 9]),
        (2, [(8, 8), *[(4, 4)] * 10]),
        (3, [(8, 8), *[(4, 4)] * 11]),  # the last of them on the CPU
        (4, [(8, 8), *[(4, 4)] * 3]),
    ],
)
def test_decoding_without_memory_is_repeated_in_tiles_and_then_on_the_cpu_and_no_step_is(
    streaming_engine: FluxEngine, monkeypatch: pytest.MonkeyPatch, failures: int, calls: list[tuple[int, int]]
) -> None:
    model = model_of(streaming_engine)
    steps: list[int] = []
    seen: list[tuple[int, ...]] = []

    def decode(latents: torch.Tensor, **_options: object) -> torch.Tensor:
        seen.append(tuple(latents.shape[2:]))
        if len(seen) <= failures:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.zeros(1, 3, latents.shape[2] * 8, latents.shape[3] * 8)

    monkeypatch.setattr(model.decoder, "forward", decode)
    guard(model.decoder, px=8, cost=FLUX.cost, memory=model.residency)
    monkeypatch.setattr(model.residency, "shrink", lambda: steps.append(-1))
    monkeypatch.setattr("pipeline.runtime.vae.TILE_PX", 32)

    def watch(progress: Progress) -> None:
        if progress.stage is Stage.DENOISING:
            steps.append(progress.step)

    with pytest.raises(OutOfMemory) if failures > RETRIES + 1 else nullcontext():
        streaming_engine.generate(a_spec(steps=2), on_progress=watch, should_stop=never)
    assert seen == calls
    assert steps == [0, 1, 2, *[-1] * min(failures - 1, RETRIES - 1)]  # tiles first, then less on the card


def test_picture_that_overflows_in_16_bits_is_decoded_in_float32_and_no_step_is_repeated(
    engine: FluxEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The autoencoder's weights are where and what they were afterwards."""
    decoder = model_of(engine).decoder.to(torch.bfloat16)
    before = {name: weight.clone() for name, weight in decoder.state_dict().items()}
    last, seen, steps = decoder.conv_out.forward, list[torch.dtype](), list[int]()

    def overflow(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.dtype)
        return last(x) if x.dtype is torch.float32 else torch.full((1, 3, 64, 64), torch.inf, dtype=x.dtype)

    def watch(progress: Progress) -> None:
        if progress.stage is Stage.DENOISING:
            steps.append(progress.step)

    inner = decoder.forward

    def in_16_bits(x: torch.Tensor, **options: object) -> torch.Tensor:
        return inner(x.bfloat16(), **options)

    monkeypatch.setattr(decoder.conv_out, "forward", overflow)
    monkeypatch.setattr(decoder, "forward", in_16_bits)
    image = engine.generate(a_spec(steps=2), on_progress=watch, should_stop=never)
    assert len(set(image.pixels)) > 16
    assert seen == [torch.bfloat16, torch.float32]
    assert steps == [0, 1, 2]
    assert all(torch.equal(weight, before[name]) for name, weight in decoder.state_dict().items())


def test_autoencoder_has_the_memory_of_the_ring_to_itself(
    streaming_engine: FluxEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one block may still hold a slot then, or its memory would not be free. The steps go on as if nothing was."""
    residency = model_of(streaming_engine).residency
    assert residency.ring is not None and residency.transformer.streamed_bytes > 0
    source = bytes(range(256)) * (64 * 64 * 3 // 256)
    spec = a_spec(steps=2, strength=0.9, source=hashlib.sha256(source).hexdigest())
    modules = [part.module for part in residency.parts]
    seen, slots = list[int](), set[int]()

    def redraw() -> bytes:
        return streaming_engine.generate(spec, on_progress=ignore, should_stop=never, source=source).pixels

    def holders() -> int:
        tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
        return sum(tensor.untyped_storage().data_ptr() in slots for tensor in tensors)

    def must_tile(_needed_bytes: int) -> bool:
        assert residency.state is State.PLACED
        slots.update(slot.untyped_storage().data_ptr() for slot in residency.ring.slots)
        seen.append(holders())
        return False

    def watched(_needed_bytes: int) -> None:
        assert residency.state is State.LENT
        seen.extend([holders(), len(residency.ring.slots)])

    before = redraw()
    monkeypatch.setattr(residency, "must_tile", must_tile)
    monkeypatch.setattr(residency, "make_room", watched)
    with pytest.raises(GenerationStopped):
        streaming_engine.generate(
            spec, on_progress=ignore, should_stop=iter([False] * 9 + [True]).__next__, source=source
        )
    seen.clear()
    assert redraw() == before
    _before_encoding, *encoding, before_decoding, held, left = seen
    assert encoding == [held, left] == [0, 0]
    assert before_decoding > 0
    assert len(residency.ring.slots) == RING_SLOTS


@pytest.mark.parametrize("failing", [1, 2], ids=["after encoding", "after decoding"])
def test_ring_that_finds_its_memory_taken_costs_nothing(
    streaming_engine: FluxEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failing: int
) -> None:
    """Neither what the autoencoder made, nor the steps that may follow, nor the next picture."""
    source = bytes(range(256)) * (64 * 64 * 3 // 256)
    spec = a_spec(steps=2, strength=0.9, source=hashlib.sha256(source).hexdigest())

    def redraw() -> bytes:
        return streaming_engine.generate(spec, on_progress=ignore, should_stop=never, source=source).pixels

    before, restore, calls = redraw(), BlockRing.restore, list[BlockRing]()

    def fail_once(ring: BlockRing) -> None:
        calls.append(ring)
        if len(calls) == failing:
            raise torch.OutOfMemoryError("CUDA out of memory")
        restore(ring)

    monkeypatch.setattr(BlockRing, "restore", fail_once)
    assert redraw() == before
    assert len(calls) > failing or failing == 2
    assert redraw() == before
    assert "on the CPU" not in caplog.text


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_blocks_that_find_no_room_leave_some_behind_or_fail_one_picture(
    streaming_engine: FluxEngine, budget: FakeBudget, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """Less may be left on the card than the driver says."""
    before, fit, tried = draw(streaming_engine, a_spec()), Residency.fit_to, list[tuple[int, bool]]()
    limit = budget.limit

    def fail(residency: Residency, limit_bytes: int, *, is_short: bool = False) -> None:
        tried.append((limit_bytes, is_short))
        if len(tried) <= failures:
            raise torch.OutOfMemoryError("CUDA out of memory")
        fit(residency, limit_bytes, is_short=is_short)

    monkeypatch.setattr(Residency, "fit_to", fail)
    if failures > RETRIES:
        with pytest.raises(OutOfMemory):
            draw(streaming_engine, a_spec())
        assert len(tried) == failures
    assert np.array_equal(draw(streaming_engine, a_spec()), before)
    assert tried[:3] == [(limit - less * GRAIN, less > 0) for less in range(3)][: len(tried)]


LESS = "less on the card"
NEEDED = 32 * 32 * BYTES_PER_DECODED_PIXEL


@pytest.mark.parametrize(
    ("is_short", "rooms", "expected"),
    [
        (True, [0, NEEDED, NEEDED + HEADROOM_BYTES], [LESS, LESS, (4, 4)]),  # some of it lies in pieces
        (True, [0, 0], [LESS, (4, 4)]),
        (True, [10**9], [(4, 4)]),
        (False, [], [(4, 4)]),
    ],
    ids=["until there is enough", "until no more can be had", "enough", "steps had what they needed"],
)
def test_room_for_decoding_is_made_after_steps_that_found_too_little(
    streaming_engine: FluxEngine,
    budget: FakeBudget,
    monkeypatch: pytest.MonkeyPatch,
    is_short: bool,
    rooms: list[int],
    expected: list[str | tuple[int, int]],
) -> None:
    """A convolution that finds too little memory would draw other bytes, and go on to do so."""
    residency = model_of(streaming_engine).residency
    done: list[str | tuple[int, int]] = []

    def decode(latents: torch.Tensor) -> torch.Tensor:
        done.append((latents.shape[2], latents.shape[3]))
        return torch.zeros(1, 3, latents.shape[2] * 8, latents.shape[3] * 8)

    def shrink() -> None:
        if not rooms:
            raise OutOfMemory(free_mib=0)
        done.append(LESS)

    monkeypatch.setattr(budget, "largest_free", lambda: rooms.pop(0))
    monkeypatch.setattr(residency, "is_short", is_short)
    monkeypatch.setattr(residency, "must_tile", lambda _needed_bytes: False)
    monkeypatch.setattr(residency, "shrink", shrink)
    half = VaeHalf(module=torch.nn.Identity(), forward=decode, px=8, cost=FLUX.cost, memory=residency)
    decode_with_fallback(half, torch.zeros(1, 16, 4, 4))
    assert done == expected
    assert rooms == []


@pytest.mark.parametrize("failures", [RETRIES, RETRIES + 1])
def test_blocks_that_find_no_room_stay_away_and_the_picture_is_drawn(
    streaming_engine: FluxEngine, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """The driver may say that there is more than there is."""
    residency = model_of(streaming_engine).residency
    before = draw(streaming_engine, a_spec())
    fit, asked = residency.fit_to, list[int]()

    def fit_less(limit_bytes: int, **options: bool) -> None:
        asked.append(limit_bytes)
        if len(asked) <= failures:
            raise torch.OutOfMemoryError("CUDA out of memory")
        fit(limit_bytes, **options)

    monkeypatch.setattr(residency, "fit_to", fit_less)
    if failures > RETRIES:
        with pytest.raises(OutOfMemory):
            draw(streaming_engine, a_spec())
        failures = 0
    assert np.array_equal(draw(streaming_engine, a_spec()), before)
    assert [asked[0] - each for each in asked[: RETRIES + 1]] == [n * GRAIN for n in range(RETRIES + 1)]
    assert residency.is_short == (failures > 0)


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_picture_in_tiles_is_nearly_the_same(
    engine: FluxEngine, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiles know nothing of each other, so brightness and edges differ a little."""
    spec, source = a_spec(), None
    if strength < 1:
        source = bytes(range(256)) * (spec.width * spec.height * 3 // 256)
        spec = a_spec(strength=strength, source=hashlib.sha256(source).hexdigest())

    def drawn() -> np.ndarray:
        image = engine.generate(spec, on_progress=ignore, should_stop=never, source=source)
        return np.frombuffer(image.pixels, np.uint8).astype(float)

    whole = drawn()
    monkeypatch.setattr(model_of(engine).residency, "must_tile", lambda _needed_bytes: True)
    monkeypatch.setattr("pipeline.runtime.vae.TILE_PX", 48)
    difference = np.abs(drawn() - whole)
    assert 0 < difference.mean() < 20


def test_steps_that_take_far_longer_than_this_gpu_was_measured_to_need_are_said(
    streaming_config: PipelineConfig,
    budget: FakeBudget,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    choose = torch_engine.choose_arithmetic
    speed = measured_card(link_gb_s=1e6, tflops={"int8": 1e6})
    monkeypatch.setattr(
        torch_engine, "choose_arithmetic", lambda **options: dataclasses.replace(choose(**options), speed=speed)
    )
    engine = FluxEngine(miniature_card(is_large=True), streaming_config, budget=budget)
    draw(engine, a_spec())
    assert "a step took" in caplog.text


def test_what_other_programs_leave_is_asked_for_before_every_picture(
    streaming_engine: FluxEngine, budget: FakeBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    residency, asked = model_of(streaming_engine).residency, list[int]()
    monkeypatch.setattr(residency, "fit_to", lambda limit, **_options: asked.append(limit))
    budget.limit, budget.grain = 7000 * MIB, 512 * MIB
    for left_mib in (9000, 5000, 7100):
        budget.others = budget.limit - left_mib * MIB
        draw(streaming_engine, a_spec())
    assert [each // MIB for each in asked] == [7000, 5000 // 512 * 512, 7000]


def test_report_of_memory_comes_with_the_picture(streaming_engine: FluxEngine, budget: FakeBudget) -> None:
    image = streaming_engine.generate(a_spec(), on_progress=ignore, should_stop=never)
    transformer = model_of(streaming_engine).transformer
    assert image.memory is not None
    assert (image.memory.state, image.memory.limit_bytes) == (State.PLACED, budget.limit)
    assert image.memory.streamed_bytes == transformer.streamed_bytes > 0
    assert 0 < image.memory.expected_peak_bytes <= budget.limit
    assert "placed, limit " in image.memory.summary()


def test_compiled_code_is_kept_beside_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for compiler in ("TORCHINDUCTOR", "TRITON"):
        monkeypatch.setenv(f"{compiler}_CACHE_DIR", "x")
        monkeypatch.delenv(f"{compiler}_CACHE_DIR")
    process_setup.keep_compiled_in(tmp_path / "packed")
    assert Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).parent == tmp_path / "packed"
    assert Path(os.environ["TRITON_CACHE_DIR"]).parent == tmp_path / "packed"


@pytest.mark.parametrize(
    ("results", "is_kept", "calls", "is_left"),
    [
        ([True], True, 1, True),
        ([False, True], True, 2, True),
        ([False, False], True, 2, False),
        ([False], False, 1, False),
    ],
    ids=["kept code works", "kept code is damaged", "nothing can be compiled", "no code was kept"],
)
def test_compiled_code_that_cannot_be_used_is_made_again(
    tmp_path: Path, results: list[bool], is_kept: bool, calls: int, is_left: bool
) -> None:
    """Once: where nothing can be compiled at all, the next start tries once as well."""
    folder, seen = tmp_path / "packed" / "torchinductor", list[list[str]]()
    if is_kept:
        (folder / "ab").mkdir(parents=True)
        (folder / "ab" / "old.so").touch()

    def compile_blocks() -> bool:
        seen.append([path.name for path in folder.rglob("*.so")])
        if result := results[len(seen) - 1]:
            folder.mkdir(exist_ok=True)
        return result

    compile_or_start_over(compile_blocks, tmp_path / "packed")
    assert seen == [["old.so"] if is_kept else [], []][:calls]
    assert folder.exists() == is_left


@pytest.mark.parametrize("steps", [2, 3])
def test_picture_is_the_one_that_diffsynth_alone_draws(engine: FluxEngine, miniature_dir: Path, steps: int) -> None:
    spec = a_spec(steps=steps, guidance=3.0)
    pipe = library_pipeline(miniature_card(), miniature_dir)
    picture = pipe(
        prompt=spec.prompt,
        seed=spec.seed,
        width=spec.width,
        height=spec.height,
        num_inference_steps=steps,
        embedded_guidance=spec.guidance,
        rand_device="cpu",
        progress_bar_cmd=lambda timesteps: timesteps,
    )
    assert np.array_equal(draw(engine, spec), np.asarray(picture, float))


def test_pictures_of_all_kinds_in_a_row_are_as_if_each_were_the_first(
    streaming_engine: FluxEngine, streaming_config: PipelineConfig, budget: FakeBudget
) -> None:
    specs = [
        a_spec("a cat", steps=2),
        a_spec("a dog", steps=3, width=48),
        a_spec("a cat", steps=3, height=48),
        a_spec("a dog", steps=2, guidance=1.0),
    ]
    in_a_row = [draw(streaming_engine, spec) for spec in (*specs, *specs)]
    for spec, *drawn in zip(specs, in_a_row[:4], in_a_row[4:], strict=True):
        fresh = FluxEngine(miniature_card(is_large=True), streaming_config, budget=budget)
        fresh.load()
        assert all(np.array_equal(each, draw(fresh, spec)) for each in drawn)


def test_engine_is_dead_when_the_card_does_not_answer(
    streaming_engine: FluxEngine, budget: FakeBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: unknown error")

    monkeypatch.setattr(budget, "trim", fail)
    with pytest.raises(EngineDead):
        draw(streaming_engine, a_spec())


def test_card_that_has_to_be_there_and_is_not_is_said(
    cpu_config: PipelineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(GenerationFailed, match="no graphics card"):
        FluxEngine(miniature_card(), cpu_config.model_copy(update={"device": "cuda"}))
    assert choose_device("auto", miniature_card()) == "cpu"


GTX_1070 = Gpu(name="GTX 1070", driver="580.95", total_mib=8192, free_mib=8000, compute_capability=(6, 1))
RTX_4060 = dataclasses.replace(GTX_1070, name="RTX 4060", compute_capability=(8, 9))


@pytest.mark.parametrize(
    ("setting", "gpu", "finds_torch_a_card", "small", "large"),
    [
        ("auto", RTX_4060, True, "cuda", "cuda"),
        ("auto", GTX_1070, True, "cpu", GpuUnusable),  # which torch finds, and has no code for
        ("cuda", GTX_1070, True, GenerationFailed, GpuUnusable),
        ("auto", RTX_4060, False, "cpu", GpuUnusable),
        ("auto", None, False, "cpu", GpuUnusable),
        ("auto", None, True, "cuda", "cuda"),  # in a container that lacks NVML
        ("cpu", RTX_4060, True, "cpu", "cpu"),
    ],
)
def test_device_is_one_that_torch_has_code_for_and_large_models_are_not_left_to_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    gpu: Gpu | None,
    finds_torch_a_card: bool,
    small: str | type[Exception],
    large: str | type[Exception],
) -> None:
    monkeypatch.setattr(torch_setup, "find_gpu", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: finds_torch_a_card)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "sm_86"])
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    for expected, is_large in ((small, False), (large, True)):
        card = miniature_card(is_large=is_large)
        if isinstance(expected, str):
            assert choose_device(setting, card) == expected
        else:
            with pytest.raises(expected):
                choose_device(setting, card)


def test_threads_follow_the_configuration(cpu_config: PipelineConfig) -> None:
    before = torch.get_num_threads()
    try:
        FluxEngine(miniature_card(), cpu_config.model_copy(update={"cpu_threads": 1})).load()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_nothing_is_printed(cpu_config: PipelineConfig, capfd: pytest.CaptureFixture[str]) -> None:
    draw(FluxEngine(miniature_card(), cpu_config), a_spec())
    assert capfd.readouterr() == ("", "")


def test_stop_takes_effect_between_two_blocks(engine: FluxEngine) -> None:
    """Within a step: on slow cards one step of a large picture takes seconds."""
    transformer = model_of(engine).transformer
    ran: list[str] = []
    for name in transformer.running:
        module = transformer.module.get_submodule(name)
        module.register_forward_hook(lambda *_inputs, name=name: ran.append(name))
    with pytest.raises(GenerationStopped):
        engine.generate(a_spec(), on_progress=ignore, should_stop=lambda: len(ran) == 2)
    assert ran == transformer.running[:2]
    draw(engine, a_spec())


@pytest.fixture
def int8_engine(cpu_config: PipelineConfig) -> FluxEngine:
    engine = FluxEngine(miniature_card(), cpu_config.model_copy(update={"precision": "int8"}))
    engine.load()
    return engine


def test_overflow_in_integers_is_drawn_again_without_them(
    int8_engine: FluxEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = draw(int8_engine, a_spec())
    with monkeypatch.context() as patch:
        patch.setattr(
            quantization,
            "_int8_product",
            lambda rows, weight, *_, **_options: torch.full((len(rows), len(weight)), torch.nan),
        )
        rescued = draw(int8_engine, a_spec())
    assert "step 1 gave values that are not finite" in caplog.text
    difference = np.abs(rescued - before).mean()
    assert 0 < difference < 5
    assert np.array_equal(draw(int8_engine, a_spec()), before)  # integers again


def test_overflow_in_both_arithmetics_is_a_clear_failure(int8_engine: FluxEngine) -> None:
    bias = model_of(int8_engine).transformer.module.single_blocks[1].proj_out.bias
    kept = bias.clone()
    bias.fill_(torch.inf)
    with pytest.raises(GenerationFailed, match="not finite"):
        draw(int8_engine, a_spec())
    bias.copy_(kept)
    draw(int8_engine, a_spec())


def test_prompt_is_read_once_for_many_seeds(engine: FluxEngine) -> None:
    read: list[int] = []
    for encoder in (model_of(engine).pipe.text_encoder_1, model_of(engine).pipe.text_encoder_2):
        encoder.register_forward_pre_hook(lambda *_inputs: read.append(1))
    first = draw(engine, a_spec("a cat"))
    assert len(read) == 2
    assert np.array_equal(draw(engine, a_spec("a cat")), first)
    draw(engine, a_spec("a cat", seed=2))
    assert len(read) == 2
    draw(engine, a_spec("a dog"))
    assert len(read) == 4
    model_of(engine).prompts.forget()
    assert np.array_equal(draw(engine, a_spec("a cat")), first)  # read again
    assert len(read) == 6


@pytest.fixture
def read(streaming_engine: FluxEngine) -> list[int]:
    """Grows by how many prompts are read each time that the streamed text encoders are used."""
    return count_readings(streaming_engine)


def count_readings(engine: FluxEngine) -> list[int]:
    read: list[int] = []
    model_of(engine).pipe.text_encoder_2.register_forward_pre_hook(lambda _module, inputs: read.append(len(inputs[0])))
    return read


def test_upcoming_prompts_are_read_along_and_no_picture_depends_on_it(
    streaming_engine: FluxEngine, read: list[int]
) -> None:
    pictures = {prompt: draw(streaming_engine, a_spec(prompt)) for prompt in ("a cat", "a dog", "a cow", "a hen")}
    assert read == [1, 1, 1, 1]
    model_of(streaming_engine).prompts.forget()
    upcoming = ["a cat", "a dog", "a dog", "a cow", "a hen"]
    image = streaming_engine.generate(a_spec("a cat"), on_progress=ignore, should_stop=never, upcoming=upcoming)
    assert image.pixels == pictures["a cat"].astype(np.uint8).tobytes()
    for prompt in ("a dog", "a cow"):
        assert np.array_equal(draw(streaming_engine, a_spec(prompt)), pictures[prompt])
    assert read == [1, 1, 1, 1, prompt_cache.AT_ONCE]
    draw(streaming_engine, a_spec("a hen"))
    assert read[5:] == [1]


def test_known_prompt_does_not_wait_for_upcoming_ones(streaming_engine: FluxEngine, read: list[int]) -> None:
    draw(streaming_engine, a_spec("a cat"))
    streaming_engine.generate(a_spec("a cat"), on_progress=ignore, should_stop=never, upcoming=["a dog"])
    assert read == [1]


def test_what_was_read_outlives_the_process_and_is_private(restart: Restart, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "prompts"
    first, _ = restart(folder)
    cat, dog = draw(first, a_spec("a cat")), draw(first, a_spec("a dog"))
    again, read = restart(folder)
    assert np.array_equal(draw(again, a_spec("a cat")), cat)
    assert read == []
    files = list(folder.iterdir())
    assert len(files) == 2
    if os.name == "posix":
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not any(b"cat" in file.name.encode() + file.read_bytes() for file in files)
    for file in files:
        data = bytearray(file.read_bytes())
        data[-100] ^= 1  # a number that is finite, and wrong
        file.write_bytes(data)
    again, read = restart(folder)
    assert np.array_equal(draw(again, a_spec("a dog")), dog)
    assert read == [1]
    assert np.array_equal(draw(restart(folder)[0], a_spec("a dog")), dog)


def test_readings_of_other_text_encoders_are_not_used(restart: Restart, tmp_path: Path) -> None:
    first, _ = restart(tmp_path / "prompts")
    draw(first, a_spec("a cat"))
    (path,) = files.weights_of(miniature_card().files["clip"], tmp_path)
    os.utime(path, (1, 1))
    again, read = restart(tmp_path / "prompts")
    draw(again, a_spec("a cat"))
    assert read == [1]


@pytest.mark.timeout(300)  # some processors emulate these numbers, and take minutes to decode
def test_readings_in_other_numbers_are_not_used(restart: Restart, tmp_path: Path) -> None:
    first, _ = restart(tmp_path / "prompts")
    draw(first, a_spec("a cat"))
    again, read = restart(tmp_path / "prompts", precision="bfloat16")
    draw(again, a_spec("a cat", width=16, height=16))
    assert read == [1]


def test_what_waits_and_was_read_before_is_left_on_the_disk(restart: Restart, tmp_path: Path) -> None:
    """Reading the files of all that waits would take longer than the prompt, and push out what is in memory."""
    first, _ = restart(tmp_path / "prompts")
    draw(first, a_spec("a dog"))
    again, read = restart(tmp_path / "prompts")
    again.generate(a_spec("a cat"), on_progress=ignore, should_stop=never, upcoming=["a dog"])
    assert read == [1]
    assert model_of(again).prompts.prompts == ["a cat"]


def test_use_from_memory_counts_as_use(restart: Restart, tmp_path: Path) -> None:
    engine, _ = restart(tmp_path / "prompts")
    draw(engine, a_spec("a cat"))
    (file,) = (tmp_path / "prompts").iterdir()
    os.utime(file, (1, 1))
    draw(engine, a_spec("a cat", seed=2))
    assert file.stat().st_mtime > 1


def test_readings_that_were_not_used_for_longest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_cache, "FILES", 2)
    kept, known = prompt_cache.PromptFiles(tmp_path, "encoders"), set[Path]()
    for number, prompt in enumerate(("a cat", "a dog", "a cow")):
        kept.keep(prompt_cache.Key(prompt, 512), {"prompt_emb": torch.ones(1)})
        (path,) = {*tmp_path.iterdir()} - known
        known.add(path)
        os.utime(path, (number, number))
        kept.touch(prompt_cache.Key("a cat", 512))
    assert kept.find(prompt_cache.Key("a dog", 512)) is None
    assert kept.find(prompt_cache.Key("a cow", 512)) is not None
    assert kept.find(prompt_cache.Key("a cow", 256)) is None
    assert kept.find(prompt_cache.Key("a cow", 512, "a LoRA")) is None


def test_folder_that_cannot_be_written_costs_no_picture(
    restart: Restart, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    engine, _ = restart(tmp_path / "file" / "prompts")
    draw(engine, a_spec("a cat"))
    assert "not kept" in caplog.text and "cat" not in caplog.text


def test_every_step_but_the_first_report_has_a_preview(engine: FluxEngine) -> None:
    seen: list[Progress] = []
    engine.generate(a_spec(), on_progress=seen.append, should_stop=never)
    denoising = [progress.preview for progress in seen if progress.stage is Stage.DENOISING]
    assert denoising[0] is None
    assert all(preview is not None for preview in denoising[1:])
    assert {(preview.width, preview.height, len(preview.pixels)) for preview in denoising[1:] if preview} == {
        (8, 8, 192)
    }
