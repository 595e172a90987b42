"""Writes state dicts in every way that files keep them: quantizers of our own, elementwise, not those of the product.

`scaled_float8`, `convrot_int8` and `nf4` take tensors and return what a file has in their place; `write_safetensors`
and `write_gguf` write files. Formulas: see `pipeline/streaming/storages`; ggml-org/ggml:src/ggml-quants.c.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

Tensors = dict[str, Tensor]
NF4_VALUES = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635),
    *(-0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725),
    *(0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
FP4_VALUES = (
    *(0.0, 0.0052083333, 0.66666667, 1.0, 0.33333333, 0.5, 0.16666667, 0.25),
    *(-0.0, -0.0052083333, -0.66666667, -1.0, -0.33333333, -0.5, -0.16666667, -0.25),
)
_FLOAT8_MAX = {torch.float8_e4m3fn: 448.0, torch.float8_e5m2: 57344.0}


def is_matrix(name: str, tensor: Tensor) -> bool:
    """Whether quantizers take a tensor: the weight of a Linear."""
    return name.endswith(".weight") and tensor.dim() == 2


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    """Write a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path, metadata)
    return path


def scaled_float8(
    tensors: Mapping[str, Tensor],
    *,
    dtype: torch.dtype = torch.float8_e4m3fn,
    is_old: bool = True,
    per_output: bool = False,
    picks: Callable[[str, Tensor], bool] = is_matrix,
) -> Tensors:
    """Matrices as ComfyUI keeps them in scaled float8: `.scale_weight` and a marker, or `.weight_scale` and notes."""
    found: Tensors = {}
    for name, tensor in tensors.items():
        if not picks(name, tensor):
            found[name] = tensor
            continue
        stem, weight = name.removesuffix(".weight"), tensor.float()
        largest = weight.abs().amax(1, keepdim=True) if per_output else weight.abs().amax()
        scale = (largest / _FLOAT8_MAX[dtype]).clamp_min(1e-12)
        found[name] = (weight / scale).to(dtype)
        found[f"{stem}.scale_weight" if is_old else f"{stem}.weight_scale"] = scale
        found[f"{stem}.scale_input" if is_old else f"{stem}.input_scale"] = torch.tensor(0.7)
        if not is_old:
            found[f"{stem}.comfy_quant"] = note({"format": str(dtype).removeprefix("torch.")})
    if is_old:
        found["scaled_fp8"] = torch.zeros(2, dtype=dtype)
    return found


def from_scaled_float8(weight: Tensor, scale: Tensor) -> Tensor:
    """What such a weight (M, K) means."""
    scale = scale.reshape(-1).expand(len(weight)) if scale.numel() == 1 else scale.reshape(-1)
    return torch.stack([row.float() * scale[number] for number, row in enumerate(weight)])


def convrot_int8(tensors: Mapping[str, Tensor], *, group: int | None = 16) -> Tensors:
    """Matrices as comfy-kitchen keeps them in int8, inputs rotated in groups; None: not rotated."""
    found: Tensors = {}
    for name, tensor in tensors.items():
        if not is_matrix(name, tensor) or (group is not None and tensor.shape[1] % group):
            found[name] = tensor
            continue
        stem, weight = name.removesuffix(".weight"), tensor.float()
        said: dict[str, object] = {"format": "int8_tensorwise", "per_row": True}
        if group is not None:
            weight = torch.cat([part @ rotation(group).T for part in weight.split(group, 1)], 1)
            said |= {"convrot": True, "convrot_groupsize": group}
        scale = (weight.abs().amax(1, keepdim=True) / 127).clamp_min(1e-30)
        found[name] = (weight / scale).round().clamp(-128, 127).to(torch.int8)
        found[f"{stem}.weight_scale"] = scale
        found[f"{stem}.comfy_quant"] = note(said)
    return found


def rotation(size: int) -> Tensor:
    """ConvRot's matrix by its elements: minus for each digit to base 4 where row and column add up to 3."""
    matrix = torch.empty(size, size)
    for row in range(size):
        for column in range(size):
            a, b, sign = row, column, 1.0
            for _ in range(round(math.log(size, 4))):
                sign *= -1 if a % 4 + b % 4 == 3 else 1
                a, b = a // 4, b // 4
            matrix[row, column] = sign / math.sqrt(size)
    return matrix


def nf4(tensors: Mapping[str, Tensor], *, block: int = 64, is_nested: bool = False, kind: str = "nf4") -> Tensors:
    """Matrices as bitsandbytes keeps them in NF4, or in `fp4`; `is_nested` as with `compress_statistics`."""
    values, found = torch.tensor({"nf4": NF4_VALUES, "fp4": FP4_VALUES}[kind]), Tensors()
    for name, tensor in tensors.items():
        if not is_matrix(name, tensor):
            found[name] = tensor
            continue
        flat = tensor.float().reshape(-1)
        blocks = flat.split(block)
        absmax = torch.stack([each.abs().amax().clamp_min(1e-12) for each in blocks])
        said = {"quant_type": kind, "blocksize": block, "dtype": "bfloat16", "shape": list(tensor.shape)}
        if is_nested:
            said |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": float(absmax.mean())}
            nested_values = torch.linspace(-1, 1, 256)
            rest = absmax - said["nested_offset"]
            of_blocks = torch.stack([each.abs().amax().clamp_min(1e-12) for each in rest.split(256)])
            scaled = torch.cat([each / of_blocks[number] for number, each in enumerate(rest.split(256))])
            indices = (scaled[:, None] - nested_values).abs().argmin(1)
            found |= {
                f"{name}.absmax": indices.to(torch.uint8),
                f"{name}.nested_absmax": of_blocks,
                f"{name}.nested_quant_map": nested_values,
            }
            absmax = torch.tensor(
                [nested_values[int(i)] * of_blocks[n // 256] + said["nested_offset"] for n, i in enumerate(indices)]
            )
        else:
            found[f"{name}.absmax"] = absmax
        nearest = torch.cat(
            [((each / absmax[number])[:, None] - values).abs().argmin(1) for number, each in enumerate(blocks)]
        )
        if len(nearest) % 2:
            nearest = torch.cat([nearest, torch.tensor([0])])
        found[name] = (nearest[::2] * 16 + nearest[1::2]).to(torch.uint8)[:, None]
        found[f"{name}.quant_map"] = values
        found[f"{name}.quant_state.bitsandbytes__{kind}"] = note(said)
    return found


def from_nf4(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    """What such a weight means, value by value."""
    (state,) = [tensor for each, tensor in tensors.items() if each.startswith(f"{name}.quant_state.")]
    said = json.loads(bytes(state.tolist()))
    absmax, values = tensors[f"{name}.absmax"], tensors[f"{name}.quant_map"]
    found = []
    for number in range(math.prod(said["shape"])):
        byte = int(tensors[name].reshape(-1)[number // 2])
        scale = absmax[number // said["blocksize"]]
        if f"{name}.nested_absmax" in tensors:
            of_block = tensors[f"{name}.nested_absmax"][number // said["blocksize"] // said["nested_blocksize"]]
            scale = tensors[f"{name}.nested_quant_map"][int(scale)] * of_block + said["nested_offset"]
        found.append(values[byte % 16 if number % 2 else byte // 16] * scale)
    return torch.stack(found).reshape(said["shape"])


def note(content: Mapping[str, object]) -> Tensor:
    """A note as tensors hold it."""
    return torch.tensor(list(json.dumps(content).encode()), dtype=torch.uint8)


def write_gguf(
    path: Path,
    tensors: Mapping[str, Tensor],
    types: str | Callable[[str, Tensor], str] = "Q8_0",
    arch: str = "flux",
) -> Path:
    """Write a file; matrices whose rows hold whole blocks are of the type, everything else is F32.

    K-quants hold random valid blocks: the package cannot make them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, arch)
    for number, (name, tensor) in enumerate(tensors.items()):
        wanted = types if isinstance(types, str) else types(name, tensor)
        kind = gguf.GGMLQuantizationType[wanted]
        width, size = gguf.GGML_QUANT_SIZES[kind]
        if tensor.dim() < 2 or tensor.shape[-1] % width:
            writer.add_tensor(name, tensor.float().contiguous().numpy())
        elif wanted.endswith("_K"):
            shape = (*tensor.shape[:-1], tensor.shape[-1] // width * size)
            writer.add_tensor(name, random_blocks(wanted, shape, seed=number), raw_dtype=kind)
        else:
            values = tensor.float().contiguous().numpy()
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


# Where in a block there are float16 numbers: its scale, and what is subtracted.
HALVES = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}


def random_blocks(kind: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Blocks of a K-quant (…, bytes) uint8 of which every bit is random, but for scales, which make weights small."""
    random = np.random.default_rng(seed)
    _, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    blocks = random.integers(0, 256, (math.prod(shape) // size, size), dtype=np.uint8)
    for place in HALVES[kind]:
        scales = random.uniform(1e-4, 1e-3, len(blocks)).astype(np.float16)
        blocks[:, place : place + 2] = scales[:, None].view(np.uint8)
    return blocks.reshape(shape)


def from_q4_k(block: bytes) -> list[float]:
    """The 256 values of a block: 8 of 32, each with a scale and a minimum of 6 bits (ggml: `dequantize_row_q4_K`)."""
    d, least = np.frombuffer(block[:4], np.float16).astype(np.float32)
    scales, quants = block[4:16], block[16:]
    found = []
    for part in range(8):
        if part < 4:
            scale, minimum = scales[part] & 63, scales[part + 4] & 63
        else:
            scale = (scales[part + 4] & 15) | (scales[part - 4] >> 6) << 4
            minimum = (scales[part + 4] >> 4) | (scales[part] >> 6) << 4
        for number in range(32):
            byte = quants[part // 2 * 32 + number]
            quant = byte >> 4 if part % 2 else byte & 15
            found.append(float(d * np.float32(scale) * np.float32(quant) - least * np.float32(minimum)))
    return found


def from_q6_k(block: bytes) -> list[float]:
    """The 256 values of a block: 16 of 16, each with a scale of 8 bits (ggml: `dequantize_row_q6_K`)."""
    low, high, scales = block[:128], block[128:192], np.frombuffer(block[192:208], np.int8)
    d = np.frombuffer(block[208:210], np.float16).astype(np.float32)[0]
    found = []
    for number in range(256):
        half, quarter, column = number // 128, number % 128 // 32, number % 32
        byte = low[half * 64 + quarter % 2 * 32 + column]
        four = byte >> 4 if quarter >= 2 else byte & 15
        two = high[half * 32 + column] >> (2 * quarter) & 3
        found.append(float(d * np.float32(scales[number // 16]) * np.float32((four | two << 4) - 32)))
    return found
