"""The rules of weights of 8 bits with scales, for who says what a file is and for who reads it. No torch.

Sources: Comfy-Org/ComfyUI:QUANTIZATION.md, comfy/utils.py (`convert_old_quants`);
Comfy-Org/comfy-kitchen:comfy_kitchen/tensor/int8.py (what a note says of a rotation).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

SCALE_ENDS: Final = (".weight_scale", ".scale_weight")
FLOATS: Final = frozenset({"F64", "F32", "F16", "BF16"})
FLOAT8: Final = frozenset({"F8_E4M3", "F8_E5M2"})
# What a note may call the format, and what such values are. Others are kept in another way, although their dtype may
# be one of these.
FLOAT8_FORMATS: Final[Mapping[str, str]] = {
    f"{name}{end}": dtype
    for name, dtype in (("float8_e4m3fn", "F8_E4M3"), ("float8_e5m2", "F8_E5M2"))
    for end in ("", "_rowwise", "_blockwise")
}
INT8_FORMATS: Final = frozenset({"int8_tensorwise", "int8_rowwise", "int8_blockwise", "int8"})
_GROUP_KEYS: Final = ("convrot_groupsize", "convrot_group_size", "group_size")
_DEFAULT_GROUP: Final = 256
_GROUPS: Final = tuple(4**power for power in range(1, 7))  # the sizes of regular Hadamard matrices


class Senseless(Exception):
    """A weight cannot be kept so; the message goes on after its name, as in "is no weight with scales"."""


def type_of(dtype: str, shape: Sequence[int], note: Mapping[str, Any]) -> str:
    """The type of the values of a weight with scales, which may lie in a container of bytes.

    Raises:
        Senseless
    """
    said = note.get("format")
    if not shape or not math.prod(shape):
        raise Senseless("is no weight with scales")
    if said is not None and not isinstance(said, str):
        raise Senseless("has a note that does not say its format")
    if dtype in FLOATS or (dtype in FLOAT8 and (said is None or said in FLOAT8_FORMATS)):
        return dtype
    if dtype == "I8" and said in INT8_FORMATS:  # without a note nobody knows whether they were rotated
        return dtype
    if dtype == "U8" and said is not None and said in FLOAT8_FORMATS:
        return FLOAT8_FORMATS[said]
    raise Senseless(f"is kept as {dtype}, format {str(said)[:40]}, which is not supported")


def grid_of(shape: Sequence[int], of_scales: Sequence[int]) -> tuple[int, int]:
    """How many scales lie below each other and beside each other, over the weight as (outputs, everything else).

    Raises:
        Senseless: they do not fit; the message goes on after the name of the scales.
    """
    rows, width, count = shape[0], math.prod(shape[1:]), math.prod(of_scales)
    if count == 1:
        return 1, 1
    if count == rows == of_scales[0]:  # by shape: 4 × 64 rectangles are no rows
        return rows, 1
    if len(of_scales) != 2 or not count or rows % of_scales[0] or width % of_scales[1]:
        raise Senseless(f"is {tuple(of_scales)}, which fits no weight of {rows} outputs and {width} inputs")
    return of_scales[0], of_scales[1]


def params_of(note: Mapping[str, Any]) -> dict[str, Any]:
    """What a note says, whether inside `params` or beside it."""
    params = note.get("params")
    return {**(params if isinstance(params, dict) else {}), **note}


def group_of(dtype: str, shape: Sequence[int], note: Mapping[str, Any]) -> int | None:
    """How many inputs of a weight were rotated together; None if none were.

    Raises:
        Senseless
    """
    is_rotated = note.get("convrot", False)
    if not isinstance(is_rotated, bool):
        raise Senseless("has a note that does not say whether it was rotated")
    if not is_rotated:
        return None
    group = next((note[key] for key in _GROUP_KEYS if key in note), _DEFAULT_GROUP)
    if type(group) is not int or group not in _GROUPS:
        raise Senseless(f"was rotated in groups of {str(group)[:20]}, which is no power of 4 up to {_GROUPS[-1]}")
    if len(shape) != 2 or shape[1] % group or dtype != "I8":
        raise Senseless(f"cannot have been rotated in groups of {group}")
    return group
