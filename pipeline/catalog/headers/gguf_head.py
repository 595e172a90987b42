"""The head of a GGUF file, parsed by hand: the `gguf` package maps the file and believes whatever it says.

Source of the format: ggml-org/ggml:docs/gguf.md; block sizes from ggml-org/llama.cpp:gguf-py/gguf/constants.py.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO, Final

from pipeline.catalog.headers.vocabulary import (
    FETCH_AGAIN,
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

GGUF_MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_DEFAULT_ALIGNMENT: Final = 32
_MOST_KEYS: Final = 10_000
_MOST_DIMENSIONS: Final = 4
_MOST_ITEMS: Final = 2**22  # of an array: tokenizers have 256 000 words
_MOST_TEXT: Final = 1000  # characters of a value that are kept; a chat template has more
_MOST_LISTED: Final = 8  # items of an array of numbers that are kept: shapes
# Type → (name, values per block, bytes per block).
_TYPES: Final[dict[int, tuple[str, int, int]]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}
_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_ORIGINAL_SHAPE: Final = "comfy.gguf.orig_shape."
_STRING: Final = 8
_ARRAY: Final = 9


class _Malformed(Exception):
    """The head makes no sense."""


class _Bytes:
    """The first bytes of a file, from which things are taken in order. Never holds more than `MOST_HEAD_BYTES`."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._held = b""
        self.place = 0

    def take(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            _Malformed: there are none, or they are not a head's any more.
        """
        end = self.place + count
        if end > min(self._size, MOST_HEAD_BYTES):
            raise _Malformed("its head goes on beyond its end" if end > self._size else "its head does not end")
        if end > len(self._held):
            self._held += self._file.read(max(end - len(self._held), 2**18))
        taken = self._held[self.place : end]
        if len(taken) < count:
            raise _Malformed("its head goes on beyond its end")
        self.place = end
        return taken

    def number(self, kind: str) -> int | float | bool:
        """The next number, by `struct`'s letter for it."""
        value: int | float | bool = struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))[0]
        return value

    def count(self, most: int, *, kind: str = "Q") -> int:
        """The next number, that there are at most so many of something.

        Raises:
            _Malformed
        """
        value = int(self.number(kind))
        if value > most:
            raise _Malformed("a count in its head makes no sense")
        return value

    def text(self, most: int) -> str:
        """The next text."""
        return self.take(self.count(most)).decode("utf-8", errors="replace")

    def skip_texts(self, count: int) -> None:
        """Pass over so many texts: words of a tokenizer, of which there are hundreds of thousands.

        Raises:
            _Malformed
        """
        for _ in range(count):
            if len(self._held) < self.place + 8:
                self.take(8)
                self.place -= 8
            end = self.place + 8 + int.from_bytes(self._held[self.place : self.place + 8], "little")
            if end > len(self._held):
                self.take(end - self.place)
            self.place = end


def parse_gguf(path: Path, file: BinaryIO, size: int) -> Header:
    """Read the head.

    Raises:
        NotWeights: it makes no sense, or the file is not as long as it says.
    """
    file.seek(0)
    source = _Bytes(file, size)
    try:
        source.take(len(GGUF_MAGIC))
        version = int(source.number("I"))
        if version not in _VERSIONS:
            refusal = Refusal(
                what=f"a GGUF file of version {version}",
                reason="versions 2 and 3 are known here",
                instead="take one of version 3",
            )
            raise NotWeights(path, refusal)
        tensor_count, key_count = source.count(MOST_TENSORS), source.count(_MOST_KEYS)
        metadata = dict(_pair(source) for _ in range(key_count))
        entries = [_entry(source) for _ in range(tensor_count)]
        tensors = _placed(entries, source.place, metadata)
    except (_Malformed, struct.error) as error:
        refusal = Refusal(what="a damaged GGUF file", reason=str(error), instead=FETCH_AGAIN)
        raise NotWeights(path, refusal, is_damaged=True) from error
    end = max((tensor.start + tensor.size for tensor in tensors.values()), default=0)
    if end > size:
        refusal = Refusal(
            what="a GGUF file that is cut off",
            reason=f"{size / 1e6:,.1f} of {end / 1e6:,.1f} MB are there",
            instead=FETCH_AGAIN,
        )
        raise NotWeights(path, refusal, is_damaged=True)
    return Header(path=path, container=Container.GGUF, tensors=tensors, metadata=metadata)


def _pair(source: _Bytes) -> tuple[str, str]:
    name = source.text(MOST_NAME)
    return name, _value(source, int(source.number("I")))


def _value(source: _Bytes, kind: int) -> str:
    """Read a value past its end; as a text, as far as it is of use."""
    if kind in _SCALARS:
        return str(source.number(_SCALARS[kind]))
    if kind == _STRING:
        return source.text(MOST_HEAD_BYTES)[:_MOST_TEXT]
    if kind != _ARRAY:
        raise _Malformed("a value in its head is of no known type")
    item, count = int(source.number("I")), source.count(_MOST_ITEMS)
    if item in _SCALARS:
        width = struct.calcsize(f"<{_SCALARS[item]}")
        content = source.take(width * count)
        listed = min(count, _MOST_LISTED)
        return ",".join(map(str, struct.unpack(f"<{listed}{_SCALARS[item]}", content[: width * listed])))
    if item != _STRING:  # arrays of arrays are allowed, and nobody writes any
        raise _Malformed("a list in its head is of no known type")
    source.skip_texts(count)
    return ""


def _entry(source: _Bytes) -> tuple[str, TensorInfo]:
    """One tensor, its place counted from where tensors begin."""
    name = source.text(MOST_NAME)
    dimensions = [source.count(MOST_SIDE) for _ in range(source.count(_MOST_DIMENSIONS, kind="I"))]
    kind, start = int(source.number("I")), source.count(MOST_VALUES)
    if kind not in _TYPES:
        raise _Malformed(f"a tensor is of type {kind}, which is not known here")
    dtype, block, block_bytes = _TYPES[kind]
    values = math.prod(dimensions)
    if values > MOST_VALUES or (dimensions and dimensions[0] % block):
        raise _Malformed("a tensor has a shape that its type cannot have")
    return name, TensorInfo(
        dtype=dtype, shape=tuple(reversed(dimensions)), start=start, size=values // block * block_bytes
    )


def _placed(entries: list[tuple[str, TensorInfo]], head_end: int, metadata: dict[str, str]) -> dict[str, TensorInfo]:
    alignment = _number(metadata.get("general.alignment", ""), _DEFAULT_ALIGNMENT)
    if alignment <= 0 or alignment > 2**20 or alignment & (alignment - 1):
        raise _Malformed("its alignment makes no sense")
    origin = -(-head_end // alignment) * alignment
    tensors: dict[str, TensorInfo] = {}
    end = 0
    for name, tensor in sorted(entries, key=lambda entry: entry[1].start):
        if name in tensors or tensor.start < end or tensor.start % alignment:
            raise _Malformed("its tensors overlap")
        end = tensor.start + tensor.size
        shape = _shape_of(name, tensor, metadata)
        tensors[name] = TensorInfo(dtype=tensor.dtype, shape=shape, start=origin + tensor.start, size=tensor.size)
    return tensors


def _shape_of(name: str, tensor: TensorInfo, metadata: dict[str, str]) -> tuple[int, ...]:
    """The shape before it was made to fit the type's blocks (city96/ComfyUI-GGUF:tools/convert.py)."""
    text = metadata.get(f"{_ORIGINAL_SHAPE}{name}")
    if text is None:
        return tensor.shape
    shape = tuple(_number(each, 0) for each in text.split(","))
    if math.prod(shape) != math.prod(tensor.shape):
        raise _Malformed("a tensor's original shape has more or fewer values")
    return shape


def _number(text: str, default: int) -> int:
    return int(text) if text.isdecimal() and len(text) < 12 else default if not text else 0
