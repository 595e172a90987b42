"""Our own kernels for integers give what the library gives, and compile for the cards that they are for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

triton = pytest.importorskip("triton")

SHARED_KIB = {80: 163, 89: 99, 90: 227}  # of a multiprocessor, for one program


@pytest.fixture(autouse=True)
def triton_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")


PREFACE = """
import torch
from pipeline.streaming import quantization
from pipeline.streaming.quantization import Format, QuantizedLinear, int8_rows, quantize
from pipeline.device.gpu_profile import Tiles
from pipeline.streaming.lora_product import Side

generator = torch.Generator().manual_seed(1)


def linear(inputs, outputs):
    module = QuantizedLinear(inputs, outputs, Format.INT8, has_bias=True, dtype=torch.float32, device="cpu")
    for name, tensor in quantize(torch.randn(outputs, inputs, generator=generator), Format.INT8).items():
        module.get_buffer(name).copy_(tensor)
    module.bias.normal_(generator=generator)
    return module
"""

PRODUCTS = """
from pipeline.streaming.triton_int8 import int8_product

TILES = Tiles(32, 64, 32, 4, 2)


def integers(*shape):
    return torch.randint(-127, 128, shape, dtype=torch.int8, generator=generator)


for tokens, inputs, outputs in ((96, 64, 128), (40, 104, 72), (33, 8, 200), (1, 32, 64)):
    for dtype in (torch.float32, torch.float16):
        for has_bias in (True, False):
            rows, weight = integers(tokens, inputs), integers(outputs, inputs)
            row_scale = torch.rand(tokens, 1, generator=generator)
            scale = torch.rand(outputs, generator=generator) / 1e3
            bias = torch.randn(outputs, generator=generator).to(dtype) if has_bias else None
            wanted = (rows.int() @ weight.int().t() * row_scale * scale).to(dtype)
            wanted = wanted if bias is None else wanted + bias
            tiles = TILES if has_bias else Tiles(16, 16, 32, 4, 2)
            made = int8_product(rows, weight, row_scale, scale, bias, dtype, list(tiles))
            assert torch.equal(made, wanted), (tokens, inputs, outputs, dtype, has_bias, tiles)

module = linear(96, 80)
x = torch.randn(2, 20, 96, generator=generator)
wanted = module(x)
module.tiles = TILES
assert torch.equal(module(x), wanted)
for rank, pieces in ((32, (80,)), (64, (32, 16, 32)), (32, (10, 20, 30, 20))):
    module.side = Side(
        torch.randn(len(pieces), rank, 96, generator=generator), torch.randn(80, rank, generator=generator), pieces
    )
    module.tiles = None
    wanted = module(x)
    module.tiles = TILES
    assert torch.allclose(module(x), wanted, rtol=1e-5, atol=1e-3), (rank, pieces)
"""

ROWS = """
from pipeline.streaming import triton_int8

for tokens, inputs in ((5, 256), (9, 3072), (1, 768), (3, 12288)):
    for dtype in (torch.float32, torch.float16):
        x = torch.randn(tokens, inputs, generator=generator).to(dtype)
        x[:, 7] *= 30
        wanted, wanted_scale = int8_rows(x.float())
        made, scale = triton_int8.int8_rows(x)
        different = (made.int() - wanted).abs()
        assert different.max() <= 1 and (different > 0).float().mean() < 1e-3, (tokens, inputs, dtype)
        assert torch.allclose(scale, wanted_scale, rtol=1e-6), (tokens, inputs, dtype)
made, scale = triton_int8.int8_rows(torch.zeros(3, 512))
assert not made.any() and (scale > 0).all()
for wrong in (torch.nan, torch.inf):  # what overflowed has to be seen
    x = torch.randn(3, 768, generator=generator)
    x[1, 300] = wrong
    _, scale = triton_int8.int8_rows(x)
    assert torch.equal(scale.isfinite()[:, 0], torch.tensor([True, False, True])), wrong

module = linear(512, 80)
x = torch.randn(2, 20, 512, generator=generator)
wanted = module(x)
module.fuses_rows = True
quantization.int8_rows = None  # of no use any more
assert torch.allclose(module(x), wanted, atol=0.02 * float(wanted.abs().max()))
quantization.int8_rows = int8_rows

module = linear(96, 80)  # too narrow
x = torch.randn(2, 20, 96, generator=generator)
wanted = module(x)
module.fuses_rows = True
assert torch.equal(module(x), wanted)
"""


TRANSFORMER = """
from functools import partial

from pipeline.families.flux.architecture import FLUX
from pipeline.runtime.process_setup import prepare_process

prepare_process(*FLUX.library)  # the whole library takes ten seconds

from pipeline.demo.model import SmallDiT
from pipeline.families.flux.transformer import random_inputs
from tests.pipeline.families.flux.accuracy import seeded

transformer = seeded(partial(SmallDiT, joint_blocks=1, single_blocks=1), Format.INT8, torch.float32, "cpu")
inputs = random_inputs(transformer.module, 64, "cpu", torch.float32)
inputs |= {name: inputs[name][:, :20] for name in ("prompt_emb", "text_ids")}  # 512 words would take half a minute
inputs |= {"schedule": torch.tensor([500.0]), "timestep": torch.tensor([500.0]), "progress_id": 0}
with torch.no_grad():
    wanted = transformer.predict(dit=transformer.module, **inputs)
    transformer.use_kernels(Tiles(128, 256, 256, 4, 2), fuses_rows=True)  # as on a second start
    quantization.int8_rows = None
    made = transformer.predict(dit=transformer.module, **inputs)
assert not torch.equal(made, wanted)
assert (made - wanted).norm() < 0.01 * wanted.norm()
"""


PARTS = {"products": PRODUCTS, "rows": ROWS, "transformer": TRANSFORMER}
RUN_PARTS = f"""
import json, traceback

said = {{}}
for name, part in {PARTS!r}.items():
    try:
        exec(part, dict(globals()))
    except Exception:
        said[name] = traceback.format_exc()
    else:
        said[name] = "the same"
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What came of each part, in a process of its own: Triton decides when a kernel is defined whether to interpret it.

    One for all, since importing PyTorch and Triton takes longer than the kernels.
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PREFACE + RUN_PARTS],
        env={**os.environ, "TRITON_INTERPRET": "1", "TRITON_CACHE_DIR": str(tmp_path_factory.mktemp("triton"))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.timeout(120)  # imports much, beside whatever else this machine does
@pytest.mark.parametrize("part", PARTS)
def test_kernel_gives_what_the_library_gives(interpreted: dict[str, str], part: str) -> None:
    assert interpreted[part] == "the same"


@pytest.mark.parametrize(("card", "instruction"), [(89, "mma.sync.aligned.m16n8k32.row.col"), (90, "wgmma.mma_async")])
@pytest.mark.parametrize("pieces", [0, 3])
def test_kernel_compiles_to_products_of_integers(card: int, instruction: str, pieces: int) -> None:
    """For a GeForce RTX 40 and for an H100; the first choice of tiles has to fit on both, with LoRAs as well."""
    from pipeline.streaming.lora_product import RANK_STEP
    from pipeline.streaming.triton_int8 import CHOICES, NEIGHBOURS, _kernel

    tiles = CHOICES[0]
    made = compiled(
        _kernel,
        card,
        {
            "rows_at": "*i8", "weight_at": "*i8", "row_scale_at": "*fp32", "scale_at": "*fp32", "bias_at": "*bf16",
            "inner_at": "*bf16", "up_at": "*bf16", "out_at": "*bf16", "tokens": "i32", "outputs": "i32",
            "inputs": "i32", "rank_steps": "i32", "end_0": "i32", "end_1": "i32", "end_2": "i32",
        },
        {
            "pieces": pieces, "tile_rank": RANK_STEP,
            "has_bias": True, "is_whole": True, "tile_rows": tiles.rows, "tile_outputs": tiles.outputs,
            "tile_inputs": tiles.inputs, "neighbours": NEIGHBOURS,
        },
        num_warps=tiles.warps,
        num_stages=tiles.stages,
    )  # fmt: skip
    assert instruction in made.asm["ptx"]
    assert ".s32.s8.s8" in made.asm["ptx"]
    assert made.metadata.shared <= SHARED_KIB[card] * 1024


@pytest.mark.parametrize(("card", "instruction"), [(80, "mma.sync"), (89, "mma.sync"), (90, "wgmma.mma_async")])
@pytest.mark.parametrize(("rows", "groups"), [(4, 16), (1, 64)])
def test_kernel_for_rows_compiles_to_wide_copies_and_little_memory(
    card: int, instruction: str, rows: int, groups: int
) -> None:
    """It is as fast as memory allows only where two of it or more run side by side."""
    from pipeline.streaming.triton_int8 import WARPS, _rows_kernel

    made = compiled(
        _rows_kernel,
        card,
        {"rows_at": "*bf16", "integers_at": "*i8", "row_scale_at": "*fp32", "tokens": "i32", "inputs": "i32"},
        {"rows": rows, "groups": groups},
        num_warps=WARPS,
    )
    assert instruction in made.asm["ptx"]
    assert "max.NaN.f32" in made.asm["ptx"]
    assert {"ld.global.v4.b32", "st.global.v4.b32"} <= set(made.asm["ptx"].split())
    assert made.metadata.shared <= SHARED_KIB[card] * 1024 // 2


def compiled(kernel: object, card: int, signature: dict[str, str], constants: dict[str, object], **options: int) -> Any:
    """A kernel for a compute capability, with what its arguments point at aligned."""
    source = triton.compiler.ASTSource(
        fn=kernel,
        signature={**signature, **dict.fromkeys(constants, "constexpr")},
        constexprs=constants,
        attrs={(number,): [["tt.divisibility", 16]] for number in range(len(signature))},
    )
    target = triton.backends.compiler.GPUTarget("cuda", card, 32)
    return triton.compile(source, target=target, options=options)
