"""Modules get their tensors by name, out of any storage; whatever does not fit is named before any is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.catalog.architecture import REST, Component, Kind
from pipeline.catalog.parts import Naming, Part, PartKind
from pipeline.errors import GenerationFailed
from pipeline.streaming.block_packing import Loss, Packed, layout, pack, prepare
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.conversion import load_whole
from pipeline.streaming.quantization import Format, quantize, unquantized
from pipeline.streaming.streamed_module import StreamedModule
from tests.pipeline.miniature_storage import (
    Tensors,
    convrot_int8,
    nf4,
    scaled_float8,
    write_gguf,
    write_safetensors,
)

COMPONENT = Component(kind=Kind.TRANSFORMER, block_pattern=r"(?P<block>blocks\.\d+)\.", streamable=True)
STORAGES: dict[str, Callable[[Path, Tensors], Path]] = {
    "plain": lambda path, tensors: write_safetensors(path, tensors),
    "scaled float8": lambda path, tensors: write_safetensors(path, scaled_float8(tensors)),
    "rotated int8": lambda path, tensors: write_safetensors(path, convrot_int8(tensors)),
    "NF4": lambda path, tensors: write_safetensors(path, nf4(tensors, is_nested=True)),
    "GGUF": lambda path, tensors: write_gguf(path, tensors, "Q8_0"),
}


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(64)
        self.joined = nn.Linear(64, 96)


class Module(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 64)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.register_buffer("table", torch.empty(3))
        self.last = nn.Linear(64, 64, bias=False)
        self.last.weight = self.first.weight
        with torch.device("cpu"):
            self.register_buffer("mask", torch.arange(4), persistent=False)


def checkpoint() -> Tensors:
    """Under other names than the module's; what it joins is apart, and its first tensors come last."""
    generator = torch.Generator().manual_seed(1)
    found: Tensors = {}
    for number in range(3):
        at = f"layers.{number}"
        found |= {f"{at}.norm.weight": torch.ones(64), f"{at}.norm.bias": torch.zeros(64)}
        for side in ("upper", "lower"):
            found[f"{at}.{side}.weight"] = torch.randn(48, 64, generator=generator)
            found[f"{at}.{side}.bias"] = torch.randn(48, generator=generator)
    found |= {"first.weight": torch.randn(64, 64, generator=generator), "first.bias": torch.ones(64)}
    return found | {"table": torch.ones(3), "position_ids": torch.arange(5)}


def convert(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    found = {name.replace("layers.", "blocks."): tensor for name, tensor in tensors.items() if name != "position_ids"}
    for name in [name for name in found if ".upper." in name]:
        halves = found.pop(name), found.pop(name.replace("upper", "lower"))
        found[name.replace("upper", "joined")] = torch.cat(halves)
    return found


def source(path: Path) -> CheckpointFiles:
    part = Part(kind=PartKind.DENOISER, architecture="x", paths=(path,), naming=Naming.ORIGINAL)
    return CheckpointFiles(part)


def packed(path: Path, weight_format: Format, done: tuple[str, ...] = ()) -> list[Packed]:
    with torch.device("meta"):
        module = Module()
    del module.mask
    prepare(module, COMPONENT, weight_format, torch.float32)
    return list(pack(module, COMPONENT, source(path), convert, done))


def whole(path: Path, dtype: torch.dtype = torch.float32) -> nn.Module:
    return load_whole(Module, source(path), convert, dtype=dtype, device="cpu")


@pytest.mark.parametrize("write", STORAGES.values(), ids=STORAGES)
def test_module_gets_what_its_tensors_are_in_any_storage(
    tmp_path: Path, write: Callable[[Path, Tensors], Path]
) -> None:
    tensors = checkpoint()
    if write is STORAGES["GGUF"]:
        del tensors["position_ids"]
    path = write(tmp_path / "x", tensors)
    read = source(path)
    wanted = convert({name: read.read(name) for name in read.names})
    module = whole(path)
    wanted["last.weight"] = wanted["first.weight"]  # the module has it twice
    assert all(torch.equal(tensor, wanted[name].float()) for name, tensor in module.state_dict().items())
    assert not any(tensor.requires_grad or tensor.device.type == "meta" for tensor in module.parameters())
    blocks = {block.name: block.views(data) for block, data, _ in packed(path, Format.INT8)}
    assert blocks.keys() == {REST, *(f"blocks.{number}" for number in range(3))}
    for name in blocks.keys() - {REST}:
        for part, tensor in quantize(wanted[f"{name}.joined.weight"], Format.INT8).items():
            assert torch.equal(blocks[name][f"{name}.joined.{part}"], tensor)


@pytest.mark.parametrize("read", [lambda path: whole(path), lambda path: packed(path, Format.INT8)])
def test_tensors_that_become_nothing_are_not_read_so_they_may_be_of_any_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    def without_decoder(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return original({name: each for name, each in tensors.items() if "decoder" not in name})

    original = convert
    more = {f"{at}decoder.position_ids": torch.ones(4).to(torch.uint32) for at in ("", "layers.0.", "decoder.0.")}
    monkeypatch.setitem(globals(), "convert", without_decoder)
    read(write_safetensors(tmp_path / "x", checkpoint() | more))


def test_shape_that_no_memory_has_is_a_misfit(tmp_path: Path) -> None:
    class Endless(CheckpointFiles):
        def shape_of(self, name: str) -> torch.Size:
            return torch.Size((2**48, 2**48, 0)) if name == "first.bias" else super().shape_of(name)

    path = write_safetensors(tmp_path / "x", checkpoint())
    part = Part(kind=PartKind.DENOISER, architecture="x", paths=(path,), naming=Naming.ORIGINAL)
    with pytest.raises(GenerationFailed, match="do not fit together"):
        load_whole(Module, Endless(part), convert, dtype=torch.float32, device="cpu")


def test_module_is_of_the_dtype_that_is_asked_for_and_its_integers_stay(tmp_path: Path) -> None:
    module = whole(write_safetensors(tmp_path / "x", checkpoint()), torch.bfloat16)
    assert {each.dtype for each in module.parameters()} == {torch.bfloat16}
    assert module.mask.tolist() == [0, 1, 2, 3]


def test_blocks_that_are_done_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_safetensors(tmp_path / "x", checkpoint())
    names: list[str] = []
    read = CheckpointFiles.read
    monkeypatch.setattr(CheckpointFiles, "read", lambda self, name: names.append(name) or read(self, name))
    assert {each.block.name for each in packed(path, Format.INT8, ("blocks.0", "blocks.2"))} == {"blocks.1", REST}
    assert {name for name in names if name.startswith("layers.")} == {
        name for name in checkpoint() if name.startswith("layers.1.")
    }


@pytest.mark.parametrize(
    ("weight_format", "least", "most"),
    [
        (Format.FLOAT32, 0, 0),
        (Format.BFLOAT16, 0.0005, 0.003),
        (Format.INT8, 0.003, 0.02),
        (Format.FLOAT8, 0.01, 0.05),
    ],
)
def test_loss_is_the_error_of_weights_whose_every_row_is_alike(
    tmp_path: Path, weight_format: Format, least: float, most: float
) -> None:
    path = write_safetensors(tmp_path / "x", checkpoint())
    loss = sum((each.loss for each in packed(path, weight_format)), Loss())
    assert least <= loss.relative <= most
    errors, powers = 0.0, 0.0
    for number in range(3):
        weight = convert(checkpoint())[f"blocks.{number}.joined.weight"]
        errors += float((unquantized(quantize(weight, weight_format), weight_format) - weight).square().sum())
        powers += float(weight.square().sum())
    assert loss.relative == pytest.approx((errors / powers) ** 0.5, rel=0.1)


LACKING = {
    "missing": ({"layers.1.norm.weight": None}, r"lacks blocks\.1\.norm\.weight"),
    "several": ({"layers.1.norm.weight": None, "table": None}, r"lacks (?=.*table)(?=.*blocks\.1\.norm\.weight)"),
    "half of what is joined": ({"layers.1.lower.weight": None}, r"lacks layers\.1\.lower\.weight|lower"),
    "misshapen": ({"first.bias": torch.ones(63)}, r"first\.bias is \(63,\), not \(64,\)"),
    "halves that do not fit": ({"layers.0.lower.weight": torch.ones(48, 63)}, "do not fit together"),
    "integers": ({"first.bias": torch.ones(64, dtype=torch.int64)}, r"first\.bias is kept as int64"),
}


@pytest.mark.parametrize(("changes", "said"), LACKING.values(), ids=LACKING)
def test_what_does_not_fit_is_named(tmp_path: Path, changes: dict[str, Tensor | None], said: str) -> None:
    tensors = {name: tensor for name, tensor in (checkpoint() | changes).items() if tensor is not None}
    path = write_safetensors(tmp_path / "x", tensors)
    for read in (lambda: whole(path), lambda: packed(path, Format.INT8)):
        with pytest.raises(GenerationFailed, match=said):
            read()


def test_what_a_module_has_no_use_for_is_named_and_lists_are_cut_short(tmp_path: Path) -> None:
    more = {f"more{number}": torch.ones(1) for number in range(30)}
    path = write_safetensors(tmp_path / "x", checkpoint() | more)
    with pytest.raises(GenerationFailed, match=r"has no use for more0, .* and 20 more"):
        whole(path)
    assert len(packed(path, Format.INT8)) == 4


@pytest.mark.parametrize("is_kept", [True, False])
def test_file_that_is_replaced_while_it_is_read_leaves_no_mixture_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    class Streamed(StreamedModule):
        COMPONENT = COMPONENT

        @classmethod
        def simplify(cls, module: nn.Module) -> None:
            del module.mask

    path, cache = write_safetensors(tmp_path / "x", checkpoint()), tmp_path / "packed.safetensors" if is_kept else None
    other = write_safetensors(tmp_path / "y", {name: tensor * 2 for name, tensor in checkpoint().items()})
    os.utime(other, (7, 7))
    read, count = CheckpointFiles.read, 0

    def reading(self: CheckpointFiles, name: str) -> Tensor:
        nonlocal count
        count += 1
        if count == 5:
            other.replace(path)
        return read(self, name)

    def streamed() -> StreamedModule:
        return Streamed.read(
            source(path),
            Module,
            convert=convert,
            weight_format=Format.INT8,
            dtype=torch.float32,
            device="cpu",
            cache=cache,
        )

    monkeypatch.setattr(CheckpointFiles, "read", reading)
    with pytest.raises(GenerationFailed, match="x was changed while it was read"):
        streamed()
    assert {each.name for each in tmp_path.iterdir()} - {"packed.lock"} == {"x"}
    again = streamed().packed
    assert all(torch.equal(again[block.name], data) for block, data, _ in packed(path, Format.INT8))


def test_weight_that_is_no_number_is_named(tmp_path: Path) -> None:
    tensors = checkpoint()
    tensors["layers.2.upper.weight"][40, 3] = float("nan")
    path = write_safetensors(tmp_path / "x", tensors)
    with pytest.raises(GenerationFailed, match=r"blocks\.2\.joined\.weight holds something that is no number"):
        packed(path, Format.INT8)


def test_layout_has_a_place_for_everything_that_is_packed(tmp_path: Path) -> None:
    with torch.device("meta"):
        module = Module()
    prepare(module, COMPONENT, Format.INT8, torch.float32)
    entries = {entry.name for block in layout(module, COMPONENT).values() for entry in block.entries}
    assert {"blocks.0.joined.weight", "blocks.0.joined.scale", "first.weight", "table"} < entries
