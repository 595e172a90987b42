"""How the values of a part are kept: plain, with scales, in blocks. Refuses what cannot be read, by name. No torch.

Sources: comfyanonymous/ComfyUI:comfy/ops.py, comfy/quant_ops.py and Comfy-Org/comfy-kitchen (`comfy_quant`);
bitsandbytes-foundation/bitsandbytes:bitsandbytes/functional.py (`QuantState.as_dict`);
nunchaku-tech/nunchaku:nunchaku/models/transformers/; ggml-org/llama.cpp:gguf-py/gguf/quants.py (what can be read).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from pipeline.catalog.headers import Container
from pipeline.catalog.layouts.tensors import Stored, Tensors, dominant
from pipeline.catalog.parts import Refusal, Storage

NAMES: Final = {
    "BF16": "bf16",
    "F16": "f16",
    "F32": "f32",
    "F64": "f64",
    "F8_E4M3": "fp8 e4m3",
    "F8_E5M2": "fp8 e5m2",
}
FLOAT8: Final = ("F8_E4M3", "F8_E5M2")
# Of GGUF's types, those that the `gguf` package cannot turn into numbers again.
_UNREADABLE_GGUF: Final = frozenset({"Q8_1", "Q8_K", "Q1_0", "I8", "I16", "I32", "I64", "F64"})
_TAKE: Final = "take the bf16, fp8, GGUF or NF4 file of the same model"
# Ends of names that tell a way of keeping weights that cannot be read, all of them; and what it is called.
_UNREADABLE: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    ((".qweight", ".wscales"), "SVDQuant weights in 4 bits, for nunchaku"),
    ((".qweight", ".smooth"), "SVDQuant weights in 4 bits, for nunchaku"),
    ((".qweight", ".smooth_factor"), "SVDQuant weights in 4 bits, for nunchaku"),
    ((".qweight", ".lora_down"), "SVDQuant weights in 4 bits, for nunchaku"),
    ((".qweight", ".proj_down"), "SVDQuant weights in 4 bits, for nunchaku"),
    ((".qweight", ".g_idx"), "GPTQ weights"),
    ((".qweight", ".qzeros"), "AWQ weights"),
    ((".qweight",), "integers of 4 bits, for other programs' kernels"),
    ((".weight_packed",), "compressed-tensors weights"),
    ((".weight_scale_2",), "NVFP4 weights"),
    ((".pre_quant_scale",), "weights of NVIDIA's ModelOpt"),
    ((".weight_zero_point",), "integers with zero points"),
    ((".SCB",), "LLM.int8() weights of bitsandbytes"),
    ((".weight._data",), "weights of optimum-quanto"),
    ((".weight._scale",), "weights of optimum-quanto"),
    ((".W_q",), "HQQ weights"),
    ((".scales", ".biases"), "MLX weights, for Apple's processors"),
    ((".svd_up",), "SDNQ weights"),
    ((".weight:qdata",), "torchao weights"),
    ((".weight_qdata",), "torchao weights"),
    (("._weight_qdata",), "torchao weights"),
)
# What `comfy_quant` and `_quantization_metadata` call formats.
_COMFY_FLOAT8: Final = frozenset(
    f"float8_{name}{end}" for name in ("e4m3fn", "e5m2") for end in ("", "_rowwise", "_blockwise")
)
_COMFY_INT8: Final = frozenset({"int8_tensorwise", "int8_rowwise", "int8_blockwise", "int8"})
_COMFY_NAMES: Final = {
    "nvfp4": "NVFP4 weights",
    "mxfp8": "MXFP8 weights",
    "mxfp4": "MXFP4 weights",
    "convrot_w4a4": "W4A4 weights",
    "asym_w4a8_int8": "W4A8 weights",
}


_GROUP_KEYS: Final = ("convrot_groupsize", "convrot_group_size", "group_size")
_DEFAULT_GROUP: Final = 256
_GROUPS: Final = tuple(4**power for power in range(1, 7))  # the sizes of regular Hadamard matrices


class Kept(NamedTuple):
    """How a part is kept, and in how many bits, for people."""

    storage: Storage
    precision: str


def storage_of(tensors: Tensors) -> Kept | Refusal:
    """Say how a part is kept, or why it cannot be read."""
    ends = {_end_of(name) for name in tensors.stored}
    for wanted, title in _UNREADABLE:
        if all(end in ends for end in wanted):
            return _refusal(title)
    if tensors.container is Container.GGUF:
        return _gguf(tensors)
    for header in tensors.headers:
        if header.metadata.get("format") == "mlx" and ".scales" in ends:
            return _refusal("MLX weights, for Apple's processors")
        if "torchao" in header.metadata.get("quantization", "") or "torchao_version" in header.metadata:
            return _refusal("torchao weights")
    formats = set(_formats(tensors))
    if unreadable := sorted(formats - _COMFY_FLOAT8 - _COMFY_INT8 - _OWN):
        return _refusal(_COMFY_NAMES.get(unreadable[0], f"weights in the format {unreadable[0][:40]!r}"))
    weights = [
        (name, each.info.dtype, each.info.size)
        for name in tensors.names
        if len((each := tensors.stored[name]).info.shape) > 1 or name.endswith(".weight")
    ]
    scaled = tensors.companions.keys()
    for name, dtype, _ in weights:
        is_scaled = bool(formats) and name.removesuffix(".weight") in scaled
        if dtype not in NAMES and not (is_scaled and dtype in ("I8", "U8")) and name.endswith("weight"):
            return _refusal(f"weights of type {dtype[:20]}, in a way that is not known here")
    dtype = dominant((dtype, size) for _, dtype, size in weights)
    if _NF4 in formats or _FP4 in formats:
        return Kept(Storage.NF4, "NF4" if _NF4 in formats else "FP4 of bitsandbytes")
    if _ROTATED in formats:
        return Kept(Storage.INT8_CONVROT, "int8, rotated")
    if formats & _COMFY_INT8:
        return Kept(Storage.INT8_CONVROT, "int8, scaled")
    if formats:
        float8 = dominant((dtype, size) for _, dtype, size in weights if dtype in FLOAT8)
        return Kept(Storage.SCALED_FLOAT8, f"{NAMES.get(float8, 'fp8')}, scaled")
    return Kept(Storage.PLAIN, NAMES.get(dtype, dtype))


_NF4: Final = "bitsandbytes nf4"
_FP4: Final = "bitsandbytes fp4"
_ROTATED: Final = "int8 with rotation"
_UNMARKED: Final = "int8 without a marker"
_OWN: Final = frozenset({_NF4, _FP4, _ROTATED})


def _formats(tensors: Tensors) -> Iterator[str]:
    """How weights are kept that have something beside them."""
    told = _told_by_metadata(tensors)
    seen: dict[tuple[str, int], str] = {}
    for stem, beside in tensors.companions.items():
        weight = tensors.stored.get(f"{stem}.weight")
        dtype = "" if weight is None else weight.info.dtype
        if (marker := beside.get(".comfy_quant")) is not None:
            # Markers of one length beside weights of one type are the same; a read each would be a seek each.
            key = (dtype, marker.info.size)
            if key not in seen:
                seen[key] = _format_of(tensors.note(stem, ".comfy_quant"))
            yield seen[key]
        elif (name := next((name for name in (f"{tensors.prefix}{stem}", stem) if name in told), None)) is not None:
            yield told[name]
        else:
            yield from _told_by_names(beside, dtype)


def _told_by_names(beside: Mapping[str, Stored], dtype: str) -> Iterator[str]:
    if any(end.startswith(".weight.quant_state.") for end in beside):
        yield _NF4 if any(end.endswith("nf4") for end in beside) else _FP4
    elif (scale := beside.get(".scale_weight") or beside.get(".weight_scale")) is not None:
        # Integers may be rotated, and no name says so; powers of two go with blocks.
        odd = {"I8": _UNMARKED, "U8": "nvfp4", "F4": "nvfp4"}.get(dtype, "float8_e4m3fn")
        yield odd if scale.info.dtype in NAMES else "nvfp4" if odd == "nvfp4" else "mxfp8"


def _told_by_metadata(tensors: Tensors) -> dict[str, str]:
    """Layer → format, as a file's notes say; see comfyanonymous/ComfyUI:comfy/utils.py, `convert_old_quants`."""
    found: dict[str, str] = {}
    for header in tensors.headers:
        try:
            layers = json.loads(header.metadata.get("_quantization_metadata", "{}"))["layers"]
            found |= {name: _format_of(each) for name, each in layers.items() if isinstance(each, dict)}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return found


def _format_of(note: dict[str, Any]) -> str:
    name = note.get("format")
    if not isinstance(name, str):
        return "unknown"
    if name not in _COMFY_INT8:
        return name
    params = note.get("params")
    told = {**(params if isinstance(params, dict) else {}), **note}
    if not told.get("convrot"):
        return name
    group = next((told[key] for key in _GROUP_KEYS if key in told), _DEFAULT_GROUP)
    return _ROTATED if group in _GROUPS else f"int8 rotated in groups of {str(group)[:20]}"


def _gguf(tensors: Tensors) -> Kept | Refusal:
    types = [(each.info.dtype, each.info.size) for each in tensors.stored.values()]
    if unreadable := sorted({dtype for dtype, _ in types} & _UNREADABLE_GGUF):
        return Refusal(
            what=f"{unreadable[0]} weights of GGUF",
            reason="that type cannot be read here",
            instead="take a GGUF file of the same model in Q4_K, Q5_K, Q6_K or Q8_0",
        )
    return Kept(
        Storage.GGUF,
        dominant((each.info.dtype, each.info.size) for each in tensors.stored.values() if len(each.info.shape) > 1),
    )


def _end_of(name: str) -> str:
    """The end of a name that tells how a weight is kept: its last word, or its last two after `.weight`."""
    before, dot, last = name.rpartition(".")
    return f".weight.{last}" if before.endswith(".weight") else dot + last


def _refusal(title: str) -> Refusal:
    return Refusal(what=title, reason="they are for kernels that this program does not have", instead=_TAKE)
