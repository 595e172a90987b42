"""LoRAs beside any module: files of strangers, several at once, room in the plan, compiled blocks."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline.catalog.architecture import Component, Kind, StepCost
from pipeline.catalog.lora_card import KeyStyle, LoraCard
from pipeline.errors import LoraMisfit, OutOfMemory
from pipeline.runtime.prompt_cache import PromptEmbeddingCache
from pipeline.runtime.vram_budget import FakeBudget
from pipeline.streaming.block_packing import pack, prepare
from pipeline.streaming.compilation import compile_kinds
from pipeline.streaming.lora_file import MOST_RANK
from pipeline.streaming.lora_names import DENOISER_PREFIXES, piece, whole
from pipeline.streaming.lora_parts import part_of
from pipeline.streaming.lora_placement import LoraPlacement
from pipeline.streaming.lora_product import RANK_STEP
from pipeline.streaming.quantization import Format, QuantizedLinear
from pipeline.streaming.residency import Residency
from pipeline.streaming.streamed_module import StreamedModule
from tests.pipeline.families.lora_files import card_of, change_of, random_pairs, tensors_of, write_lora

WIDTH = 64
BLOCKS = 6
TOKENS = 40
COST = StepCost(passes=1, tokens=TOKENS, attention=0, activation_bytes=1000, decode_bytes=1000, tile_bytes=1000)
LAYERS = {
    "blocks.0.fused": (3 * WIDTH, WIDTH),
    "blocks.0.out": (WIDTH, WIDTH),
    "blocks.1.fused": (3 * WIDTH, WIDTH),
    "blocks.1.out": (WIDTH, WIDTH),
    "head": (WIDTH, WIDTH),
    "image.conv": (8, 4, 3, 3),
}


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fused, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a, b, c = self.fused(x).chunk(3, -1)
        return x + self.out(a * b.tanh() + c)


class Image(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, stride=2, padding=1)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.head, self.image = nn.Linear(WIDTH, WIDTH), Image()

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x) + self.image.conv(x[:, :32].view(1, 4, 16, 32)).sum()


class Streamed(StreamedModule):
    COMPONENT = Component(kind=Kind.TRANSFORMER, block_pattern=r"(?P<block>blocks\.\d+)\.", streamable=True)


class Weights:
    """Random ones, as a checkpoint."""

    title = "random"

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(1)
            self.tensors = Model().state_dict()
        self.names = list(self.tensors)

    def shape_of(self, name: str) -> torch.Size:
        return self.tensors[name].shape

    def read(self, name: str) -> Tensor:
        return self.tensors[name]


def pieces(_layers: object) -> Mapping[str, tuple[int, ...]]:
    return {f"blocks.{number}.fused": (WIDTH,) * 3 for number in range(BLOCKS)}


def names(layers: Mapping[str, nn.Module]) -> dict[str, Any]:
    apart = {
        f"blocks.{number}.to_{each}": piece(f"blocks.{number}.fused", at, (WIDTH,) * 3)
        for number in range(BLOCKS)
        for at, each in enumerate("qkv")
    }
    return {name: whole(name, module) for name, module in layers.items()} | apart


class Stage:
    """A model in a residency, and what puts LoRAs on it."""

    def __init__(self, weight_format: Format = Format.FLOAT32, limit: int | None = None) -> None:
        with torch.device("meta"):
            module = Model()
        prepare(module, Streamed.COMPONENT, weight_format, torch.float32)
        packed = {each.block.name: each.data for each in pack(module, Streamed.COMPONENT, Weights(), None)}
        self.part = Streamed(module, packed, "cpu")
        self.budget = None if limit is None else FakeBudget(limit, grain=2**10)
        self.residency = Residency(self.part, budget=self.budget, cost=None if limit is None else COST)
        self.prompts = PromptEmbeddingCache()
        self.residency.fit()
        self.place_loras()

    def place_loras(self) -> None:
        parts = {"model": part_of(self.part, DENOISER_PREFIXES, names, cut=pieces)}
        self.placement = LoraPlacement(parts, self.residency, self.prompts)

    def use(self, *wanted: tuple[LoraCard, float]) -> None:
        self.placement.use(wanted, COST)

    @torch.no_grad()
    def run(self, tokens: int = TOKENS) -> Tensor:
        x = torch.randn(1, tokens, WIDTH, generator=torch.Generator().manual_seed(2))
        out: Tensor = self.part.module(x)
        return out


@pytest.fixture(scope="module")
def lora(tmp_path_factory: pytest.TempPathFactory) -> LoraCard:
    path = tmp_path_factory.mktemp("lora") / "ink.safetensors"
    return write_lora(path, tensors_of(random_pairs(LAYERS), KeyStyle.DIFFUSERS, "transformer."))


def good(**changes: Tensor) -> dict[str, Tensor]:
    """A LoRA of one layer, with other tensors in it."""
    tensors = tensors_of(random_pairs({"blocks.0.out": (WIDTH, WIDTH)}), KeyStyle.DIFFUSERS, "transformer.")
    return {name: tensor for name, tensor in (tensors | changes).items() if tensor.numel()}


A = "transformer.blocks.0.out.lora_A.weight"
B = "transformer.blocks.0.out.lora_B.weight"
ALPHA = "transformer.blocks.0.out.alpha"
GONE = torch.empty(0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({A: GONE}, "lacks the other half"),
        ({B: GONE}, "lacks the other half"),
        ({A: GONE, B: GONE}, "lacks the other half"),
        ({A: GONE, B: GONE, ALPHA: GONE}, "holds nothing"),
        ({A: torch.full((4, WIDTH), float("nan"))}, "no number"),
        ({B: torch.full((WIDTH, 4), float("inf"))}, "no number"),
        ({ALPHA: torch.tensor(float("nan"))}, "no number"),
        ({ALPHA: torch.ones(3)}, "more than one number"),
        ({ALPHA: torch.tensor(1e30)}, "holds 1e\\+30"),
        ({A: torch.ones(4, WIDTH, dtype=torch.int8)}, "keeps .* as I8"),
        ({A: torch.ones(4, WIDTH + 1)}, "made for another model: .* of 65 → 64, and here that is 64 → 64"),
        ({B: torch.ones(WIDTH + 1, 4)}, "made for another model"),
        ({A: torch.ones(3, WIDTH)}, "do not fit together"),
        ({A: torch.ones(4, WIDTH, 3, 3)}, "3 × 3"),
        ({A: torch.ones(4)}, "other dimensions"),
        ({A: torch.ones(MOST_RANK + 1, WIDTH), B: torch.ones(WIDTH, MOST_RANK + 1)}, "rank of 513"),
        (
            {A.replace("0", "9"): torch.ones(4, WIDTH), B.replace("0", "9"): torch.ones(WIDTH, 4)},
            "does not fit this model as a whole: nothing here is called transformer.blocks.9.out",
        ),
        ({"something": torch.ones(1)}, "belongs to no LoRA"),
        (
            {A[12:]: torch.ones(4, WIDTH), B[12:]: torch.ones(WIDTH, 4)},
            "under another name",
        ),
        ({"transformer.blocks.0.out.lora_down.weight": torch.ones(4, WIDTH)}, "twice"),
        ({"transformer.blocks.0.out.dora_scale": torch.ones(WIDTH)}, "DoRA"),
        ({"transformer.blocks.0.out.lora_magnitude_vector": torch.ones(WIDTH)}, "DoRA"),
        ({"transformer.blocks.0.out.hada_w1_a": torch.ones(4, 4)}, "LoHa"),
        ({"transformer.blocks.0.out.lokr_w1": torch.ones(4, 4)}, "LoKr"),
        ({"transformer.blocks.0.out.lora_mid.weight": torch.ones(4, 4, 3, 3)}, "Tucker"),
        ({"transformer.blocks.0.out.oft_blocks": torch.ones(4, 4)}, "OFT"),
        ({"transformer.blocks.0.out.diff": torch.ones(4, 4)}, "whole weights"),
        ({"transformer.blocks.0.out.lora_B.bias": torch.ones(4)}, "biases"),
        ({"bundle_emb.word.string_to_param.*": torch.ones(4)}, "words of its own"),
        ({"a\x1b[31m\n": torch.ones(1)}, "holds a�\\[31m�, which"),
    ],
)  # fmt: skip
def test_file_that_does_not_fit_is_refused_with_the_reason_and_nothing_of_it_is_used(
    stage: Stage, lora: LoraCard, tmp_path: Path, changes: dict[str, Tensor], reason: str
) -> None:
    before = stage.run()
    card = write_lora(tmp_path / "bad.safetensors", good(**changes))
    for wanted in ([(card, 1.0)], [(lora, 1.0), (card, 1.0)]):
        with pytest.raises(LoraMisfit, match=reason) as raised:
            stage.use(*wanted)
        assert raised.value.name == "bad" and str(raised.value).startswith("LoRA 'bad' ")
        assert torch.equal(stage.run(), before)


@pytest.fixture(scope="module")
def lasting() -> Stage:
    return Stage()


@pytest.fixture
def stage(lasting: Stage) -> Iterator[Stage]:
    yield lasting
    lasting.use()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file"),
        (b"\x80\x04\x95", "pickled"),
        (b"GGUF\x03\x00\x00\x00" + bytes(16), "GGUF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "LFS"),
        (b"<!DOCTYPE html>", "page"),
        (bytes(64), "zeros"),
        (struct.pack("<Q", 2**60) + b"{}", "no file of weights"),
        (struct.pack("<Q", 2) + b"{}", "holds nothing"),
        (struct.pack("<Q", 2) + b"[]", "damaged"),
    ],
)
def test_what_is_no_lora_is_refused(stage: Stage, tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(LoraMisfit, match=reason):
        stage.use((card_of(path), 1.0))


def test_file_that_is_cut_off_or_gone_is_refused(stage: Stage, lora: LoraCard, tmp_path: Path) -> None:
    content, path = lora.file.read_bytes(), tmp_path / "cut.safetensors"
    for length in (len(content) - 1, len(content) // 2, 100, 7):
        path.write_bytes(content[:length])
        with pytest.raises(LoraMisfit, match="cut off"):
            stage.use((card_of(path), 1.0))
    path.unlink()
    with pytest.raises(LoraMisfit, match="cannot be read"):
        stage.use((card_of(path), 1.0))
    with pytest.raises(LoraMisfit, match="folder"):
        stage.use((card_of(tmp_path), 1.0))


def test_file_that_was_replaced_is_read_again(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "ink.safetensors"
    found = []
    for seed in (1, 2, 1):
        card = write_lora(path, tensors_of(random_pairs(LAYERS, seed=seed), KeyStyle.DIFFUSERS, ""))
        stage.use((card, 1.0))
        found.append(stage.run())
    assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])


def test_scale_is_alpha_by_rank_wherever_alpha_stands(stage: Stage, tmp_path: Path) -> None:
    pairs = random_pairs({"blocks.0.out": (WIDTH, WIDTH), "head": (WIDTH, WIDTH)})
    bare = tensors_of(pairs, KeyStyle.DIFFUSERS, "transformer.", alpha=None)
    stage.use((write_lora(tmp_path / "half.safetensors", bare), 0.5))
    half = stage.run()
    stage.use((write_lora(tmp_path / "alpha.safetensors", tensors_of(pairs, KeyStyle.KOHYA, "lora_unet_")), 1.0))
    assert torch.equal(stage.run(), half)
    for notes in (
        {"transformer.r": 4, "transformer.lora_alpha": 2},
        {"transformer.lora_alpha": 1, "transformer.use_rslora": True},
        {"transformer.lora_alpha": 8, "transformer.alpha_pattern": {"blocks.0.out": 2, "head": 2.0}},
    ):
        path = tmp_path / "notes.safetensors"
        save_file(bare, path, metadata={"lora_adapter_metadata": json.dumps(notes)})
        stage.use((card_of(path), 1.0))
        assert torch.equal(stage.run(), half)


@pytest.mark.parametrize(
    ("notes", "reason"),
    [
        ('{"transformer.lora_alpha": "2"}', "no sense"),
        ('{"transformer.lora_alpha": true}', "no sense"),
        ('{"transformer.lora_alpha": NaN}', "no sense"),
        ('{"transformer.use_dora": true}', "DoRA"),
    ],
)
def test_notes_that_make_no_sense_are_refused(stage: Stage, tmp_path: Path, notes: str, reason: str) -> None:
    path = tmp_path / "notes.safetensors"
    save_file(good(**{ALPHA: GONE}), path, metadata={"lora_adapter_metadata": notes})
    with pytest.raises(LoraMisfit, match=reason):
        stage.use((card_of(path), 1.0))


@pytest.mark.parametrize("notes", ["{", "[]", "[" * 10**5, "{}"])
def test_notes_that_say_nothing_change_nothing(stage: Stage, tmp_path: Path, notes: str) -> None:
    stage.use((write_lora(tmp_path / "bare.safetensors", good(**{ALPHA: GONE})), 1.0))
    wanted, path = stage.run(), tmp_path / "notes.safetensors"
    save_file(good(**{ALPHA: GONE}), path, metadata={"lora_adapter_metadata": notes})
    stage.use((card_of(path), 1.0))
    assert torch.equal(stage.run(), wanted)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_small_halves_keep_their_digits(stage: Stage, tmp_path: Path, dtype: torch.dtype) -> None:
    """Files have 16 bits or more; what is far from 1 in one half and near it in the other is no loss."""
    down, up = random_pairs({"head": (WIDTH, WIDTH)})["head"]
    tensors = {"head.lora_A.weight": down.to(dtype), "head.lora_B.weight": up.to(dtype)}
    stage.use((write_lora(tmp_path / "one.safetensors", tensors), 1e-3))
    (hook,) = (hook for hook in stage.part.layers["head"]._forward_hooks.values())
    x = torch.randn(3, WIDTH)
    found = hook(stage.part.layers["head"], (x,), torch.zeros(3, WIDTH))
    wanted = x.double() @ change_of(down.to(dtype), up.to(dtype)).t() * 1e-3
    assert float((found - wanted).norm() / wanted.norm()) < 1e-6
    side = next(iter(cell.cell_contents for cell in hook.__closure__ if isinstance(cell.cell_contents, tuple)))
    assert 0.25 < float(side.down.abs().amax() / side.up.abs().amax()) < 4


def test_least_used_ones_are_read_again(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.streaming import lora_placement

    read: list[str] = []
    real = lora_placement.read_adapter
    monkeypatch.setattr(lora_placement, "read_adapter", lambda name, *rest: read.append(name) or real(name, *rest))
    cards = [write_lora(tmp_path / f"{number}.safetensors", good()) for number in range(lora_placement.KEPT + 1)]
    for number in (0, 1, 0, 2, 3, 0, 4, 0, 1):
        stage.use((cards[number], 1.0))
    assert read == ["0", "1", "2", "3", "4", "1"]


def test_room_for_a_lora_is_made_by_streaming_more(lora: LoraCard) -> None:
    roomy = Stage(Format.INT8, limit=2**40)
    plain, needed = roomy.run(), roomy.residency.snapshot().expected_peak_bytes
    assert roomy.residency.snapshot().streamed_bytes == 0
    roomy.use((lora, 1.0))
    changed, with_lora = roomy.run(), roomy.residency.snapshot().expected_peak_bytes
    rank = RANK_STEP
    values = 2 * rank * (3 * WIDTH + 3 * WIDTH + 2 * WIDTH) + rank * 2 * WIDTH + rank * (4 * 9 + 8)
    assert with_lora - needed == 4 * values + 4 * 3 * WIDTH * TOKENS  # and what the widest branch gives at a time
    tight = Stage(Format.INT8, limit=with_lora - 1)
    assert tight.residency.snapshot().streamed_bytes == 0
    tight.use((lora, 1.0))
    assert tight.residency.snapshot().streamed_bytes > 0
    assert torch.equal(tight.run(), changed)
    tight.use()
    assert tight.residency.snapshot().streamed_bytes == 0
    assert torch.equal(tight.run(), plain)


def test_lora_that_is_too_large_for_the_gpu_fails_alone(tmp_path: Path) -> None:
    stage = Stage(Format.INT8, limit=2**40)
    before = stage.run()
    assert stage.budget is not None
    stage.budget.limit = stage.residency.snapshot().expected_peak_bytes + 20_000
    stage.use()
    tensors = tensors_of(random_pairs(LAYERS, rank=MOST_RANK), KeyStyle.KOHYA, "lora_unet_")
    card = write_lora(tmp_path / "huge.safetensors", tensors)
    with pytest.raises(OutOfMemory):
        stage.use((card, 1.0))
    stage.use()
    assert torch.equal(stage.run(), before)


def test_memory_that_runs_out_while_a_lora_is_placed_takes_it_off(
    stage: Stage, lora: LoraCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stage.run()

    def fail(*_args: object, **_kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(stage.placement, "_put_on", fail)
        with pytest.raises(torch.OutOfMemoryError):
            stage.use((lora, 1.0))
    assert torch.equal(stage.run(), before)
    stage.use((lora, 1.0))
    assert not torch.equal(stage.run(), before)


def test_compiled_blocks_have_one_code_without_loras_and_one_with_them(lora: LoraCard, tmp_path: Path) -> None:
    """Whatever layers a LoRA changes, and whatever its rank: compiling takes a minute."""
    compiled: list[object] = []

    def note(graph: Any, _inputs: object) -> Any:
        compiled.append(graph)
        return graph.forward

    stage = Stage()
    wanted = [stage.run()]
    some = tensors_of(random_pairs({"blocks.1.to_k": (WIDTH, WIDTH)}, rank=70), KeyStyle.DIFFUSERS, "")
    other = write_lora(tmp_path / "other.safetensors", some)
    turns: list[list[tuple[LoraCard, float]]] = [[(lora, 1.0)], [(other, 1.0)], [(other, 0.5), (lora, 2.0)], []]
    for turn in turns:
        stage.use(*turn)
        wanted.append(stage.run())
    blocks = [stage.part.module.get_submodule(name) for name in stage.part.running]
    stage.part.is_compiled = compile_kinds(
        blocks, lambda code: lambda block, x: code(block, x), lambda: stage.run(), device="cpu", backend=note
    )
    assert stage.part.is_compiled and len(compiled) == 1
    stage.place_loras()
    for turn, each in zip([[], *turns], wanted, strict=True):
        stage.use(*turn)
        torch.testing.assert_close(stage.run(), each, rtol=1e-4, atol=1e-4)
    assert len(compiled) == 2
    assert torch.equal(stage.run(), wanted[0])


def test_layers_of_one_shape_without_a_change_share_their_zeros(tmp_path: Path) -> None:
    stage = Stage()
    stage.part.is_compiled = True
    stage.place_loras()
    before = stage.run()
    tensors = tensors_of(random_pairs({"head": (WIDTH, WIDTH)}), KeyStyle.KOHYA, "lora_unet_")
    stage.use((write_lora(tmp_path / "head.safetensors", tensors), 1.0))
    sides = {name: module.side for name, module in stage.part.layers.items() if isinstance(module, QuantizedLinear)}
    assert all(side is not None and not bool(side.up.any()) for side in sides.values())
    assert sides["blocks.0.out"] is sides["blocks.1.out"] is not None
    assert not torch.equal(stage.run(), before)
