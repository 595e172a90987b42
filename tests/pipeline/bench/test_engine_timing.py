"""The timing of the engine runs on small modules as on large ones; what it times computes something."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from threading import Event
from types import SimpleNamespace
from typing import Any, ClassVar

import pynvml
import pytest
import torch
from torch import nn

from pipeline.bench.baselines import MMGP_ROOM_MIB
from pipeline.bench.engine_timing import Ready, time_pictures, time_system, time_systems
from pipeline.bench.isolation import apart
from pipeline.bench.peak_memory import PeakMemory
from pipeline.bench.random_weights import Classes, RandomBlocks
from pipeline.bench.report import EMULATIONS, STOCK, SYSTEMS, Conditions, Pictures, Timing
from pipeline.demo.model import SmallClip, SmallDiT, SmallT5
from pipeline.device.gpu import MIB
from pipeline.engine import GeneratedImage
from pipeline.families.flux.architecture import DIT
from pipeline.families.flux.engine import FluxEngine
from pipeline.families.flux.sized import SizedVAEDecoder, SizedVAEEncoder
from pipeline.families.flux.transformer import Transformer, random_inputs
from pipeline.spec import ImageSpec
from pipeline.streaming.block_packing import prepare
from pipeline.streaming.block_ring import BlockRing
from pipeline.streaming.quantization import Format
from pipeline.streaming.streamed_module import StreamedModule


def small() -> SmallDiT:
    return SmallDiT(dim=64, heads=2, axes=(8, 12, 12), joint_blocks=1, single_blocks=2, text_dim=48, pooled_dim=32)


SMALL = Classes(
    dit=small,
    clip=lambda: SmallClip(dim=32, hidden_dim=64, layers=2),
    t5=lambda: SmallT5(dim=48, hidden_dim=64, heads=2, head_dim=24, layers=2),
    vae_decoder=lambda: SizedVAEDecoder([32] * 4),
    vae_encoder=lambda: SizedVAEEncoder([32] * 4),
)


def conditions(**changes: Any) -> Conditions:
    return Conditions(**{"limit_mib": 2000, "sides_px": (64, 96), "steps": 2} | changes)


def timed(systems: Sequence[str], **changes: Any) -> list[Any]:
    return list(time_systems(systems, conditions(**changes), link_gb_s=None, device="cpu", classes=SMALL))


def test_every_system_is_timed_at_every_size() -> None:
    timings = timed(SYSTEMS)
    assert [(timing.system, timing.side_px, timing.error) for timing in timings] == [
        (name, px, None) for name in SYSTEMS for px in (64, 96)
    ]
    assert all(timing.step_s and timing.first_step_s for timing in timings)
    assert all(timing.link_share is None and timing.idle_share is None for timing in timings)


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Pictures]]:
    """Draws small pictures in few steps, blocks as they are."""
    monkeypatch.setattr(torch.cpu, "empty_cache", lambda: None, raising=False)  # DiffSynth counts on it
    monkeypatch.setattr("pipeline.bench.engine_timing.PICTURE_STEPS", 4)

    def draw(systems: Sequence[str], **changes: Any) -> list[Pictures]:
        measured = timed(systems, draws_pictures=True, is_eager=True, **changes)
        assert not any(each.error for each in measured if isinstance(each, Timing))
        return [each for each in measured if isinstance(each, Pictures)]

    return draw


def test_whole_pictures_are_drawn_with_a_new_and_a_known_prompt(
    pictures: Callable[..., list[Pictures]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    forward = SmallT5.forward

    def note(self: SmallT5, input_ids: torch.Tensor) -> torch.Tensor:
        read.append(len(input_ids))
        return forward(self, input_ids)

    monkeypatch.setattr(SmallT5, "forward", note)
    ours, stock = pictures(["int8", STOCK], sides_px=(64,))
    assert ours.new_prompt_s and ours.known_prompt_s
    assert stock.new_prompt_s and stock.known_prompt_s is None
    assert len(read) == 2 + 2  # ours: to warm up, and once for two pictures; DiffSynth: each time


def test_picture_that_fails_leaves_those_of_other_sizes(
    pictures: Callable[..., list[Pictures]], monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = FluxEngine.generate

    def fail(self: FluxEngine, spec: ImageSpec, **options: Any) -> GeneratedImage:
        if spec.width == 96:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(self, spec, **options)

    monkeypatch.setattr(FluxEngine, "generate", fail)
    small_one, large_one = pictures(["int8"])
    assert small_one.error is None and small_one.new_prompt_s
    assert large_one.error == "out of memory within 2000 MiB"


def test_process_that_dies_while_drawing_leaves_the_steps(
    pictures: Callable[..., list[Pictures]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_arguments: object) -> None:
        raise BrokenProcessPool("a process died")

    monkeypatch.setattr("pipeline.bench.engine_timing.time_pictures", die)
    (picture,) = pictures(["int8"], sides_px=(64,))
    assert picture.error == "BrokenProcessPool: a process died"


def test_peak_of_pictures_is_that_of_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(monkeypatch, lists_processes=True)

    def draw(side: int) -> tuple[float, None]:
        driver.take(100 * side)
        return 1.0, None

    monkeypatch.setattr("pipeline.bench.isolation.start_cuda", lambda: 0)
    monkeypatch.setattr("pipeline.bench.isolation.hold_to", lambda _bytes: None)
    monkeypatch.setattr("pipeline.bench.engine_timing._stock_pictures", lambda *_arguments: draw)
    found = time_pictures(STOCK, conditions(), 51.0, "cuda", SMALL)
    assert [(each.side_px, each.peak_mib) for each in found] == [(64, 6400), (96, 9600)]


def test_share_of_the_link_says_what_limits() -> None:
    timing = Timing(system="int8", side_px=512, step_s=0.1, streamed_bytes=5 * 10**9, link_gb_s=50.0)
    assert timing.link_share == pytest.approx(1.0)


def test_share_of_the_floor_says_how_much_faster_it_could_be() -> None:
    timing = Timing(system="int8", side_px=512, step_s=0.1, floor_s=0.08)
    assert timing.floor_share == pytest.approx(0.8)
    assert Timing(system="stock", side_px=512, step_s=0.1).floor_share is None


def test_idle_share_is_never_negative() -> None:
    assert Timing(system="int8", side_px=512, step_s=0.1, busy_s=0.075).idle_share == pytest.approx(0.25)
    assert Timing(system="int8", side_px=512, step_s=0.1, busy_s=0.11).idle_share == 0


def test_one_size_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def inputs(dit: Any, side_px: int, device: str, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        if side_px == 96:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.\nAdvice follows.")
        return random_inputs(dit, side_px, device, dtype)

    monkeypatch.setattr("pipeline.bench.engine_timing.random_inputs", inputs)
    assert [timing.error for timing in timed(["int8", STOCK])] == [None, "out of memory within 2000 MiB"] * 2


def test_system_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def enable(*_arguments: object, **_options: object) -> None:
        raise ValueError("no such thing\nand why")

    monkeypatch.setattr("pipeline.bench.random_weights.enable_vram_management", enable)
    reasons = [timing.error for timing in timed([STOCK, "int8"], sides_px=(64,))]
    assert reasons == ["ValueError: no such thing", None]


def test_smaller_card_is_no_option_without_a_large_one() -> None:
    (timing,) = timed(["int8"], sides_px=(64,), emulation=EMULATIONS["rtx4060"])
    assert timing.error is not None
    assert timing.error.startswith("a smaller card cannot be emulated here: ")


def test_process_that_dies_takes_no_other_along() -> None:
    with pytest.raises(BrokenProcessPool):
        apart(os._exit, 1)
    assert apart(abs, -1) == 1


@pytest.mark.parametrize(("missing", "peer"), [("diffusers", "diffusers"), ("mmgp", "mmgp"), ("diffusers", "mmgp")])
def test_peer_is_asked_for_by_name_where_it_is_missing(
    missing: str, peer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing != "mmgp":
        monkeypatch.setitem(sys.modules, "mmgp.offload", SimpleNamespace())
    monkeypatch.setitem(sys.modules, missing, None)
    reasons = [timing.error for timing in timed([peer, "int8"], sides_px=(64,))]
    assert reasons == [f"{missing} is not installed: pip install {missing}", None]


class PeersTransformer(torch.nn.Linear):
    """In place of diffusers' class; what it was asked and given is kept."""

    config = SimpleNamespace(in_channels=64, joint_attention_dim=48, pooled_projection_dim=32)
    asked: ClassVar[dict[str, torch.dtype]] = {}
    shapes: ClassVar[list[tuple[int, ...]]] = []

    def __init__(self, guidance_embeds: bool) -> None:
        super().__init__(64, 64)
        self.asked.clear()
        self.shapes.clear()

    def enable_layerwise_casting(self, **dtypes: torch.dtype) -> None:
        self.asked.update(dtypes)

    def forward(self, hidden_states: torch.Tensor, **inputs: Any) -> tuple[torch.Tensor]:
        self.shapes.append(tuple(hidden_states.shape))
        return (super().forward(hidden_states),)


@pytest.fixture
def diffusers(monkeypatch: pytest.MonkeyPatch) -> type[PeersTransformer]:
    """Installed, as far as the peers need it."""
    monkeypatch.setitem(sys.modules, "diffusers", SimpleNamespace(FluxTransformer2DModel=PeersTransformer))
    return PeersTransformer


def test_diffusers_runs_in_its_own_8_bits(diffusers: type[PeersTransformer]) -> None:
    (timing,) = timed(["diffusers"], sides_px=(64,))
    assert timing.error is None and timing.step_s
    assert diffusers.asked == {"storage_dtype": torch.float8_e4m3fn, "compute_dtype": torch.bfloat16}
    assert set(diffusers.shapes) == {(1, 16, 64)}


@pytest.mark.parametrize(("limit_mib", "budget_mib"), [(7200, 7200 - MMGP_ROOM_MIB), (2000, 1)])
def test_mmgp_keeps_on_the_card_what_the_limit_leaves(
    limit_mib: int, budget_mib: int, diffusers: type[PeersTransformer], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    offload = SimpleNamespace(all=lambda models, **options: asked.append((models, options)))
    # A package that imports no module of its own by itself.
    monkeypatch.setitem(sys.modules, "mmgp", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "mmgp.offload", offload)
    (timing,) = timed(["mmgp"], sides_px=(64,), limit_mib=limit_mib)
    assert timing.error is None and timing.step_s
    ((models, options),) = asked
    assert isinstance(models["transformer"], diffusers)
    assert options["budgets"] == {"transformer": budget_mib}
    assert options["pinnedMemory"]


class Driver:
    """A card that has 300 MiB used by others; what this process takes is listed or not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, lists_processes: bool) -> None:
        self.own_mib = 0
        self.asked = Event()
        self.lists_processes = lists_processes
        monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda _index: self)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", self.memory)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", self.processes)

    def memory(self, _card: object) -> SimpleNamespace:
        self.asked.set()
        return SimpleNamespace(used=(300 + self.own_mib) * MIB)

    def processes(self, _card: object) -> list[SimpleNamespace]:
        self.asked.set()
        if not self.lists_processes:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [
            SimpleNamespace(pid=os.getpid() + 1, usedGpuMemory=300 * MIB),
            SimpleNamespace(pid=os.getpid(), usedGpuMemory=self.own_mib * MIB),
        ]

    def take(self, mib: int) -> None:
        """Take so much, long enough to be seen."""
        self.own_mib = mib
        for _ in range(2):  # the first answer may have been on its way
            self.asked.clear()
            assert self.asked.wait(5)


@pytest.mark.parametrize("lists_processes", [True, False])
def test_peak_is_the_most_of_this_process_alone(lists_processes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(monkeypatch, lists_processes=lists_processes)
    memory = PeakMemory()
    with memory:
        driver.take(5000)
        driver.take(1000)
    assert memory.mib == 5000
    with memory:
        driver.take(2000)
    assert memory.mib == 2000


class Profile:
    """Stands in for torch's profiler: two kernels of 30 ms beside what is none."""

    def __init__(self, **_options: object) -> None:
        pass

    def __enter__(self) -> Profile:
        return self

    def __exit__(self, *_raised: object) -> None:
        pass

    def events(self) -> list[SimpleNamespace]:
        def event(name: str, device: str = "CUDA", *, is_user_annotation: bool = False) -> SimpleNamespace:
            return SimpleNamespace(
                name=name,
                device_type=SimpleNamespace(name=device),
                is_user_annotation=is_user_annotation,
                time_range=SimpleNamespace(elapsed_us=lambda: 30_000.0),
            )

        return [
            event("gemm"),
            event("attention"),
            event("Memcpy HtoD (Pinned -> Device)"),
            event("cudaLaunchKernel", "CPU"),
            event("CompiledFxGraph", is_user_annotation=True),
        ]


def test_on_a_gpu_memory_kernels_and_link_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []
    copies: list[int] = []

    def make_ready(*_arguments: object) -> Ready:
        copies.append(BlockRing.copies)
        return Ready(
            at=lambda side: lambda _number: seen.append(side),
            streamed_bytes=lambda: 10**9,
            is_compiled=True,
            floor_s=lambda side, link_gb_s, tflops: side / link_gb_s / tflops,
        )

    seen: list[int] = []
    driver = Driver(monkeypatch, lists_processes=True)
    driver.own_mib = 6900
    for name in ("synchronize", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr("pipeline.bench.isolation.start_cuda", lambda: 0)
    monkeypatch.setattr("pipeline.bench.isolation.hold_to", limits.append)
    monkeypatch.setattr("pipeline.bench.stopwatch.profile", Profile)
    monkeypatch.setattr("pipeline.streaming.autotune.tflops_of", lambda _kept_as, _tiles: 100.0)
    monkeypatch.setattr("pipeline.streaming.autotune.fastest_tiles", lambda: None)
    monkeypatch.setattr("pipeline.bench.engine_timing._make_ready", make_ready)
    monkeypatch.setattr("pipeline.bench.isolation.few_multiprocessors", lambda _number: nullcontext())
    small_card = conditions(limit_mib=7200, emulation=EMULATIONS["rtx4060"])

    timings = time_system("int8", small_card, 51.0, "cuda", SMALL)

    assert [timing.error for timing in timings] == [None, None]
    assert [timing.side_px for timing in timings] == [64, 96]
    assert seen[0] == 96  # the largest first
    assert (limits, copies, BlockRing.copies) == ([7200 * MIB], [4], 1)
    assert {(timing.peak_mib, timing.kernels, timing.busy_s, timing.link_gb_s) for timing in timings} == {
        (6900, 2, 0.06, 12.75)
    }
    assert [timing.floor_s for timing in timings] == [64 / 12.75 / 100, 96 / 12.75 / 100]


@pytest.mark.parametrize("weight_format", list(Format))
def test_random_weights_have_about_unit_gain_and_are_the_same_each_time(weight_format: Format) -> None:
    with torch.device("meta"):
        dit = small()
    prepare(dit, DIT, weight_format, torch.float32)
    blocks = RandomBlocks(dit, DIT)
    assert all(torch.equal(blocks[name], blocks[name]) for name in blocks)
    transformer = Transformer(dit, blocks, "cpu")
    transformer.place()
    out = dit.blocks[0].ff_a[0](torch.randn(40, 64, generator=torch.Generator().manual_seed(1)))
    assert 0.5 < out.std() < 2


class Plain(StreamedModule):
    """A module with nothing but blocks."""

    COMPONENT = DIT


@pytest.mark.parametrize("weight_format", list(Format))
def test_random_weights_of_full_size_are_numbers(weight_format: Format) -> None:
    """Among millions some are far out, and a float of 8 bits holds 448 at most."""
    with torch.device("meta"):
        module = nn.Module()
        module.blocks = nn.ModuleList([nn.Sequential(nn.Linear(4096, 4100, bias=False))])
    prepare(module, DIT, weight_format, torch.float32)
    transformer = Plain(module, RandomBlocks(module, DIT), "cpu")
    transformer.place()
    weight = module.blocks[0][0].weight.float()
    assert torch.isfinite(weight).all()
    assert weight.abs().max() > 3 * weight.std()
