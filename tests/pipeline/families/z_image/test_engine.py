"""A miniature Z-Image-Turbo, drawn on the CPU through the engine from files of several layouts, streamed and not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import make_engine
from pipeline.config import PipelineConfig
from pipeline.device.gpu import MIB
from pipeline.engine import Progress, Stage
from pipeline.errors import GenerationStopped, PipelineError
from pipeline.families.z_image.engine import ZImageEngine
from pipeline.families.z_image.model import ZImageModel
from pipeline.families.z_image.transformer import random_text
from pipeline.runtime.denoising_run import NotFinite
from pipeline.runtime.vram_budget import FakeBudget
from pipeline.spec import ImageOptions, ImageSpec
from pipeline.streaming.quantization import Format
from tests.pipeline.families.z_image.random_z_image import (
    Miniature,
    lumina,
    make_miniature,
    write_comfyui,
    write_folder,
    write_gguf_files,
)
from tests.pipeline.measured import measured_card
from tests.pipeline.miniature_storage import write_safetensors


def draw(engine: Any, spec: ImageSpec, on_progress: Callable[[Progress], None] | None = None, **options: Any) -> bytes:
    pixels: bytes = engine.generate(
        spec, on_progress=on_progress or (lambda _progress: None), should_stop=lambda: False, **options
    ).pixels
    return pixels


def a_spec(card: ModelCard, prompt: str = "雪中的狐狸, a fox", **changes: Any) -> ImageSpec:
    return replace(card.resolve(ImageOptions(prompt=prompt, seed=3, steps=2), random_seed=0), **changes)


def model_of(engine: ZImageEngine) -> ZImageModel:
    assert engine.loaded is not None
    model = engine.loaded.model
    assert isinstance(model, ZImageModel)
    return model


@pytest.fixture(scope="module")
def miniature() -> Miniature:
    return make_miniature()


@pytest.fixture(scope="module")
def folder(miniature: Miniature, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelCard, Path]:
    path = tmp_path_factory.mktemp("models")
    return write_folder(miniature, path), path


@pytest.fixture(scope="module")
def engine(folder: tuple[ModelCard, Path]) -> Iterator[ZImageEngine]:
    card, path = folder
    made = ZImageEngine(card, PipelineConfig(device="cpu", models_dir=path))
    made.load()
    yield made
    made.close()


@pytest.fixture(scope="module")
def drawn(engine: ZImageEngine, folder: tuple[ModelCard, Path]) -> bytes:
    return draw(engine, a_spec(folder[0]))


@pytest.mark.parametrize("write", [write_comfyui, write_gguf_files])
def test_every_layout_draws_the_same_image(
    tmp_path: Path, miniature: Miniature, drawn: bytes, write: Callable[[Miniature, Path], ModelCard]
) -> None:
    card = write(miniature, tmp_path)
    made = make_engine(card, PipelineConfig(device="cpu", models_dir=tmp_path))
    assert draw(made, a_spec(card)) == drawn
    made.close()
    assert len(set(drawn)) > 100


def test_streamed_blocks_draw_what_resident_ones_draw(folder: tuple[ModelCard, Path], drawn: bytes) -> None:
    """With the refiners of the text and Qwen3 in the ring; packed once, and then read from there."""
    card, path = replace(folder[0], packed_gb=1), folder[1]
    config = PipelineConfig(device="cpu", models_dir=path, compile=False)
    for _ in range(2):
        budget = FakeBudget(8 * 2**30, grain=MIB // 16)
        made = ZImageEngine(card, config, budget=budget)
        made.load()
        residency = model_of(made).residency
        budget.limit = card.largest_cost().tile_bytes + 300 * MIB
        residency.fit_to(budget.limit)
        while not residency.transformer.streamed_bytes:
            budget.limit -= MIB // 4
            residency.fit_to(budget.limit)
        assert draw(made, a_spec(card)) == drawn
        assert residency.transformer.streamed_bytes > 0
        made.close()
    names = {each.name.split(".")[1] for each in config.packed_folder.glob("z-image-turbo.*.safetensors")}
    assert names == {"dit", "qwen3"}


def test_known_prompts_are_not_read_again_and_those_to_come_are_read_along(
    engine: ZImageEngine, folder: tuple[ModelCard, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, card = model_of(engine), folder[0]
    read: list[int] = []
    hook = model.residency.parts[1].module.register_forward_pre_hook(lambda _qwen, inputs: read.append(len(inputs[0])))
    alone = model.reader.embeddings("a dog that is brown")
    model.forget_prompts()
    monkeypatch.setattr(model.prompts, "upcoming", ("a dog that is brown",))
    draw(engine, a_spec(card, "一只蓝色的船"))
    draw(engine, a_spec(card, "一只蓝色的船", seed=5))
    assert torch.equal(model.reader.embeddings("a dog that is brown"), alone)
    assert read == [1, 2]
    hook.remove()


def test_what_people_ask_for_changes_the_image(engine: ZImageEngine, folder: tuple[ModelCard, Path]) -> None:
    spec = a_spec(folder[0])
    asked = [spec, replace(spec, prompt="雪中的狐狸, a box"), replace(spec, seed=4), replace(spec, steps=3)]
    asked += [replace(spec, translated="a fox in snow"), replace(spec, prompt="<|im_end|>")]
    images = [draw(engine, each) for each in asked]
    assert len(set(images)) == len(asked)
    assert draw(engine, spec) == images[0]


def test_stop_is_heard_between_blocks_and_progress_has_previews(
    engine: ZImageEngine, folder: tuple[ModelCard, Path]
) -> None:
    spec, seen = a_spec(folder[0]), list[Progress]()
    draw(engine, spec, seen.append)
    assert [each.step for each in seen if each.stage is Stage.DENOISING] == [0, 1, 2]
    assert seen[-1].preview is not None
    asked = iter(range(10**6))
    with pytest.raises(GenerationStopped):
        engine.generate(spec, on_progress=lambda _progress: None, should_stop=lambda: next(asked) > 4)
    assert draw(engine, spec) == draw(engine, spec)


def test_upscale_is_drawn_in_tiles(engine: ZImageEngine, folder: tuple[ModelCard, Path]) -> None:
    source = bytes(range(256)) * (64 * 64 * 3 // 256)
    spec = a_spec(folder[0], steps=8, strength=0.4, source=sha256(source).hexdigest())
    large = replace(spec, upscale=2, width=128, height=128)
    sizes: list[torch.Size] = []
    transformer = model_of(engine).transformer
    predict = transformer.predict
    transformer.predict = lambda latents, **options: (sizes.append(latents.shape), predict(latents, **options))[1]  # type: ignore[method-assign,func-returns-value]
    image = engine.generate(large, on_progress=lambda _progress: None, should_stop=lambda: False, source=source)
    transformer.predict = predict  # type: ignore[method-assign]
    assert (image.width, image.height) == (128, 128)
    assert len(sizes) > 4 and max(sizes[0][2:]) < 16
    assert len(set(image.pixels)) > 100


def test_compiled_blocks_predict_the_same(engine: ZImageEngine) -> None:
    """Here with a compiler that only traces; on a GPU with the real one."""
    model = model_of(engine)
    transformer = model.transformer
    blocks = [transformer.module.get_submodule(name) for name in transformer.running]
    sizes = [torch.ones(1, 16, 8, side) for side in (8, 12)]

    def predicted() -> list[torch.Tensor]:
        texts = [transformer.refine(random_text(transformer.module, tokens)) for tokens in (20, 70)]
        time = torch.tensor(500.0)
        return [transformer.predict(each, time, text) for each, text in zip(sizes, texts, strict=True)]

    plain = predicted()
    assert transformer.compile_blocks(model.residency.run_step, backend="eager")
    compiled = predicted()
    for block in blocks:
        del block.forward
    assert all(torch.allclose(*pair, atol=1e-4) for pair in zip(plain, compiled, strict=True))
    assert not transformer.compile_blocks(model.residency.run_step, backend=refuse)
    assert all("forward" not in vars(block) for block in blocks)


def refuse(_graph: object, _inputs: object) -> Callable[..., Any]:
    raise RuntimeError("no compiler here")


@pytest.mark.parametrize(
    ("tflops", "chosen"),
    [
        ({"bfloat16": 30.0, "int8": 120.0, "float8": 60.0}, (Format.INT8, True)),
        ({"bfloat16": 700.0, "int8": 620.0, "float8": 1150.0}, (Format.INT8, False)),  # not the faster floats
    ],
)
def test_integers_are_chosen_on_every_gpu(
    tmp_path: Path,
    folder: tuple[ModelCard, Path],
    monkeypatch: pytest.MonkeyPatch,
    tflops: dict[str, float],
    chosen: tuple[Format, bool],
) -> None:
    speed = measured_card(tflops=tflops)
    monkeypatch.setattr("pipeline.streaming.arithmetic.measure_gpu", lambda _folder: speed)
    monkeypatch.setattr("pipeline.streaming.arithmetic.is_supported", lambda _format: True)
    monkeypatch.setattr("pipeline.families.torch_engine.choose_device", lambda _device, _card: "cuda")
    made = ZImageEngine(folder[0], PipelineConfig(device="cuda", models_dir=tmp_path), budget=FakeBudget(8 * 2**30))
    arithmetic = made.choose_arithmetic(FakeBudget(8 * 2**30))
    assert (arithmetic.weight_format, arithmetic.uses_8bit_matmul) == chosen
    assert arithmetic.dtype is torch.bfloat16


def test_wrong_files_are_refused_by_name(tmp_path: Path, miniature: Miniature) -> None:
    card = write_comfyui(miniature, tmp_path)

    def refused(**files: str) -> str:
        wrong = replace(card, files={**card.files, **{name: card.files[other] for name, other in files.items()}})
        with pytest.raises(PipelineError) as error:
            ZImageEngine(wrong, PipelineConfig(device="cpu", models_dir=tmp_path)).load()
        return str(error.value)

    assert "ae.safetensors" in refused(dit="vae")
    assert "qwen_3_4b.safetensors" in refused(vae="qwen3")
    assert "z_image_turbo_bf16.safetensors" in refused(qwen3="dit")


def test_transformer_that_lacks_a_tensor_is_refused(tmp_path: Path, miniature: Miniature) -> None:
    card = write_comfyui(miniature, tmp_path)
    tensors = lumina(miniature.dit.state_dict())
    del tensors["layers.1.feed_forward.w2.weight"]
    write_safetensors(tmp_path / "some/body/z_image_turbo_bf16.safetensors", tensors)
    with pytest.raises(PipelineError, match=r"layers\.1\.feed_forward\.w2"):
        ZImageEngine(card, PipelineConfig(device="cpu", models_dir=tmp_path)).load()


def test_overflow_ends_in_words(engine: ZImageEngine, folder: tuple[ModelCard, Path]) -> None:
    transformer = model_of(engine).transformer
    weight = transformer.module.all_final_layer["2-1"].linear.bias
    kept = weight.clone()
    weight.fill_(float("inf"))
    with pytest.raises(NotFinite):
        draw(engine, a_spec(folder[0]))
    weight.copy_(kept)
