"""Whole images with LoRAs: through the engine, resident and streamed, with the cache of prompts and damaged weights."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pipeline.catalog.lora_card import KeyStyle, LoraCard
from pipeline.catalog.models import make_engine
from pipeline.config import PipelineConfig
from pipeline.engine import Progress
from pipeline.errors import InvalidSpec, LoraMisfit
from pipeline.families.flux.engine import FluxEngine
from pipeline.families.flux.model import FluxModel
from pipeline.runtime.vram_budget import FakeBudget
from pipeline.spec import ImageOptions, ImageSpec
from pipeline.streaming.packed_cache import PackedFile
from tests.pipeline.families.flux.random_flux import Sizes, clip_shapes, dit_shapes, miniature_card, t5_shapes
from tests.pipeline.families.lora_files import card_of, random_pairs, tensors_of, write_lora

SIZES = Sizes()


def layers(shapes: Mapping[str, tuple[int, ...]], but: str) -> dict[str, tuple[int, ...]]:
    return {
        name.removesuffix(".weight"): shape
        for name, shape in shapes.items()
        if len(shape) == 2 and name.endswith(".weight") and but not in name
    }


@pytest.fixture(scope="module")
def loras(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoraCard]:
    folder = tmp_path_factory.mktemp("loras")
    dit = tensors_of(random_pairs(layers(dit_shapes(SIZES), "-")), KeyStyle.KOHYA, "lora_unet_")
    clip = tensors_of(random_pairs(layers(clip_shapes(SIZES), "embedding")), KeyStyle.KOHYA, "lora_te1_")
    t5 = {name: shape for name, shape in layers(t5_shapes(SIZES), "bias").items() if name.startswith("encoder.")}
    t5_tensors = tensors_of(random_pairs(t5), KeyStyle.DIFFUSERS, "text_encoder_2.")
    other = tensors_of(random_pairs({"blocks.0.out": (8, 8)}), KeyStyle.KOHYA, "lora_unet_")
    return {
        "ink": write_lora(folder / "ink.safetensors", dit),
        "words": write_lora(folder / "words.safetensors", clip),
        "more-words": write_lora(folder / "more-words.safetensors", t5_tensors),
        "all": write_lora(folder / "all.safetensors", dit | clip | t5_tensors),
        "other": write_lora(folder / "other.safetensors", other),
        "sdxl": write_lora(folder / "sdxl.safetensors", other, base="sdxl"),
        "gone": card_of(folder / "gone.safetensors"),
    }


def a_spec(loras: str = "", prompt: str = "a cat") -> ImageSpec:
    spec = miniature_card().resolve(ImageOptions(prompt=prompt, seed=1), random_seed=0)
    return dataclasses.replace(spec, loras=loras, steps=1)


def draw(engine: FluxEngine, loras: str = "", prompt: str = "a cat") -> bytes:
    image = engine.generate(a_spec(loras, prompt), on_progress=lambda _: None, should_stop=lambda: False)
    return image.pixels


def model_of(engine: FluxEngine) -> FluxModel:
    assert engine.loaded is not None and isinstance(engine.loaded.model, FluxModel)
    return engine.loaded.model


@pytest.fixture(scope="module")
def engine(miniature_dir: Path, loras: Mapping[str, LoraCard]) -> Iterator[FluxEngine]:
    config = PipelineConfig(device="cpu", models_dir=miniature_dir)
    made = make_engine(miniature_card(), config, loras=lambda: loras)
    assert isinstance(made, FluxEngine)
    made.load()
    yield made
    made.close()


@pytest.fixture
def budget() -> FakeBudget:
    return FakeBudget(2**40, grain=2**14)


@pytest.fixture
def streaming(miniature_dir: Path, tmp_path: Path, budget: FakeBudget, loras: Mapping[str, LoraCard]) -> FluxEngine:
    """One that has room for everything, from files of its own."""
    shutil.copytree(miniature_dir, tmp_path / "models")
    config = PipelineConfig(device="cpu", precision="int8", models_dir=tmp_path / "models", compile=False)
    made = FluxEngine(
        miniature_card(is_large=True), config, budget=budget, loras=lambda: loras, prompts_dir=tmp_path / "prompts"
    )
    made.load()
    return made


def test_each_lora_changes_the_image_and_leaves_nothing_behind(engine: FluxEngine) -> None:
    plain = draw(engine)
    asked = ["ink:1", "ink:0.5", "words:1", "more-words:1", "ink:-1", "all:1", "ink:1,words:1"]
    images = [draw(engine, loras) for loras in asked]
    assert len({plain, *images}) == len(asked) + 1
    assert draw(engine) == plain
    assert [draw(engine, loras) for loras in reversed(asked)] == images[::-1]
    assert draw(engine, "ink:1,more-words:1,words:1") == images[asked.index("all:1")]
    assert draw(engine) == plain


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("other:1", "made for another model: nothing here is called"),
        ("ink:1,other:1", "made for another model"),
        ("sdxl:1", "was made for sdxl, and flux1-dev takes flux"),
        ("gone:1", "cannot be read"),
        ("nobody:1", "is not here any more"),
    ],
)
def test_lora_that_does_not_fit_is_refused_before_anything_is_drawn(
    engine: FluxEngine, asked: str, reason: str
) -> None:
    plain, seen = draw(engine), list[Progress]()
    with pytest.raises(LoraMisfit, match=reason):
        engine.generate(a_spec(asked), on_progress=seen.append, should_stop=lambda: False)
    assert seen == []
    assert draw(engine) == plain


def test_model_that_takes_none_says_so(engine: FluxEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    card = dataclasses.replace(miniature_card(), supports=frozenset())
    monkeypatch.setattr(engine, "card", card)
    with pytest.raises(InvalidSpec, match="loras: cannot be used with flux1-dev"):
        draw(engine, "ink:1")


def test_streamed_model_draws_with_and_without_as_it_did_with_room(streaming: FluxEngine, budget: FakeBudget) -> None:
    residency = model_of(streaming).residency
    wanted = {loras: draw(streaming, loras) for loras in ("", "all:1", "ink:0.5,words:2")}
    draw(streaming, "all:1")
    roomy = residency.snapshot()
    assert roomy.streamed_bytes == 0
    largest = max(residency.transformer.weights.running.values())
    budget.limit = roomy.expected_peak_bytes + 3 * largest - roomy.ring_bytes - roomy.resident_bytes // 2
    draw(streaming)
    before = residency.snapshot().streamed_bytes
    for loras, image in reversed(wanted.items()):
        assert draw(streaming, loras) == image
        assert residency.snapshot().streamed_bytes > 0 if loras == "all:1" else True
    assert residency.snapshot().streamed_bytes == before
    assert len(set(wanted.values())) == 3


def test_readings_of_changed_encoders_are_kept_apart_on_the_disk_too(
    streaming: FluxEngine, tmp_path: Path, budget: FakeBudget, loras: Mapping[str, LoraCard]
) -> None:
    turns = ["", "ink:1", "words:1", "more-words:1"]
    images = [draw(streaming, each) for each in turns]
    kept = tmp_path / "prompts"
    assert len(list(kept.iterdir())) == 3  # what does not touch the encoders needs none of its own
    config = PipelineConfig(device="cpu", precision="int8", models_dir=tmp_path / "models", compile=False)
    again = FluxEngine(miniature_card(is_large=True), config, budget=budget, loras=lambda: loras, prompts_dir=kept)
    again.load()
    model = model_of(again)
    for part in model.residency.parts[1:]:
        part.module.register_forward_pre_hook(lambda *_: pytest.fail("a prompt was read again"))
    assert [draw(again, each) for each in turns] == images
    model.forget_prompts()
    assert [draw(again, each) for each in reversed(turns)] == images[::-1]


def test_image_is_drawn_again_with_its_loras_after_weights_were_damaged(
    streaming: FluxEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = draw(streaming, "all:1")
    first = model_of(streaming)
    flawed = iter([True])
    monkeypatch.setattr(PackedFile, "wait", lambda _file, _seconds: True)
    monkeypatch.setattr(type(streaming), "_is_damaged", lambda *_: next(flawed, False))
    monkeypatch.setattr(
        type(streaming), "_drop_damaged", lambda engine: engine.close() if next(closes, False) else None
    )
    closes = iter([False, True])
    assert draw(streaming, "all:1") == wanted
    assert model_of(streaming) is not first


def test_failed_run_leaves_the_next_without_a_lora(engine: FluxEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, changed = draw(engine), draw(engine, "ink:1")

    def broken(_progress: Progress) -> None:
        raise ValueError("no listener")

    with pytest.raises(Exception, match="no listener"):
        engine.generate(a_spec("ink:1"), on_progress=broken, should_stop=lambda: False)
    assert draw(engine) == plain
    assert draw(engine, "ink:1") == changed
