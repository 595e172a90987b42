"""Our Qwen3 computes the same bits as the class that DiffSynth uses, from every layout of its tensors, and streamed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.catalog.layouts import identify
from pipeline.catalog.parts import PartKind
from pipeline.errors import GenerationFailed
from pipeline.families.qwen3 import Qwen3TextEncoder, chat_text, make_qwen3, qwen3_weights
from pipeline.streaming.block_ring import BlockRing
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.conversion import Conversion
from pipeline.streaming.quantization import Format
from tests.pipeline.families.random_qwen3 import (
    LAYERS,
    WIDTH,
    WORDS,
    llama_cpp_tensors,
    miniature_qwen3,
    tensors_of,
)
from tests.pipeline.miniature_storage import write_gguf, write_safetensors

LENGTH = 40
ALL = range(LAYERS)  # hidden states that are not normed


def prompts(*lengths: int) -> tuple[Tensor, Tensor]:
    """Ids and mask, padded at the end."""
    ids = torch.randint(WORDS, (len(lengths), LENGTH), generator=torch.Generator().manual_seed(8))
    return ids, torch.arange(LENGTH)[None] < torch.tensor(lengths)[:, None]


def read(path: Path, *, layers: int = -1, dtype: torch.dtype = torch.float32, **kw: Any) -> Qwen3TextEncoder:
    part = identify(path).part(PartKind.QWEN3)
    assert part is not None
    source = CheckpointFiles(part)
    shapes = {name: shape for group in Conversion(source, qwen3_weights).groups for name, shape in group.makes.items()}
    kinds = {torch.float32: Format.FLOAT32, torch.bfloat16: Format.BFLOAT16}
    options = {"weight_format": kinds[dtype], "dtype": dtype, "device": "cpu"} | kw
    return Qwen3TextEncoder.read(source, partial(make_qwen3, shapes, layers=layers), convert=qwen3_weights, **options)


@pytest.fixture(scope="module")
def theirs() -> Any:
    return miniature_qwen3()


@pytest.fixture(scope="module")
def file(theirs: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_safetensors(tmp_path_factory.mktemp("qwen3") / "qwen_3_4b.safetensors", tensors_of(theirs))


def placed(encoder: Qwen3TextEncoder) -> Qwen3TextEncoder:
    encoder.place()
    return encoder


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lengths", [(1,), (17,), (LENGTH,)])
@torch.no_grad()
def test_same_tensors_give_the_same_bits(file: Path, dtype: torch.dtype, lengths: tuple[int, ...]) -> None:
    ids, mask = prompts(*lengths)
    library = miniature_qwen3()
    for weight in library.parameters():  # but not the frequencies of its rotary embedding, which are no weights
        weight.data = weight.data.to(dtype)
    wanted = library(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    found = placed(read(file, dtype=dtype)).hidden_states(ids, mask, ALL)
    assert len(wanted) == LAYERS + 1
    for ours, others in zip(found, wanted, strict=False):
        is_read = mask[..., None]  # what comes of padding is nobody's business
        assert torch.equal(ours * is_read, others * is_read)


@torch.no_grad()
def test_second_last_hidden_state_is_that_of_the_last_layer_we_make(file: Path, theirs: Any) -> None:
    """Which is what Z-Image is told: `hidden_states[-2]`, for which the last layer is not needed."""
    ids, mask = prompts(20)
    encoder = placed(read(file, layers=-1))
    assert encoder.depth == LAYERS - 1
    wanted = theirs(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[-2]
    (found,) = encoder.hidden_states(ids, mask, [encoder.depth])
    assert torch.equal(found[mask], wanted[mask])


@torch.no_grad()
def test_layers_that_nobody_asks_for_are_not_made(file: Path, theirs: Any) -> None:
    """FLUX.2 klein is told the 9th, 18th and 27th of 36, next to each other."""
    ids, mask = prompts(20)
    encoder = placed(read(file, layers=2))
    assert encoder.running == ["layers.0", "layers.1"]
    wanted = theirs(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    found = torch.cat(encoder.hidden_states(ids, mask, [1, 2]), dim=-1)
    assert found.shape == (1, LENGTH, 2 * WIDTH)
    assert torch.equal(found[mask], torch.cat([wanted[1], wanted[2]], dim=-1)[mask])


def test_prompts_read_together_are_read_as_alone(file: Path) -> None:
    encoder = placed(read(file))
    ids, mask = prompts(9, LENGTH, 21)
    (together,) = encoder.hidden_states(ids, mask, [3])
    alone = [encoder.hidden_states(*row, [3])[0] for row in zip(ids.split(1), mask.split(1), strict=True)]
    assert torch.equal(together, torch.cat(alone))


def test_streamed_it_reads_the_same_and_its_table_stays(file: Path) -> None:
    ids, mask = prompts(30)
    wanted = placed(read(file)).hidden_states(ids, mask, ALL)
    encoder = read(file)
    ring = BlockRing(max(encoder.sizes[name] for name in encoder.running), 2, "cpu")
    encoder.place([], ring=ring)
    for _ in range(2):  # the second time out of what the ring brought ahead
        assert all(map(torch.equal, encoder.hidden_states(ids, mask, ALL), wanted))
    assert encoder.streamed_bytes == sum(encoder.sizes[name] for name in encoder.running)
    assert encoder.module.embed_tokens.weight.device.type == "cpu"


def test_kept_in_8_bits_it_multiplies_in_more(file: Path) -> None:
    ids, mask = prompts(30)
    wanted, found = (
        placed(read(file, weight_format=kept)).hidden_states(ids, mask, [3])[0]
        for kept in (Format.FLOAT32, Format.INT8)
    )
    error = (found - wanted)[mask].norm() / wanted[mask].norm()
    assert 0 < error < 0.05


def test_names_of_llama_cpp_read_the_same(file: Path, theirs: Any, tmp_path: Path) -> None:
    ids, mask = prompts(30)
    path = write_gguf(tmp_path / "Qwen3-4B-F32.gguf", llama_cpp_tensors(theirs), "F32", arch="qwen3")
    found, wanted = (placed(read(each)).hidden_states(ids, mask, ALL) for each in (path, file))
    assert all(map(torch.equal, found, wanted))


def test_chat_ends_where_the_model_would_answer() -> None:
    assert chat_text("{a} 猫", may_think=True) == "<|im_start|>user\n{a} 猫<|im_end|>\n<|im_start|>assistant\n"
    assert chat_text("", may_think=False).endswith("assistant\n<think>\n\n</think>\n\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"embed_tokens.weight": None}, "lacks embed_tokens"),
        ({"layers.0.self_attn.q_norm.weight": (0,)}, "heads of 0"),
        ({"layers.0.self_attn.q_norm.weight": (16, 1)}, "dimensions"),
        ({"layers.0.self_attn.k_proj.weight": (0, WIDTH)}, "0 keys"),
        ({"layers.0.self_attn.k_proj.weight": (48, WIDTH)}, "64 queries and 48 keys"),
        ({"layers.0.self_attn.q_norm.weight": (15,)}, "heads of 15"),
        ({"layers.0.mlp.gate_proj.weight": None}, "lacks layers.0.mlp"),
    ],
)
def test_shapes_that_no_qwen3_has_are_refused(theirs: Any, change: dict[str, Any], said: str) -> None:
    shapes: dict[str, Any] = {name: tuple(value.shape) for name, value in qwen3_weights(tensors_of(theirs)).items()}
    for name, shape in change.items():
        shapes.pop(name)
        if shape is not None:
            shapes[name] = shape
    with pytest.raises(GenerationFailed, match=said):
        make_qwen3(shapes, layers=-1)


@pytest.mark.parametrize("layers", [0, LAYERS + 1, -LAYERS])
def test_layers_that_are_not_there_are_refused(theirs: Any, layers: int) -> None:
    shapes = {name: tuple(value.shape) for name, value in qwen3_weights(tensors_of(theirs)).items()}
    with pytest.raises(GenerationFailed, match="4 layers"):
        make_qwen3(shapes, layers=layers)


def test_a_file_without_a_layer_in_the_middle_is_refused(theirs: Any, tmp_path: Path) -> None:
    tensors = {name: value for name, value in tensors_of(theirs).items() if ".layers.1." not in name}
    with pytest.raises(GenerationFailed, match=r"lacks layers\.1"):
        read(write_safetensors(tmp_path / "qwen.safetensors", tensors))
