"""Tensors come back out of whatever keeps them: to the last bit as its definition says, or with a clear error."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.catalog.headers import header_of
from pipeline.catalog.parts import Naming, Part, PartKind, Storage
from pipeline.errors import GenerationFailed
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.storages.scaled import regular_hadamard
from tests.pipeline.miniature_storage import (
    Tensors,
    convrot_int8,
    from_nf4,
    from_q4_k,
    from_q6_k,
    from_scaled_float8,
    nf4,
    note,
    random_blocks,
    rotation,
    scaled_float8,
    write_gguf,
    write_safetensors,
)

WEIGHT = "blocks.0.a.weight"


def tensors() -> Tensors:
    generator = torch.Generator().manual_seed(3)
    return {
        WEIGHT: torch.randn(6, 64, generator=generator) * torch.logspace(-2, 2, 6)[:, None],
        "blocks.0.a.bias": torch.randn(6, generator=generator),
        "blocks.1.b.weight": torch.randn(5, 48, generator=generator),
        "norm.scale": torch.randn(7, generator=generator).bfloat16(),
    }


def files(*paths: Path, prefix: str = "", storage: Storage = Storage.PLAIN) -> CheckpointFiles:
    part = Part(
        kind=PartKind.DENOISER,
        architecture="flux",
        paths=paths,
        naming=Naming.ORIGINAL,
        prefix=prefix,
        storage=storage,
    )
    return CheckpointFiles(part)


def read(path: Path, prefix: str = "") -> Tensors:
    source = files(path, prefix=prefix)
    found = {name: source.read(name) for name in source.names}
    assert all(tensor.shape == source.shape_of(name) for name, tensor in found.items())
    return found


def same(found: Tensors, wanted: Tensors) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_plain_tensors_are_read_as_they_are_kept_in_whatever_dtype_and_shard(tmp_path: Path, prefix: str) -> None:
    dtypes = (torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float8_e5m2, torch.int64)
    kept = {f"{number}.weight": torch.randn(3, 4).to(dtype) for number, dtype in enumerate(dtypes)}
    shards = [
        write_safetensors(tmp_path / f"{number}.safetensors", {prefix + name: tensor, "vae.other": tensor})
        for number, (name, tensor) in enumerate(kept.items())
    ]
    if not prefix:
        with pytest.raises(GenerationFailed, match=r"vae\.other"):
            files(*shards)
        return
    source = files(*shards, prefix=prefix)
    assert source.names == list(kept)
    for name, tensor in kept.items():
        found = source.read(name)
        assert found.dtype is tensor.dtype
        assert torch.equal(found.float(), tensor.float())


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
@pytest.mark.parametrize("is_old", [True, False])
@pytest.mark.parametrize("per_output", [True, False])
def test_scaled_float8_is_multiplied_by_its_scales_and_other_layers_stay_as_they_are(
    tmp_path: Path, dtype: torch.dtype, is_old: bool, per_output: bool
) -> None:
    plain = tensors()
    kept = scaled_float8(
        plain, dtype=dtype, is_old=is_old, per_output=per_output, picks=lambda name, _tensor: name == WEIGHT
    )
    path = write_safetensors(tmp_path / "x.safetensors", {f"p.{name}": each for name, each in kept.items()})
    scale = kept["blocks.0.a.scale_weight" if is_old else "blocks.0.a.weight_scale"]
    assert same(read(path, "p."), plain | {WEIGHT: from_scaled_float8(kept[WEIGHT], scale)})
    assert not torch.equal(kept[WEIGHT].float(), from_scaled_float8(kept[WEIGHT], scale))


def test_float8_in_bytes_is_told_by_the_notes_of_the_file(tmp_path: Path) -> None:
    kept = scaled_float8({WEIGHT: tensors()[WEIGHT]}, is_old=False)
    del kept["blocks.0.a.comfy_quant"]
    wanted = from_scaled_float8(kept[WEIGHT], kept["blocks.0.a.weight_scale"])
    kept[WEIGHT] = kept[WEIGHT].view(torch.uint8)
    notes = {"format_version": "1.0", "layers": {"blocks.0.a": {"format": "float8_e4m3fn"}}}
    path = tmp_path / "x.safetensors"
    write_safetensors(path, kept, {"_quantization_metadata": json.dumps(notes)})
    assert torch.equal(read(path)[WEIGHT], wanted)


def test_scales_of_rectangles_are_those_of_their_rectangles(tmp_path: Path) -> None:
    weight, scale = torch.randn(4, 6).to(torch.float8_e4m3fn), torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    kept = {WEIGHT: weight, "blocks.0.a.weight_scale": scale}
    wanted = torch.tensor([[float(weight[i, j]) * float(scale[i // 2, j // 2]) for j in range(6)] for i in range(4)])
    assert torch.equal(read(write_safetensors(tmp_path / "x.safetensors", kept))[WEIGHT], wanted)


def test_as_many_rectangles_as_outputs_are_rectangles_still(tmp_path: Path) -> None:
    weight, scale = torch.ones(8, 16).to(torch.float8_e4m3fn), torch.arange(1.0, 9.0).view(2, 4)
    kept = {WEIGHT: weight, "blocks.0.a.weight_scale": scale}
    wanted = scale.repeat_interleave(4, 0).repeat_interleave(4, 1)
    assert torch.equal(read(write_safetensors(tmp_path / "x.safetensors", kept))[WEIGHT], wanted)


@pytest.mark.parametrize("size", [4, 16, 64, 256])
def test_rotation_is_a_regular_hadamard_matrix(size: int) -> None:
    matrix = regular_hadamard(size)
    assert torch.equal(matrix, rotation(size))
    assert torch.equal(matrix @ matrix, torch.eye(size))
    assert set(matrix.sum(0).abs().tolist()) == {1.0}  # regular: no input becomes the sum of its group


@pytest.mark.parametrize("group", [4, 16, None])
def test_rotated_integers_are_turned_back(tmp_path: Path, group: int | None) -> None:
    plain = tensors()
    kept = convrot_int8(plain, group=group)
    found = read(write_safetensors(tmp_path / "x.safetensors", kept))
    assert found.keys() == plain.keys()
    for name in (WEIGHT, "blocks.1.b.weight"):
        values = from_scaled_float8(kept[name], kept[f"{name}_scale"])
        if group is not None:
            values = torch.cat([part @ rotation(group) for part in values.split(group, 1)], 1)
        torch.testing.assert_close(found[name], values, rtol=0, atol=1e-4)
        assert (found[name] - plain[name]).norm() / plain[name].norm() < 0.01


@pytest.mark.parametrize(("kind", "is_nested"), [("nf4", False), ("nf4", True), ("fp4", False)])
@pytest.mark.parametrize("shape", [(6, 64), (3, 5), (1, 1), (300, 64)])
def test_four_bits_are_read_value_by_value(tmp_path: Path, kind: str, is_nested: bool, shape: tuple[int, int]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    kept = nf4({WEIGHT: weight, "b.bias": torch.ones(2)}, is_nested=is_nested, kind=kind)
    found = read(write_safetensors(tmp_path / "x.safetensors", kept))
    assert torch.equal(found[WEIGHT], from_nf4(kept, WEIGHT))
    assert found["b.bias"].tolist() == [1, 1]
    assert (found[WEIGHT] - weight).norm() / weight.norm() < (0.12 if kind == "nf4" else 0.2)


def test_four_bits_may_lie_in_words_of_another_type(tmp_path: Path) -> None:
    """bitsandbytes calls that `quant_storage`."""
    kept = nf4({WEIGHT: tensors()[WEIGHT]})
    wanted = from_nf4(kept, WEIGHT)
    kept[WEIGHT] = kept[WEIGHT].view(-1).view(torch.bfloat16)[:, None]
    assert torch.equal(read(write_safetensors(tmp_path / "x.safetensors", kept))[WEIGHT], wanted)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_gguf_types_that_can_be_made_come_near_what_they_were_made_of(tmp_path: Path, kind: str) -> None:
    plain = tensors()
    found = read(write_gguf(tmp_path / "x.gguf", plain, kind))
    assert torch.equal(found["blocks.0.a.bias"], plain["blocks.0.a.bias"])
    for row, wanted in zip(found[WEIGHT], plain[WEIGHT], strict=True):
        assert 0 < (row - wanted).norm() / wanted.norm() < (0.01 if kind == "Q8_0" else 0.12)


@pytest.mark.parametrize(("kind", "meaning"), [("Q4_K", from_q4_k), ("Q6_K", from_q6_k)])
def test_k_quants_are_what_ggml_defines(tmp_path: Path, kind: str, meaning: Callable[[bytes], list[float]]) -> None:
    found = read(write_gguf(tmp_path / "x.gguf", {WEIGHT: torch.empty(3, 512)}, kind))[WEIGHT]
    _, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    blocks = random_blocks(kind, (3, 2 * size), seed=0).reshape(-1, size)
    wanted = torch.tensor([meaning(block.tobytes()) for block in blocks]).view(3, 512)
    assert torch.equal(found, wanted)


@pytest.mark.parametrize(("kind", "dtype"), [("BF16", torch.bfloat16), ("F16", torch.float16), ("F32", torch.float32)])
def test_plain_gguf_types_stay_as_they_are(tmp_path: Path, kind: str, dtype: torch.dtype) -> None:
    plain = tensors()[WEIGHT].to(dtype)
    found = read(write_gguf(tmp_path / "x.gguf", {WEIGHT: plain}, kind))[WEIGHT]
    assert found.dtype is dtype
    assert torch.equal(found, plain)


@pytest.mark.parametrize("kind", ["Q2_K", "Q3_K", "Q5_K"])
def test_pieces_and_threads_change_nothing(tmp_path: Path, kind: str) -> None:
    rows, width = 131, 1024
    found = read(write_gguf(tmp_path / "x.gguf", {WEIGHT: torch.empty(rows, width)}, kind))[WEIGHT]
    of_block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    blocks = random_blocks(kind, (rows, width // of_block * size), seed=0)
    assert np.array_equal(found.numpy(), gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[kind]))


def test_type_that_the_package_does_not_know_is_named_at_once(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "flux")
    kind = gguf.GGMLQuantizationType.Q8_K
    writer.add_tensor(WEIGHT, np.zeros((2, gguf.GGML_QUANT_SIZES[kind][1]), np.uint8), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(GenerationFailed, match="Q8_K"):
        files(tmp_path / "x.gguf")


def scaled() -> Tensors:
    return scaled_float8({WEIGHT: tensors()[WEIGHT]}, is_old=False, per_output=True)


def rotated(**said: object) -> Tensors:
    kept = convrot_int8({WEIGHT: tensors()[WEIGHT]})
    about = {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 16, **said}
    return kept | {"blocks.0.a.comfy_quant": note({key: value for key, value in about.items() if value != "absent"})}


def four_bit(**said: object) -> Tensors:
    kept = nf4({WEIGHT: tensors()[WEIGHT]}, is_nested=True)
    state = json.loads(bytes(kept[f"{WEIGHT}.quant_state.bitsandbytes__nf4"].tolist()))
    return kept | {f"{WEIGHT}.quant_state.bitsandbytes__nf4": note(state | said)}


def with_changes(kept: Tensors, **changes: Tensor | None) -> Tensors:
    """By the end of a name."""
    for end, tensor in changes.items():
        (name,) = [name for name in kept if name.endswith(end)]
        if tensor is None:
            del kept[name]
        else:
            kept[name] = tensor
    return kept


def text(content: str) -> Tensor:
    return torch.tensor(list(content.encode()), dtype=torch.uint8)


NAN = torch.full((6, 1), float("nan"))
HOSTILE: dict[str, Callable[[], Tensors]] = {
    "a scale that is no number": lambda: with_changes(scaled(), weight_scale=NAN),
    "an infinite scale": lambda: with_changes(scaled(), weight_scale=torch.tensor(float("inf"))),
    "too many scales": lambda: with_changes(scaled(), weight_scale=torch.ones(7)),
    "scales that fit no rectangles": lambda: with_changes(scaled(), weight_scale=torch.ones(4, 5)),
    "no scales": lambda: with_changes(scaled(), weight_scale=torch.ones(0)),
    "integers as scales": lambda: with_changes(scaled(), weight_scale=torch.ones(6, dtype=torch.int32)),
    "scales of powers of two": lambda: with_changes(scaled(), weight_scale=torch.ones(6, dtype=torch.uint8)),
    "a second scale": lambda: scaled() | {"blocks.0.a.weight_scale_2": torch.ones(1)},
    "a zero point": lambda: scaled() | {"blocks.0.a.weight_zero_point": torch.ones(6)},
    "a format that is not known": lambda: scaled() | {"blocks.0.a.comfy_quant": note({"format": "nvfp4"})},
    "a note that is no JSON": lambda: scaled() | {"blocks.0.a.comfy_quant": text("{")},
    "a note that is a list": lambda: scaled() | {"blocks.0.a.comfy_quant": text("[1]")},
    "a note nested deeply": lambda: scaled() | {"blocks.0.a.comfy_quant": text('{"a":' * 10_000)},
    "a note of megabytes": lambda: scaled() | {"blocks.0.a.comfy_quant": torch.full((2**21,), 32, dtype=torch.uint8)},
    "a note of numbers": lambda: scaled() | {"blocks.0.a.comfy_quant": torch.ones(3)},
    "integers without a note": lambda: with_changes(rotated(), comfy_quant=None),
    "integers without a scale": lambda: with_changes(rotated(), weight_scale=None),
    "groups of 0": lambda: rotated(convrot_groupsize=0),
    "groups of -4": lambda: rotated(convrot_groupsize=-4),
    "groups of 8, no power of 4": lambda: rotated(convrot_groupsize=8),
    "groups that do not divide the inputs": lambda: rotated(convrot_groupsize=256),
    "groups of 2^40": lambda: rotated(convrot_groupsize=4**20),
    "groups of 1e999": lambda: rotated(convrot_groupsize=float("inf")),
    "groups in words": lambda: rotated(convrot_groupsize="16"),
    "groups that are true": lambda: rotated(convrot_groupsize=True),
    "rotation in words": lambda: rotated(convrot="no"),
    "4 bits without a table": lambda: with_changes(four_bit(), **{"weight.quant_map": None}),
    "4 bits without absmax": lambda: with_changes(four_bit(), **{"weight.absmax": None}),
    "absmax that is too short": lambda: with_changes(four_bit(), **{"weight.absmax": torch.ones(5).byte()}),
    "absmax of floats that is nested": lambda: with_changes(four_bit(), **{"weight.absmax": torch.ones(6)}),
    "nested absmax that is too long": lambda: with_changes(four_bit(), nested_absmax=torch.ones(2)),
    "nested absmax that is no number": lambda: with_changes(four_bit(), nested_absmax=NAN[:1]),
    "a table of 17": lambda: with_changes(four_bit(), **{"weight.quant_map": torch.ones(17)}),
    "a nested table of 16": lambda: with_changes(four_bit(), nested_quant_map=torch.ones(16)),
    "no nested table": lambda: with_changes(four_bit(), nested_quant_map=None),
    "blocks of 0": lambda: four_bit(blocksize=0),
    "blocks of 2^60": lambda: four_bit(blocksize=2**60),
    "blocks in words": lambda: four_bit(blocksize="64"),
    "nested blocks of -1": lambda: four_bit(nested_blocksize=-1),
    "no nested offset": lambda: four_bit(nested_offset=None),
    "a nested offset that is no number": lambda: four_bit(nested_offset=float("nan")),
    "no shape": lambda: four_bit(shape=None),
    "a huge shape": lambda: four_bit(shape=[2**31, 2**31]),
    "a huge shape in many sides": lambda: four_bit(shape=[2**62] * 8),
    "a shape of too many sides": lambda: four_bit(shape=[1] * 1000 + [6, 64]),
    "a shape below zero": lambda: four_bit(shape=[-6, -64]),
    "a shape of fractions": lambda: four_bit(shape=[6.0, 64.0]),
    "a shape of other size": lambda: four_bit(shape=[6, 63]),
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_quantization_that_makes_no_sense_is_said_with_the_name_of_the_tensor(
    tmp_path: Path, make: Callable[[], Tensors]
) -> None:
    path = write_safetensors(tmp_path / "x.safetensors", make())
    with pytest.raises(GenerationFailed, match=r"x\.safetensors: blocks\.0\.a"):
        read(path)


def test_names_that_a_terminal_would_obey_are_said_without_what_it_would(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "x.safetensors", {"a\x1b[2J.weight": torch.ones(2, 2, dtype=torch.uint32)})
    with pytest.raises(GenerationFailed, match=r"x\.safetensors: a\uFFFD\[2J\.weight is kept as U32"):
        read(path)


def test_gguf_scales_that_are_no_numbers_are_said(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf", {WEIGHT: torch.randn(2, 64)}, "Q4_0")
    data, start = bytearray(path.read_bytes()), header_of(path).tensors[WEIGHT].start
    data[start : start + 2] = b"\x00\x7e"  # NaN
    path.write_bytes(data)
    with pytest.raises(GenerationFailed, match=WEIGHT):
        read(path)


def test_file_that_is_cut_off_after_its_head_was_read_is_said(tmp_path: Path) -> None:
    source = files(write_safetensors(tmp_path / "x.safetensors", tensors()))
    os.truncate(tmp_path / "x.safetensors", 600)
    with pytest.raises(GenerationFailed, match="is cut off"):
        source.read("norm.scale")
    (tmp_path / "x.safetensors").unlink()
    with pytest.raises(GenerationFailed, match="cannot be read"):
        source.read("norm.scale")
    with pytest.raises(GenerationFailed, match="cannot be read"):
        source.fingerprint("int8")


def test_fingerprint_tells_parts_storages_and_files_apart(tmp_path: Path) -> None:
    both = write_safetensors(tmp_path / "x.safetensors", {"a.w": torch.ones(2), "b.w": torch.ones(2)})
    kept = scaled_float8({"c.weight": torch.ones(2, 2)})
    quantized = write_safetensors(tmp_path / "y.safetensors", {f"q.{name}": each for name, each in kept.items()})
    prints = [
        files(both, prefix="a.").fingerprint("int8"),
        files(both, prefix="b.").fingerprint("int8"),
        files(both, prefix="b.").fingerprint("float8"),
        files(both, quantized, prefix="b.").fingerprint("int8"),
        files(quantized, prefix="q.", storage=Storage.SCALED_FLOAT8).fingerprint("int8"),
        files(quantized, prefix="q.").fingerprint("int8"),
    ]
    assert len(set(prints)) == len(prints)
    before = files(quantized, prefix="q.").fingerprint("int8")
    os.utime(quantized, (1, 1))
    assert files(quantized, prefix="q.").fingerprint("int8") != before


@pytest.mark.parametrize("is_scaled", [True, False])
def test_files_that_differ_in_their_values_alone_are_told_apart_unless_they_are_plain_ones_of_the_hub(
    tmp_path: Path, is_scaled: bool
) -> None:
    def fingerprint(home: str, scale: float) -> str:
        path = tmp_path / home / str(scale) / "x.safetensors"
        plain = {"a.weight": torch.randn(64, 96, generator=torch.Generator().manual_seed(1)) * scale}
        write_safetensors(path, scaled_float8(plain) if is_scaled else plain)
        os.utime(path, (7, 7))
        part = Part(kind=PartKind.DENOISER, architecture="flux", paths=(path,), naming=Naming.ORIGINAL)
        return CheckpointFiles(part, models_dir=tmp_path / "models").fingerprint("int8")

    assert fingerprint("elsewhere", 1) != fingerprint("elsewhere", 2)
    assert (fingerprint("models", 1) != fingerprint("models", 2)) is is_scaled
    assert fingerprint("elsewhere", 1) == fingerprint("elsewhere", 1)


def test_fingerprint_of_a_gguf_file_follows_from_how_such_files_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_gguf(tmp_path / "x.gguf", tensors(), "Q8_0")
    before = files(path).fingerprint("int8")
    monkeypatch.setattr("pipeline.streaming.checkpoint_files.READING_VERSION", 10**6)
    assert files(path).fingerprint("int8") != before


def test_plain_file_keeps_the_fingerprint_that_it_had_before_other_layouts_were_read(tmp_path: Path) -> None:
    """So that nobody packs 24 GB anew."""
    for prefix in ("", "model.diffusion_model."):
        path = write_safetensors(tmp_path / "x.safetensors", {f"{prefix}a.weight": torch.ones(2, 2)})
        os.utime(path, (7, 7))
        head = path.read_bytes()[8 : -4 * 4]
        wanted = f"3 int8x.safetensors {path.stat().st_size} {7 * 10**9} ".encode() + head
        assert files(path, prefix=prefix).fingerprint("int8") == hashlib.sha256(wanted).hexdigest()
