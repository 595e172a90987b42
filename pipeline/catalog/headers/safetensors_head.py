"""The head of a safetensors file: eight bytes of length, then JSON. Parsed by hand, since the library maps the file.

Source of the format: huggingface/safetensors:README.md. The checks are the library's: tensors lie without gaps or
overlaps and fill the file to its end.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

from pipeline.catalog.headers.vocabulary import (
    FETCH_AGAIN,
    MOST_DIMENSIONS,
    MOST_HEAD_BYTES,
    MOST_NAME,
    MOST_SIDE,
    MOST_TENSORS,
    MOST_VALUES,
    Container,
    Header,
    NotWeights,
    TensorInfo,
)
from pipeline.catalog.parts import Refusal

_LENGTH_BYTES: Final = 8
_MOST_BRACKETS: Final = 4 * MOST_TENSORS  # each has three, and texts may hold some
_MOST_COMMAS: Final = 20 * MOST_TENSORS
_DTYPE: Final = re.compile(r"[A-Za-z0-9_]{1,24}")
_METADATA: Final = "__metadata__"
# Bits per value; of others nothing is known but where they lie.
_BITS: Final = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


class _Malformed(Exception):
    """The head makes no sense."""


def parse_safetensors(path: Path, file: BinaryIO, size: int) -> Header:
    """Read the head.

    Raises:
        NotWeights: there is none, or the file is not as long as it says.
    """
    file.seek(0)
    prefix = file.read(_LENGTH_BYTES)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < _LENGTH_BYTES:
        _refuse_as_cut(path, "its head is not all there")
    if length > MOST_HEAD_BYTES or length < 2:
        raise NotWeights(
            path,
            Refusal(
                what="no file of weights",
                reason="it begins neither as a safetensors file does nor as a GGUF file",
                instead="take a .safetensors or a .gguf file",
            ),
            is_damaged=True,
        )
    if length > size - _LENGTH_BYTES:
        _refuse_as_cut(path, "its head is not all there")
    text = file.read(length)
    if len(text) < length:
        _refuse_as_cut(path, "its head is not all there")
    try:
        if text.count(b"[") + text.count(b"{") > _MOST_BRACKETS or text.count(b",") > _MOST_COMMAS:
            raise _Malformed("it lists too much")  # parsed, that would take many times its size
        content = json.loads(text)
        if not isinstance(content, dict) or len(content) > MOST_TENSORS:
            raise _Malformed("it lists no tensors")
        metadata = _metadata_of(content.pop(_METADATA, {}))
        if any(len(name) > MOST_NAME for name in content):
            raise _Malformed("a tensor has an endless name")
        tensors = {name: _tensor_of(each, _LENGTH_BYTES + length) for name, each in content.items()}
        _demand_order(tensors, _LENGTH_BYTES + length)
    except (ValueError, RecursionError, _Malformed) as error:
        reason = f"its head makes no sense: {error}" if isinstance(error, _Malformed) else "its head makes no sense"
        refusal = Refusal(what="a damaged safetensors file", reason=reason, instead=FETCH_AGAIN)
        raise NotWeights(path, refusal, is_damaged=True) from error
    end = max((tensor.start + tensor.size for tensor in tensors.values()), default=_LENGTH_BYTES + length)
    if end > size:
        _refuse_as_cut(path, f"{size / 1e6:,.1f} of {end / 1e6:,.1f} MB are there")
    if end < size:
        refusal = Refusal(
            what="a damaged safetensors file",
            reason="it is longer than its head says",
            instead=FETCH_AGAIN,
        )
        raise NotWeights(path, refusal, is_damaged=True)
    return Header(path=path, container=Container.SAFETENSORS, tensors=tensors, metadata=metadata)


def _refuse_as_cut(path: Path, reason: str) -> NoReturn:
    refusal = Refusal(what="a safetensors file that is cut off", reason=reason, instead=FETCH_AGAIN)
    raise NotWeights(path, refusal, is_damaged=True)


def _metadata_of(content: Any) -> dict[str, str]:
    if not isinstance(content, dict):
        raise _Malformed("its notes are no texts")
    return {key: value for key, value in content.items() if isinstance(value, str)}


def _tensor_of(entry: Any, origin: int) -> TensorInfo:
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        lengths = (*shape, begin, end)
    except (KeyError, TypeError, ValueError):
        raise _Malformed("a tensor has no shape or no place") from None
    if not isinstance(dtype, str) or _DTYPE.fullmatch(dtype) is None or len(shape) > MOST_DIMENSIONS:
        raise _Malformed("a tensor has no type, or too many dimensions")
    if any(type(length) is not int or not 0 <= length <= MOST_VALUES for length in lengths) or begin > end:
        raise _Malformed("a tensor has no shape or no place")
    if any(side > MOST_SIDE for side in shape):  # beside a 0, that would take no bytes
        raise _Malformed("a tensor has an endless side")
    values = math.prod(shape)
    if (bits := _BITS.get(dtype)) is not None and values * bits != (end - begin) * 8:
        raise _Malformed("a tensor has more or fewer bytes than its shape")
    return TensorInfo(dtype=dtype, shape=tuple(shape), start=origin + begin, size=end - begin)


def _demand_order(tensors: dict[str, TensorInfo], origin: int) -> None:
    """See that tensors fill the file without gaps or overlaps.

    Raises:
        _Malformed
    """
    end = origin
    for start, size in sorted((tensor.start, tensor.size) for tensor in tensors.values()):
        if start != end:
            raise _Malformed("its tensors overlap, or leave gaps")
        end = start + size
