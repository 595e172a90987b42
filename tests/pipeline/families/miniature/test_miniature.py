"""A family is a tenant: another one goes through all that is shared, with nothing but its folder and its card."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.catalog.architecture import REST, Feature
from pipeline.catalog.models import make_engine
from pipeline.config import PipelineConfig
from pipeline.device import runtime_estimate
from pipeline.device.gpu import Gpu, GpuState
from pipeline.device.gpu_profile import is_packed, write_profile
from pipeline.device.memory_plan import EFFICIENCY, HEADROOM_BYTES, RING_SLOTS, Weights, floor_seconds
from pipeline.device.runtime_estimate import estimate_runtime
from pipeline.engine import Progress, Stage
from pipeline.errors import GenerationStopped, InvalidSpec, OutOfMemory
from pipeline.runtime.vae import guard
from pipeline.runtime.vram_budget import FakeBudget
from pipeline.spec import Aspect, ImageOptions, ImageSpec
from tests.pipeline.families.miniature.architecture import CARD, DENOISER, MINIATURE, READER
from tests.pipeline.families.miniature.engine import MiniatureEngine, MiniatureModel
from tests.pipeline.families.miniature.modules import LAYERS, STAGES, write_random_miniature
from tests.pipeline.measured import measured_card

ROOT = Path(__file__).parents[4]


@pytest.fixture
def config(tmp_path: Path) -> PipelineConfig:
    write_random_miniature(tmp_path)
    return PipelineConfig(device="cpu", models_dir=tmp_path, precision="int8")


def a_spec(prompt: str = "a cat", **changes: object) -> ImageSpec:
    return dataclasses.replace(CARD.resolve(ImageOptions(prompt=prompt, seed=1), random_seed=0), **changes)


def draw(engine: MiniatureEngine, spec: ImageSpec, upcoming: tuple[str, ...] = ()) -> np.ndarray:
    image = engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False, upcoming=upcoming)
    return np.frombuffer(image.pixels, np.uint8).astype(float)


def model_of(engine: MiniatureEngine) -> MiniatureModel:
    assert engine.loaded is not None and isinstance(engine.loaded.model, MiniatureModel)
    return engine.loaded.model


def whole(config: PipelineConfig) -> MiniatureEngine:
    """An engine that streams nothing."""
    engine = MiniatureEngine(CARD, config)
    engine.load()
    return engine


@pytest.fixture
def budget() -> FakeBudget:
    return FakeBudget(2**30, grain=2**12)


@pytest.fixture
def engine(config: PipelineConfig, budget: FakeBudget) -> MiniatureEngine:
    """An engine whose GPU has room for half of the denoiser."""
    engine = MiniatureEngine(CARD, config, budget=budget)
    engine.load()
    residency = model_of(engine).residency
    roomy, largest = residency.snapshot(), max(residency.transformer.weights.running.values())
    slots_bytes = RING_SLOTS * largest - roomy.ring_bytes  # for which it has to grow
    budget.limit = roomy.expected_peak_bytes + slots_bytes - roomy.resident_bytes // 2
    residency.fit()
    return engine


def test_card_is_the_only_entry_and_no_line_outside_names_the_family() -> None:
    sources = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "bot").rglob("*.py")]
    assert not [path for path in sources if "miniature" in path.read_text("utf-8").lower()]


def test_engine_is_made_by_the_card(config: PipelineConfig) -> None:
    assert isinstance(make_engine(CARD, config), MiniatureEngine)


def test_card_cannot_promise_what_the_architecture_cannot_do() -> None:
    assert {Feature.NEGATIVE_PROMPT, Feature.CFG} <= CARD.supports
    with pytest.raises(ValueError, match="lora"):
        dataclasses.replace(CARD, supports=frozenset({Feature.LORA}))
    with pytest.raises(ValueError, match="t5"):
        dataclasses.replace(CARD, files={"t5": CARD.files["reader"]})


def test_card_that_does_not_support_init_images_refuses_them() -> None:
    card = dataclasses.replace(CARD, supports=CARD.supports - {Feature.INIT_IMAGE})
    with pytest.raises(InvalidSpec, match="image"):
        card.resolve(ImageOptions(prompt="a cat"), random_seed=0, source="0" * 64)


def test_blocks_are_found_by_what_the_family_declares(engine: MiniatureEngine) -> None:
    denoiser, reader = model_of(engine).residency.parts
    assert denoiser.running == [f"stages.{number}" for number in range(STAGES)]
    assert set(denoiser.blocks) == {REST, *denoiser.running}
    assert reader.running == [f"layers.{number}" for number in range(LAYERS)]
    assert set(reader.blocks) == {"letters", *reader.running}  # nothing belongs to no block here


def test_streamed_model_draws_what_the_whole_one_does(config: PipelineConfig, engine: MiniatureEngine) -> None:
    report = model_of(engine).residency.snapshot()
    assert report.streamed_bytes > 0 and report.resident_bytes > 0
    assert np.array_equal(draw(engine, a_spec()), draw(whole(config), a_spec()))
    assert np.array_equal(draw(engine, a_spec()), draw(engine, a_spec()))


def test_8_bits_stay_near(config: PipelineConfig) -> None:
    exact = draw(whole(config.model_copy(update={"precision": "float32"})), a_spec())
    for precision in ("int8", "float8"):
        found = draw(whole(config.model_copy(update={"precision": precision})), a_spec())
        assert 0 < np.abs(found - exact).mean() < 8
    other = draw(whole(config.model_copy(update={"precision": "float32"})), a_spec(seed=2))
    assert np.abs(other - exact).mean() > 16


def test_weights_are_packed_once_under_the_names_of_the_components(
    config: PipelineConfig, engine: MiniatureEngine
) -> None:
    packed = {path.name for path in config.packed_folder.glob("*.safetensors")}
    assert packed == {"miniature.denoiser.int8.safetensors", "miniature.reader.int8.safetensors"}
    write_profile(config.packed_folder, measured_card())
    assert is_packed(config.packed_folder, CARD)


def test_estimate_follows_from_what_the_family_declares(
    config: PipelineConfig, engine: MiniatureEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = Gpu(name="a card", driver="1", total_mib=8188, free_mib=8000, compute_capability=(8, 9))
    monkeypatch.setattr(runtime_estimate, "look_at_gpu", lambda: GpuState(gpu=gpu))
    profile = measured_card()
    write_profile(config.packed_folder, profile)
    seen = estimate_runtime(CARD, config.model_copy(update={"device": "auto"}))
    assert seen is not None and seen.plan is not None and seen.step_s is not None
    running = model_of(engine).residency.transformer.weights.running
    assert seen.plan.resident_bytes == sum(running.values())
    one_pass = floor_seconds(
        Weights(component=DENOISER, sizes=running),
        streamed_bytes=0,
        bytes_per_weight=1,
        link_gb_s=profile.link_gb_s,
        tflops=profile.tflops["int8"],
        cost=MINIATURE.cost(64, 64, 1),
    )
    assert seen.step_s == pytest.approx(2 * one_pass / EFFICIENCY)  # with the prompt, and with the negative one


def test_preview_paints_the_latents_of_the_family(engine: MiniatureEngine) -> None:
    seen: list[Progress] = []
    engine.generate(a_spec(width=96), on_progress=seen.append, should_stop=lambda: False)
    previews = [progress.preview for progress in seen if progress.stage is Stage.DENOISING]
    assert previews[0] is None
    assert {(each.width, each.height, len(each.pixels)) for each in previews[1:] if each} == {(24, 16, 24 * 16 * 3)}
    assert len(previews) == CARD.default_steps + 1


def test_both_prompts_are_read_once_and_outlive_the_process(
    config: PipelineConfig, budget: FakeBudget, tmp_path: Path
) -> None:
    def start() -> tuple[MiniatureEngine, list[int]]:
        engine, read = MiniatureEngine(CARD, config, prompts_dir=tmp_path / "prompts", budget=budget), list[int]()
        engine.load()
        reader = model_of(engine).residency.parts[1].module
        reader.register_forward_pre_hook(lambda *_inputs: read.append(1))
        return engine, read

    first, read = start()
    cat = draw(first, a_spec(), upcoming=("a dog",))
    assert len(read) == 3  # the prompt, the one that comes next, and the negative one
    draw(first, a_spec(seed=2))
    dog = draw(first, a_spec("a dog"))
    assert len(read) == 3
    again, read = start()
    assert np.array_equal(draw(again, a_spec()), cat)
    assert np.array_equal(draw(again, a_spec("a dog")), dog)
    assert read == []


def test_negative_prompt_steers_only_with_cfg(config: PipelineConfig, engine: MiniatureEngine) -> None:
    other = MiniatureEngine(dataclasses.replace(CARD, negative_prompt="sharp"), config)
    assert not np.array_equal(draw(engine, a_spec()), draw(other, a_spec()))
    assert np.array_equal(draw(engine, a_spec(cfg_scale=1.0)), draw(other, a_spec(cfg_scale=1.0)))


def test_every_pass_looks_for_a_stop_before_each_block(engine: MiniatureEngine) -> None:
    before, asked = draw(engine, a_spec()), list[None]()
    engine.generate(a_spec(), on_progress=lambda _: None, should_stop=lambda: bool(asked.append(None)))
    assert len(asked) == 1 + CARD.default_steps * (1 + 2 * STAGES)
    for checks in range(len(asked)):
        with pytest.raises(GenerationStopped):
            engine.generate(a_spec(), on_progress=lambda _: None, should_stop=iter([False] * checks + [True]).__next__)
    assert np.array_equal(draw(engine, a_spec()), before)


def test_step_without_memory_is_repeated_with_fewer_blocks_on_the_gpu(engine: MiniatureEngine) -> None:
    before, residency = draw(engine, a_spec()), model_of(engine).residency
    streamed, left = residency.snapshot().streamed_bytes, [True, True]

    def fail(*_inputs: object) -> None:
        if left and left.pop():
            raise torch.OutOfMemoryError("CUDA out of memory")

    handle = residency.transformer.module.stages[2].register_forward_pre_hook(fail)
    assert np.array_equal(draw(engine, a_spec()), before)
    handle.remove()
    report = residency.snapshot()
    assert report.streamed_bytes >= streamed and report.climbed == {"fewer blocks stay on the GPU": 2}


@pytest.mark.parametrize(
    ("failures", "climbed"),
    [
        (1, {"the VAE works in tiles": 1}),
        (2, {"the VAE works in tiles": 1, "fewer blocks stay on the GPU": 1}),
        (
            3,
            {
                "the VAE works in tiles": 1,
                "fewer blocks stay on the GPU": 1,
                "the VAE works in float32 on the CPU, which takes a while": 1,
            },
        ),
        (4, None),
    ],
)
def test_decoding_without_memory_goes_down_the_same_ladder(
    engine: MiniatureEngine, monkeypatch: pytest.MonkeyPatch, failures: int, climbed: dict[str, int] | None
) -> None:
    model, calls = model_of(engine), list[tuple[int, ...]]()
    whole_image, decode = draw(engine, a_spec()), type(model.decoder).forward

    def fail(latents: torch.Tensor) -> torch.Tensor:
        calls.append(tuple(latents.shape[2:]))
        if len(calls) <= failures:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(model.decoder, latents)

    monkeypatch.setattr(model.decoder, "forward", fail)
    guard(model.decoder, px=MINIATURE.latent.factor, cost=MINIATURE.cost, memory=model.residency)
    monkeypatch.setattr("pipeline.runtime.vae.TILE_PX", 32)
    if climbed is None:
        with pytest.raises(OutOfMemory):
            draw(engine, a_spec())
    else:
        assert 0 < np.abs(draw(engine, a_spec()) - whole_image).mean() < 20  # tiles know nothing of each other
        assert model.residency.snapshot().climbed == climbed
        assert calls[0] == (16, 16) and set(calls[1:]) == {(8, 8)}


def test_larger_image_than_usual_gets_more_room_for_as_long_as_it_is_drawn(
    engine: MiniatureEngine, budget: FakeBudget
) -> None:
    """With room for all blocks beside an image of usual size, and for half of them beside the larger one."""
    budget.limit += MINIATURE.cost(128, 128, 1).tile_bytes - CARD.largest_cost().tile_bytes
    residency = model_of(engine).residency
    usual, before = draw(engine, a_spec()), residency.snapshot()
    draw(engine, a_spec(width=128, height=128))
    larger = residency.snapshot()
    assert before.streamed_bytes == 0 < larger.streamed_bytes
    assert larger.climbed == before.climbed == {}  # planned, rather than found out
    draw(engine, a_spec(width=32, height=32))
    assert residency.snapshot().streamed_bytes == 0
    assert np.array_equal(draw(engine, a_spec()), usual)


def test_memory_that_another_program_takes_is_told_while_it_does(
    engine: MiniatureEngine, budget: FakeBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.families.torch_engine.MIB", 1)
    told: list[int] = []

    def taken() -> int:
        told.clear()
        spec = a_spec()
        image = engine.generate(spec, on_progress=lambda each: told.append(each.taken_mib), should_stop=lambda: False)
        assert image.memory is not None
        return image.memory.taken_bytes

    assert taken() == 0 and set(told) == {0}
    budget.others = 5 * budget.grain
    assert taken() >= budget.others, "the next image is planned anew"
    assert max(told) >= budget.others
    budget.others = 0
    assert taken() == 0 and set(told) == {0}
    budget.limit += 2**30
    budget.others = 5 * budget.grain
    assert taken() == 0, "nothing has to be streamed for that"


def test_no_room_for_a_single_block_fails_the_image_only(engine: MiniatureEngine, budget: FakeBudget) -> None:
    before, budget.others = draw(engine, a_spec()), budget.limit - HEADROOM_BYTES
    with pytest.raises(OutOfMemory):
        draw(engine, a_spec())
    budget.others = 0
    assert np.array_equal(draw(engine, a_spec()), before)


def test_files_hold_what_the_components_are_made_of(config: PipelineConfig) -> None:
    names = load_file(config.models_dir / "tests/miniature/reader.safetensors")
    assert {READER.block_of(name) for name in names} == {"letters", *(f"layers.{number}" for number in range(LAYERS))}
    assert CARD.sizes[Aspect.SQUARE] == (64, 64)
