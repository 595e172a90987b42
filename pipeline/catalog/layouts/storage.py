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
from pipeline.catalog.layouts.scales import (
    FLOAT8,
    FLOAT8_FORMATS,
    FLOATS,
    INT8_FORMATS,
    SCALE_ENDS,
    Senseless,
    grid_of,
    group_of,
    params_of,
    type_of,
)
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
# What `comfy_quant` and `_quantization_metadata` call formats that cannot be read.
_COMFY_NAMES: Final = {
    "nvfp4": "NVFP4 weights",
    "mxfp8": "MXFP8 weights",
    "mxfp4": "MXFP4 weights",
    "convrot_w4a4": "W4A4 weights",
    "asym_w4a8_int8": "W4A8 weights",
}


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
    notes = _notes_of(tensors)
    formats = set(_formats(tensors, notes))
    if unreadable := sorted(formats - FLOAT8_FORMATS.keys() - INT8_FORMATS - _OWN):
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
    if (senseless := _senseless(tensors, notes)) is not None:
        return senseless
    dtype = dominant((dtype, size) for _, dtype, size in weights)
    if _NF4 in formats or _FP4 in formats:
        return Kept(Storage.NF4, "NF4" if _NF4 in formats else "FP4 of bitsandbytes")
    if _ROTATED in formats:
        return Kept(Storage.INT8_CONVROT, "int8, rotated")
    if formats & INT8_FORMATS:
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


def _notes_of(tensors: Tensors) -> dict[str, Mapping[str, Any]]:
    """Layer → what is said of how its weight is kept, beside it or in the notes of its file."""
    told = _told_by_metadata(tensors)
    found: dict[str, Mapping[str, Any]] = {}
    for stem, beside in tensors.companions.items():
        if ".comfy_quant" in beside:
            found[stem] = params_of(tensors.note(stem, ".comfy_quant"))
        elif (note := told.get(f"{tensors.prefix}{stem}") or told.get(stem)) is not None:
            found[stem] = params_of(note)
    return found


def _formats(tensors: Tensors, notes: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """How weights are kept that have something beside them."""
    for stem, beside in tensors.companions.items():
        weight = tensors.stored.get(f"{stem}.weight")
        if stem not in notes or _is_four_bit(beside):
            yield from _told_by_names(beside, "" if weight is None else weight.info.dtype)
            continue
        name = notes[stem].get("format")
        is_rotated = name in INT8_FORMATS if isinstance(name, str) else False
        yield _ROTATED if is_rotated and notes[stem].get("convrot") else name if isinstance(name, str) else "unknown"


def _is_four_bit(beside: Mapping[str, Stored]) -> bool:
    return any(end.startswith(".weight.quant_state.") for end in beside)


def _senseless(tensors: Tensors, notes: Mapping[str, Mapping[str, Any]]) -> Refusal | None:
    """The first weight that does not fit its scales, or what is said of it."""
    for stem, beside in tensors.companions.items():
        weight = tensors.stored.get(f"{stem}.weight")
        if weight is None or _is_four_bit(beside):
            continue
        name, info, note = f"{stem}.weight", weight.info, notes.get(stem, {})
        end = next((end for end in SCALE_ENDS if end in beside), None)
        try:
            if end is not None:
                type_of(info.dtype, info.shape, note)
                group_of(info.dtype, info.shape, note)
                name, scale = f"{stem}{end}", beside[end].info
                grid_of(info.shape, scale.shape)
                if scale.dtype not in FLOATS:
                    raise Senseless(f"is kept as {scale.dtype[:20]}, which is no scale")
            elif info.dtype in ("I8", "U8"):
                raise Senseless("lacks its scale")
        except Senseless as error:
            return Refusal(what="8-bit weights that make no sense", reason=f"{name} {error}", instead=_TAKE)
    return None


def _told_by_names(beside: Mapping[str, Stored], dtype: str) -> Iterator[str]:
    if _is_four_bit(beside):
        yield _NF4 if any(end.endswith("nf4") for end in beside) else _FP4
    elif (scale := beside.get(".scale_weight") or beside.get(".weight_scale")) is not None:
        # Integers may be rotated, and no name says so; powers of two go with blocks.
        odd = {"I8": _UNMARKED, "U8": "nvfp4", "F4": "nvfp4"}.get(dtype, "float8_e4m3fn")
        yield odd if scale.info.dtype in NAMES else "nvfp4" if odd == "nvfp4" else "mxfp8"


def _told_by_metadata(tensors: Tensors) -> dict[str, Mapping[str, Any]]:
    """Layer → note, as a file's notes say; see comfyanonymous/ComfyUI:comfy/utils.py, `convert_old_quants`."""
    found: dict[str, Mapping[str, Any]] = {}
    for header in tensors.headers:
        try:
            layers = json.loads(header.metadata.get("_quantization_metadata", "{}"))["layers"]
            found |= {
                name: each if isinstance(each, dict) else {"format": str(each)} for name, each in layers.items() if each
            }
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return found


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
