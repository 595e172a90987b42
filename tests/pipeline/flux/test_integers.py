"""Our own kernel for integers gives what the library gives, bit for bit, and compiles for the cards it is for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

triton = pytest.importorskip("triton")

# Triton decides when a kernel is defined whether it is to be interpreted, so this needs a process of its own.
INTERPRETED = """
import torch
from pipeline.flux.formats import Format, PackedLinear, quantize
from pipeline.flux.integers import int8_product
from pipeline.speed import Tiles

generator = torch.Generator().manual_seed(1)
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
            for tiles in (TILES, Tiles(16, 16, 32, 4, 2)):
                made = int8_product(rows, weight, row_scale, scale, bias, dtype, list(tiles))
                assert torch.equal(made, wanted), (tokens, inputs, outputs, dtype, has_bias, tiles)

module = PackedLinear(96, 80, Format.INT8, has_bias=True, dtype=torch.float32, device="cpu")
for name, tensor in quantize(torch.randn(80, 96, generator=generator), Format.INT8).items():
    module.get_buffer(name).copy_(tensor)
module.bias.normal_(generator=generator)
x = torch.randn(2, 20, 96, generator=generator)
wanted = module(x)
module.tiles = TILES
assert torch.equal(module(x), wanted)
print("the same bits")
"""


def test_kernel_gives_the_bits_of_the_library(tmp_path: Path) -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", INTERPRETED],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "the same bits\n", done.stderr


@pytest.mark.parametrize(("card", "instruction"), [(89, "mma.sync.aligned.m16n8k32.row.col"), (90, "wgmma.mma_async")])
def test_kernel_compiles_to_products_of_integers(
    card: int, instruction: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a GeForce RTX 40 and for an H100; the first choice of tiles has to fit on both."""
    from pipeline.flux.integers import CHOICES, NEIGHBOURS, _kernel

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")
    pointers = {"rows_at": "*i8", "weight_at": "*i8", "row_scale_at": "*fp32", "scale_at": "*fp32"}
    numbers = dict.fromkeys(("tokens", "outputs", "inputs"), "i32")
    tiles = CHOICES[0]
    constants = {
        "has_bias": True,
        "is_whole": True,
        "tile_rows": tiles.rows,
        "tile_outputs": tiles.outputs,
        "tile_inputs": tiles.inputs,
        "neighbours": NEIGHBOURS,
    }
    signature = {
        **pointers,
        "bias_at": "*bf16",
        "out_at": "*bf16",
        **numbers,
        **dict.fromkeys(constants, "constexpr"),
    }
    aligned = {(number,): [["tt.divisibility", 16]] for number in range(9)}
    made = triton.compile(
        triton.compiler.ASTSource(fn=_kernel, signature=signature, constexprs=constants, attrs=aligned),
        target=triton.backends.compiler.GPUTarget("cuda", card, 32),
        options={"num_warps": tiles.warps, "num_stages": tiles.stages},
    )
    assert instruction in made.asm["ptx"]
    assert ".s32.s8.s8" in made.asm["ptx"]
    assert made.metadata.shared <= {89: 99, 90: 227}[card] * 1024
