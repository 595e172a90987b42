"""A miniature of FLUX.2 [klein], drawn on the CPU through the engine, with and without reference images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from pipeline.catalog.architecture import StepCost
from pipeline.catalog.model_card import ModelCard
from pipeline.catalog.models import make_engine
from pipeline.config import PipelineConfig
from pipeline.device.gpu import MIB
from pipeline.engine import GeneratedImage, Progress, Reference, Stage
from pipeline.errors import (
    GenerationFailed,
    GenerationStopped,
    InvalidSpec,
    ModelFilesMissing,
    OutOfMemory,
    PipelineError,
)
from pipeline.families.flux2.engine import Flux2Engine
from pipeline.families.flux2.model import DECODED_AT_ONCE, Flux2Model, schedule_of
from pipeline.families.flux2.transformer import Transformer, random_inputs
from pipeline.families.inputs import Inputs
from pipeline.images.reference import fit_reference
from pipeline.runtime.vram_budget import FakeBudget
from pipeline.spec import UPSCALE, ImageOptions, ImageSpec
from tests.pipeline.families.flux2.random_flux2 import (
    Miniature,
    make_miniature,
    original_transformer,
    write_comfy,
    write_folder,
)
from tests.pipeline.miniature_storage import scaled_float8

SIDE = 64


def reference(seed: int, width: int = 48, height: int = 32) -> Reference:
    noise = torch.randint(256, (height, width, 3), generator=torch.Generator().manual_seed(seed))
    return fit_reference(Image.fromarray(noise.to(torch.uint8).numpy()))


def a_spec(card: ModelCard, references: Sequence[Reference] = (), **changes: Any) -> ImageSpec:
    options = ImageOptions(prompt="a red fox in snow", seed=3, steps=2)
    spec = card.resolve(options, random_seed=0, references=[each.key for each in references])
    return replace(spec, width=SIDE, height=SIDE, **changes)


def generate(engine: Flux2Engine, spec: ImageSpec, **options: Any) -> GeneratedImage:
    calls: dict[str, Any] = {"on_progress": lambda _progress: None, "should_stop": lambda: False} | options
    return engine.generate(spec, **calls)


def draw(engine: Flux2Engine, references: Sequence[Reference] = (), **changes: Any) -> bytes:
    return generate(engine, a_spec(engine.card, references, **changes), references=references).pixels


def model_of(engine: Flux2Engine) -> Flux2Model:
    assert engine.loaded is not None
    model = engine.loaded.model
    assert isinstance(model, Flux2Model)
    return model


def made(card: ModelCard, folder: Path, budget: FakeBudget | None = None, **settings: Any) -> Flux2Engine:
    config = PipelineConfig(device="cpu", models_dir=folder, cpu_threads=1, compile=False, **settings)
    engine = make_engine(card, config) if budget is None else Flux2Engine(card, config, budget=budget)
    assert isinstance(engine, Flux2Engine)
    engine.load()
    return engine


@pytest.fixture(scope="module", autouse=True)
def cheap_previews() -> Iterator[None]:
    """Engines decode a small image for each of 128 channels when they load, and one engine does as well for all."""
    decode, threads = Flux2Model.decode, torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flux2Model, "decode", lambda _model, latents: latents[:, :3].repeat_interleave(16, 2))
        patch.setattr(Flux2Model, "really_decode", decode, raising=False)
        yield
    torch.set_num_threads(threads)


def test_small_images_are_decoded_a_few_at_a_time(engine: Flux2Engine) -> None:
    model, latents = model_of(engine), torch.randn(DECODED_AT_ONCE + 3, 128, 1, 1)
    decoded = model.really_decode(latents)  # type: ignore[attr-defined]
    assert decoded.shape == (DECODED_AT_ONCE + 3, 3, 16, 16)
    assert torch.allclose(decoded[-1:], model.decoder(latents[-1:]), atol=1e-5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def miniature() -> Miniature:
    return make_miniature()


@pytest.fixture(scope="module")
def engine(folder: Path, miniature: Miniature) -> Iterator[Flux2Engine]:
    made_once = made(write_folder(miniature, folder), folder)
    yield made_once
    made_once.close()


@pytest.mark.parametrize("gguf_type", ["", "F32"])
def test_every_layout_draws_the_same_image(
    tmp_path: Path, engine: Flux2Engine, miniature: Miniature, gguf_type: str
) -> None:
    other = made(write_comfy(miniature, tmp_path, gguf_type=gguf_type), tmp_path)
    assert draw(other) == draw(engine)
    other.close()


@pytest.mark.parametrize("kept_as", ["Q8_0", "scaled float8"])
def test_rounded_files_draw_nearly_the_same_image(
    tmp_path: Path, engine: Flux2Engine, miniature: Miniature, kept_as: str
) -> None:
    if kept_as == "Q8_0":
        card = write_comfy(miniature, tmp_path, gguf_type=kept_as)
    else:
        card = write_comfy(
            miniature, tmp_path, dit=scaled_float8(original_transformer(miniature.dit.state_dict()), is_old=False)
        )
    other = made(card, tmp_path)
    assert 0 < distance(draw(other), draw(engine)) < 8
    other.close()


def distance(one: bytes, other: bytes) -> float:
    first, second = (torch.frombuffer(bytearray(each), dtype=torch.uint8).float() for each in (one, other))
    return float((first - second).abs().mean())


def test_integers_draw_nearly_the_same(folder: Path, engine: Flux2Engine) -> None:
    rounded = made(engine.card, folder, precision="int8")
    shown = [reference(1)]
    assert 0 < distance(draw(rounded, shown), draw(engine, shown)) < 8
    rounded.close()


def test_streamed_blocks_draw_what_resident_ones_draw(folder: Path, engine: Flux2Engine) -> None:
    """With the text encoder in the ring; packed once, and read from there afterwards. References take more memory."""
    card, edits = replace(engine.card, packed_gb=1), ([], [reference(1), reference(2)])
    wanted = [draw(engine, shown) for shown in edits]
    for _ in range(2):
        streamed = made(card, folder, FakeBudget(2**30, grain=1))
        for shown, image in zip(edits, wanted, strict=True):
            stream_some_blocks(streamed, Inputs(None, shown).cost(card.architecture, a_spec(card, shown)))
            assert draw(streamed, shown) == image
            assert model_of(streamed).residency.transformer.streamed_bytes
        streamed.close()
    config = PipelineConfig(device="cpu", models_dir=folder)
    packed = {path.name.split(".")[1] for path in config.packed_folder.glob(f"{card.name}.*.safetensors")}
    assert packed == {"dit", "qwen3"}


def stream_some_blocks(engine: Flux2Engine, cost: StepCost) -> None:
    """Find a limit at which some blocks stay on the GPU and some do not."""
    residency, budget = model_of(engine).residency, engine._budget
    assert isinstance(budget, FakeBudget) and residency.is_streamed
    least, most = 0, 2**30
    budget.limit = most
    residency.fit(cost)
    while not residency.transformer.streamed_bytes > 0:
        assert most - least > 1
        budget.limit = (least + most) // 2
        try:
            residency.fit_to(budget.limit)
        except OutOfMemory:
            least = budget.limit
        else:
            most = budget.limit


def test_memory_is_planned_for_the_tokens_of_references(folder: Path, engine: Flux2Engine) -> None:
    """And no longer than for the image that looks at them."""
    streamed = made(engine.card, folder, FakeBudget(4 * 2**30, grain=MIB))
    planned: list[int] = []
    for shown in ([], [reference(1, 1024, 1024)], [reference(1, 1024, 1024)] * 3, []):
        keys = [each.key for each in shown]
        spec = streamed.card.resolve(ImageOptions(prompt="a fox"), random_seed=0, references=keys)
        with pytest.raises(GenerationStopped):  # as soon as all is planned
            generate(streamed, spec, references=shown, should_stop=StopAt(1))
        plan = model_of(streamed).residency.plan
        assert plan is not None
        planned.append(model_of(streamed).residency._planned_cost.activation_bytes)  # type: ignore[union-attr]
    tokens = [each // 210_000 for each in planned]
    streamed.close()
    usual, drawn, text = 24, 16, 512
    assert tokens == [each + text for each in (usual, drawn + 64**2, drawn + 3 * 64**2, usual)]


class StopAt:
    """Stops when it is asked for the so manieth time."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_compiled_blocks_predict_the_same(engine: Flux2Engine) -> None:
    """Here with a compiler that only traces; on a GPU with the real one. With references, which the warm-up has not."""
    model = model_of(engine)
    transformer = model.residency.transformer
    assert isinstance(transformer, Transformer)
    blocks = [transformer.module.get_submodule(name) for name in transformer.running]
    before = [block.forward for block in blocks]
    latents, told = random_inputs(transformer.module, 96, [32, 64])
    plain = transformer.predict(latents, torch.tensor(500.0), told)
    assert transformer.compile_blocks(model.residency.run_step, backend="eager")
    compiled = transformer.predict(latents, torch.tensor(500.0), told)
    assert all(block.forward is not forward for block, forward in zip(blocks, before, strict=True))
    for block, forward in zip(blocks, before, strict=True):
        block.forward = forward
    assert torch.allclose(plain, compiled, atol=1e-4)


def test_a_known_prompt_is_not_read_again_and_others_are_read_along(engine: Flux2Engine) -> None:
    read: list[int] = []
    encoder = model_of(engine).residency.parts[1].module
    hook = encoder.register_forward_pre_hook(lambda _encoder, inputs: read.append(len(inputs[0])))
    alone = draw(engine, prompt="a blue boat")
    draw(engine, prompt="a blue boat", seed=4)
    assert read == [1]
    engine.forget_prompts()
    model_of(engine).prompts.upcoming = ("a green hat",)
    assert draw(engine, prompt="a blue boat") == alone
    draw(engine, prompt="a green hat")
    hook.remove()
    assert read == [1, 2]


def test_translated_text_is_what_is_read(engine: Flux2Engine) -> None:
    assert draw(engine, prompt="红狐狸", translated="a blue boat") == draw(engine, prompt="a blue boat")


@pytest.mark.parametrize(
    "shown",
    [
        [Reference(pixels=b"", width=0, height=0)],
        [Reference(pixels=bytes(3 * 16 * 16), width=16, height=17)],
        [Reference(pixels=bytes(3 * 16 * 24), width=16, height=24)],
        [Reference(pixels=bytes(3 * 16 * 16 - 1), width=16, height=16)],
        [Reference(pixels=bytes(3 * 16 * 16), width=-16, height=-16)],
        [Reference(pixels=b"", width=2**40, height=2**40)],
        [reference(1), Reference(pixels=bytes(3), width=1, height=1)],
    ],
)
def test_hostile_references_are_refused_and_the_next_image_is_drawn(
    engine: Flux2Engine, shown: list[Reference]
) -> None:
    wanted = draw(engine)
    with pytest.raises(InvalidSpec):
        draw(engine, shown)
    assert draw(engine) == wanted


def test_references_that_are_missing_unasked_or_in_another_order_are_refused(engine: Flux2Engine) -> None:
    first, second = reference(1), reference(2)
    for asked, given in [((first,), ()), ((), (first,)), ((first, second), (second, first)), ((first,), (second,))]:
        with pytest.raises(InvalidSpec):
            generate(engine, a_spec(engine.card, asked), references=given)
    with pytest.raises(InvalidSpec):
        a_spec(engine.card, [first, second, reference(3), reference(4)])


def test_stop_while_references_are_looked_at_leaves_no_trace(engine: Flux2Engine) -> None:
    shown = [reference(1)]
    wanted = draw(engine, shown)
    for asked in (0, 3, 8):  # before anything, between blocks, in the second step
        with pytest.raises(GenerationStopped):
            generate(engine, a_spec(engine.card, shown, seed=9), references=shown, should_stop=StopAt(asked))
        assert draw(engine, shown) == wanted


def test_strength_is_the_share_of_noise_to_begin_with(engine: Flux2Engine) -> None:
    for strength in (0.05, 0.5, 0.95):
        spec = a_spec(engine.card, strength=strength, source="0" * 64, steps=4)
        sigmas = schedule_of(spec, "FLUX.2").sigmas
        assert float(sigmas[0]) == pytest.approx(strength, abs=1e-5)
        assert len(sigmas) == 4 and bool((sigmas.diff() < 0).all()) and float(sigmas[-1]) > 0


def test_upscale_redraws_in_tiles(engine: Flux2Engine) -> None:
    source = bytes(range(256)) * (SIDE * SIDE * 3 // 256)
    changes: dict[str, Any] = {"upscale": UPSCALE, "strength": 0.5, "source": hashlib.sha256(source).hexdigest()}
    spec = replace(a_spec(engine.card), width=2 * SIDE, height=2 * SIDE, steps=2, **changes)
    seen: list[Progress] = []
    sides: set[tuple[int, ...]] = set()
    hook = model_of(engine).transformer.module.register_forward_pre_hook(
        lambda _dit, _args, inputs: sides.add(tuple(inputs["hidden_states"].shape)), with_kwargs=True
    )
    upscaled = generate(engine, spec, source=source, on_progress=seen.append)
    hook.remove()
    assert (upscaled.width, upscaled.height, upscaled.steps_taken) == (2 * SIDE, 2 * SIDE, 1)
    assert sides == {(1, 25, 128)}  # tiles of 80 px
    preview = [each.preview for each in seen if each.stage is Stage.DENOISING][-1]
    assert preview is not None and (preview.width, preview.height) == (8, 8)


def test_file_of_another_part_is_refused_by_name(tmp_path: Path, miniature: Miniature) -> None:
    card = write_comfy(miniature, tmp_path)
    for name, other in (("vae", "dit"), ("qwen3", "vae"), ("dit", "qwen3")):
        wrong = replace(card, files={**card.files, name: card.files[other]})
        with pytest.raises(PipelineError, match=str(card.files[other].path)):
            made(wrong, tmp_path)


def test_files_that_fit_no_module_are_refused(tmp_path: Path, miniature: Miniature) -> None:
    tensors = original_transformer(miniature.dit.state_dict())
    lacking = {name: value for name, value in tensors.items() if not name.startswith("double_blocks.1.txt_attn.qkv")}
    odd = {**tensors, "double_blocks.0.img_attn.norm.query_norm.scale": torch.ones(15)}
    for number, (wrong, error) in enumerate([(lacking, ModelFilesMissing), (odd, GenerationFailed)]):
        card = write_comfy(miniature, tmp_path / str(number), dit=wrong)
        with pytest.raises(error):
            made(card, tmp_path)
