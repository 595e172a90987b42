"""Model cards, the choice among them, and making engines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.catalog import models
from pipeline.catalog.model_card import Bounds, ModelCard
from pipeline.catalog.models import (
    DEMO,
    FAKE,
    FLUX1_DEV,
    FLUX1_SCHNELL,
    MAJICFLUS_V1,
    MODELS,
    SD15,
    SDXL,
    Z_IMAGE_TURBO,
    choose_model,
    create_engine,
    find_model,
)
from pipeline.config import PipelineConfig
from pipeline.device.gpu import Gpu
from pipeline.errors import GpuUnusable, InvalidSpec, PackedDirReadOnly, UnknownModel
from pipeline.fake import FakeEngine
from pipeline.spec import SIDE_MULTIPLE_PX, Aspect, Dimensions, ImageOptions, Size

A_GPU = Gpu(name="card", driver="580", total_mib=8188, free_mib=7000, compute_capability=(8, 9))
AN_OLD_GPU = Gpu(name="card", driver="580", total_mib=8188, free_mib=7000, compute_capability=(6, 1))


@pytest.mark.parametrize("card", [*MODELS.values(), FAKE], ids=lambda card: card.name)
def test_card_is_consistent(card: ModelCard) -> None:
    assert find_model(card.name) is card
    assert Aspect.SQUARE in card.sizes
    assert all(side % SIDE_MULTIPLE_PX == 0 for size in card.sizes.values() for side in size)
    assert card.licence
    assert card.licence_url.startswith("https://")
    for aspect in card.sizes:
        spec = card.resolve(ImageOptions(prompt="a cat", aspect=aspect), random_seed=5)
        assert (spec.width, spec.height) == card.sizes[aspect]
        assert spec.seed == 5
        assert spec.steps == card.default_steps


@pytest.mark.parametrize("card", [*MODELS.values(), FAKE], ids=lambda card: card.name)
def test_every_named_size_keeps_the_shape_and_can_be_named_again(card: ModelCard) -> None:
    for aspect, (width, height) in card.sizes.items():
        for size, scale in card.scales.items():
            drawn = card.size(aspect, size)
            assert card.pixels_of(ImageOptions(prompt="x", aspect=aspect, size=size)) == drawn
            assert card.name_of_size(*drawn) == (aspect, size)
            assert card.can_draw(*drawn) and all(side % SIDE_MULTIPLE_PX == 0 for side in drawn)
            assert drawn[0] / drawn[1] == pytest.approx(width / height, rel=0.01)
            assert drawn[0] * drawn[1] == pytest.approx(width * height * scale**2, rel=0.13 if card is FAKE else 0.05)


@pytest.mark.parametrize("card", [MAJICFLUS_V1, FLUX1_DEV], ids=lambda card: card.name)
def test_flux_draft_is_a_quarter_and_large_is_two_megapixels_at_most(card: ModelCard) -> None:
    for aspect, (width, height) in card.sizes.items():
        assert card.size(aspect, Size.DRAFT) == (width // 2, height // 2)
        wide, high = card.size(aspect, Size.LARGE)
        assert 2e6 < wide * high <= 2**21


def test_flux_draws_the_size_of_the_article() -> None:
    spec = FLUX1_DEV.resolve(ImageOptions.read(prompt="a cat", size="512x512"), random_seed=0)
    assert (spec.width, spec.height) == (512, 512)


def test_exact_size_leaves_nothing_for_the_shape_to_say() -> None:
    options = ImageOptions(prompt="x", aspect=Aspect.WIDE, size=Dimensions(width=448, height=640))
    assert FLUX1_DEV.pixels_of(options) == (448, 640)


@pytest.mark.parametrize(
    ("card", "size", "nearest"),
    [
        (FLUX1_DEV, "450x450", "448x448"),
        (FLUX1_DEV, "1025x1024", "1024x1024"),
        (FLUX1_DEV, "0x0", "256x256"),
        (FLUX1_DEV, "128x128", "256x256"),
        (FLUX1_DEV, "4096x4096", "1440x1440"),
        (FLUX1_DEV, "2048x512", "1776x592"),
        (DEMO, "512x512", "256x256"),
        (DEMO, "64x64", "160x160"),
        (DEMO, "256x192", "224x224"),
    ],
)
def test_size_that_cannot_be_drawn_is_answered_with_the_nearest(card: ModelCard, size: str, nearest: str) -> None:
    with pytest.raises(InvalidSpec, match=f"the nearest that can is {nearest}$") as raised:
        card.resolve(ImageOptions.read(prompt="a cat", size=size), random_seed=0)
    assert (raised.value.field, raised.value.values["nearest"]) == ("size", nearest)
    card.resolve(ImageOptions.read(prompt="a cat", size=nearest), random_seed=0)


def test_named_size_that_a_model_does_not_offer_is_answered_with_those_it_does() -> None:
    with pytest.raises(InvalidSpec, match="size: must be one of draft, normal with demo"):
        DEMO.resolve(ImageOptions(prompt="a cat", size=Size.LARGE), random_seed=0)


ANY_BOUNDS = st.tuples(st.integers(1, 40), st.integers(1, 30), st.floats(1, 8)).map(
    lambda drawn: Bounds(
        min_side=16 * drawn[0], max_pixels=(16 * drawn[0]) ** 2 * drawn[1] + drawn[1], max_ratio=drawn[2]
    )
)


@given(ANY_BOUNDS, st.integers(-9, 10**6), st.integers(-9, 10**6))
def test_nearest_size_is_allowed_and_that_of_an_allowed_one_is_itself(bounds: Bounds, width: int, height: int) -> None:
    nearest = bounds.nearest(width, height)
    assert bounds.allow(nearest.width, nearest.height)
    assert bounds.nearest(nearest.width, nearest.height) == nearest
    if bounds.allow(width, height):
        assert nearest == Dimensions(width=width, height=height)


@pytest.mark.parametrize("bounds", [(0, 9, 1.0), (24, 9999, 1.0), (64, 4095, 1.0)])
def test_bounds_that_allow_nothing_are_an_error(bounds: tuple[int, int, float]) -> None:
    with pytest.raises(ValueError, match="no such size"):
        Bounds(min_side=bounds[0], max_pixels=bounds[1], max_ratio=bounds[2])


@pytest.mark.parametrize(
    ("pixels", "final"),
    [
        ((512, 512), Size.NORMAL),
        ((672, 384), Size.NORMAL),
        ((448, 448), Dimensions(width=1024, height=1024)),
        ((256, 512), Dimensions(width=720, height=1440)),
        ((1024, 1024), None),
        ((1344, 768), None),
        ((1440, 1440), None),
        ((960, 960), None),
    ],
)
def test_smaller_image_has_a_final_size_of_its_shape(pixels: tuple[int, int], final: object) -> None:
    assert FLUX1_DEV.final_size(*pixels) == final


@pytest.mark.parametrize("card", MODELS.values(), ids=lambda card: card.name)
def test_card_names_every_file_and_no_pickle(card: ModelCard) -> None:
    assert set(card.files) == set(card.architecture.components)
    assert all(file.is_folder or file.path.endswith(".safetensors") for file in card.files.values())


@pytest.mark.parametrize("card", [MAJICFLUS_V1, FLUX1_DEV], ids=lambda card: card.name)
def test_flux_sizes_are_about_a_megapixel(card: ModelCard) -> None:
    assert all(0.95e6 < width * height < 1.1e6 for width, height in card.sizes.values())


def test_public_models_are_known_and_the_fake_is_hidden() -> None:
    assert list(MODELS) == [
        "majicflus-v1",
        "flux1-dev",
        "flux1-schnell",
        "z-image-turbo",
        "flux2-klein-4b",
        "sdxl",
        "sd15",
        "demo",
    ]


def test_resolve_cleans_the_prompt_and_keeps_what_was_said() -> None:
    options = ImageOptions(prompt="  a\u200b  cat ", seed=3, steps=4, aspect=Aspect.WIDE)
    spec = FLUX1_DEV.resolve(options, random_seed=9)
    assert (spec.prompt, spec.seed, spec.steps, spec.width, spec.height) == ("a cat", 3, 4, 1344, 768)
    assert (spec.guidance, spec.cfg_scale, spec.model) == (3.5, 1.0, "flux1-dev")


@pytest.mark.parametrize("seed", [None, -1])
def test_open_seed_becomes_the_random_one(seed: int | None) -> None:
    assert DEMO.resolve(ImageOptions(prompt="a cat", seed=seed), random_seed=42).seed == 42


def test_seed_zero_is_a_seed() -> None:
    assert DEMO.resolve(ImageOptions(prompt="a cat", seed=0), random_seed=42).seed == 0


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (ImageOptions(prompt=" \u200b "), "prompt"),
        (ImageOptions(prompt="x" * 2001), "prompt"),
        (ImageOptions(prompt="a cat", seed=-2), "seed"),
        (ImageOptions(prompt="a cat", seed=2**32), "seed"),
        (ImageOptions(prompt="a cat", steps=0), "steps"),
        (ImageOptions(prompt="a cat", steps=51), "steps"),
        (ImageOptions(prompt="a cat", aspect=Aspect.WIDE), "aspect"),
    ],
)
def test_options_out_of_range_are_refused(options: ImageOptions, field: str) -> None:
    with pytest.raises(InvalidSpec) as raised:
        DEMO.resolve(options, random_seed=0)
    assert raised.value.field == field


def test_unknown_model_lists_the_known_ones(tmp_path: Path) -> None:
    config = PipelineConfig(model="sd3", models_dir=tmp_path)
    for attempt in (lambda: choose_model(config), lambda: create_engine("sd3", config)):
        with pytest.raises(UnknownModel) as raised:
            attempt()
        assert raised.value.known == tuple(MODELS)


@pytest.mark.parametrize(
    ("device", "gpu", "missing", "chosen"),
    [
        ("auto", A_GPU, [], MAJICFLUS_V1),
        ("auto", A_GPU, ["a file"], DEMO),
        ("auto", None, [], DEMO),
        ("auto", AN_OLD_GPU, [], DEMO),
        ("cpu", A_GPU, [], DEMO),
        ("cuda", A_GPU, [], MAJICFLUS_V1),
    ],
)
def test_auto_takes_majicflus_where_its_files_and_a_gpu_are(
    device: str, gpu: Gpu | None, missing: list[str], chosen: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: gpu)
    monkeypatch.setattr(models.files, "missing", lambda card, models_dir: missing)
    card, reason = choose_model(PipelineConfig.model_validate({"device": device}))
    assert card is chosen
    assert reason


@pytest.mark.parametrize(
    ("device", "gpu", "absent", "usable"),
    [
        ("auto", A_GPU, [], [MAJICFLUS_V1, FLUX1_DEV, FLUX1_SCHNELL, Z_IMAGE_TURBO, SDXL, SD15, DEMO]),
        ("auto", A_GPU, [FLUX1_DEV], [MAJICFLUS_V1, FLUX1_SCHNELL, Z_IMAGE_TURBO, SDXL, SD15, DEMO]),
        ("auto", None, [], [DEMO, SD15]),
        ("auto", AN_OLD_GPU, [], [DEMO, SD15]),
        ("cpu", A_GPU, [SD15], [DEMO]),
    ],
)
def test_usable_models_have_their_files_and_what_they_need(
    device: str, gpu: Gpu | None, absent: list[ModelCard], usable: list[ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: gpu)
    monkeypatch.setattr(models.files, "missing", lambda card, _models_dir: ["a file"] if card in absent else [])
    assert models.usable_models(PipelineConfig.model_validate({"device": device})) == usable


def test_named_model_is_taken_whatever_is_there(tmp_path: Path) -> None:
    card, _reason = choose_model(PipelineConfig(model="flux1-dev", models_dir=tmp_path))
    assert card is FLUX1_DEV


@pytest.mark.parametrize("gpu", [None, AN_OLD_GPU])
def test_large_model_without_a_usable_card_is_refused_before_torch_is_imported(
    gpu: Gpu | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: gpu)
    monkeypatch.setitem(sys.modules, "pipeline.families.flux.engine", None)
    with pytest.raises(GpuUnusable):
        create_engine("flux1-dev", PipelineConfig(models_dir=tmp_path))


def test_large_model_needs_a_folder_for_its_packed_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.device.gpu.find_gpu", lambda: A_GPU)
    (tmp_path / "file").touch()
    models.demand_means(MAJICFLUS_V1, PipelineConfig(models_dir=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    config = PipelineConfig(models_dir=tmp_path, packed_dir=tmp_path / "file" / "packed")
    with pytest.raises(PackedDirReadOnly) as raised:
        models.demand_means(MAJICFLUS_V1, config)
    assert (raised.value.folder, raised.value.needed_gb) == (config.packed_dir, 17)
    models.demand_means(DEMO, config)


def test_fake_engine_is_made_on_demand(tmp_path: Path) -> None:
    assert isinstance(create_engine("fake", PipelineConfig(models_dir=tmp_path)), FakeEngine)


def test_public_half_imports_neither_torch_nor_the_hub() -> None:
    code = (
        "import sys, pipeline.catalog.models, pipeline.images.png_metadata, pipeline.fake, pipeline.catalog.files\n"
        "print(*{'torch', 'diffsynth', 'modelscope', 'transformers'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_making_an_engine_limits_the_spinning_of_waiting_threads(tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from pipeline.config import PipelineConfig\n"
        "from pipeline.catalog.models import create_engine\n"
        "create_engine('demo', PipelineConfig(models_dir=Path(sys.argv[1])))\n"
        "print(os.environ['GOMP_SPINCOUNT'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    command = [sys.executable, "-c", code, str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == "3000"
