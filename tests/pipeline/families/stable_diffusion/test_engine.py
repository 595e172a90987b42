"""Miniatures of SD 1.5 and SDXL, drawn on the CPU through the engine from files of several layouts."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import make_engine
from pipeline.config import PipelineConfig
from pipeline.device.gpu import MIB
from pipeline.engine import Progress, Stage
from pipeline.errors import GenerationStopped, PipelineError
from pipeline.families.stable_diffusion import checkpoint
from pipeline.families.stable_diffusion.checkpoint import in_16_bits_if_all_fits
from pipeline.families.stable_diffusion.engine import StableDiffusionEngine
from pipeline.families.stable_diffusion.model import StableDiffusionModel
from pipeline.families.stable_diffusion.unet import UNet, random_conditioning
from pipeline.runtime.denoising_run import NotFinite
from pipeline.runtime.out_of_memory import Rung
from pipeline.runtime.vram_budget import FakeBudget
from pipeline.spec import ImageOptions, ImageSpec, Sampler
from pipeline.streaming.arithmetic import Arithmetic
from pipeline.streaming.quantization import Format
from tests.pipeline.families.stable_diffusion.random_sd import (
    Miniature,
    make_sd15,
    make_sdxl,
    write_folder,
    write_single_file,
)

LONG = ", ".join(["a red fox", "deep snow", "soft light", "old film"] * 12)  # two chunks


def draw(engine: Any, spec: ImageSpec, on_progress: Callable[[Progress], None] | None = None) -> bytes:
    pixels: bytes = engine.generate(
        spec, on_progress=on_progress or (lambda _progress: None), should_stop=lambda: False
    ).pixels
    return pixels


def a_spec(card: ModelCard, prompt: str = "a red fox in snow", **changes: Any) -> ImageSpec:
    options = ImageOptions(prompt=prompt, seed=3, steps=2, negative_prompt="blurry")
    return replace(card.resolve(options, random_seed=0), width=64, height=64, **changes)


def model_of(engine: StableDiffusionEngine) -> StableDiffusionModel:
    assert engine.loaded is not None
    model = engine.loaded.model
    assert isinstance(model, StableDiffusionModel)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def sdxl(folder: Path) -> tuple[Miniature, ModelCard]:
    miniature = make_sdxl()
    return miniature, write_single_file(miniature, folder / "sdxl")


@pytest.fixture(scope="module")
def engine(folder: Path, sdxl: tuple[Miniature, ModelCard]) -> Iterator[StableDiffusionEngine]:
    made = StableDiffusionEngine(sdxl[1], PipelineConfig(device="cpu", models_dir=folder / "sdxl"))
    made.load()
    yield made
    made.close()


def drawn_once(card: ModelCard, folder: Path) -> bytes:
    made = make_engine(card, PipelineConfig(device="cpu", models_dir=folder))
    image = draw(made, a_spec(card))
    made.close()
    return image


def test_one_file_and_a_folder_of_diffusers_draw_the_same_image(
    tmp_path: Path, engine: StableDiffusionEngine, sdxl: tuple[Miniature, ModelCard]
) -> None:
    assert draw(engine, a_spec(sdxl[1])) == drawn_once(write_folder(sdxl[0], tmp_path), tmp_path)


def test_so_they_do_with_sd15(tmp_path: Path) -> None:
    miniature = make_sd15()
    one_file = drawn_once(write_single_file(miniature, tmp_path), tmp_path)
    assert one_file == drawn_once(write_folder(miniature, tmp_path), tmp_path)
    assert len(set(one_file)) > 100


def test_file_without_a_vae_in_its_place_is_refused_by_name(tmp_path: Path, sdxl: tuple[Miniature, ModelCard]) -> None:
    card = write_folder(sdxl[0], tmp_path)
    wrong = replace(card, files={**card.files, "vae": card.files["unet"]})
    with pytest.raises(PipelineError, match=r"diffusion_pytorch_model.*: it holds no VAE"):
        StableDiffusionEngine(wrong, PipelineConfig(device="cpu", models_dir=tmp_path)).load()


def test_everything_that_people_ask_for_changes_the_image(
    engine: StableDiffusionEngine, sdxl: tuple[Miniature, ModelCard]
) -> None:
    spec = a_spec(sdxl[1])
    asked = [
        spec,
        replace(spec, prompt="a (red:1.4) fox in snow"),
        replace(spec, prompt=LONG),
        replace(spec, prompt=LONG.replace("old film", "new film")),  # beyond the first 75 tokens, too
        replace(spec, negative_prompt=""),
        replace(spec, negative_prompt=LONG),
        replace(spec, cfg_scale=1.0),
        replace(spec, clip_skip=3),
        replace(spec, sampler=Sampler.EULER.value),
        replace(spec, seed=4),
    ]
    images = [draw(engine, each) for each in asked]
    assert len(set(images)) == len(asked)
    assert draw(engine, spec) == images[0]


def test_translations_are_read_in_place_of_both_prompts(
    engine: StableDiffusionEngine, sdxl: tuple[Miniature, ModelCard]
) -> None:
    reader, spec = model_of(engine).reader, a_spec(sdxl[1])
    foreign = replace(spec, prompt="狐狸", negative_prompt="模糊", translated=spec.prompt, translated_negative="blurry")
    read = [reader.conditioning(each).text for each in (spec, foreign, replace(foreign, translated_negative=""))]
    assert torch.equal(read[0], read[1]) and not torch.equal(read[0], read[2])


def test_guidance_is_one_pass_and_known_prompts_are_not_read_again(
    engine: StableDiffusionEngine, sdxl: tuple[Miniature, ModelCard]
) -> None:
    model, spec = model_of(engine), a_spec(sdxl[1], "a blue boat")
    rows: list[int] = []
    read: list[int] = []
    hooks = [
        model.residency.transformer.module.register_forward_pre_hook(lambda _unet, inputs: rows.append(len(inputs[0]))),
        model.residency.parts[1].module.register_forward_pre_hook(lambda _clip, inputs: read.append(len(inputs[0]))),
    ]
    draw(engine, spec)
    draw(engine, replace(spec, seed=5))
    assert rows == [2] * 4
    assert read == [1]  # the negative prompt was known
    draw(engine, replace(spec, cfg_scale=1.0))
    assert rows[4:] == [1, 1]
    for hook in hooks:
        hook.remove()


def test_only_the_prompt_that_is_drawn_is_read_and_empty_text_is_known_when_words_have_weights(
    engine: StableDiffusionEngine, sdxl: tuple[Miniature, ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, read = model_of(engine), list[int]()
    monkeypatch.setattr(model.prompts, "upcoming", ("a dog",))
    model.reader.conditioning(a_spec(sdxl[1], "a (green:1.2) boat"))
    encoder = model.residency.parts[1].module
    hook = encoder.register_forward_pre_hook(lambda _clip, inputs: read.append(len(inputs[0])))
    model.reader.conditioning(a_spec(sdxl[1], "a (grey:1.2) boat"))
    hook.remove()
    assert read == [1]
    assert "a dog" not in model.prompts.prompts


def test_stop_is_heard_between_blocks_and_progress_counts_the_steps_that_are_taken(
    engine: StableDiffusionEngine, sdxl: tuple[Miniature, ModelCard]
) -> None:
    card, seen = sdxl[1], list[Progress]()
    spec = a_spec(card)
    draw(engine, spec, seen.append)
    assert [each.step for each in seen if each.stage is Stage.DENOISING] == [0, 1, 2]
    assert seen[-1].preview is not None
    seen.clear()
    source = bytes(64 * 64 * 3)
    half = replace(spec, steps=4, strength=0.5, source=sha256(source).hexdigest())
    image = engine.generate(half, on_progress=seen.append, should_stop=lambda: False, source=source)
    assert image.steps_taken == card.architecture.steps_taken(half.steps, half.strength) == 2
    assert image.step_s == image.denoise_s / 2
    assert [(each.step, each.steps) for each in seen if each.stage is Stage.DENOISING] == [(0, 2), (1, 2), (2, 2)]
    asked = iter(range(10**6))
    with pytest.raises(GenerationStopped):
        engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: next(asked) > 8)
    assert draw(engine, spec) == draw(engine, spec)


def test_streamed_blocks_draw_what_resident_ones_draw(
    folder: Path, engine: StableDiffusionEngine, sdxl: tuple[Miniature, ModelCard]
) -> None:
    """In memory for half of the blocks, with the text encoders in the ring; packed once, and then read from there."""
    card = replace(sdxl[1], packed_gb=1)
    config = PipelineConfig(device="cpu", models_dir=folder / "sdxl", compile=False)
    sizes = model_of(engine).residency.transformer.sizes
    cost = card.largest_cost()
    wanted = draw(engine, a_spec(card))
    for _ in range(2):
        budget = FakeBudget(cost.tile_bytes + sum(sizes.values()) + 208 * MIB, grain=MIB)
        made = StableDiffusionEngine(card, config, budget=budget)
        made.load()
        residency = model_of(made).residency
        residency.fit_to(budget.limit)
        assert residency.is_streamed
        for _ in range(200):  # until some blocks are streamed
            if residency.transformer.streamed_bytes:
                break
            budget.limit -= MIB // 4
            residency.fit_to(budget.limit)
        assert residency.transformer.streamed_bytes > 0
        assert draw(made, a_spec(card)) == wanted
        made.close()
    assert {path.name.split(".")[1] for path in config.packed_folder.glob("sdxl.*.safetensors")} == {
        "unet",
        "clip_l",
        "clip_g",
    }


def test_compiled_blocks_predict_the_same(engine: StableDiffusionEngine, sdxl: tuple[Miniature, ModelCard]) -> None:
    """Here with a compiler that only traces; on a GPU with the real one."""
    model = model_of(engine)
    unet, told = model.residency.transformer, random_conditioning(model.residency.transformer.module)
    assert isinstance(unet, UNet)
    blocks = [unet.module.get_submodule(name) for name in unet.running]
    before = [block.forward for block in blocks]
    sizes = [torch.ones(1, 4, 8, side) for side in (8, 16)]
    plain = [unet.predict(latents, torch.tensor(500.0), told, 3.0) for latents in sizes]
    assert unet.compile_blocks(model.residency.run_step, backend="eager")
    compiled = [unet.predict(latents, torch.tensor(500.0), told, 3.0) for latents in sizes]
    for block, forward in zip(blocks, before, strict=True):
        block.forward = forward
    assert all(torch.allclose(*pair, atol=1e-4) for pair in zip(plain, compiled, strict=True))
    assert not unet.compile_blocks(model.residency.run_step, backend=refuse)
    assert [block.forward for block in blocks] == before


def refuse(_graph: object, _inputs: object) -> Callable[..., Any]:
    raise RuntimeError("no compiler here")


def test_integers_draw_nearly_the_same(
    folder: Path, engine: StableDiffusionEngine, sdxl: tuple[Miniature, ModelCard]
) -> None:
    spec = a_spec(sdxl[1])
    made = StableDiffusionEngine(sdxl[1], PipelineConfig(device="cpu", models_dir=folder / "sdxl", precision="int8"))
    exact, rounded = (torch.frombuffer(bytearray(draw(each, spec)), dtype=torch.uint8) for each in (engine, made))
    made.close()
    assert 0 < float((exact.float() - rounded.float()).abs().mean()) < 8


def test_vae_that_overflows_in_16_bits_gives_no_black_image(tmp_path: Path, sdxl: tuple[Miniature, ModelCard]) -> None:
    """As SDXL's does: inside, values pass what float16 holds, and come back. Each half works in float32 then."""
    miniature = sdxl[0]
    vae = copy.deepcopy(miniature.modules["vae"])
    for half in (vae.decoder, vae.encoder):
        half.mid_block.resnets[0].conv2.weight *= 1e6  # which 16 bits still hold
    card = write_single_file(replace(miniature, modules={**miniature.modules, "vae": vae}), tmp_path)
    images = []
    for precision in ("float32", "float16"):
        made = StableDiffusionEngine(card, PipelineConfig(device="cpu", models_dir=tmp_path, precision=precision))
        source = bytes(range(256)) * (64 * 64 * 3 // 256)
        spec = replace(a_spec(card), strength=0.6, steps=3, source=sha256(source).hexdigest())
        images.append(
            made.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: False, source=source).pixels
        )
        climbed = model_of(made).residency.ladder.climbed
        assert climbed[Rung.FLOAT32] == (2 if precision == "float16" else 0)
        assert climbed[Rung.CPU] == 0
        assert made.loaded is not None
        preview = made.loaded.previewer(torch.zeros(1, 4, 8, 8))
        assert len(preview.pixels) == 8 * 8 * 3
        made.close()
    exact, half = (torch.frombuffer(bytearray(image), dtype=torch.uint8).float() for image in images)
    assert float((exact - half).abs().mean()) < 8


def test_closing_gives_every_tensor_back(tmp_path: Path, sdxl: tuple[Miniature, ModelCard]) -> None:
    """Models take turns in one process. This one is of a file in 16 bits."""
    card = write_single_file(sdxl[0], tmp_path, dtype=torch.float16)
    made = StableDiffusionEngine(card, PipelineConfig(device="cpu", models_dir=tmp_path))
    gc.collect()
    before = {id(each) for each in gc.get_objects() if issubclass(type(each), Tensor)}
    assert len(set(draw(made, a_spec(card)))) > 100
    ours = [weakref.ref(each) for each in gc.get_objects() if issubclass(type(each), Tensor) and id(each) not in before]
    weights = sum(each().nbytes for each in ours if each() is not None)  # type: ignore[union-attr]
    assert weights > 20 * MIB
    made.close()
    gc.collect()
    left = [each() for each in ours if each() is not None]
    assert sum(each.nbytes for each in left if each is not None) < MIB


def test_what_an_earlier_release_read_of_prompts_is_not_taken_for_ours(
    folder: Path, sdxl: tuple[Miniature, ModelCard], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = checkpoint.recipes_of(sdxl[1], folder / "sdxl")
    arithmetic = Arithmetic(
        weight_format=Format.FLOAT32,
        uses_8bit_matmul=False,
        dtype=torch.float32,
        device="cpu",
        is_streamed=True,
        speed=None,
    )
    ours = checkpoint.readers_of(sdxl[1], folder / "sdxl", recipes, arithmetic)
    assert ours == checkpoint.readers_of(sdxl[1], folder / "sdxl", recipes, arithmetic)
    monkeypatch.setattr(checkpoint, "READING", checkpoint.READING - 1)
    assert ours != checkpoint.readers_of(sdxl[1], folder / "sdxl", recipes, arithmetic)


@pytest.mark.parametrize(
    ("dtype", "uses_8bit_matmul", "attempts"),
    [(torch.float32, False, 1), (torch.float16, False, 1), (torch.float16, True, 2)],
)
def test_overflow_is_drawn_again_only_with_other_arithmetic_and_names_the_setting_that_helps(
    engine: StableDiffusionEngine,
    sdxl: tuple[Miniature, ModelCard],
    monkeypatch: pytest.MonkeyPatch,
    dtype: torch.dtype,
    uses_8bit_matmul: bool,
    attempts: int,
) -> None:
    tried: list[int] = []

    def overflow(*_inputs: object) -> None:
        tried.append(1)
        raise NotFinite("a step gave values that are not finite")

    model, loaded = model_of(engine), engine.loaded
    assert loaded is not None
    arithmetic = replace(loaded.arithmetic, dtype=dtype, uses_8bit_matmul=uses_8bit_matmul)
    with monkeypatch.context() as patch:
        patch.setattr(model, "draw", overflow)
        patch.setattr(engine, "loaded", replace(loaded, arithmetic=arithmetic))
        with pytest.raises(NotFinite) as raised:
            draw(engine, a_spec(sdxl[1]))
    loaded.arithmetic.use_in(model.residency.transformer)
    assert len(tried) == attempts
    assert ('precision = "bfloat16"' in str(raised.value)) == (dtype is torch.float16)


def test_weights_stay_in_16_bits_where_all_fit_and_in_8_bits_otherwise(
    folder: Path, sdxl: tuple[Miniature, ModelCard]
) -> None:
    card, config = sdxl[1], PipelineConfig(models_dir=folder / "sdxl")
    in_8_bits = Arithmetic(
        weight_format=Format.INT8,
        uses_8bit_matmul=True,
        dtype=torch.float16,
        device="cuda",
        is_streamed=True,
        speed=None,
    )
    plenty = in_16_bits_if_all_fits(card, config, in_8_bits, FakeBudget(8 * 2**30))
    assert (plenty.weight_format, plenty.uses_8bit_matmul) == (Format.FLOAT16, False)
    assert in_16_bits_if_all_fits(card, config, in_8_bits, FakeBudget(300 * MIB)) is in_8_bits
    for_a_while = FakeBudget(8 * 2**30, others=8 * 2**30 - 300 * MIB)  # which must not change images
    assert in_16_bits_if_all_fits(card, config, in_8_bits, for_a_while) == plenty
