"""Cost of packing, in seconds and memory; runs alone.

`python -m tests.pipeline.families.flux.packed_cost FOLDER GB` writes and checks packed files of random bytes.
`python -m tests.pipeline.families.flux.packed_cost FOLDER LAYOUT SHARE` packs that share of FLUX.1's blocks from a file
of zeros, in a fresh process; LAYOUT is plain, float8, convrot, nf4, or a type of GGUF. The file takes no room on the
disk, what is packed of all of FLUX.1 takes 12 GB.
`python -m tests.pipeline.families.flux.packed_cost FOLDER speeds` reads a tensor in every layout on one core.
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import torch

from pipeline.catalog.layouts import identify
from pipeline.catalog.parts import Naming, Part, PartKind
from pipeline.streaming.block_packing import Block, Packed
from pipeline.streaming.checkpoint_files import CheckpointFiles
from pipeline.streaming.packed_cache import open_packed
from pipeline.streaming.quantization import Format
from tests.pipeline.families.flux.random_flux import FULL, dit_shapes

BLOCK_BYTES = 2**27  # half a double block of FLUX.1 in 8 bits
SUFFIXES = (".safetensors", ".lock", ".part", ".journal")
Entry = tuple[str, tuple[int, ...], bytes | None]  # dtype, shape, and what it holds if that is not zeros


def cost_of_checksums(folder: Path, gigabytes: float) -> None:
    count = round(gigabytes * 1e9 / BLOCK_BYTES)
    blocks = {str(n): Block(name=str(n), entries=(), size=BLOCK_BYTES) for n in range(count)}
    data = torch.randint(0, 256, (BLOCK_BYTES,), dtype=torch.uint8)
    path = folder / "cost.safetensors"

    def contents(_done: Collection[str]) -> Iterator[Packed]:
        return (Packed(block, data) for block in blocks.values())

    def timed(what: str, call: Callable[[], object]) -> None:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        call()
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        print(f"{what}: {wall_s:.2f} s, {cpu_s:.2f} s of a core; {count * BLOCK_BYTES / 1e9:.1f} GB")  # noqa: T201

    try:
        timed("written", lambda: open_packed(path, blocks, "cost", contents))
        packed = open_packed(path, blocks, "cost", contents)
        timed("opened again", lambda: open_packed(path, blocks, "cost", contents))
        packed.check()
        timed("checked", lambda: packed.wait(None))
        assert packed.flaw is None
    finally:
        for suffix in SUFFIXES:
            path.with_suffix(suffix).unlink(missing_ok=True)


def cost_of_layout(folder: Path, layout: str, share: float) -> None:
    """Write the file here and pack it in a process of its own, so that its memory is that of packing."""
    sizes = dataclasses.replace(
        FULL, joint_blocks=max(1, round(FULL.joint_blocks * share)), single_blocks=max(1, round(38 * share))
    )
    source = folder / ("source.gguf" if layout.isupper() or "_" in layout else "source.safetensors")
    shapes = dit_shapes(sizes)
    (write_gguf if source.suffix == ".gguf" else write_safetensors)(source, shapes, layout)
    weights = sum(map(math.prod, shapes.values()))
    print(f"{layout}: {weights / 1e9:.2f} G weights, {source.stat().st_size / 1e9:.2f} GB", flush=True)  # noqa: T201
    try:
        subprocess.run([sys.executable, "-m", __spec__.name, str(folder), str(source)], check=True)
    finally:
        source.unlink()
        for suffix in SUFFIXES:
            (folder / "packed.x").with_suffix(suffix).unlink(missing_ok=True)


def speeds(folder: Path) -> None:
    torch.set_num_threads(1)
    shape = {"double_blocks.0.img_mlp.0.weight": (12288, 3072)}
    types = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "BF16")
    for layout in ("plain", "float8", "convrot", "nf4", *types):
        path = folder / "source"
        (write_gguf if layout in types else write_safetensors)(path, shape, layout)
        part = Part(kind=PartKind.DENOISER, architecture="flux", paths=(path,), naming=Naming.ORIGINAL)
        files = CheckpointFiles(part)
        files.read(*files.names)
        start_s, times = time.process_time(), 3
        for _ in range(times):
            weights = times * files.read(*files.names).numel()
        print(f"{layout}: {weights / (time.process_time() - start_s) / 1e6:.0f} M weights/s of a core")  # noqa: T201
        path.unlink()


def pack_alone(folder: Path, source: Path) -> None:
    import resource

    from pipeline.families.flux import names
    from pipeline.families.flux.sized import FLUX_MODULES
    from pipeline.families.flux.transformer import Transformer
    from pipeline.families.recipes import Recipe

    (part,) = identify(source).parts
    files = CheckpointFiles(part)
    weights = sum(files.shape_of(name).numel() for name in files.names)
    idle_kib, wall_s, cpu_s = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        time.perf_counter(),
        time.process_time(),
    )
    Transformer.read(
        files,
        Recipe(source=files, convert=names.transformer_weights, make=FLUX_MODULES.dit).new,
        convert=names.transformer_weights,
        weight_format=Format.INT8,
        dtype=torch.bfloat16,
        device="cpu",
        cache=folder / "packed.safetensors",
    )
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(  # noqa: T201
        f"  packed in {wall_s:.0f} s, {cpu_s:.0f} s of a core, {weights / cpu_s / 1e6:.0f} M weights/s of a core; "
        f"peak {peak_kib / 2**20:.2f} GiB, {idle_kib / 2**20:.2f} before"
    )


def entries(shapes: dict[str, tuple[int, ...]], layout: str) -> Iterator[tuple[str, Entry]]:
    for name, shape in shapes.items():
        stem = name.removesuffix(".weight")
        if layout == "plain" or stem == name or "blocks" not in name:
            yield name, ("BF16", shape, None)
        elif layout == "float8":
            yield name, ("F8_E4M3", shape, None)
            yield f"{stem}.weight_scale", ("F32", (), None)
            yield f"{stem}.comfy_quant", _note({"format": "float8_e4m3fn"})
        elif layout == "convrot":
            yield name, ("I8", shape, None)
            yield f"{stem}.weight_scale", ("F32", (shape[0], 1), None)
            yield (
                f"{stem}.comfy_quant",
                _note({"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 256}),
            )
        else:
            count = math.prod(shape)
            yield name, ("U8", (count // 2, 1), None)
            yield f"{name}.absmax", ("F32", (count // 64,), None)
            yield f"{name}.quant_map", ("F32", (16,), None)
            state = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": list(shape)}
            yield f"{name}.quant_state.bitsandbytes__nf4", _note(state)


def _note(content: dict[str, object]) -> Entry:
    text = json.dumps(content).encode()
    return "U8", (len(text),), text


def write_safetensors(path: Path, shapes: dict[str, tuple[int, ...]], layout: str) -> None:
    widths = {"BF16": 2, "F32": 4}
    header, end, contents = {}, 0, dict[int, bytes]()
    for name, (dtype, shape, content) in entries(shapes, layout):
        size = math.prod(shape) * widths.get(dtype, 1)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        if content is not None:
            contents[end] = content
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for start, content in contents.items():
            file.seek(8 + len(text) + start)
            file.write(content)
        file.truncate(8 + len(text) + end)


def write_gguf(path: Path, shapes: dict[str, tuple[int, ...]], layout: str) -> None:
    import gguf
    import numpy as np

    kind = gguf.GGMLQuantizationType[layout]
    width, size = gguf.GGML_QUANT_SIZES[kind]
    writer, end = gguf.GGUFWriter(path, "flux"), 0
    for name, shape in shapes.items():
        if len(shape) < 2 or shape[-1] % width:
            writer.add_tensor_info(name, shape, np.dtype(np.float32), 4 * math.prod(shape))
            end += -(-4 * math.prod(shape) // 32) * 32
        else:
            bytes_shape = (*shape[:-1], shape[-1] // width * size)
            writer.add_tensor_info(name, bytes_shape, np.dtype(np.uint8), math.prod(bytes_shape), raw_dtype=kind)
            end += -(-math.prod(bytes_shape) // 32) * 32
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        file.seek(0, 2)
        file.truncate(-(-file.tell() // 32) * 32 + end)


if __name__ == "__main__":
    place, what, *rest = Path(sys.argv[1]), *sys.argv[2:]
    if rest:
        cost_of_layout(place, what, float(rest[0]))
    elif what == "speeds":
        speeds(place)
    elif Path(what).exists():
        pack_alone(place, Path(what))
    else:
        cost_of_checksums(place, float(what))
