"""Packed, placed, streamed, hoisted: whatever moves, the numbers stay the same to the last bit."""

from __future__ import annotations

import json
import os
import struct
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from diffsynth.pipelines.flux_image import model_fn_flux_image
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.catalog import files
from pipeline.catalog.architecture import MODULATION, REST
from pipeline.catalog.layouts import identify_files
from pipeline.catalog.models import FLUX1_DEV
from pipeline.catalog.parts import PartKind
from pipeline.device.gpu import MIB
from pipeline.device.gpu_profile import Tiles
from pipeline.device.memory_plan import HEADROOM_BYTES
from pipeline.errors import DiskFull, GenerationFailed, OutOfMemory
from pipeline.families.flux.architecture import BYTES_PER_TOKEN, DIT, FLUX
from pipeline.families.flux.checkpoint import recipe_of
from pipeline.families.flux.text_encoders import PooledTextEncoder, TextEncoder
from pipeline.families.flux.transformer import Transformer
from pipeline.families.recipes import Recipe
from pipeline.runtime.vram_budget import FakeBudget
from pipeline.streaming import compilation, packed_cache
from pipeline.streaming import residency as residency_module
from pipeline.streaming.arithmetic import choose_arithmetic
from pipeline.streaming.block_packing import ALIGN
from pipeline.streaming.block_ring import BlockRing
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.quantization import Format, QuantizedLinear
from pipeline.streaming.residency import Residency, State
from pipeline.streaming.streamed_module import StreamedModule
from tests.pipeline.families.flux.library import library_module
from tests.pipeline.families.flux.miniature_layouts import dit_as_diffusers, write
from tests.pipeline.families.flux.random_flux import Sizes, dit_shapes

SCHEDULE = torch.tensor([1000.0, 800.0, 400.0])
SIZES = Sizes()
NAMES = list(dit_shapes(SIZES))
Make = Callable[..., Transformer]
CPU = choose_arithmetic(is_streamed=False, device="cpu", precision="auto", packed_dir=Path())


def checkpoint(name: str, paths: Sequence[Path]) -> Recipe:
    part = identify_files(paths).part(FLUX.components[name].part or PartKind.DENOISER)
    assert part is not None
    return recipe_of(name, CheckpointFiles(part))


@pytest.fixture
def path(miniature_dir: Path) -> Path:
    (path,) = files.weights_of(FLUX1_DEV.files["dit"], miniature_dir)
    return path


@pytest.fixture
def make(path: Path) -> Make:
    def make(
        *, weight_format: Format = Format.FLOAT32, at: Path = path, cache: Path | None = None, placed: bool = True
    ) -> Transformer:
        transformer = checkpoint("dit", [at]).streamed(Transformer, weight_format, CPU, cache)
        if placed:
            transformer.place()
        return transformer

    return make


def inputs(seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "latents": random(1, 16, 8, 8),
        "prompt_emb": random(1, 20, SIZES.t5_dim),
        "pooled_prompt_emb": random(1, SIZES.clip_dim),
        "guidance": torch.tensor([3.5]),
        "text_ids": torch.zeros(1, 20, 3),
    }


@torch.no_grad()
def run(transformer: Transformer, **changes: object) -> list[Tensor]:
    """The prediction of every step."""
    return [
        transformer.predict(
            dit=transformer.module, schedule=SCHEDULE, timestep=timestep[None], progress_id=step, **(inputs() | changes)
        )
        for step, timestep in enumerate(SCHEDULE)
    ]


def ring_for(part: StreamedModule, slots: int) -> BlockRing:
    return BlockRing(max(block.size for block in part.blocks.values()), slots, "cpu")


def equal(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture
def exact(path: Path, miniature_dir: Path) -> list[Tensor]:
    """What DiffSynth alone computes."""
    dit = library_module("dit", [path])
    with torch.no_grad():
        return [model_fn_flux_image(dit=dit, timestep=timestep[None], **inputs()) for timestep in SCHEDULE]


def test_unquantized_transformer_computes_what_diffsynth_does(make: Make, exact: list[Tensor]) -> None:
    assert equal(run(make()), exact)


@pytest.mark.parametrize(
    ("weight_format", "bound"), [(Format.BFLOAT16, 0.01), (Format.FLOAT8, 0.08), (Format.INT8, 0.04)]
)
def test_formats_stay_near(make: Make, exact: list[Tensor], weight_format: Format, bound: float) -> None:
    for found, wanted in zip(run(make(weight_format=weight_format)), exact, strict=True):
        assert 0 < (found - wanted).norm() / wanted.norm() < bound


@pytest.mark.parametrize("weight_format", list(Format))
@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("resident", [[], ["blocks.1"], ["blocks.0", "single_blocks.1"]])
def test_streaming_changes_nothing(make: Make, weight_format: Format, slots: int, resident: list[str]) -> None:
    transformer = make(weight_format=weight_format)
    whole = run(transformer)
    transformer.place(resident, ring=ring_for(transformer, slots))
    assert equal(run(transformer), whole)
    assert equal(run(transformer), whole)  # the ring goes on across pictures
    other = run(transformer, pooled_prompt_emb=inputs(2)["pooled_prompt_emb"])  # modulation passes through in between
    assert not equal(other, whole)
    assert equal(run(transformer), whole)
    transformer.place()
    assert equal(run(transformer), whole)


def test_run_that_was_broken_off_leaves_no_wrong_weights_behind(make: Make) -> None:
    transformer = make()
    whole = run(transformer)
    transformer.place([], ring=ring_for(transformer, 2))

    def fail(*_inputs: object) -> None:
        raise RuntimeError("cancelled")

    for name in transformer.running:
        hook = transformer.module.get_submodule(name).register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError, match="cancelled"):
            run(transformer)
        hook.remove()
        assert equal(run(transformer), whole)


class FewCopies:
    """Stands in for page-locked memory that has room for so many blocks at a time."""

    def __init__(self, room: int) -> None:
        self.room, self.refused = room, 0

    def copy(self, data: Tensor) -> Tensor:
        if not self.room:
            self.refused += 1
            return data
        self.room -= 1
        copied = data.clone()
        weakref.finalize(copied, self._make_room)
        return copied

    def _make_room(self) -> None:
        self.room += 1


def test_block_that_comes_to_the_card_leaves_its_page_locked_memory_to_the_next(make: Make) -> None:
    """Neither the ring, which went through the blocks again and again, nor the order of placing keeps it."""
    transformer = make(placed=False)
    first, second, *others = transformer.running
    copies = FewCopies(len(others) + 1)
    transformer.pinned = copies  # type: ignore[assignment]
    ring = ring_for(transformer, 2)
    transformer.place([first], ring=ring)
    before = run(transformer)
    transformer.place([second], ring=ring)
    assert copies.refused == 0
    assert copies.room == 0
    assert equal(run(transformer), before)
    transformer.place()
    assert copies.room == len(others) + 1


def test_modulation_is_computed_once_per_prompt_and_schedule(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    transformer = make()
    visits: list[int] = []
    visit = transformer.visit
    monkeypatch.setattr(transformer.predict, "visit", lambda names: visits.append(1) or visit(names))
    run(transformer)
    run(transformer, latents=inputs(5)["latents"])
    assert len(visits) == 1
    for changed in ({"pooled_prompt_emb": inputs(2)["pooled_prompt_emb"]}, {"guidance": torch.tensor([1.0])}):
        run(transformer, **changed)
    assert len(visits) == 3
    with torch.no_grad():  # as many steps at other times
        transformer.predict(
            dit=transformer.module, schedule=SCHEDULE - 1, timestep=SCHEDULE[:1] - 1, progress_id=0, **inputs()
        )
    assert len(visits) == 4


def test_next_step_is_on_its_way_while_one_ends(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ring is fed once for all steps, of whatever picture: fed anew, it would start empty at each."""
    transformer = make()
    run(transformer)  # after which the modulation is known
    transformer.place(["blocks.1"], ring=ring_for(transformer, 2))
    fed: list[object] = []
    feed = BlockRing.feed
    monkeypatch.setattr(BlockRing, "feed", lambda ring, blocks, user: fed.append(user) or feed(ring, blocks, user))
    for _ in range(2):
        run(transformer)
    assert fed == [transformer]


def test_every_block_runs_once_per_step(make: Make) -> None:
    transformer = make()
    ran: list[str] = []
    for name in transformer.running:
        transformer.module.get_submodule(name).register_forward_hook(lambda *_inputs, name=name: ran.append(name))
    transformer.place([], ring=ring_for(transformer, 2))
    run(transformer)
    assert ran == transformer.running * len(SCHEDULE)


@pytest.mark.parametrize("weight_format", [Format.FLOAT8, Format.INT8])
def test_modulation_unpacks_each_weight_once_for_all_steps(
    make: Make, monkeypatch: pytest.MonkeyPatch, weight_format: Format
) -> None:
    transformer = make(weight_format=weight_format)
    layers = [layer for block in transformer.predict.layers.values() for layer in block.values()]
    unpacked: list[tuple[QuantizedLinear, Tensor]] = []
    unpack = QuantizedLinear.unpacked

    def note(self: QuantizedLinear, rows: Tensor) -> Tensor:
        unpacked.append((self, rows))
        return unpack(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(QuantizedLinear, "unpacked", note)
        run(transformer)
    calls = [(layer, rows) for layer, rows in unpacked if layer in layers]
    assert [layer for layer, _ in calls] == layers
    for layer, rows in calls:
        assert len(rows) == len(SCHEDULE)
        torch.testing.assert_close(layer.unpacked(rows), torch.cat([layer(row) for row in rows.split(1)]))


def test_tiles_are_for_the_autoencoder_alone(make: Make) -> None:
    transformer = make()
    assert equal(run(transformer, tiled=True), run(transformer))


def test_every_block_knows_its_modulation(make: Make) -> None:
    blocks = make(placed=False).blocks
    joint = [f"blocks.{number}" for number in range(SIZES.joint_blocks)]
    single = [f"single_blocks.{number}" for number in range(SIZES.single_blocks)]
    assert blocks.keys() == {REST, *joint, *single, *(name + MODULATION for name in (*joint, *single))}
    assert DIT.block_of("final_norm_out.linear.weight") == REST
    assert all(entry.offset % 256 == 0 for block in blocks.values() for entry in block.entries)


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_published_names_and_types_are_read(
    make: Make, path: Path, tmp_path: Path, prefix: str, dtype: torch.dtype
) -> None:
    other = tmp_path / "other.safetensors"
    save_file({prefix + name: tensor.to(dtype) for name, tensor in load_file(path).items()}, other)
    transformer = make(at=other)
    weight = load_file(other)[f"{prefix}single_blocks.1.linear1.weight"].float()
    assert torch.equal(transformer.module.single_blocks[1].to_qkv_mlp.weight, weight)
    assert all(torch.isfinite(step).all() for step in run(transformer))


def test_diffusers_names_are_joined_block_by_block(make: Make, path: Path, tmp_path: Path, exact: list[Tensor]) -> None:
    other = tmp_path / "diffusers.safetensors"
    write(other, dit_as_diffusers(load_file(path)), torch.float32)
    assert equal(run(make(at=other)), exact)


def test_packed_file_is_written_once_and_read_after_that(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "packed" / "flux.int8.safetensors"
    whole = run(make(weight_format=Format.INT8))
    assert equal(run(make(weight_format=Format.INT8, cache=cache)), whole)
    assert {REST, "blocks.0"} < load_file(cache).keys()  # any tool can look inside
    assert all(data.data_ptr() % ALIGN == 0 for data in make(weight_format=Format.INT8, cache=cache).packed.values())
    monkeypatch.setattr(packed_cache, "write_packed", None)
    assert equal(run(make(weight_format=Format.INT8, cache=cache)), whole)


def test_packed_file_of_another_checkpoint_or_format_is_written_again(make: Make, path: Path, tmp_path: Path) -> None:
    cache, copy = tmp_path / "flux.safetensors", tmp_path / "copy.safetensors"
    copy.write_bytes(path.read_bytes())
    make(at=copy, weight_format=Format.INT8, cache=cache)
    first = cache.read_bytes()
    os.utime(copy, (1, 1))
    make(at=copy, weight_format=Format.INT8, cache=cache)
    second = cache.read_bytes()
    assert second != first and second[-1000:] == first[-1000:]
    make(at=copy, weight_format=Format.FLOAT8, cache=cache)
    assert cache.read_bytes()[-1000:] != first[-1000:]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:5], lambda _data: b"", lambda d: d + b"x"]
)
def test_damaged_packed_file_is_written_again(make: Make, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    cache = tmp_path / "flux.safetensors"
    make(cache=cache)
    whole = cache.read_bytes()
    cache.write_bytes(damage(whole))
    make(cache=cache)
    assert cache.read_bytes() == whole


def test_packing_that_failed_leaves_nothing(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "packed" / "flux.safetensors"

    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.streaming.block_packing.quantize", fail)
    with pytest.raises(OSError, match="No space left"):
        make(cache=cache)
    assert [path.name for path in cache.parent.iterdir()] == ["flux.lock"]


def test_packing_that_was_killed_is_taken_up_by_the_next(make: Make, tmp_path: Path) -> None:
    (tmp_path / "flux.part").write_bytes(b"half of it")
    make(cache=tmp_path / "flux.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"flux.safetensors", "flux.lock"}


def test_packing_holds_a_block_or_two_in_memory(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of 24 GB must not have to fit."""
    alive: list[weakref.ref[Tensor]] = []
    most = 0
    read = CheckpointFiles.read

    def watched(files: CheckpointFiles, name: str) -> Tensor:
        nonlocal most
        tensor = read(files, name)
        alive.append(weakref.ref(tensor))
        held = [each for each in alive if each() is not None]
        most = max(most, len(held))
        return tensor

    monkeypatch.setattr(CheckpointFiles, "read", watched)
    transformer = make(cache=tmp_path / "packed.safetensors", placed=False)
    largest = max(sum(name.startswith(f"double_blocks.{n}.") for name in NAMES) for n in range(SIZES.joint_blocks))
    assert len(transformer.blocks) > 4
    assert largest <= most <= 2 * largest < len(alive)


def test_second_process_waits_for_the_first_to_pack_and_uses_what_it_wrote(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    cache, elsewhere = tmp_path / "flux.safetensors", tmp_path / "elsewhere.safetensors"
    whole = run(make(cache=elsewhere))
    monkeypatch.setattr(packed_cache, "write_packed", None)
    first = FileLock(cache.with_suffix(".lock"), thread_local=False)
    first.acquire()

    def write() -> None:
        while "another process is packing" not in caplog.text:
            time.sleep(0.01)
        cache.write_bytes(elsewhere.read_bytes())
        first.release()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        assert equal(run(make(cache=cache)), whole)
        writing.result()


def test_full_disk_is_noticed_before_anything_is_written(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_cache, "SPARE_BYTES", 2**60)
    with pytest.raises(DiskFull):
        make(cache=tmp_path / "flux.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["flux.lock"]


@pytest.mark.parametrize("change", ["missing", "misshapen"])
def test_checkpoint_that_is_not_whole_is_named(make: Make, path: Path, tmp_path: Path, change: str) -> None:
    tensors, name = load_file(path), "single_blocks.0.linear2.weight"
    weight = tensors.pop(name)
    if change == "misshapen":
        tensors[name] = weight[:-1]
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(GenerationFailed, match=r"single_blocks\.0\.proj_out\.weight"):
        make(at=tmp_path / "other.safetensors")


def test_checkpoint_with_an_unknown_number_type_is_named(make: Make, path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header["img_in.bias"]["dtype"] = "I32"
    text = json.dumps(header).encode()
    (tmp_path / "other.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    with pytest.raises(GenerationFailed, match=r"x_embedder\.bias is kept as int32"):
        make(at=tmp_path / "other.safetensors")


def test_text_encoder_in_integers_stays_near_and_shares_the_ring(make: Make, miniature_dir: Path) -> None:
    paths = files.weights_of(FLUX1_DEV.files["t5"], miniature_dir)
    exact = library_module("t5", paths)
    ids = torch.randint(3, SIZES.t5_vocabulary, (1, 40), generator=torch.Generator().manual_seed(1))

    def read(weight_format: Format) -> TextEncoder:
        return checkpoint("t5", paths).streamed(TextEncoder, weight_format, CPU)

    with torch.no_grad():
        wanted = exact(ids)
        plain, integers = read(Format.FLOAT32), read(Format.INT8)
        plain.place()
        assert torch.equal(plain.module(ids), wanted)
        integers.place()
        found = integers.module(ids)
        assert 0 < (found - wanted).norm() / wanted.norm() < 0.08
        transformer = make(weight_format=Format.INT8)
        drawn = run(transformer)
        ring = BlockRing(
            max(block.size for part in (transformer, integers) for block in part.blocks.values()), 2, "cpu"
        )
        transformer.place(["blocks.0"], ring=ring)
        integers.place([], ring=ring)
        for _ in range(2):  # by turns, as for pictures of different prompts
            assert torch.equal(integers.module(ids), found)
            assert equal(run(transformer), drawn)


def test_wrong_bytes_in_a_slot_are_found_when_debugging(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="pipeline.streaming.block_ring")
    transformer = make(weight_format=Format.INT8)
    whole = run(transformer)
    ring = ring_for(transformer, 2)
    transformer.place([], ring=ring)
    assert equal(run(transformer), whole)

    def spoil(*_inputs: object) -> None:
        ring.slots[0][100] ^= 1
        ring.slots[1][100] ^= 1

    handle = transformer.module.get_submodule("blocks.0").register_forward_hook(spoil)
    with pytest.raises(GenerationFailed, match="ring does not hold"):
        run(transformer)
    handle.remove()
    assert equal(run(transformer), whole)


class SmallGpu(FakeBudget):
    """The CPU in the place of a GPU that has so many bytes beside what no plan uses."""

    def __init__(self, limit: int, grain: int = 30_000) -> None:
        super().__init__(HEADROOM_BYTES + limit, grain)


def resized(residency: Residency, budget: FakeBudget, limit: int) -> None:
    budget.limit = HEADROOM_BYTES + limit
    residency.fit()


DRAWING_BYTES = (16 + 512) * BYTES_PER_TOKEN  # activations of a picture of 64 × 64


def test_both_are_placed_within_a_limit(make: Make, miniature_dir: Path) -> None:
    paths = files.weights_of(FLUX1_DEV.files["t5"], miniature_dir)
    text_encoder = checkpoint("t5", paths).streamed(TextEncoder, Format.INT8, CPU)
    transformer = make(weight_format=Format.INT8)
    whole = run(transformer)
    running = sum(transformer.blocks[name].size for name in transformer.running)
    passing = [block for name, block in transformer.blocks.items() if name != REST]
    passing += [text_encoder.blocks[name] for name in text_encoder.running]
    largest = max(block.size for block in passing)
    fixed = transformer.blocks[REST].size + text_encoder.blocks[REST].size
    budget = SmallGpu(DRAWING_BYTES + fixed + 3 * largest + running // 2)
    residency = Residency(transformer, [text_encoder], budget=budget, cost=FLUX.cost(64, 64, 3))
    residency.fit()
    streamed = transformer.streamed_bytes
    assert 0 < streamed < running
    assert equal(run(transformer), whole)
    resized(residency, budget, DRAWING_BYTES + fixed + 3 * largest + running // 4)
    assert streamed < transformer.streamed_bytes < running
    assert equal(run(transformer), whole)
    resized(residency, budget, DRAWING_BYTES + fixed + 3 * largest + 2 * running)
    assert transformer.streamed_bytes == 0
    assert equal(run(transformer), whole)
    with pytest.raises(OutOfMemory):
        resized(residency, budget, DRAWING_BYTES + fixed)


@pytest.mark.parametrize("share", [0.0, 0.5, 2.0])
def test_what_is_allocated_is_what_the_plan_says(make: Make, share: float) -> None:
    transformer = make(weight_format=Format.INT8, placed=False)
    running = sum(transformer.blocks[name].size for name in transformer.running)
    largest = max(block.size for name, block in transformer.blocks.items() if name != REST)
    fixed = transformer.blocks[REST].size
    budget = SmallGpu(DRAWING_BYTES + fixed + 3 * largest + int(share * running))
    residency = Residency(transformer, budget=budget, cost=FLUX.cost(64, 64, 3))
    residency.fit()
    plan, report = residency.plan, residency.snapshot()
    assert plan is not None and report.state is State.PLACED
    assert report.ring_bytes == plan.ring_slots * plan.slot_bytes
    assert (report.resident_bytes, report.streamed_bytes) == (plan.resident_bytes, plan.streamed_bytes)
    kept = [name for name, stays in zip(transformer.running, plan.is_resident, strict=True) if stays]
    tensors = transformer.module.named_parameters(), transformer.module.named_buffers()
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for each in tensors
        for name, tensor in each
        if DIT.block_of(name) in (REST, *kept)
    }
    assert sum(storages.values()) == plan.resident_bytes + fixed
    assert plan.resident_bytes + plan.streamed_bytes == running
    assert (plan.streamed_bytes == transformer.streamed_bytes) and (plan.streamed_bytes == 0) == (share > 1)


@pytest.fixture
def budget() -> FakeBudget:
    return SmallGpu(0)


@pytest.fixture
def roomy(make: Make, budget: FakeBudget) -> Residency:
    """A transformer that stays on the card as a whole, just."""
    transformer = make(weight_format=Format.INT8, placed=False)
    residency = Residency(transformer, budget=budget, cost=FLUX.cost(64, 64, 3))
    assert residency.state is State.EMPTY
    resized(residency, budget, DRAWING_BYTES + sum(block.size for block in transformer.blocks.values()) * 2)
    assert residency.plan is not None and residency.plan.streamed_bytes == 0
    return residency


def step(residency: Residency, number: int) -> Tensor:
    with torch.no_grad():
        transformer = residency.transformer
        assert isinstance(transformer, Transformer)
        return residency.run_step(
            lambda: transformer.predict(
                dit=transformer.module,
                schedule=SCHEDULE,
                timestep=SCHEDULE[number][None],
                progress_id=number,
                **inputs(),
            )
        )


@pytest.mark.parametrize("failures", [1, 2])
def test_step_without_memory_is_repeated_with_fewer_blocks_on_the_card(
    roomy: Residency,
    budget: FakeBudget,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failures: int,
) -> None:
    wanted = [step(roomy, number) for number in range(3)]
    left = [True] * failures
    transformer = roomy.transformer
    block = transformer.module.get_submodule("single_blocks.1")

    def fail(*_inputs: object) -> None:
        if left and left.pop():
            raise torch.OutOfMemoryError("CUDA out of memory")

    handle = block.register_forward_pre_hook(fail)
    half = sum(transformer.blocks[name].size for name in transformer.running) // 2
    largest = max(block.size for name, block in transformer.blocks.items() if name != REST)
    least = DRAWING_BYTES + transformer.blocks[REST].size + largest + half
    monkeypatch.setattr("pipeline.device.memory_plan.RING_SLOTS", 1)
    budget.grain = (budget.limit - HEADROOM_BYTES - least) // failures
    found = [step(roomy, number) for number in range(3)]
    handle.remove()
    assert transformer.streamed_bytes > 0
    assert equal(found, wanted)
    assert roomy.snapshot().climbed == {"fewer blocks stay on the GPU": failures}
    numbers = f"limit {budget.limit // MIB} MiB, available {budget.limit // MIB}, allocated 0"
    assert len([line for line in caplog.messages if numbers in line]) == failures


def test_memory_that_runs_out_while_blocks_are_brought_to_the_card_spoils_nothing(
    roomy: Residency, budget: FakeBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that were streamed before must not be taken for resident: the ring holds others in their place by now."""
    transformer, enough = roomy.transformer, budget.limit - HEADROOM_BYTES
    wanted = [step(roomy, number) for number in range(3)]
    most = max(block.size for name, block in transformer.blocks.items() if name != REST)
    little = DRAWING_BYTES + transformer.blocks[REST].size + 3 * most
    resized(roomy, budget, little)
    assert equal([step(roomy, number) for number in range(3)], wanted)

    class Scarce(dict[str, Tensor]):
        room = 2

        def __getitem__(self, name: str) -> Tensor:
            self.room -= 1
            if self.room < 0:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().__getitem__(name)

    with monkeypatch.context() as patch:
        patch.setattr(transformer, "packed", Scarce({name: transformer.packed[name] for name in transformer.blocks}))
        with pytest.raises(torch.OutOfMemoryError):
            roomy.fit_to(HEADROOM_BYTES + enough)
        assert roomy.state is State.EMPTY
        with pytest.raises(AssertionError):
            step(roomy, 0)
    for limit, is_all in ((little, False), (enough, True)):
        resized(roomy, budget, limit)
        assert equal([step(roomy, number) for number in range(3)], wanted)
        assert (transformer.streamed_bytes == 0) == is_all


def test_step_that_never_finds_memory_fails(roomy: Residency) -> None:
    tries: list[int] = []

    def fail(*_inputs: object) -> None:
        tries.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory")

    handle = roomy.transformer.module.get_submodule("blocks.0").register_forward_pre_hook(fail)
    with pytest.raises(torch.OutOfMemoryError):
        step(roomy, 0)
    handle.remove()
    assert len(tries) == 3
    step(roomy, 0)


def test_pooled_text_encoder_passes_through_the_ring(miniature_dir: Path) -> None:
    paths = files.weights_of(FLUX1_DEV.files["clip"], miniature_dir)
    library = library_module("clip", paths)
    ids = torch.arange(77)[None] % SIZES.clip_vocabulary
    clip = checkpoint("clip", paths).streamed(PooledTextEncoder, Format.FLOAT32, CPU)
    with torch.no_grad():
        wanted, _ = library(ids)
        for _ in range(2):
            clip.place([], ring=ring_for(clip, 2))
            assert torch.equal(clip.module(ids)[0], wanted)


def test_blocks_are_compiled_once_for_all_of_a_kind_sizes_and_slots(make: Make) -> None:
    """Compiling takes half a minute, so another block, slot or size must not cause it again."""
    from torch._dynamo.testing import CompileCounterWithBackend

    transformer = make(weight_format=Format.INT8)
    text = {"prompt_emb": torch.ones(1, 512, SIZES.t5_dim), "text_ids": torch.zeros(1, 512, 3)}
    wide, high = ({"latents": torch.ones(1, 16, *sides), **text} for sides in ((12, 16), (20, 14)))
    small, large = run(transformer, **wide), run(transformer, **high)
    counter = CompileCounterWithBackend("eager")
    assert transformer.compile_blocks(backend=counter)
    assert counter.frame_count == 2
    assert equal(run(transformer, **wide), small)
    transformer.place(["blocks.1"], ring=ring_for(transformer, 2))
    assert equal(run(transformer, **high), large)
    assert equal(run(transformer, **wide), small)
    assert counter.frame_count == 2


def test_kernels_are_not_chosen_anew_at_every_start(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would sum in another order. What that does shows on a GPU only; an option unknown to torch shows here."""
    compile_, asked = torch.compile, list[object]()

    def spy(call: Any, *, options: Any, **others: Any) -> Any:
        asked.append(options)
        return compile_(call, options=options, **others)

    monkeypatch.setattr(torch, "compile", spy)
    monkeypatch.setattr(Transformer, "_warm_up", lambda *_: None)
    assert make().compile_blocks()
    assert asked == [{"deterministic": True}] * 2


def test_without_triton_nothing_is_compiled(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    transformer = make()
    monkeypatch.setattr(transformer, "device", "cuda")
    monkeypatch.setattr(compilation, "has_triton", lambda: False)
    assert not transformer.compile_blocks()
    assert not any("forward" in vars(transformer.module.get_submodule(name)) for name in transformer.running)


def test_kernels_are_not_used_where_triton_went_away(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The card may have been measured before that."""
    transformer = make(weight_format=Format.INT8)
    before = run(transformer)
    monkeypatch.setitem(sys.modules, "pipeline.streaming.triton_int8", None)
    transformer.use_kernels(Tiles(128, 128, 128, 4, 3), fuses_rows=True)
    assert "Triton is missing" in caplog.text
    assert equal(run(transformer), before)


def test_smaller_ring_is_gone_before_a_larger_one_comes(
    roomy: Residency, budget: FakeBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together they might not fit."""
    smaller, left = roomy.ring, list[int]()
    assert smaller is not None and smaller.slots

    def larger(*args: Any, **options: Any) -> BlockRing:
        left.append(len(smaller.slots))
        return BlockRing(*args, **options)

    monkeypatch.setattr(residency_module, "BlockRing", larger)
    most = max(roomy.transformer.weights.running.values())
    resized(roomy, budget, DRAWING_BYTES + roomy.transformer.sizes[REST] + 3 * most)
    assert left == [0]
    assert roomy.ring is not smaller
    assert roomy.ring is not None and roomy.ring.slot_bytes > smaller.slot_bytes


def test_ring_that_was_replaced_while_it_was_lent_takes_no_memory(roomy: Residency, budget: FakeBudget) -> None:
    lent = roomy.ring
    assert lent is not None
    with roomy.lend():
        assert roomy.state is State.LENT
        most = max(roomy.transformer.weights.running.values())
        resized(roomy, budget, DRAWING_BYTES + roomy.transformer.sizes[REST] + 3 * most)
        assert roomy.state is State.PLACED
    assert lent.slots == []
    assert roomy.ring is not None and roomy.ring is not lent
    assert len(roomy.ring.slots) == 3


def test_blocks_that_cannot_be_compiled_run_as_they_are(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_inputs: object) -> None:
        raise RuntimeError("no C compiler\nand a long story")

    transformer = make()
    plain = run(transformer)
    assert not transformer.compile_blocks(backend=fail)
    assert "could not be compiled" in caplog.text
    assert "long story" not in caplog.text
    assert equal(run(transformer), plain)
